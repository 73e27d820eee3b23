"""One trace, read once for all its metrics."""

from functools import cached_property

from core.records import Trace
from evals.facts import Facts
from evals.fencing import PREAMBLE, fenced
from evals.outline import Outline, outline
from evals.rendering import Rendering, rendered


class Reading:
    """Facts and renderings are worked out when first asked for, and kept.

    Whoever judges several metrics on one trace hands the same Reading to each.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.facts = Facts(trace)
        self._prompts: dict[int, Rendering] = {}

    @cached_property
    def _outline(self) -> Outline:
        return outline(self.facts)

    def prompt(self, budget_tokens: int) -> Rendering:
        """How every prompt about this trace begins: how to read it, then the trace, fenced."""
        known = self._prompts.get(budget_tokens)
        if known is None:
            body = rendered(self._outline, budget_tokens)
            known = Rendering(f"{PREAMBLE}\n{fenced('trace', body.text)}\n", body.truncated)
            self._prompts[budget_tokens] = known
        return known
