"""The OpenInference conventions: flattened messages, `input.value`, `output.value`."""

from collections.abc import Mapping

from pydantic import JsonValue

from api.otlp.values import Attributes, given, listed, structured, under
from core.ids import SpanKind

_KINDS = {
    "LLM": SpanKind.LLM,
    "TOOL": SpanKind.TOOL,
    "AGENT": SpanKind.AGENT,
    "CHAIN": SpanKind.CHAIN,
    "RETRIEVER": SpanKind.RETRIEVER,
    "RERANKER": SpanKind.RETRIEVER,
    "EMBEDDING": SpanKind.EMBEDDING,
}
_MODELS = (
    *("llm.model_name", "llm.response.model_name", "llm.request.model_name"),
    *("embedding.model_name", "reranker.model_name"),
)
_DETAILS = "_details."

Fields = dict[str, JsonValue]


def read(attributes: Attributes) -> Fields:
    """What the span says under these conventions."""
    named = attributes.peek("openinference.span.kind")
    kind = _KINDS.get(named.upper()) if isinstance(named, str) else None
    if kind is not None and kind == named:
        attributes.take("openinference.span.kind")
    return given(
        kind=kind,
        name=attributes.take_text("tool.name") if kind is SpanKind.TOOL else None,
        model=attributes.take_text(*_MODELS),
        input=_asked(attributes),
        output=_answered(attributes),
        token_usage=_usage(attributes),
        model_parameters=_object(attributes.take("llm.invocation_parameters")),
        cost=_cost(attributes),
        tools=_tools(attributes),
        tags=_tags(attributes),
        extra=_object(attributes.take("metadata")),
    )


def _asked(attributes: Attributes) -> JsonValue:
    whole = _value(attributes, "input")
    parameters = structured(attributes.take("tool.parameters")) if whole is None else None
    return (
        _messages(attributes, "llm.input_messages.")
        or _reranked(attributes)
        or (_embedded(attributes) if whole is None else whole)
        or (parameters if whole is None else whole)
    )


def _reranked(attributes: Attributes) -> JsonValue:
    documents = _documents(attributes, "reranker.input_documents.")
    query = attributes.take("reranker.query")
    return given(query=query, documents=documents) or None


def _embedded(attributes: Attributes) -> JsonValue:
    """The texts. Their vectors stay with the metadata: they are no input."""
    prefix = "embedding.embeddings."
    names = [
        name
        for name in attributes.left
        if name.startswith(prefix) and name.endswith(".embedding.text")
    ]
    return [attributes.take(name) for name in names] or None


def _answered(attributes: Attributes) -> JsonValue:
    whole = _value(attributes, "output")
    return (
        _messages(attributes, "llm.output_messages.")
        or _documents(attributes, "retrieval.documents.")
        or _documents(attributes, "reranker.output_documents.")
        or whole
    )


def _value(attributes: Attributes, side: str) -> JsonValue:
    kind = attributes.take(f"{side}.mime_type")
    value = attributes.take(f"{side}.value")
    return value if kind == "text/plain" else structured(value)


def _messages(attributes: Attributes, prefix: str) -> JsonValue:
    found: list[JsonValue] = [_message(one) for one in listed(attributes.take_under(prefix))]
    return {"messages": found} if found else None


def _message(flat: Mapping[str, JsonValue]) -> JsonValue:
    said = under(flat, "message.")
    calls: list[JsonValue] = [_call(one) for one in listed(under(said, "tool_calls."))]
    parts: list[JsonValue] = [_part(one) for one in listed(under(said, "contents."))]
    function = given(
        name=said.get("function_call_name"), arguments=said.get("function_call_arguments_json")
    )
    return given(
        role=said.get("role"),
        content=said.get("content", parts or None),
        name=said.get("name"),
        tool_call_id=said.get("tool_call_id"),
        tool_calls=calls or None,
        function_call=function or None,
    )


def _call(flat: Mapping[str, JsonValue]) -> JsonValue:
    call = under(flat, "tool_call.")
    function = given(name=call.get("function.name"), arguments=call.get("function.arguments"))
    return given(id=call.get("id"), type="function", function=function)


def _part(flat: Mapping[str, JsonValue]) -> JsonValue:
    part = under(flat, "message_content.")
    url = part.get("image.image.url")
    return given(
        type=part.get("type"),
        text=part.get("text"),
        image_url=None if url is None else {"url": url},
    )


def _documents(attributes: Attributes, prefix: str) -> JsonValue:
    found: list[JsonValue] = []
    for one in listed(attributes.take_under(prefix)):
        document = under(one, "document.")
        if "metadata" in document:
            document["metadata"] = structured(document["metadata"])
        found.append(document)
    return found or None


def _usage(attributes: Attributes) -> JsonValue:
    counts = attributes.take_under("llm.token_count.")
    return {
        f"{name.replace(_DETAILS, '_')}_tokens": count for name, count in counts.items()
    } or None


def _cost(attributes: Attributes) -> JsonValue:
    parts = given(
        total=attributes.take("llm.cost.total"),
        prompt=attributes.take("llm.cost.prompt"),
        completion=attributes.take("llm.cost.completion"),
    )
    return parts or None


def _tools(attributes: Attributes) -> JsonValue:
    found: list[JsonValue] = [
        structured(one.get("tool.json_schema")) or under(one, "tool.")
        for one in listed(attributes.take_under("llm.tools."))
    ]
    return found or None


def _tags(attributes: Attributes) -> JsonValue:
    found = structured(attributes.take("tag.tags"))
    return found if isinstance(found, list) else None


def _object(value: JsonValue) -> JsonValue:
    found = structured(value)
    return found if isinstance(found, dict) else None
