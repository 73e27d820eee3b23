"""Is the agent as sure of itself throughout a session?"""

from math import sqrt

from evals.metric import NotApplicable, Outcome, Scored, SessionMetric
from evals.signals import SESSION_OUTPUTS, SessionCase, TraceSignals


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
    first = max(instability, key=lambda trace: instability[trace])
    details = session.details(
        instability,
        {
            "traces": len(instability),
            "largest_instability": round(instability[first], 4),
        },
        raw,
    )
    if raw == 0:
        reason = f"The agent is confident in each of the {len(instability)} traces."
    else:
        reason = (
            f"Over {len(instability)} traces the weighted lack of confidence is {raw:.2f} in root "
            f"mean square, most in trace {first.trace_id}."
        )
    return Scored(1.0 - raw, reason, details)


def _instability(trace: TraceSignals, weights: dict[str, float]) -> float:
    """Lack of confidence, increased by the other risks of the same trace."""
    risks = trace.risks(weights)
    doubt = risks.pop("confidence")
    return doubt * (1.0 + sum(risks.values()))


_REFERENCES = {"confidence": 0.8, "tool_correctness": 0.75, "coherence": 0.2}

METRIC = SessionMetric(
    name="agent_consistency",
    about="Is the agent equally confident throughout a session?",
    formula="per trace with confidence: w = weight × risk of confidence × (1 + the sum of weight × "
    "risk of the other signals), risk = 1 - signal / reference, at least 0; raw = sqrt(mean of w "
    "squared); score = 1 - raw, within 0 and 1; not applicable without a confidence signal",
    outputs={
        **SESSION_OUTPUTS,
        "aggregation": "traces, largest_instability, raw, weights",
    },
    threshold=0.5,
    threshold_reason="below 0.5 a typical trace has more than half of the maximum risk",
    evaluate=evaluate,
    example=SessionCase(
        (
            TraceSignals("first", {"confidence": 1.0, "coherence": 0.1}, _REFERENCES),
            TraceSignals("second", {"confidence": 0.4, "tool_correctness": 0.375}, _REFERENCES),
        )
    ),
    # w is 0 and 0.5 × 1.4; the root of the mean of their squares is 0.495.
    expected=0.505,
)
