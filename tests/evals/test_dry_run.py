"""Runs of metrics on their own examples."""

import asyncio
from dataclasses import replace

import pytest

from evals import catalog, dry_run
from evals.case import TraceCase
from evals.metric import EmbeddingMetric, Outcome, Scored


async def test_a_metric_that_waits_for_something_else_is_told_so() -> None:
    async def waits(_: TraceCase) -> Outcome:
        await asyncio.sleep(0)
        return Scored(1.0, "too late")

    metric = catalog.trace_metric("coherence")
    assert isinstance(metric, EmbeddingMetric)
    with pytest.raises(RuntimeError, match="awaited something else"):
        dry_run.outcome(replace(metric, evaluate=waits))
