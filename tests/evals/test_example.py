"""Running a metric on its own example."""

import asyncio
from dataclasses import replace

import pytest

from evals import catalog, example
from evals.case import TraceCase
from evals.metric import Outcome, Scored


async def test_a_metric_that_waits_for_something_else_is_told_so() -> None:
    async def waits(_: TraceCase) -> Outcome:
        await asyncio.sleep(0)
        return Scored(1.0, "too late")

    with pytest.raises(RuntimeError, match="waited for something else"):
        example.run(replace(catalog.trace_metric("confidence"), evaluate=waits))
