"""Requests that add and change scores."""

from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from core.content_limits import MAX_TEXT_BYTES, at_most
from core.ids import ScoreSource, ScoreType
from core.queries.score_annotations import Annotation
from core.safe_text import Content, FreeObject, Label, require_storable


def _scalar(value: object) -> object:
    if not isinstance(value, str | int | float):
        raise ValueError("must be text, a number, true or false")
    if isinstance(value, str) and len(value) > MAX_TEXT_BYTES:
        raise ValueError(f"must have at most {MAX_TEXT_BYTES} characters")
    return require_storable(value) if isinstance(value, str) else value


Value = Annotated[
    str | float | bool,
    PlainValidator(_scalar),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]

_VALUE = (
    "NUMERIC: a number in [0, 1] in any notation, as text or JSON, stored with four decimals. "
    "BOOLEAN: true or false, as text in any case or JSON. CATEGORICAL: any non-empty text."
)


_NULLABLE = {"reason"}


def _not_automated(source: ScoreSource) -> ScoreSource:
    if source is ScoreSource.AUTOMATED:
        raise ValueError("must be ANNOTATION or PROGRAMMATIC; only runs create AUTOMATED scores")
    return source


class NewTraceScoreBody(BaseModel):
    """A score by a person or by a program."""

    model_config = ConfigDict(extra="forbid")

    trace_id: UUID
    name: Annotated[Label, Field(min_length=1)] = Field(description="What is measured.")
    value: Value = Field(description=_VALUE)
    data_type: ScoreType = ScoreType.NUMERIC
    source: Annotated[ScoreSource, AfterValidator(_not_automated)] = Field(
        ScoreSource.ANNOTATION, description="ANNOTATION or PROGRAMMATIC."
    )
    reason: Annotated[Content | None, at_most(MAX_TEXT_BYTES)] = None
    metadata: Annotated[FreeObject, at_most(MAX_TEXT_BYTES)] = Field(default_factory=dict)

    @property
    def annotation(self) -> Annotation:
        return Annotation(
            self.name, self.value, self.data_type, self.source, self.reason, self.metadata
        )


class ScoreChangesBody(BaseModel):
    """Sent fields change; null for `value` or `metadata` has no effect."""

    model_config = ConfigDict(extra="forbid")

    value: Value | None = Field(None, description=_VALUE)
    reason: Annotated[Content | None, at_most(MAX_TEXT_BYTES)] = None
    metadata: Annotated[FreeObject | None, at_most(MAX_TEXT_BYTES)] = Field(
        None, description="Merged into the metadata of the score; null removes a key."
    )

    @model_validator(mode="after")
    def _anything(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("send value, reason or metadata")
        return self

    @property
    def sent(self) -> dict[str, Any]:
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return {
            name: value for name, value in given.items() if value is not None or name in _NULLABLE
        }
