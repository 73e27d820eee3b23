"""The formulas of the session metrics, with values computed by hand."""

import pytest

from evals.metric import Scored
from evals.session import agent_consistency, agent_reliability
from evals.signals import (
    COHERENCE_REFERENCE,
    MIN_UNRELATED,
    SessionCase,
    TraceSignals,
    coherence_references,
)


def session(*values: dict[str, float], **overrides: float) -> SessionCase:
    traces = tuple(TraceSignals(f"trace {n}", one) for n, one in enumerate(values))
    return SessionCase(traces, overrides)


def reliability(case: SessionCase) -> Scored:
    outcome = agent_reliability.evaluate(case)
    assert isinstance(outcome, Scored)
    return outcome


def consistency(case: SessionCase) -> Scored:
    outcome = agent_consistency.evaluate(case)
    assert isinstance(outcome, Scored)
    return outcome


@pytest.mark.parametrize(
    ("traces", "k"), [(1, 1), (6, 1), (7, 2), (13, 2), (20, 3), (100, 15), (101, 16)]
)
def test_reliability_looks_at_the_worst_fifteen_per_cent(traces: int, k: int) -> None:
    aggregation = reliability(session(*({"confidence": 0.9},) * traces)).details["aggregation"]
    assert isinstance(aggregation, dict)
    assert aggregation["worst_traces"] == k


def test_reliability_weighs_the_tail_and_its_tip() -> None:
    values = [{"confidence": 1 - risk} for risk in (0.8, 0.4, *[0.0] * 8)]
    # Ten traces: the two worst have a mean of 0.6 and a maximum of 0.8.
    assert reliability(session(*values)).value == pytest.approx(1 - (0.9 * 0.6 + 0.1 * 0.8))


def test_tool_correctness_weighs_less_and_weights_can_be_set() -> None:
    worst = {"tool_correctness": 0.0}
    assert reliability(session(worst)).value == pytest.approx(0.2)
    assert reliability(session(worst, tool_correctness=0.5)).value == pytest.approx(0.5)
    assert reliability(session(worst, tool_correctness=3.0)).value < 0  # clamped when stored


def test_traces_with_a_large_risk_are_flagged_worst_first() -> None:
    case = session({"coherence": 0.4}, {"coherence": 0.1}, {"coherence": 0.5}, {})
    outcome = reliability(case)
    assert outcome.details["flagged_traces"] == ["trace 1", "trace 0"]
    assert "trace 1" in outcome.reason
    signals = outcome.details["signals"]
    assert isinstance(signals, list)
    assert signals[3] == {"trace_id": "trace 3", "signals": {}, "references": {}, "risk": None}


def test_consistency_is_the_root_mean_square_of_weighted_doubt() -> None:
    case = session(
        {"confidence": 0.5, "loop_detection": 0.5, "tool_correctness": 0.5, "coherence": 1.0},
        {"confidence": 0.9},
        {"coherence": 0.0},
    )
    first, second = 0.5 * (1 + 0.5 + 0.8 * 0.5), 0.1
    expected = 1 - ((first**2 + second**2) / 2) ** 0.5
    assert consistency(case).value == pytest.approx(expected)


def test_consistency_flags_by_the_largest_risk_also_without_confidence() -> None:
    outcome = consistency(session({"confidence": 0.9}, {"coherence": 0.0}))
    assert outcome.details["flagged_traces"] == ["trace 1"]


def test_a_signal_at_its_reference_is_no_risk_and_below_it_grows_to_one() -> None:
    references = {"coherence": 0.2}
    for signal, risk in ((0.3, 0.0), (0.2, 0.0), (0.1, 0.5), (0.0, 1.0)):
        trace = TraceSignals("trace", {"coherence": signal}, references)
        assert trace.risks({"coherence": 2.0}) == {"coherence": pytest.approx(2.0 * risk)}
    nothing = TraceSignals("trace", {"coherence": 0.0}, {"coherence": 0.0})
    assert nothing.risks({"coherence": 1.0}) == {"coherence": 0.0}


def test_the_references_used_are_in_the_metadata() -> None:
    case = SessionCase((TraceSignals("one", {"coherence": 0.1}, {"coherence": 0.2}),))
    for outcome in (reliability(case), agent_consistency.evaluate(case)):
        if isinstance(outcome, Scored):
            signals = outcome.details["signals"]
            assert signals == [
                {"trace_id": "one", "signals": {"coherence": 0.1},
                 "references": {"coherence": 0.2}, "risk": 0.5}
            ]  # fmt: skip


def test_figures_stand_under_the_names_of_other_tools_too() -> None:
    details = reliability(session({"confidence": 0.5}, {})).details
    assert details["total_traces_in_session"] == 2
    assert details["traces_evaluated"] == 1
    assert details["raw_risk"] == 0.5
    assert details["per_trace_signals"] == {"trace 0": {"confidence": 0.5}, "trace 1": {}}
    assert details["signal_weights"] == session().weights


def test_coherence_is_measured_against_unrelated_inputs() -> None:
    near, far = [1.0, 0.0], [0.0, 1.0]
    assert coherence_references([near, far], [near] * 4 + [far] * 36) == [0.0, 1.0]
    few = [near] * (MIN_UNRELATED - 1)
    assert coherence_references([near, far], few) == [COHERENCE_REFERENCE] * 2
    assert coherence_references([], [near] * MIN_UNRELATED) == []
