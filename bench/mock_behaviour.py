"""Faulty behaviors of the mock judge."""

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

import orjson


class Silence(StrEnum):
    """Ways in which a call ends without an answer."""

    HANG = "HANG"
    """No byte arrives until the client gives up."""
    RESET = "RESET"
    """The connection breaks in the middle of the answer."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error that affects every call, in OpenAI's form."""

    status: int
    code: str
    said: str


REFUSALS = {
    "key": Refusal(401, "invalid_api_key", "Incorrect API key provided: mock."),
    "quota": Refusal(429, "insufficient_quota", "You exceeded your current quota."),
    "model": Refusal(404, "model_not_found", "The model `mock` does not exist."),
}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Rates are shares of calls in [0, 1], times are in seconds."""

    latency: float = 0.2
    spread: float = 0.0
    rate_429: float = 0.0
    rate_500: float = 0.0
    rate_hang: float = 0.0
    rate_reset: float = 0.0
    malformed: float = 0.0
    retry_after: float = 1.0
    max_per_second: float = 0.0
    outage: bool = False
    refusal: str = ""
    """A name in REFUSALS; empty for no refusal."""
    only_model: str = ""
    """The model that the faults affect; empty for every model."""
    keys: str = ""
    """The API keys that are accepted, in small letters and separated by commas; empty for all."""

    def changed(self, wanted: dict[str, Any]) -> "Behaviour":
        known = {f.name: f.type for f in fields(self)}
        return replace(self, **{name: value for name, value in wanted.items() if name in known})


def error_body(status: int, refusal: Refusal | None = None) -> bytes:
    kinds = {429: "rate_limit_exceeded", 500: "server_error", 503: "overloaded"}
    words = {429: "Rate limit reached for mock.", 500: "The server had an error."}
    said = refusal.said if refusal else words.get(status, "The engine is currently overloaded.")
    kind = refusal.code if refusal else kinds[status]
    return orjson.dumps({"error": {"message": said, "type": kind, "code": kind}})
