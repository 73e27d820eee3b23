"""Logs of OpenAI-style messages: one conversation per line, one step per answer of the model."""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

from api.importers.source import Export, Json, Source, export, nanoseconds, span
from core import clock
from core.json_codec import canonical

_SECOND: Final = 1_000_000_000
_SESSION: Final = ("session_id", "conversation_id", "thread_id")


def _recognizes(record: Json) -> bool:
    found = record.get("messages")
    return isinstance(found, list) and any(isinstance(m, dict) and "role" in m for m in found)


def _exports(record: Json) -> Iterator[Export]:
    messages = [one for one in record["messages"] if isinstance(one, dict)]
    messages += _answer(record)
    trace = str(record.get("id") or hashlib.sha256(canonical(messages)).hexdigest()[:32])
    start = nanoseconds(record.get("created") or record.get("created_at")) or _now()
    answers = [place for place, one in enumerate(messages) if one.get("role") == "assistant"]
    spans = [_root(record, messages, trace, start)]
    model = record.get("model")
    for number, place in enumerate(answers):
        began = start + number * _SECOND
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": model if isinstance(model, str) else None,
            "gen_ai.input.messages": messages[:place],
            "gen_ai.output.messages": [messages[place]],
            "gen_ai.tool.definitions": record.get("tools") or record.get("functions"),
        }
        ids = (trace, f"{trace} {number}", f"{trace} root")
        spans.append(span(ids, "chat", (began, began + _SECOND), attributes))
    yield export(spans)


def _answer(record: Json) -> list[Json]:
    """The answer of a log whose request and response are separate."""
    response = record.get("response")
    holder = response if isinstance(response, dict) else record
    choices = holder.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    return [message] if isinstance(message, dict) else []


def _root(record: Json, messages: list[Json], trace: str, start: int) -> Json:
    question = next((one for one in messages if one.get("role") == "user"), None)
    last = messages[-1] if messages and messages[-1].get("role") == "assistant" else None
    steps = sum(one.get("role") == "assistant" for one in messages)
    attributes = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.input.messages": None if question is None else [question],
        "gen_ai.output.messages": None if last is None else [last],
        "session.id": _first(record, _SESSION),
        "user.id": record.get("user") if isinstance(record.get("user"), str) else None,
    }
    ends = start + max(1, steps) * _SECOND
    name = str(record.get("name") or "conversation")
    return span((trace, f"{trace} root", None), name, (start, ends), attributes)


def _first(record: Json, names: tuple[str, ...]) -> Any:
    return next((record[name] for name in names if record.get(name)), None)


def _now() -> int:
    return int(clock.now().timestamp()) * _SECOND


SOURCE = Source("OpenAI-style messages", _recognizes, _exports)
