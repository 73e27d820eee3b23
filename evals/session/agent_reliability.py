"""How bad do the worst moments of a session get?"""

from typing import Final

from evals.metric import NotApplicable, Outcome, Scored, SessionMetric
from evals.signals import SESSION_OUTPUTS, SessionCase, TraceSignals

_WORST_PER_CENT: Final = 15
_TAIL: Final = 0.9


def evaluate(session: SessionCase) -> Outcome:
    worst = {
        trace: max(risks.values())
        for trace in session.traces
        if (risks := trace.risks(session.weights))
    }
    if not worst:
        return NotApplicable("No trace of the session has a usable signal.")
    ranked = sorted(worst.values(), reverse=True)
    # Whole numbers, because 0.15 has no exact float and the ceiling would be wrong.
    k = max(1, -(-_WORST_PER_CENT * len(ranked) // 100))
    tail = sum(ranked[:k]) / k
    raw = _TAIL * tail + (1.0 - _TAIL) * ranked[0]
    details = session.details(
        worst,
        {
            "traces": len(ranked),
            "worst_traces": k,
            "mean_of_worst": round(tail, 4),
            "largest_risk": round(ranked[0], 4),
        },
        raw,
    )
    return Scored(1.0 - raw, _reason(worst, k, tail), details)


def _reason(worst: dict[TraceSignals, float], k: int, tail: float) -> str:
    first = max(worst, key=lambda trace: worst[trace])
    if worst[first] == 0:
        return f"No signal of the {len(worst)} traces is below its reference."
    which = (
        f"The worst of {len(worst)} traces" if k == 1 else f"The {k} worst of {len(worst)} traces"
    )
    return f"{which} carry a risk of {tail:.2f} on average, most in trace {first.trace_id}."


_REFERENCES = {"confidence": 0.8, "tool_correctness": 0.75, "coherence": 0.2}

METRIC = SessionMetric(
    name="agent_reliability",
    about="How bad are the worst moments of a session?",
    formula="per trace the largest weight × risk, risk = 1 - signal / reference, at least 0; "
    "k = max(1, ceil(0.15 n)) worst; raw = 0.9 × mean of the k worst + 0.1 × the largest; score = "
    "1 - raw, within 0 and 1; not applicable without a usable signal",
    outputs={
        **SESSION_OUTPUTS,
        "aggregation": "traces, worst_traces (k), mean_of_worst, largest_risk, raw, weights",
    },
    threshold=0.5,
    threshold_reason="below 0.5 the worst traces have more than half of the maximum risk",
    evaluate=evaluate,
    example=SessionCase(
        (
            TraceSignals("first", {"confidence": 0.9, "coherence": 0.3}, _REFERENCES),
            TraceSignals("second", {"confidence": 0.4, "tool_correctness": 0.6}, _REFERENCES),
        )
    ),
    # Only the second trace is at risk: 1 - 0.4 / 0.8 by confidence, more than 0.8 × 0.2 by tool
    # correctness.
    expected=0.5,
)
