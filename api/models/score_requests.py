"""What a client sends to make and change scores."""

from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from core.ids import ScoreSource, ScoreType
from core.queries.annotations import Annotation
from core.text import Content, FreeObject, Label, PlainText

_VALUE = "NUMERIC: a decimal in [0, 1] with at most 4 places. BOOLEAN: `true` or `false`."


def _not_automated(source: ScoreSource) -> ScoreSource:
    if source is ScoreSource.AUTOMATED:
        raise ValueError("must be ANNOTATION or PROGRAMMATIC; only runs make AUTOMATED scores")
    return source


class NewTraceScoreBody(BaseModel):
    """A score by a person, or by a program of theirs."""

    model_config = ConfigDict(extra="forbid")

    trace_id: UUID
    name: Annotated[Label, Field(min_length=1)] = Field(description="What is measured.")
    value: PlainText = Field(description=_VALUE + " CATEGORICAL: any text.")
    data_type: ScoreType = ScoreType.NUMERIC
    source: Annotated[ScoreSource, AfterValidator(_not_automated)] = Field(
        ScoreSource.ANNOTATION, description="ANNOTATION or PROGRAMMATIC."
    )
    reason: Content | None = None
    metadata: FreeObject = Field(default_factory=dict)

    @property
    def annotation(self) -> Annotation:
        return Annotation(
            self.name, self.value, self.data_type, self.source, self.reason, self.metadata
        )


class ScoreChangesBody(BaseModel):
    """What is sent replaces what is held."""

    model_config = ConfigDict(extra="forbid")

    # Defaults are never read: they say that a field may be left out but not be null.
    value: PlainText = Field(default_factory=str, description=_VALUE)
    reason: Content | None = None
    metadata: FreeObject = Field(default_factory=dict, description="Replaces all of it.")

    @model_validator(mode="after")
    def _anything(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("send value, reason or metadata")
        return self

    @property
    def sent(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.model_fields_set}
