"""The Vercel AI SDK, versions 3 to 6: `ai.*`.

An outer span such as `ai.generateText` spans all steps; `ai.generateText.doGenerate` is one call
of the model, `ai.toolCall` one of a tool.
"""

from typing import Final

from pydantic import JsonValue

from api.otlp.values import Attributes, arguments, given, structured, unquoted
from api.otlp.vocabulary import Reading, SpanSource, Vocabulary
from core.ids import SpanKind

_METADATA: Final = "ai.telemetry.metadata."
_SESSION: Final = ("sessionId", "session_id", "threadId", "conversationId", "chatId")
_USER: Final = ("userId", "user_id")
_USAGE: Final = {
    "prompt_tokens": ("ai.usage.inputTokens", "ai.usage.promptTokens"),
    "completion_tokens": ("ai.usage.outputTokens", "ai.usage.completionTokens"),
    "total_tokens": ("ai.usage.totalTokens", "ai.usage.tokens"),
    "cache_read_input_tokens": (
        *("ai.usage.inputTokenDetails.cacheReadTokens", "ai.usage.cachedInputTokens"),
    ),
    "cache_creation_input_tokens": ("ai.usage.inputTokenDetails.cacheWriteTokens",),
    "reasoning_output_tokens": (
        *("ai.usage.outputTokenDetails.reasoningTokens", "ai.usage.reasoningTokens"),
    ),
}


def read(source: SpanSource) -> Reading | None:
    attributes = source.attributes
    operation = attributes.peek("ai.operationId")
    if not isinstance(operation, str):
        operation = source.name
    kind = _kind(operation)
    if kind is None:
        return None
    reading = Reading(kind=kind)
    if kind is SpanKind.TOOL:
        reading.name = attributes.take_text("ai.toolCall.name")
        reading.input = arguments(attributes.take("ai.toolCall.args", "ai.toolCall.input"))
        reading.output = unquoted(attributes.take("ai.toolCall.result", "ai.toolCall.output"))
    else:
        reading.input, reading.output = _request_messages(attributes), _answered(attributes)
    reading.model = attributes.take_text("ai.response.model", "ai.model.id")
    reading.token_usage = given(**{n: attributes.take(*names) for n, names in _USAGE.items()})
    reading.model_parameters = attributes.take_under("ai.settings.") or None
    reading.tools = _tools(attributes.take("ai.prompt.tools"))
    milliseconds = attributes.take("ai.response.msToFirstChunk")
    if isinstance(milliseconds, int | float):
        reading.first_token_seconds = milliseconds / 1000
    reading.session_id = attributes.take_text(*(_METADATA + name for name in _SESSION))
    reading.user_id = attributes.take_text(*(_METADATA + name for name in _USER))
    tags = attributes.take(_METADATA + "tags")
    reading.tags = tags if isinstance(tags, list) else []
    return reading


def _kind(operation: str) -> SpanKind | None:
    if not operation.startswith("ai."):
        return None
    if operation.startswith("ai.toolCall"):
        return SpanKind.TOOL
    if operation.startswith("ai.embed"):
        return SpanKind.EMBEDDING
    if operation.startswith("ai.rerank"):
        return SpanKind.RETRIEVER
    called = operation.partition(" ")[0].endswith((".doGenerate", ".doStream"))
    return SpanKind.LLM if called else SpanKind.AGENT


def _request_messages(attributes: Attributes) -> JsonValue:
    listed = structured(attributes.take("ai.prompt.messages"))
    if isinstance(listed, list):
        attributes.take("ai.prompt", "ai.prompt.format")
        return {"messages": listed}
    whole = structured(attributes.take("ai.prompt"))
    if isinstance(whole, dict):
        return _as_messages(whole)
    if whole is not None:
        return whole
    texts = attributes.take("ai.values")
    if isinstance(texts, list):
        return [unquoted(text) for text in texts]
    return unquoted(attributes.take("ai.value"))


def _as_messages(prompt: dict[str, JsonValue]) -> JsonValue:
    """`system`, and then either `prompt` or `messages`."""
    messages: list[JsonValue] = []
    if prompt.get("system"):
        messages.append({"role": "system", "content": prompt["system"]})
    said = prompt.get("messages") or prompt.get("prompt")
    if isinstance(said, list):
        messages += said
    elif said is not None:
        messages.append({"role": "user", "content": said})
    return {"messages": messages} if messages else prompt


def _answered(attributes: Attributes) -> JsonValue:
    text = attributes.take("ai.response.text", "ai.result.text")
    structured_answer = structured(attributes.take("ai.response.object", "ai.result.object"))
    calls = structured(attributes.take("ai.response.toolCalls", "ai.result.toolCalls"))
    requests: list[JsonValue] = [
        _request(call)
        for call in (calls if isinstance(calls, list) else ())
        if isinstance(call, dict)
    ]
    message = given(
        content=structured_answer if text is None else text,
        reasoning_content=attributes.take("ai.response.reasoning"),
        tool_calls=requests or None,
    )
    return {"messages": [{"role": "assistant", "content": "", **message}]} if message else None


def _request(call: dict[str, JsonValue]) -> JsonValue:
    function = given(name=call.get("toolName"), arguments=call.get("args", call.get("input")))
    return given(id=call.get("toolCallId"), type="function", function=function)


def _tools(value: JsonValue) -> JsonValue:
    found = structured(value)
    return [structured(one) for one in found] if isinstance(found, list) else None


VOCABULARY = Vocabulary(
    name="Vercel AI SDK",
    heads=frozenset(("ai",)),
    read=read,
)
