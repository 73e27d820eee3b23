"""The check of the benchmark that a rendering is complete."""

from typing import Any

import pytest

from bench import rendering
from bench.rendering import losses, missing
from core.trace_model import Trace
from evals.transcript.rendering import Rendering
from evals.transcript.transcript import Transcript
from tests.evals import made


def support_case(turns: int) -> Trace:
    """A conversation in which each model call carries the whole history."""
    history: list[dict[str, Any]] = [{"role": "system", "content": "Be exact.\nBe brief."}]
    spans = []
    for turn in range(turns):
        history.append(made.user(f"Question {turn}:\nwhere is parcel {turn}? «Quickly» <please>"))
        asked = made.assistant(None, ("find_parcel", {"parcel": f"P-{turn}", "note": "two\nlines"}))
        found = [{"stop": stop, "town": f"Town {stop}", "day": turn} for stop in range(8)]
        failed = {"error": f"parcel P-{turn} is locked"}
        spans += [
            made.llm(history, asked),
            made.tool("find_parcel", {"parcel": f"P-{turn}", "note": "two\nlines"}, found),
            made.tool("unlock", {"parcel": f"P-{turn}"}, failed),
        ]
        history += [asked, {"role": "tool", "content": str(found)}]
        reply = made.assistant(f"Answer {turn}: it was last seen in Town {turn % 8}.")
        spans.append(made.llm(history, reply))
        history.append(reply)
    return made.trace(*spans, input="Question 0:\nwhere is parcel 0? «Quickly» <please>")


def test_every_user_message_argument_and_result_is_in_the_rendering() -> None:
    trace = support_case(12)
    assert missing(trace) == []
    assert losses(trace) == []


def test_what_does_not_fit_is_marked_as_left_out() -> None:
    assert missing(support_case(60), budget_tokens=3_000) == []


def test_a_rendering_that_lost_something_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lossy(Transcript):
        def prompt(self, budget_tokens: int) -> Rendering:
            whole = super().prompt(budget_tokens)
            return Rendering(whole.text.replace("Town 5", "a town"), truncated=False)

    monkeypatch.setattr(rendering, "Transcript", Lossy)
    assert "Town 5" in missing(support_case(1))
    assert losses(support_case(1)) != []
