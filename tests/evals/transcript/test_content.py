"""Whether a trace has text to judge, and the remedy if it has none."""

from typing import Any

import pytest

from core.ids import SpanKind
from evals.transcript.content import ContentState, remedy_for
from evals.transcript.transcript import Transcript
from tests.evals import made

BLANK = {"input": None, "output": None}


def state(*spans: Any, **more: Any) -> ContentState:
    return Transcript(made.trace(*spans, **more)).content.state


def test_a_trace_with_its_texts_is_whole() -> None:
    assert state(made.llm([made.user("Hi")], made.assistant("Hello"))) is ContentState.WHOLE
    assert state(**BLANK, metadata={}) is ContentState.NONE
    assert Transcript(made.conversation()).content.remedy == ""


@pytest.mark.parametrize(
    "spans",
    [
        [],
        [made.span(SpanKind.LLM, "chat"), made.span(SpanKind.TOOL, "find")],
        [made.span(SpanKind.LLM, "chat", input={}, output=[])],
        [made.span(SpanKind.LLM, "chat", input={"messages": []}, output={"choices": []})],
        [made.span(SpanKind.LLM, "chat", input={"messages": [{"role": "user", "content": ""}]})],
        [made.span(SpanKind.LLM, "chat", input=" ", output="None")],
    ],
)
def test_spans_without_texts_hold_nothing_to_judge(spans: Any) -> None:
    transcript = Transcript(made.trace(*spans, **BLANK))
    assert transcript.content.state is ContentState.NONE
    assert not transcript.has_content
    assert "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT" in transcript.content.remedy


@pytest.mark.parametrize(
    "span",
    [
        made.span(SpanKind.LLM, "chat"),
        made.span(SpanKind.LLM, "chat", input={"messages": [made.user("Hi")]}),
        made.span(SpanKind.TOOL, "find"),
        made.span(SpanKind.LLM, "chat", input={"messages": [{"role": "user", "content": ""}]},
                  output={"role": "assistant", "content": ""}),
    ],
)  # fmt: skip
def test_calls_and_answers_without_their_texts_leave_it_partial(span: Any) -> None:
    transcript = Transcript(made.trace(span))
    assert transcript.content.state is ContentState.PARTIAL
    assert transcript.has_content
    assert transcript.content.remedy


def test_a_failed_call_needs_no_text() -> None:
    failed = made.span(SpanKind.LLM, "chat", input={"messages": [made.user("Hi")]}, error="timeout")
    assert state(failed) is ContentState.WHOLE
    assert state(made.failed_tool("find")) is ContentState.WHOLE


@pytest.mark.parametrize(
    ("scope", "setting"),
    [
        ("opentelemetry.instrumentation.openai_v2", "OTEL_INSTRUMENTATION_GENAI_CAPTURE"),
        ("opentelemetry.instrumentation.openai.v1", "TRACELOOP_TRACE_CONTENT"),
        ("openinference.instrumentation.openai", "OPENINFERENCE_HIDE_INPUTS"),
        ("ai", "recordInputs"),
        ("aiohttp", "OTEL_INSTRUMENTATION_GENAI_CAPTURE"),
        ("pydantic-ai", "include_content"),
        ("gcp.vertex.agent", "ADK_CAPTURE_MESSAGE_CONTENT_IN_SPANS"),
        ("com.anthropic.claude_code.tracing", "OTEL_LOG_USER_PROMPTS"),
        ("agent_framework", "ENABLE_SENSITIVE_DATA"),
        (None, "OTEL_INSTRUMENTATION_GENAI_CAPTURE"),
    ],
)
def test_the_remedy_is_that_of_the_tracer(scope: str | None, setting: str) -> None:
    assert setting in remedy_for(scope)
    metadata = {"otel.scope": scope} if scope else {}
    transcript = Transcript(made.trace(**BLANK, metadata=metadata))
    assert transcript.content.remedy == remedy_for(scope)
