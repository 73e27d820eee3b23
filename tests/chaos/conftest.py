from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.chaos import store
from tests.chaos.stack import Stack, running


class Shared:
    """One stack for all faults, replaced after a fault that it did not survive."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self._open = AsyncExitStack()
        self._stack: Stack | None = None

    async def whole(self) -> Stack:
        """The stack with one worker, a calm judge and no open run."""
        if self._stack is not None and await store.open_runs(self._stack.database):
            await self.close()
        if self._stack is None:
            folder: Path = self._folders.mktemp("chaos")
            self._stack = await self._open.enter_async_context(running(folder))
        for name in [*self._stack.processes]:
            if name.startswith("worker") and name != "worker-1":
                await self._stack.stop(name)
        await self._stack.whole()
        await self._stack.calm()
        return self._stack

    async def close(self) -> None:
        self._stack = None
        await self._open.aclose()
        self._open = AsyncExitStack()


@pytest.fixture(scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shared]:
    made = Shared(tmp_path_factory)
    yield made
    await made.close()


@pytest.fixture
async def stack(shared: Shared) -> Stack:
    return await shared.whole()
