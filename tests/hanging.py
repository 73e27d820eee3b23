"""Says where a test that ran out of time was waiting: the stack of each asyncio task."""

import asyncio
import io
from collections.abc import AsyncIterator, Generator

import pytest

_LOOPS: set[asyncio.AbstractEventLoop] = set()


@pytest.fixture(autouse=True, scope="session")
async def remembered_loop() -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    _LOOPS.add(loop)
    yield
    _LOOPS.discard(loop)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.excinfo is not None and ran_out_of_time(call.excinfo.value):
        report.sections.append(("Waiting asyncio tasks", waiting_tasks()))
    return report


def ran_out_of_time(error: BaseException) -> bool:
    return isinstance(error, pytest.fail.Exception) and str(error).startswith("Timeout")


def waiting_tasks() -> str:
    """The stacks of all unfinished tasks."""
    text = io.StringIO()
    for loop in _LOOPS:
        for task in asyncio.all_tasks(loop):
            task.print_stack(file=text)
    return text.getvalue()
