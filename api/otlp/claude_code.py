"""Claude Code and the Claude Agent SDK: `claude_code.*` spans and events.

The span of the interaction carries the user's prompt. It ends with the session, so it may never
arrive.
"""

import re
from typing import Final

from pydantic import JsonValue

from api.otlp.values import Attributes, given, structured
from api.otlp.vocabulary import Events, Reading, SpanSource, Vocabulary
from core.ids import SpanKind

_PREFIX: Final = "claude_code."
_KINDS: Final = {
    "claude_code.interaction": SpanKind.AGENT,
    "claude_code.llm_request": SpanKind.LLM,
    "claude_code.tool": SpanKind.TOOL,
    "claude_code.tool.execution": SpanKind.CHAIN,
}
_USAGE: Final = {
    "input_tokens": ("input_tokens",),
    "output_tokens": ("output_tokens",),
    "cache_read_input_tokens": ("cache_read_tokens",),
    "cache_creation_input_tokens": ("cache_creation_tokens",),
}
_PROMPT_EVENTS: Final = ("claude_code.user_prompt", "user_prompt")
_OUTPUT_EVENTS: Final = ("tool.output", "claude_code.tool_result", "tool_result")
_ANSWER_EVENTS: Final = ("claude_code.assistant_response", "assistant_response")
_RESULTS: Final = ("output", "content", "result", "tool_output", "stdout")
_DETAILS: Final = ("full_command", "file_path", "skill_name", "subagent_type", "description")
_LABEL: Final = re.compile(r"^\[[A-Z ]+(?::[^\]]*)?\]\n")
"""A prefix of the text in some releases, such as `[TOOL INPUT: Bash]`."""


def read(source: SpanSource) -> Reading | None:
    attributes, events = source.attributes, source.events
    if not source.name.startswith(_PREFIX):
        return _of_events(events)
    kind = _KINDS.get(source.name)
    reading = Reading(kind=kind, is_error=attributes.peek("success") in (False, "false"))
    reading.error = attributes.take_text("error") if reading.is_error else None
    if kind is SpanKind.TOOL:
        reading.name = attributes.take_text("tool_name")
        reading.input, reading.output = _called_with(attributes), _result(attributes, events)
    elif kind is SpanKind.LLM:
        _read_request(reading, attributes)
    elif kind is SpanKind.AGENT:
        prompt = attributes.take("user_prompt")
        reading.input = _prompt(events) if prompt is None else prompt
        reading.output = attributes.take("response", "final_response") or _answer(events)
    return reading


def _of_events(events: Events) -> Reading | None:
    """Events that arrived as log records without their span."""
    prompt, answer = _prompt(events), _answer(events)
    if prompt is None and answer is None:
        return None
    return Reading(input=prompt, output=answer)


def _read_request(reading: Reading, attributes: Attributes) -> None:
    reading.model = attributes.take_text("model")
    reading.token_usage = given(**{n: attributes.take(*names) for n, names in _USAGE.items()})
    reading.cost = attributes.take("cost_usd")
    milliseconds = attributes.take("ttft_ms")
    if isinstance(milliseconds, int | float):
        reading.first_token_seconds = milliseconds / 1000
    requested: list[JsonValue] = []
    if system := attributes.take("system_prompt", "system_prompt_preview"):
        requested.append({"role": "system", "content": system})
    if context := attributes.take("new_context"):
        requested.append({"role": "user", "content": _unlabelled(context)})
    reading.input = {"messages": requested} if requested else None
    message = given(
        content=structured(attributes.take("response.model_output", "model_output")),
        reasoning_content=attributes.take("response.thinking_output"),
        tool_calls=structured(attributes.take("response.tool_calls")),
    )
    if message:
        reading.output = {"messages": [{"role": "assistant", "content": "", **message}]}


def _called_with(attributes: Attributes) -> JsonValue:
    found = attributes.take("tool_input", "tool_parameters", "tool.input", "input")
    if found is not None:
        return structured(_unlabelled(found))
    return given(**{name: attributes.peek(name) for name in _DETAILS}) or None


def _result(attributes: Attributes, events: Events) -> JsonValue:
    found = attributes.take("tool_output", "tool_result", "tool.output", "new_context", "output")
    if found is not None:
        return structured(_unlabelled(found))
    for event in events.take(_OUTPUT_EVENTS):
        said = next((v for name in _RESULTS if (v := event.attributes.get(name))), None)
        return structured(said) if said is not None else {**event.attributes}
    return None


def _prompt(events: Events) -> JsonValue:
    for event in events.take(_PROMPT_EVENTS):
        return event.attributes.get("prompt") or event.attributes.get("user_prompt")
    return None


def _answer(events: Events) -> JsonValue:
    found = [event.attributes for event in events.take(_ANSWER_EVENTS)]
    return (found[-1].get("response") or found[-1].get("content")) if found else None


def _unlabelled(value: JsonValue) -> JsonValue:
    return _LABEL.sub("", value, count=1) if isinstance(value, str) else value


VOCABULARY = Vocabulary(
    name="Claude Code",
    heads=frozenset(
        (
            *("claude_code", "user_prompt", "tool_name", "tool_input", "tool", "model", "success"),
            *("input_tokens", "output_tokens", "interaction", "llm_request", "response"),
            *("assistant_response", "new_context", "span"),
        )
    ),
    read=read,
)
