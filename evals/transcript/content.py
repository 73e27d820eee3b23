"""Decides whether a trace has text to judge, and names the tracer's setting that records text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.content import ContentState, has_content
from core.ids import SpanKind
from evals.transcript.facts import Facts
from evals.transcript.span_tree import ancestors
from evals.transcript.tool_calls import error_of
from evals.transcript.turns import Turn

__all__ = ["Content", "ContentState", "content_of", "remedy_for"]

_GENERAL_REMEDY = (
    "Turn on the recording of messages in the tracer: for OpenTelemetry's GenAI instrumentation "
    "set OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true in the agent's process."
)
# Settings by prefix of the instrumentation scope's name; more specific prefixes come first.
_REMEDIES: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("opentelemetry.instrumentation.openai_v2", "opentelemetry.instrumentation.vertexai",
         "opentelemetry.instrumentation.google_genai", "opentelemetry.instrumentation.botocore",
         "opentelemetry.instrumentation.genai", "opentelemetry.util.genai"),
        "Set OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true in the agent's process, and "
        "send its log events to /v1/logs where the instrumentation emits messages as events.",
    ),
    (
        ("opentelemetry.instrumentation.", "traceloop"),
        "Set TRACELOOP_TRACE_CONTENT=true in the agent's process.",
    ),
    (
        ("openinference.",),
        "Set OPENINFERENCE_HIDE_INPUTS=false and OPENINFERENCE_HIDE_OUTPUTS=false in the agent's "
        "process.",
    ),
    (("ai",), "Pass experimental_telemetry: { isEnabled: true, recordInputs: true, "
              "recordOutputs: true } to the AI SDK's calls."),
    (("pydantic-ai", "pydantic_ai"),
     "Use InstrumentationSettings(include_content=True) for the agent."),
    (("gcp.vertex.agent", "google.adk", "google_adk"),
     "Set ADK_CAPTURE_MESSAGE_CONTENT_IN_SPANS=true in the agent's process; from ADK 2 on "
     "OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental and "
     "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY."),
    (("com.anthropic.claude_code", "claude_code", "claude-code", "claude_agent_sdk"),
     "Set OTEL_LOG_USER_PROMPTS=1 and OTEL_LOG_TOOL_DETAILS=1 in the agent's process."),
    (("agent_framework", "microsoft.agent_framework", "Microsoft.Agents", "Experimental.Microsoft"),
     "Set ENABLE_SENSITIVE_DATA=true (Python) or EnableSensitiveData (C#) for the agent."),
    (("Microsoft.SemanticKernel", "semantic_kernel"),
     "Set SEMANTICKERNEL_EXPERIMENTAL_GENAI_ENABLE_OTEL_DIAGNOSTICS_SENSITIVE=true in the agent's "
     "process."),
    (("openlit",), "Call openlit.init(capture_message_content=True)."),
    (("strands",), "Update strands-agents: it records messages as span events; keep them on."),
    (("langfuse", "langfuse-sdk"),
     "Remove the mask from the Langfuse client, and set capture_input and capture_output to true "
     "on @observe."),
    (("langsmith",), "Set LANGSMITH_HIDE_INPUTS=false and LANGSMITH_HIDE_OUTPUTS=false in the "
                     "agent's process."),
    (("ai.koog", "koog"), "Call setVerbose(true) on Koog's OpenTelemetry feature."),
    (("crewai",), "Set share_crew=True on the crew."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Content:
    """`remedy` tells how to record missing text; empty if no text is missing."""

    state: ContentState
    remedy: str = ""


def remedy_for(scope: str | None) -> str:
    """The setting that makes the tracer with this instrumentation scope record content."""
    name = (scope or "").lower()
    for beginnings, remedy in _REMEDIES:
        for beginning in map(str.lower, beginnings):
            if name == beginning or (len(beginning) > 2 and name.startswith(beginning)):
                return remedy
    return _GENERAL_REMEDY


def content_of(facts: Facts) -> Content:
    """The share of the trace's text that is recorded, as a ContentState."""
    if not _holds_text(facts):
        return Content(ContentState.NONE, _remedy(facts))
    inner = _models_within(facts)
    silent = any(
        span.kind is SpanKind.LLM and error_of(span) is None and not _speaks(facts, place, inner)
        for place, span in enumerate(facts.trace.spans)
    )
    blank = any(
        call.arguments is None and not call.result and call.error is None for call in facts.calls
    )
    if silent or blank:
        return Content(ContentState.PARTIAL, _remedy(facts))
    return Content(ContentState.WHOLE)


def _holds_text(facts: Facts) -> bool:
    trace = facts.trace
    if has_content(trace.input) or has_content(trace.output):
        return True
    if any(call.arguments is not None or call.result or call.error for call in facts.calls):
        return True
    said = (m for turn in facts.turns.values() for m in (*(turn.heard or ()), *(turn.said or ())))
    return any(has_content([message.text, message.thought]) for message in said) or any(
        has_content(value)
        for place, span in enumerate(trace.spans)
        if place not in facts.turns
        for value in (span.input, span.output)
    )


def _models_within(facts: Facts) -> dict[int, list[int]]:
    """The model spans inside each model span. They occur if two tracers recorded one call."""
    found: dict[int, list[int]] = {}
    for place, above in enumerate(facts.parents):
        if above is not None and facts.trace.spans[place].kind is SpanKind.LLM:
            found.setdefault(above, []).append(place)
    return found


def _speaks(facts: Facts, place: int, inner: Mapping[int, Sequence[int]]) -> bool:
    """Whether the model's answer is recorded, in this span or in the model span around or inside
    it.
    """
    spans = facts.trace.spans
    around = [one for one in ancestors(facts.parents, place) if spans[one].kind is SpanKind.LLM]
    return any(
        _says(facts.turns.get(one)) or has_content(spans[one].output)
        for one in (place, *around, *inner.get(place, ()))
    )


def _says(turn: Turn | None) -> bool:
    said = turn.said if turn is not None else None
    return any(one.requests or has_content([one.text, one.thought]) for one in said or ())


def _remedy(facts: Facts) -> str:
    scopes = (facts.trace.metadata, *(span.metadata for span in facts.trace.spans))
    named = [scope for metadata in scopes if isinstance(scope := metadata.get("otel.scope"), str)]
    return remedy_for(named[0] if named else None)
