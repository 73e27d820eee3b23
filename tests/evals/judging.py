"""Judges one metric with answers that a test gives."""

from typing import Any

from evals import catalog
from evals.evaluation import Evaluation, evaluate
from evals.metric import JudgedMetric, Scored
from evals.trace.task_completion import Completion, Wish
from evals.trace.tool_correctness import ToolChoice
from tests.evals import made
from tests.fakes import FakeEmbedder, ScriptedJudge

BOOKED = made.trace(made.tool("book_room", {"room": 12}, "ok"))
FOUR = made.trace(*(made.tool("book", {"room": room}, "ok") for room in range(4)))


def judged_metric(name: str) -> JudgedMetric[Any]:
    metric = catalog.trace_metric(name)
    assert isinstance(metric, JudgedMetric)
    return metric


async def judged(name: str, answer: Any = None, trace: Any = BOOKED) -> Evaluation:
    judge = ScriptedJudge({name: answer} if answer is not None else {})
    return await evaluate(catalog.trace_metric(name), trace, judge, FakeEmbedder())


def value_of(evaluation: Evaluation) -> float:
    assert isinstance(evaluation.outcome, Scored), evaluation.outcome.reason
    return evaluation.outcome.value


def findings_of(evaluation: Evaluation) -> list[dict[str, Any]]:
    found: Any = evaluation.metadata["findings"]
    return list(found)


def wish(verdict: Any = "met", *, main: bool = True, steps: tuple[int, ...] = (1,)) -> Wish:
    return Wish(wish="Book room 12.", main=main, verdict=verdict, steps=[*steps])


def completion(*wishes: Wish, accomplished: bool = True, likelihood: float = 0.8,
               **lists: Any) -> Completion:  # fmt: skip
    return Completion(
        wishes=[*wishes], accomplished=accomplished, likelihood=likelihood,
        **({"breaches": [], "untruths": []} | lists),
    )  # fmt: skip


def choice(call: int, verdict: Any) -> ToolChoice:
    return ToolChoice(call=call, verdict=verdict, why=f"reason {call}")
