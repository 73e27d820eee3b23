"""When an earlier score of a trace is reused."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from activities.judging.pair import Pair
from activities.judging.score_builder import successful_score
from activities.judging.session_signals import ReusePolicy, TraceInSession, newest_covering
from activities.payloads import RunRef
from core.ids import ScoreStatus, TargetType
from core.queries.score_sessions import SignalScore
from core.queries.session_reads import SessionHead
from core.run_spec import RunSpec
from core.usage import Usage
from evals import catalog
from evals.evaluation import Evaluation
from evals.metric import Scored
from tests.evals import made
from tests.factories import START

RUN = RunRef(uuid4(), uuid4())
CONFIDENCE, COHERENCE = catalog.signal_metric("confidence"), catalog.signal_metric("coherence")
LOOPS = catalog.signal_metric("loop_detection")


def head(*, updated: int = 0) -> SessionHead:
    return SessionHead(uuid4(), START, START + timedelta(seconds=updated))


def freshness(*, fresh: bool = False) -> ReusePolicy:
    spec = RunSpec(
        run_id=RUN.run_id,
        project_id=RUN.project_id,
        target_type=TargetType.SESSION,
        metric_names=["agent_reliability"],
        model="m/judge",
        fresh=fresh,
    )
    return ReusePolicy(Pair(spec, "s", "agent_reliability"), "m/embedder")


def signal(place: TraceInSession, metric: str = "confidence", **overrides: Any) -> SignalScore:
    found = catalog.signal_metric(metric)
    metadata: dict[str, Any] = {"metric_version": found.version}
    if found.judged:
        metadata["judge"] = {"model": "m/judge"}
    else:
        metadata["embedding_model"] = "m/embedder"
    fields: dict[str, Any] = {
        "trace_id": str(place.head.id),
        "metric": metric,
        "status": ScoreStatus.SUCCESS,
        "number": 0.5,
        "reason": None,
        "run_id": uuid4(),
        "created_at": START + timedelta(seconds=10),
        "metadata": metadata | overrides.pop("metadata", {}),
    }
    return SignalScore(**(fields | overrides))


def reused(place: TraceInSession, *known: SignalScore, fresh: bool = False) -> list[SignalScore]:
    return list(newest_covering(known, freshness(fresh=fresh), [place]).values())


@pytest.mark.parametrize("metric", ["confidence", "coherence", "loop_detection"])
def test_a_score_made_after_the_last_change_by_the_same_means_is_used_again(metric: str) -> None:
    place = TraceInSession(head(updated=10), [head()])
    known = signal(place, metric)
    assert reused(place, known) == [known]


@pytest.mark.parametrize(
    ("metric", "overrides"),
    [
        ("confidence", {"status": ScoreStatus.FAILED}),
        ("confidence", {"metadata": {"metric_version": "older"}}),
        ("confidence", {"metadata": {"judge": {"model": "m/other"}}}),
        ("confidence", {"metadata": {"judge": None}}),
        ("coherence", {"metadata": {"embedding_model": "m/other"}}),
        ("confidence", {"created_at": START + timedelta(seconds=9.9)}),
    ],
)
def test_a_score_made_otherwise_or_before_the_last_change_is_not(
    metric: str, overrides: dict[str, Any]
) -> None:
    place = TraceInSession(head(updated=10), [])
    assert reused(place, signal(place, metric, **overrides)) == []


def test_a_trace_that_changed_while_it_was_judged_is_judged_again() -> None:
    place = TraceInSession(head(updated=5), [])
    seen = [{"trace_updated_at": (START + timedelta(seconds=n)).isoformat()} for n in (4, 5)]
    assert reused(place, signal(place, metadata=seen[0])) == []
    known = signal(place, metadata=seen[1])
    assert reused(place, known) == [known]


def test_a_score_tells_which_state_of_the_trace_was_judged() -> None:
    evaluation = Evaluation(Scored(0.5, "made for the test"), {"threshold": 0.5}, Usage())
    pair = freshness().pair
    trace = made.trace().model_copy(update={"updated_at": START})
    score = successful_score(pair, evaluation, trace)
    assert score.metadata == {"threshold": 0.5, "trace_updated_at": START.isoformat()}
    assert "trace_updated_at" not in successful_score(pair, evaluation, made.trace()).metadata


def test_a_change_of_an_earlier_trace_counts_where_it_was_compared_with() -> None:
    place = TraceInSession(head(), [head(updated=11)])
    known = [signal(place, metric.name) for metric in (CONFIDENCE, LOOPS, COHERENCE)]
    assert [one.metric for one in reused(place, *known)] == ["confidence", "coherence"]


def test_a_fresh_run_uses_its_own_scores_only() -> None:
    place = TraceInSession(head(), [])
    own = signal(place, run_id=RUN.run_id)
    assert reused(place, signal(place), fresh=True) == []
    assert reused(place, signal(place), own, fresh=True) == [own]


def test_a_runs_own_score_goes_before_any_other_even_where_it_failed() -> None:
    place = TraceInSession(head(updated=99), [])
    own = signal(place, run_id=RUN.run_id, status=ScoreStatus.FAILED)
    assert reused(place, signal(place), own) == [own]


def test_the_newest_that_will_do_is_used() -> None:
    place = TraceInSession(head(), [])
    newest, other, oldest = (
        signal(place, metadata={"metric_version": "older"}),
        signal(place, number=0.7),
        signal(place, number=0.1),
    )
    assert reused(place, newest, other, oldest) == [other]
