"""Messages and tool calls in reported shapes, and the resulting transcripts."""

import base64
import json
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from core.ids import SpanKind
from core.trace_model import Trace
from evals.transcript.transcript import Transcript
from tests.evals import made

BASE64 = base64.b64encode(random.Random(7).randbytes(30_000)).decode()


def cases() -> Iterator[Any]:
    for path in sorted(Path(__file__).parent.glob("messages_*.json")):
        text = path.read_text(encoding="utf-8").replace("@BASE64@", BASE64)
        for case in json.loads(text):
            yield pytest.param(case, id=f"{path.stem}-{case['name']}")


def trace_of(case: dict[str, Any]) -> Trace:
    spans = []
    for number, span in enumerate(case["spans"], 1):
        given = {key: span[key] for key in ("status", "error", "metadata") if key in span}
        spans.append(
            made.span(
                SpanKind(span["kind"]),
                span["name"],
                id=UUID(int=span.get("id", 1000 + number)),
                parent_id=UUID(int=span["parent"]) if "parent" in span else None,
                input=span["input"],
                output=span["output"],
                started_at=made.START + timedelta(seconds=number),
                ended_at=made.START + timedelta(seconds=number + 1),
                **given,
            )
        )
    question = "QUESTION-1107 which bin holds this bolt?"
    return made.trace(*spans, input=question, output="ANSWER-3344 it is in that bin.")


@pytest.mark.parametrize("case", list(cases()))
def test_a_judge_reads_the_whole_conversation_and_each_call_once(case: dict[str, Any]) -> None:
    transcript = Transcript(trace_of(case))
    text = transcript.prompt(100_000).text
    for shown in case["shows"]:
        assert shown in text
    for hidden in case["hides"]:
        assert hidden not in text
    calls = transcript.facts.calls
    assert [call.name for call in calls] == [wanted["name"] for wanted in case["calls"]]
    for call, wanted in zip(calls, case["calls"], strict=True):
        assert call.arguments == wanted.get("arguments", call.arguments)
        assert wanted["has"] in f"{call.result} {call.error}"
        assert (call.error is not None) is wanted.get("failed", False)
        assert call.carried_out is wanted.get("carried_out", True)
        step = transcript.step(call.step)
        assert step is not None
        assert step.kind == "TOOL"
        assert step.name == call.name
    assert [tool.name for tool in transcript.facts.tools] == case.get("tools", [])


@pytest.mark.parametrize("case", list(cases()))
def test_a_user_message_is_one_step_of_its_own(case: dict[str, Any]) -> None:
    transcript = Transcript(trace_of(case))
    asked = [step for step in transcript.steps if "QUESTION-1107" in step.text]
    assert [step.kind for step in asked] == ["USER"]
    assert asked[0].span_id is not None
    assert [step.number for step in transcript.steps] == list(range(1, len(transcript.steps) + 1))
