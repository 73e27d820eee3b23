"""Reserves the maximum cost of each judge call, and replaces the reservation by the bill."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Self
from uuid import uuid4

from core import clock
from core.db import dialect
from core.db.batching import Batcher
from core.db.database import Database
from core.errors import BudgetReached, JudgeUnusable, NoPermit, PermitWait
from core.model_prices import Price
from core.money import units, usd
from core.queries import budget_accounts, budgets
from core.queries.budgets import Amount, BudgetRefusal, Reservation, Settlement
from core.run_spec import RunSpec
from core.usage import Usage
from evals.judges import call_price
from evals.judges.spending import Hold

RESERVE_SECONDS: Final = 0.02
SETTLE_SECONDS: Final = 0.1
"""Interval of a busy ledger's transactions; each serves all calls that begin or end meanwhile."""

WAIT_SECONDS: Final = 2.0
"""How long a call waits for the bills of open calls before its pair makes room for other pairs."""

RETRY_SECONDS: Final = 5.0
STORE_RETRY_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 5.0

log = logging.getLogger("assay.worker")


class BudgetLedger:
    """The budgets of all runs that one worker judges for."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._worker = str(uuid4())
        self._reserving: Batcher[Reservation, Mapping[Reservation, BudgetRefusal]] = Batcher(
            self._reserve, every=RESERVE_SECONDS
        )
        self._settling: Batcher[Settlement, None] = Batcher(self._settle, every=SETTLE_SECONDS)
        self._open: set[Reservation] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._renewal: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()

    async def reserve(self, reservation: Reservation) -> None:
        """Raises BudgetReached, and NoPermit while open calls may use up the rest of the budget."""
        ends_at = time.monotonic() + WAIT_SECONDS
        while True:
            settled = self._settled
            refusal = await self._answer(reservation)
            if refusal is None:
                return
            if not refusal.calls_open:
                raise BudgetReached(reservation.run_id)
            left = ends_at - time.monotonic()
            if left <= 0:
                raise NoPermit(
                    "Open calls may use up the budget; the next call waits for their bills.",
                    provider="",
                    retry_after=RETRY_SECONDS,
                    cause=PermitWait.BUDGET,
                )
            try:
                async with asyncio.timeout(left):
                    await settled.wait()
            except TimeoutError:
                continue

    def settle(self, reservation: Reservation, billed: Amount | None) -> None:
        """Writes in the background, and repeats the write while the store is unavailable."""
        if billed is not None and _is_beyond(billed, reservation.most):
            log.warning(
                "A judge call of run %s was billed %d tokens for %.6f USD; at most %d tokens for "
                "%.6f USD were reserved for it",
                *(reservation.run_id, billed.tokens, usd(billed.cost)),
                *(reservation.most.tokens, usd(reservation.most.cost)),
            )
        self._in_background(self._write_down(Settlement(reservation, billed)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Waits a moment for open writes. A reservation whose settlement is not written counts as
        spent.
        """
        if self._renewal is not None:
            self._renewal.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        for task in self._tasks:
            task.cancel()

    async def _answer(self, reservation: Reservation) -> BudgetRefusal | None:
        """If the caller is cancelled meanwhile, its reservation is returned."""
        answering = asyncio.ensure_future(self._reserving.by_key(reservation))
        try:
            refusal = await asyncio.shield(answering)
        except asyncio.CancelledError:
            self._in_background(self._give_back(reservation, answering))
            raise
        if refusal is None:
            self._open.add(reservation)
            if self._renewal is None or self._renewal.done():
                self._renewal = asyncio.create_task(self._renew())
        return refusal

    async def _give_back(
        self, reservation: Reservation, answering: "asyncio.Future[BudgetRefusal | None]"
    ) -> None:
        if await answering is None:
            await self._write_down(Settlement(reservation, Amount()))

    async def _write_down(self, settlement: Settlement) -> None:
        while True:
            try:
                await self._settling.submit(settlement)
            except Exception as error:
                if not dialect.is_transient(error):
                    log.exception("A judge call could not be settled; its budget counts it in full")
                    break
                await asyncio.sleep(STORE_RETRY_SECONDS)
            else:
                break
        self._open.discard(settlement.reservation)
        self._settled.set()
        self._settled = asyncio.Event()

    async def _renew(self) -> None:
        """Renews the holds while calls are open, then drops the holds of this worker and ends."""
        while True:
            await asyncio.sleep(budgets.HOLD_SECONDS / 3)
            try:
                async with self._database.write() as db:
                    if not self._open:
                        await budgets.drop_holds(db, self._worker)
                        return
                    await budgets.renew(db, self._worker)
            except Exception as error:
                if not dialect.is_transient(error):
                    raise
                log.warning("Reservations of open judge calls cannot be renewed now")

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reserve(self, batch: Sequence[Reservation]) -> Mapping[Reservation, BudgetRefusal]:
        return await self._database.write_at_once(
            lambda db: budgets.reserve(db, self._worker, batch)
        )

    async def _settle(self, batch: Sequence[Settlement]) -> None:
        await self._database.write_at_once(lambda db: budgets.settle(db, self._worker, batch))


def _is_beyond(billed: Amount, most: Amount) -> bool:
    # If the price is unknown, the reservation has no cost.
    return billed.tokens > most.tokens or billed.cost > most.cost > 0


class RunSpending:
    """The budgets that pay for the calls of one run: the run's own, the project's, or both."""

    def __init__(self, ledger: BudgetLedger, run: RunSpec, *, of_month: bool) -> None:
        self._ledger = ledger
        self._run = run
        self._of_month = of_month
        self._price = call_price.known_price(run.model)

    @asynccontextmanager
    async def hold(self, *, prompt_bytes: int, answer_tokens: int) -> AsyncIterator[Hold]:
        """Raises BudgetReached, NoPermit, and JudgeUnusable if the price is unknown."""
        prompt = call_price.prompt_tokens(prompt_bytes)
        most = Amount(self._cost(prompt, answer_tokens), prompt + answer_tokens)
        reservation = Reservation(
            self._run.project_id,
            self._run.run_id,
            most,
            of_run=self._run.has_budget,
            month=budget_accounts.month_of(clock.now()) if self._of_month else None,
        )
        await self._ledger.reserve(reservation)
        hold = _CallHold(self._price)
        try:
            yield hold
        finally:
            self._ledger.settle(reservation, hold.billed if hold.begun else Amount())

    def _cost(self, prompt: int, completion: int) -> int:
        if self._price is not None:
            return units(self._price.at_most(prompt_tokens=prompt, completion_tokens=completion))
        if self._run.max_cost_usd is None and not self._of_month:
            return 0
        raise JudgeUnusable(
            f"The price of model {self._run.model!r} is unknown, so a budget in US dollars cannot "
            "be kept. Clear the monthly budget of the project, or name a model whose price is "
            "known.",
            provider="",
        )


class _CallHold:
    """`billed` is None if the bill is unknown."""

    def __init__(self, price: Price | None) -> None:
        self._price = price
        self.begun = False
        self.billed: Amount | None = None

    def begin(self) -> None:
        self.begun = True

    def settle(self, billed: Usage) -> None:
        tokens = billed.prompt_tokens + billed.completion_tokens
        cost = billed.cost_usd
        if cost is None and self._price is not None:
            cost = self._price.at_most(
                prompt_tokens=billed.prompt_tokens, completion_tokens=billed.completion_tokens
            )
        if tokens:
            # A response without token counts leaves the bill unknown.
            self.billed = Amount(units(cost or 0.0), tokens)

    def void(self) -> None:
        self.billed = Amount()
