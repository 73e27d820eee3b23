"""The order in which a batch judges its pairs."""

from collections import deque
from collections.abc import Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.payloads import PairRef
    from workflows.patches import LEAD_METRIC_FIRST, patched
    from workflows.policies import Limits

Job = tuple[PairRef, ...]
"""The work of one activity: a pair, or the pairs of one target together."""


class LeadMetricFirst:
    """Judges one metric of each target first, so that the others find its answer stored.

    The metrics of a target share one judge call. If different workers judged the metrics at the
    same time, all but one worker would wait for the call. Judged one after the other, the later
    metrics find their part of the answer stored.
    """

    def __init__(self, targets: Sequence[Sequence[PairRef]], *, lanes_wait: bool) -> None:
        self._lanes_wait = lanes_wait
        self._waiting = deque(targets)
        self._ready: deque[PairRef] = deque()
        self._behind: dict[PairRef, Sequence[PairRef]] = {}

    @property
    def has_next(self) -> bool:
        """Whether `take` would return a job at once."""
        return bool(self._ready or self._waiting)

    @property
    def has_ended(self) -> bool:
        return not self.has_next and not self._behind

    async def take(self) -> Job | None:
        """The next job; None if no pair is left."""
        if not self._lanes_wait:
            await workflow.wait_condition(lambda: self.has_next or not self._behind)
            return self.next_job()
        # Checks again in a loop, because another lane may have taken the job during the wait.
        while not self.has_next and self._behind:
            await workflow.wait_condition(lambda: self.has_next or not self._behind)
        return self.next_job()

    def next_job(self) -> Job | None:
        if self._ready:
            return (self._ready.popleft(),)
        if not self._waiting:
            return None
        first, *others = self._waiting.popleft()
        self._behind[first] = others
        return (first,)

    def done(self, job: Job, left: Sequence[PairRef] = ()) -> None:
        """`left`: the pairs of a bundle that are still open."""
        if left:
            self._waiting.append(left)
        for pair in job:
            self._ready.extend(self._behind.pop(pair, ()))


class InOrder:
    """Judges target by target. A small number of targets ends sooner in this order, at little extra
    cost.
    """

    def __init__(self, targets: Sequence[Sequence[PairRef]]) -> None:
        self._pairs = deque(pair for pairs in targets for pair in pairs)

    @property
    def has_next(self) -> bool:
        return bool(self._pairs)

    @property
    def has_ended(self) -> bool:
        return not self._pairs

    async def take(self) -> Job | None:
        return self.next_job()

    def next_job(self) -> Job | None:
        return (self._pairs.popleft(),) if self._pairs else None

    def done(self, job: Job, left: Sequence[PairRef] = ()) -> None:  # noqa: ARG002 - nothing waits for a job
        self._pairs.extend(left)


class Bundled:
    """Judges the pairs of each target together. `alone`: the order of the pairs that stay open."""

    def __init__(
        self, targets: Sequence[Sequence[PairRef]], alone: LeadMetricFirst | InOrder
    ) -> None:
        self._targets = deque(tuple(pairs) for pairs in targets)
        self._begun = 0
        self._alone = alone

    @property
    def has_next(self) -> bool:
        return self._alone.has_next or bool(self._targets)

    async def take(self) -> Job | None:
        # Checks again in a loop, because another lane may have taken the job during the wait.
        while not self.has_next:
            if self._has_ended:
                return None
            await workflow.wait_condition(lambda: self.has_next or self._has_ended)
        if self._alone.has_next:
            return self._alone.next_job()
        self._begun += 1
        return self._targets.popleft()

    @property
    def _has_ended(self) -> bool:
        return not self._begun and self._alone.has_ended

    def done(self, job: Job, left: Sequence[PairRef] = ()) -> None:
        self._begun -= job[0].tried is None
        self._alone.done(job, left)


PairOrder = LeadMetricFirst | InOrder | Bundled


def pair_order(targets: Sequence[Sequence[PairRef]], limits: Limits, *, bundled: bool) -> PairOrder:
    is_large = len(targets) > limits.lead_targets
    if bundled:
        alone = LeadMetricFirst((), lanes_wait=False) if is_large else InOrder(())
        return Bundled(targets, alone)
    many = is_large and any(len(pairs) > 1 for pairs in targets)
    if many and patched(LEAD_METRIC_FIRST):
        return LeadMetricFirst(targets, lanes_wait=limits.lanes_wait)
    return InOrder(targets)
