"""Decides which batches a run has, and when the next one may open."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.inputs import BatchInput, BatchProgress, Cursor, EvalRunInput


class BatchSchedule:
    def __init__(self, run: EvalRunInput, cursor: Cursor) -> None:
        self._run = run
        self._limits = run.limits
        self._cursor = cursor
        self._targets_per_batch = _targets_per_batch(run, cursor)
        self._batches: dict[int, BatchProgress] = {}
        self._ended: set[int] = set()
        self._resumes: Counter[int] = Counter()

    @property
    def evaluated(self) -> int:
        return self._cursor.evaluated + sum(b.evaluated for b in self._batches.values())

    @property
    def failed(self) -> int:
        return self._cursor.failed + sum(b.failed for b in self._batches.values())

    @property
    def paused(self) -> bool:
        return any(self._is_paused(self._batches[number]) for number in self.open_batches)

    @property
    def open_batches(self) -> tuple[int, ...]:
        return tuple(n for n in self._batches if n not in self._ended)

    @property
    def count(self) -> int:
        return -(-self._cursor.targets // self._targets_per_batch)

    @property
    def continuation(self) -> Cursor | None:
        """Where the run continues after these batches; None if they are the last."""
        following = max(self._batches, default=self._cursor.next_batch - 1) + 1
        if following >= self.count:
            return None
        return replace(
            self._cursor, next_batch=following, evaluated=self.evaluated, failed=self.failed
        )

    def to_start(self) -> Iterator[int]:
        """The batches of this execution, in order; fewer batches if the history grows long."""
        first = self._cursor.next_batch
        for number in range(first, min(self.count, first + self._limits.batches_per_run)):
            if workflow.info().is_continue_as_new_suggested():
                return
            self._batches[number] = BatchProgress(number)
            yield number

    def has_room(self) -> bool:
        """Whether the next batch may open.

        A batch whose pairs have all begun makes room before it ends, so that the judge stays busy.
        """
        drawing = sum(not self._batches[n].draining for n in self.open_batches)
        return drawing < self._limits.batches_open

    def input_of(self, number: int) -> BatchInput:
        first = number * self._targets_per_batch
        return BatchInput(
            number=number,
            run=self._run.ref,
            first=first,
            last=min(first + self._targets_per_batch, self._cursor.targets) - 1,
            limits=self._limits,
            # No batch waits for room after the last one.
            followed=number + self._limits.batches_open < self.count,
        )

    def report(self, progress: BatchProgress) -> None:
        """Ignores batches that this execution has not open: they belong to the execution before a
        reset. Reports may arrive in another order than they were sent.
        """
        if progress.number not in self.open_batches:
            return
        known = self._batches[progress.number]
        self._batches[progress.number] = replace(
            progress,
            evaluated=max(known.evaluated, progress.evaluated),
            failed=max(known.failed, progress.failed),
            draining=known.draining or progress.draining,
        )

    def resume(self) -> None:
        for number, batch in self._batches.items():
            self._batches[number] = replace(batch, paused=False)

    def resumed(self, number: int) -> None:
        """Records that the batch was told to go on."""
        self._resumes[number] += 1

    def _is_paused(self, batch: BatchProgress) -> bool:
        """Whether the batch reported a pause after its last resume."""
        is_new = batch.resumes is None or batch.resumes >= self._resumes[batch.number]
        return batch.paused and is_new

    def end(self, progress: BatchProgress) -> None:
        self._batches[progress.number] = progress
        self._ended.add(progress.number)


def _targets_per_batch(run: EvalRunInput, cursor: Cursor) -> int:
    """A small run is split too, so that it has as many open pairs as a large run."""
    limits = run.limits
    share = -(-cursor.pairs // limits.batches_open)
    pairs = min(limits.pairs_per_batch, max(limits.min_pairs_per_batch, share))
    return max(1, pairs // len(run.spec.metric_names))
