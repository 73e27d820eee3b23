"""MLflow: `mlflow.*`. Every value is JSON, and its texts may hold JSON again."""

from typing import Final

from pydantic import JsonValue

from api.otlp.values import Attributes, unquoted
from api.otlp.vocabulary import Reading, SpanSource, Vocabulary
from core.ids import SpanKind

_KINDS: Final = {
    "LLM": SpanKind.LLM,
    "CHAT_MODEL": SpanKind.LLM,
    "TOOL": SpanKind.TOOL,
    "AGENT": SpanKind.AGENT,
    "CHAIN": SpanKind.CHAIN,
    "WORKFLOW": SpanKind.CHAIN,
    "TASK": SpanKind.CHAIN,
    "PARSER": SpanKind.CHAIN,
    "MEMORY": SpanKind.CHAIN,
    "RETRIEVER": SpanKind.RETRIEVER,
    "RERANKER": SpanKind.RETRIEVER,
    "EMBEDDING": SpanKind.EMBEDDING,
}


def read(source: SpanSource) -> Reading:
    attributes = source.attributes
    named = _take(attributes, "mlflow.spanType")
    kind = _KINDS.get(named.upper()) if isinstance(named, str) else None
    model = _take(attributes, "mlflow.llm.model")
    return Reading(
        kind=kind,
        input=_take(attributes, "mlflow.spanInputs", "mlflow.traceInputs"),
        output=_take(attributes, "mlflow.spanOutputs", "mlflow.traceOutputs"),
        model=model if isinstance(model, str) else None,
        token_usage=_object(_take(attributes, "mlflow.chat.tokenUsage")),
        cost=_object(_take(attributes, "mlflow.llm.cost")),
        tools=_take(attributes, "mlflow.chat.tools"),
        session_id=_text(_take(attributes, "mlflow.trace.session")),
        user_id=_text(_take(attributes, "mlflow.trace.user")),
    )


def _take(attributes: Attributes, *names: str) -> JsonValue:
    found = unquoted(attributes.take(*names))
    # The decoded text may be JSON again.
    return unquoted(found) if isinstance(found, str) and found[:1] in ("{", "[", '"') else found


def _object(value: JsonValue) -> JsonValue:
    return value if isinstance(value, dict) else None


def _text(value: JsonValue) -> str | None:
    return None if value is None or isinstance(value, list | dict) else str(value)


VOCABULARY = Vocabulary(
    name="MLflow",
    heads=frozenset(("mlflow",)),
    read=read,
)
