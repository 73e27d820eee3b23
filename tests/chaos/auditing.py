"""Conditions that every ended run must fulfill."""

from collections import Counter

from tests.chaos import store
from tests.chaos.stack import CALLS_PER_TRACE, METRICS, Json, Stack, Targets


async def audit(stack: Stack, run: Json, targets: Targets) -> Json:
    """Audits a COMPLETED run: each pair has one score, and nothing was paid for twice."""
    ended = await stack.ended(run)
    assert ended["status"] == "COMPLETED", ended
    by_status = await _agrees_with_its_rows(stack, ended)
    pairs = await _pairs(stack, ended)
    assert pairs == {(target, metric): 1 for target in targets.ids for metric in METRICS}
    assert by_status.total() == len(targets.ids) * len(METRICS)
    assert ended["evaluated_count"] == ended["total_traces"] == len(targets.ids)
    await audit_payments(stack, questions=CALLS_PER_TRACE * len(targets.ids))
    return ended


async def audit_stopped(stack: Stack, run: Json, targets: Targets) -> Json:
    """Audits a FAILED run: each judged pair has exactly one score."""
    ended = await stack.ended(run)
    assert ended["status"] == "FAILED", ended
    await _agrees_with_its_rows(stack, ended)
    pairs = await _pairs(stack, ended)
    assert set(pairs) <= {(target, metric) for target in targets.ids for metric in METRICS}
    assert set(pairs.values()) <= {1}
    await audit_payments(stack, questions=CALLS_PER_TRACE * len(targets.ids))
    return ended


async def audit_payments(stack: Stack, *, questions: int) -> None:
    """Checks that there are no more good answers than questions, except for calls that were open
    when a worker was killed.
    """
    stats = await stack.stats()
    assert stats["answered"] + stats["answered_again"] <= questions + stack.lost, (
        stats,
        questions,
        stack.lost,
    )


async def _agrees_with_its_rows(stack: Stack, ended: Json) -> Counter[str]:
    """Checks that the API agrees with the row, and the row with the rows of its pairs."""
    row = await store.run_row(stack.database, ended["id"])
    assert row is not None
    found = await store.scores(stack.database, ended["id"])
    by_status = Counter(status for _, _, status in found.elements())
    scored = Counter(target for target, _, _ in found.elements())
    evaluated = sum(count == len(METRICS) for count in scored.values())
    assert row.total_targets == await store.target_count(stack.database, ended["id"])
    assert (row.status, row.evaluated_count, row.failed_count) == (
        ended["status"],
        evaluated,
        by_status["FAILED"],
    )
    assert (ended["total_traces"], ended["evaluated_count"], ended["failed_count"]) == (
        row.total_targets,
        row.evaluated_count,
        row.failed_count,
    )
    assert row.completed_at is not None
    assert row.completed_at >= row.created_at
    return by_status


async def _pairs(stack: Stack, ended: Json) -> Counter[tuple[str, str]]:
    found = await store.scores(stack.database, ended["id"])
    return Counter((target, metric) for target, metric, _ in found.elements())
