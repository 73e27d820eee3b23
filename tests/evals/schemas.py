"""Answer schemas in the form for providers."""

from typing import Any, cast

from pydantic import BaseModel

from evals.judges.answer_format import schema_of


def portable_schema(answer: type[BaseModel]) -> dict[str, Any]:
    return cast(dict[str, Any], schema_of(answer))
