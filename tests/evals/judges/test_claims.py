"""A claim on a question is renewed while the judge answers, and then released."""

import asyncio

import pytest

from evals.judges import cache
from tests.evals.judges.test_cache import ANSWER, RUN, Claimed, remembering, shared
from tests.fakes import ScriptedJudge


class Unsteady(Claimed):
    """Fails to renew a claim once, then `renewed`."""

    def __init__(self) -> None:
        super().__init__()
        self.answered.set()
        self.claims = 0
        self.renewed = asyncio.Event()

    async def claim(self, _: str) -> bool:
        self.claims += 1
        if self.claims == 2:
            raise OSError("The database is away.")
        if self.claims == 3:
            self.renewed.set()
        return True


async def test_a_claim_whose_renewal_failed_once_is_renewed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cache, "_RENEW_SECONDS", 0.01)
    judge, store = ScriptedJudge({"task": ANSWER}), Unsteady()
    judge.gate.clear()
    asking = asyncio.create_task(remembering(judge, store, payer=RUN).ask(shared(0)))
    async with asyncio.timeout(5):
        await store.renewed.wait()
        judge.gate.set()
        assert (await asking).answer == ANSWER
    assert len(store.released) == 1


class SlowToRenew(Claimed):
    """A renewal takes until it is cancelled, and a while longer."""

    def __init__(self) -> None:
        super().__init__()
        self.answered.set()
        self.calls: list[str] = []
        self.renewing = asyncio.Event()

    async def claim(self, _: str) -> bool:
        self.calls.append("claim")
        if len(self.calls) > 1:
            try:
                self.renewing.set()
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                self.calls.append("renewed")
        return True

    async def release(self, key: str) -> None:
        self.calls.append("released")


async def test_no_renewal_ends_after_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_RENEW_SECONDS", 0.01)
    judge, store = ScriptedJudge({"task": ANSWER}), SlowToRenew()
    judge.gate.clear()
    asking = asyncio.create_task(remembering(judge, store, payer=RUN).ask(shared(0)))
    async with asyncio.timeout(5):
        await store.renewing.wait()
        judge.gate.set()
        await asking
    assert store.calls == ["claim", "claim", "renewed", "released"]
