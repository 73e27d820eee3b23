"""The OpenInference conventions: flattened messages, `input.value`, `output.value`."""

from collections.abc import Mapping

from pydantic import JsonValue

from api.otlp.values import Attributes, given, listed, structured, under
from api.otlp.vocabulary import Reading, SpanSource, Vocabulary
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


def read(source: SpanSource) -> Reading:
    attributes = source.attributes
    named = attributes.peek("openinference.span.kind")
    kind = _KINDS.get(named.upper()) if isinstance(named, str) else None
    if kind is not None and kind == named:
        attributes.take("openinference.span.kind")
    extra = _object(attributes.take("metadata"))
    tags = structured(attributes.take("tag.tags"))
    return Reading(
        kind=kind,
        name=attributes.take_text("tool.name") if kind is SpanKind.TOOL else None,
        model=attributes.take_text(*_MODELS),
        input=_request_messages(attributes),
        output=_answered(attributes),
        token_usage=_usage(attributes),
        model_parameters=_object(attributes.take("llm.invocation_parameters")),
        cost=_cost(attributes),
        tools=_tools(attributes),
        tags=tags if isinstance(tags, list) else [],
        metadata=extra if isinstance(extra, dict) else {},
    )


def _request_messages(attributes: Attributes) -> JsonValue:
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
    """The embedded texts. Their vectors stay in the metadata."""
    prefix = "embedding.embeddings."
    names = [name for name in attributes.names(prefix) if name.endswith(".embedding.text")]
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
    found: list[JsonValue] = [_message(one) for one in attributes.take_listed(prefix)]
    return {"messages": found} if found else None


def _message(flat: Mapping[str, JsonValue]) -> JsonValue:
    fields = under(flat, "message.")
    calls: list[JsonValue] = [_call(one) for one in listed(under(fields, "tool_calls."))]
    parts: list[JsonValue] = [_part(one) for one in listed(under(fields, "contents."))]
    function = given(
        name=fields.get("function_call_name"), arguments=fields.get("function_call_arguments_json")
    )
    return given(
        role=fields.get("role"),
        content=fields.get("content", parts or None),
        name=fields.get("name"),
        tool_call_id=fields.get("tool_call_id"),
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
    documents: list[JsonValue] = []
    for one in attributes.take_listed(prefix):
        document = under(one, "document.")
        if "metadata" in document:
            document["metadata"] = structured(document["metadata"])
        documents.append(document)
    return documents or None


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
        for one in attributes.take_listed("llm.tools.")
    ]
    return found or None


def _object(value: JsonValue) -> JsonValue:
    found = structured(value)
    return found if isinstance(found, dict) else None


VOCABULARY = Vocabulary(
    name="OpenInference",
    heads=frozenset(
        (
            *("openinference", "input", "output", "llm", "tool", "embedding", "reranker"),
            *("retrieval", "metadata", "tag"),
        )
    ),
    read=read,
    rank=1,
)
