"""Signals of session metrics, and the risk of each signal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np
from pydantic import JsonValue

SIGNAL_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"confidence": 1.0, "loop_detection": 1.0, "tool_correctness": 0.8, "coherence": 1.0}
)
"""The trace metrics whose scores are session signals, with their default weights."""

FLAGGED_ABOVE: Final = 0.5
"""Minimum of weight × risk for a trace that needs attention."""

COHERENCE_REFERENCE: Final = 0.12
"""The coherence reference in a project with few traces: about the lower quartile of the similarity
between outputs and unrelated inputs, measured on airline conversations.
"""

MIN_UNRELATED: Final = 20
"""Minimum number of unrelated inputs for a project's own coherence reference."""

_UNRELATED_QUANTILE: Final = 0.25

# Limits the metadata of a session of any length.
_MAX_LISTED: Final = 1_000
_PLACES: Final = 4


def coherence_references(
    outputs: Sequence[Sequence[float]], unrelated: Sequence[Sequence[float]]
) -> list[float]:
    """For each output, the lower quartile of its similarity to the inputs of other traces.

    All vectors are embeddings of unit length. With fewer than `MIN_UNRELATED` inputs, the result is
    the fixed default.
    """
    if len(unrelated) < MIN_UNRELATED or not outputs:
        return [COHERENCE_REFERENCE] * len(outputs)
    similarities = np.clip(np.asarray(outputs) @ np.asarray(unrelated).T, 0.0, 1.0)
    return [float(one) for one in np.quantile(similarities, _UNRELATED_QUANTILE, axis=1)]


@dataclass(frozen=True, slots=True, eq=False)
class TraceSignals:
    """Scores of one trace by metric, without missing and inapplicable scores.

    `references`: per metric, the score at or above which there is no risk; 1 by default.
    """

    trace_id: str
    values: Mapping[str, float]
    references: Mapping[str, float] = field(default_factory=dict)

    def risks(self, weights: Mapping[str, float]) -> dict[str, float]:
        """Weight × risk of each present signal.

        The risk is 0 at or above the reference, and grows to 1 at signal 0.
        """
        return {
            name: weight * self._risk(name) for name, weight in weights.items()
            if name in self.values
        }  # fmt: skip

    def _risk(self, name: str) -> float:
        reference = self.references.get(name, 1.0)
        if reference <= 0:
            return 0.0
        return max(0.0, 1.0 - self.values[name] / reference)


@dataclass(frozen=True, slots=True)
class SessionCase:
    """A session's traces, oldest first. `overrides` replaces default weights."""

    traces: tuple[TraceSignals, ...]
    overrides: Mapping[str, float] = field(default_factory=dict)

    @property
    def weights(self) -> dict[str, float]:
        return {**SIGNAL_WEIGHTS, **self.overrides}

    def details(
        self, figures: Mapping[TraceSignals, float], aggregation: dict[str, JsonValue], raw: float
    ) -> dict[str, JsonValue]:
        """Metadata of a session score.

        `figures`: the metric's figure for each trace. The entries from `total_traces_in_session` on
        have the names that other tools use for these figures.
        """
        weights: dict[str, JsonValue] = {**self.weights}
        worst = {t: max(risks.values()) for t in self.traces if (risks := t.risks(self.weights))}
        ranked = sorted(worst, key=lambda trace: -worst[trace])
        flagged = [one.trace_id for one in ranked[:_MAX_LISTED] if worst[one] > FLAGGED_ABOVE]
        return {
            "flagged_traces": [*flagged],
            "signals": [self._listed(trace, figures) for trace in self.traces[:_MAX_LISTED]],
            "aggregation": {**aggregation, "raw": round(raw, _PLACES), "weights": weights},
            "total_traces_in_session": len(self.traces),
            "traces_evaluated": len(figures),
            "raw_risk": round(raw, _PLACES),
            "per_trace_signals": {
                trace.trace_id: _rounded(trace.values) for trace in self.traces[:_MAX_LISTED]
            },
            "signal_weights": weights,
        }

    def _listed(self, trace: TraceSignals, figures: Mapping[TraceSignals, float]) -> JsonValue:
        used = {name: trace.references.get(name, 1.0) for name in trace.values}
        return {
            "trace_id": trace.trace_id,
            "signals": _rounded(trace.values),
            "references": _rounded(used),
            "risk": round(figures[trace], _PLACES) if trace in figures else None,
        }


SESSION_OUTPUTS: Mapping[str, str] = MappingProxyType(
    {
        "flagged_traces": "traces whose largest weight × risk is above 0.5, the worst first",
        "signals": "each trace's signals, the references used, and its figure",
        "total_traces_in_session, traces_evaluated, raw_risk, per_trace_signals, signal_weights":
            "the same figures under the names that other tools use",
    }
)  # fmt: skip


def _rounded(values: Mapping[str, float]) -> dict[str, JsonValue]:
    return {name: round(value, _PLACES) for name, value in values.items()}
