"""Scores that a person enters on a page."""

from typing import Any
from uuid import UUID

from pydantic import ValidationError

from api.schemas.score_requests import NewTraceScoreBody
from core.errors import Invalid
from core.queries.score_annotations import Annotation

_ANY_TRACE = UUID(int=0)


def of_person(
    metric: str, value: str, note: str, metadata: dict[str, Any] | None = None
) -> Annotation:
    """Validated like the body of `POST /evaluations/trace-scores`. Raises Invalid."""
    try:
        body = NewTraceScoreBody(
            trace_id=_ANY_TRACE,
            name=metric,
            value=value.strip().replace(",", "."),
            reason=note.strip() or None,
            metadata=metadata or {},
        )
    except ValidationError as error:
        raise Invalid(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from None
    return body.annotation
