"""The signals that session metrics are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from pydantic import JsonValue

SIGNAL_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"confidence": 1.0, "loop_detection": 1.0, "tool_correctness": 0.8, "coherence": 1.0}
)
"""The trace metrics whose scores are signals of their session, with their default weights."""


FLAGGED_ABOVE = 0.5

# Metadata stays readable and small, however long a session is.
_LISTED = 1_000


@dataclass(frozen=True, slots=True, eq=False)
class TraceSignals:
    """Scores of one trace by metric; one that is missing or not applicable is absent."""

    trace_id: str
    values: Mapping[str, float]

    def risks(self, weights: Mapping[str, float]) -> dict[str, float]:
        """weight × (1 - score) of each signal present."""
        return {
            name: weight * (1.0 - self.values[name])
            for name, weight in weights.items()
            if name in self.values
        }


@dataclass(frozen=True, slots=True)
class SessionCase:
    """A session's traces, oldest first. `overrides` replaces some of the default weights."""

    traces: tuple[TraceSignals, ...]
    overrides: Mapping[str, float] = field(default_factory=dict)

    @property
    def weights(self) -> dict[str, float]:
        return {**SIGNAL_WEIGHTS, **self.overrides}


def flagged(worst: Mapping[TraceSignals, float]) -> list[JsonValue]:
    """Ids of the traces whose largest weight × risk calls for a look, the worst first."""
    found = sorted(worst, key=lambda trace: -worst[trace])
    return [trace.trace_id for trace in found[:_LISTED] if worst[trace] > FLAGGED_ABOVE]


def listed(
    traces: Sequence[TraceSignals], figures: Mapping[TraceSignals, float]
) -> list[JsonValue]:
    """Each trace's signals with the figure the metric made of them; null where it made none."""
    return [
        {
            "trace_id": trace.trace_id,
            "signals": {name: round(value, 4) for name, value in trace.values.items()},
            "risk": round(figures[trace], 4) if trace in figures else None,
        }
        for trace in traces[:_LISTED]
    ]
