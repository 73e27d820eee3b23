"""One trace, prepared once for all metrics."""

from functools import cached_property
from math import inf

from core.trace_model import Trace
from evals.transcript.content import Content, ContentState, content_of
from evals.transcript.facts import Facts
from evals.transcript.fencing import PREAMBLE, enclose
from evals.transcript.outline import Outline, Piece, outline
from evals.transcript.rendering import Rendering, rendered
from evals.transcript.steps import StepRef


class Transcript:
    """Facts and renderings are computed at their first use and kept.

    Share one Transcript among all metrics that judge the trace.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.facts = Facts(trace)
        self._prompts: dict[int, Rendering] = {}

    def prepare(self) -> None:
        """Computes all facts but no prompts, so that later uses read stored values."""
        self.facts.prepare()
        self.steps  # noqa: B018 - computed at its first use
        self.content  # noqa: B018 - computed at its first use

    @cached_property
    def steps(self) -> tuple[StepRef, ...]:
        """Every numbered step, in order: `steps[n - 1]` is [n]."""
        spans = self.trace.spans
        return tuple(
            StepRef(
                number=slot.number,
                kind=str(slot.kind),
                name=step.name,
                span_id=None if slot.place is None else spans[slot.place].id,
                text="\n".join(_shown(piece) for piece in step.pieces),
            )
            for slot, step in zip(self.facts.numbering.slots, self._outline.steps, strict=True)
        )

    def step(self, number: int) -> StepRef | None:
        """The step with this number; None if there is none."""
        return self.steps[number - 1] if 0 < number <= len(self.steps) else None

    @cached_property
    def content(self) -> Content:
        """Whether there is text to judge, and how to record missing text."""
        return content_of(self.facts)

    @property
    def has_content(self) -> bool:
        """False if the trace has no text to judge; then no judge is asked."""
        return self.content.state is not ContentState.NONE

    @property
    def truncated(self) -> bool:
        """Whether any prompt so far omitted a part of the trace."""
        return any(prompt.truncated for prompt in self._prompts.values())

    @property
    def rendered_characters(self) -> float:
        """Length of the longest prompt so far; infinite if there is no prompt, or if a prompt
        omitted text.
        """
        if self.truncated or not self._prompts:
            return inf
        return max(len(prompt.text) for prompt in self._prompts.values())

    @cached_property
    def _outline(self) -> Outline:
        return outline(self.facts)

    def prompt(self, budget_tokens: int) -> Rendering:
        """The common beginning of all prompts about this trace: the reading instructions and the
        fenced trace.
        """
        known = self._prompts.get(budget_tokens)
        if known is None:
            body = rendered(self._outline, budget_tokens)
            known = Rendering(f"{PREAMBLE}\n{enclose('trace', body.text)}\n", body.truncated)
            self._prompts[budget_tokens] = known
        return known


def _shown(piece: Piece) -> str:
    return f"{piece.label}: {piece.text}" if piece.label else piece.text
