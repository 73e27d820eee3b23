"""How bad do the worst moments of a session get?"""

from pydantic import JsonValue

from evals.metric import NotApplicable, Outcome, Scored, SessionMetric
from evals.signals import SessionCase, TraceSignals, flagged, listed

_WORST_SHARE = 15  # per cent
_TAIL = 0.9


def evaluate(session: SessionCase) -> Outcome:
    weights = session.weights
    worst = {
        trace: max(risks.values()) for trace in session.traces if (risks := trace.risks(weights))
    }
    if not worst:
        return NotApplicable("No trace of the session has a usable signal.")
    ranked = sorted(worst.values(), reverse=True)
    # Whole numbers: 0.15 has no exact float, and a ceiling would show it.
    k = max(1, -(-_WORST_SHARE * len(ranked) // 100))
    tail = sum(ranked[:k]) / k
    raw = _TAIL * tail + (1.0 - _TAIL) * ranked[0]
    details: dict[str, JsonValue] = {
        "flagged_traces": flagged(worst),
        "signals": listed(session.traces, worst),
        "aggregation": {
            "traces": len(ranked),
            "worst_traces": k,
            "mean_of_worst": round(tail, 4),
            "largest_risk": round(ranked[0], 4),
            "raw": round(raw, 4),
            "weights": {**weights},
        },
    }
    return Scored(1.0 - raw, _reason(worst, k, tail), details)


def _reason(worst: dict[TraceSignals, float], k: int, tail: float) -> str:
    first = max(worst, key=lambda trace: worst[trace])
    which = (
        f"The worst of {len(worst)} traces" if k == 1 else f"The {k} worst of {len(worst)} traces"
    )
    return f"{which} carry a risk of {tail:.2f} on average, most in trace {first.trace_id}."


METRIC = SessionMetric(
    name="agent_reliability",
    about="How bad do the worst moments of a session get?",
    formula="per trace the largest weight x risk, risk = 1 - signal; k = max(1, ceil(0.15 n)) "
    "worst; raw = 0.9 x mean of the k worst + 0.1 x the largest; score = 1 - raw, within 0 and 1; "
    "not applicable without a usable signal",
    outputs={
        "flagged_traces": "traces whose largest weight x risk is above 0.5",
        "signals": "each trace's signals and its largest weight x risk",
        "aggregation": "traces, worst_traces (k), mean_of_worst, largest_risk, raw, weights",
    },
    evaluate=evaluate,
    example=SessionCase(
        (
            TraceSignals("first", {"confidence": 0.9, "coherence": 0.8}),
            TraceSignals("second", {"confidence": 0.4, "tool_correctness": 0.5}),
        )
    ),
    expected=0.4,
)
