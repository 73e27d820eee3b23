"""Is the agent as sure of itself throughout a session?"""

from math import sqrt

from pydantic import JsonValue

from evals.metric import NotApplicable, Outcome, Scored, SessionMetric
from evals.signals import SessionCase, TraceSignals, flagged, listed


def evaluate(session: SessionCase) -> Outcome:
    weights = session.weights
    instability = {
        trace: _instability(trace, weights)
        for trace in session.traces
        if "confidence" in trace.values
    }
    if not instability:
        return NotApplicable("No trace of the session has a confidence signal.")
    raw = sqrt(sum(value * value for value in instability.values()) / len(instability))
    worst = {
        trace: max(risks.values()) for trace in session.traces if (risks := trace.risks(weights))
    }
    first = max(instability, key=lambda trace: instability[trace])
    details: dict[str, JsonValue] = {
        "flagged_traces": flagged(worst),
        "signals": listed(session.traces, instability),
        "aggregation": {
            "traces": len(instability),
            "largest_instability": round(instability[first], 4),
            "raw": round(raw, 4),
            "weights": {**weights},
        },
    }
    reason = (
        f"Over {len(instability)} traces the weighted lack of confidence is {raw:.2f} in root mean "
        f"square, most in trace {first.trace_id}."
    )
    return Scored(1.0 - raw, reason, details)


def _instability(trace: TraceSignals, weights: dict[str, float]) -> float:
    """Lack of confidence, made worse by whatever else went wrong in the same trace."""
    risks = trace.risks(weights)
    doubt = risks.pop("confidence")
    return doubt * (1.0 + sum(risks.values()))


METRIC = SessionMetric(
    name="agent_consistency",
    about="Is the agent as sure of itself throughout a session?",
    formula="per trace with confidence: w = weight x risk of confidence x (1 + the sum of weight x "
    "risk of the other signals); raw = sqrt(mean of w squared); score = 1 - raw, within 0 and 1; "
    "not applicable without a confidence signal",
    outputs={
        "flagged_traces": "traces whose largest weight x risk is above 0.5",
        "signals": "each trace's signals and its w",
        "aggregation": "traces, largest_instability, raw, weights",
    },
    evaluate=evaluate,
    example=SessionCase(
        (
            TraceSignals("first", {"confidence": 1.0, "coherence": 0.8}),
            TraceSignals("second", {"confidence": 0.5, "tool_correctness": 0.5}),
        )
    ),
    # w is 0 and 0.5 x 1.4; the root of the mean of their squares is 0.495.
    expected=0.505,
)
