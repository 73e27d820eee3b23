"""Reserves the maximum cost of calls in budget accounts, and settles the reservations to the bills.

Each transaction locks the row of the account for a few reservations or settlements. All workers
together therefore never commit more than the limit.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import select, update
from sqlmodel import col

from core import clock
from core.db import dialect
from core.db.database import Writer
from core.db.tables import BudgetAccount, BudgetHold, metadata
from core.ids import PausedBy
from core.queries import budget_accounts, run_pauses

HOLD_SECONDS: Final = 30.0
"""The reservations of a worker count as open for this long after their last renewal."""

_HOLD: Final = metadata.tables["budget_hold"]


@dataclass(frozen=True, slots=True)
class Amount:
    """`cost` is in units of `core.money`; `tokens` are prompt and completion tokens together."""

    cost: int = 0
    tokens: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.cost + other.cost, self.tokens + other.tokens)


@dataclass(frozen=True, eq=False, slots=True)
class Reservation:
    """The maximum cost of one call of a run.

    `of_run`: the run's budget pays. `month`: the project's budget for this month pays.
    """

    project_id: UUID
    run_id: UUID
    most: Amount
    of_run: bool
    month: str | None = None

    @property
    def accounts(self) -> list[UUID]:
        of_run = [self.run_id] if self.of_run else []
        of_month = [budget_accounts.month_id(self.project_id, self.month)] if self.month else []
        return of_run + of_month


@dataclass(frozen=True, slots=True)
class BudgetRefusal:
    """`calls_open`: the bills of open calls may leave room for this call.

    If false, the run was paused.
    """

    calls_open: bool


@dataclass(frozen=True, slots=True)
class Settlement:
    """`billed` is None if the bill is unknown; the whole reservation then counts as spent."""

    reservation: Reservation
    billed: Amount | None


async def reserve(
    db: Writer, worker: str, reservations: Sequence[Reservation]
) -> Mapping[Reservation, BudgetRefusal]:
    """Makes the reservations that fit, in order, and returns the refusals of the others.

    A reservation that does not fit pauses its run if no other call of the account is open.
    """
    accounts = await _lock_all(db, reservations)
    refused: dict[Reservation, BudgetAccount] = {}
    reserved: defaultdict[UUID, list[Amount]] = defaultdict(list)
    for reservation in reservations:
        # The account of a deleted run no longer exists; the run guard stops further calls of that
        # run.
        paying = [
            accounts[account_id] for account_id in reservation.accounts if account_id in accounts
        ]
        full = next((account for account in paying if not _fits(account, reservation.most)), None)
        if full is not None:
            refused[reservation] = full
            continue
        for account in paying:
            account.committed_cost += reservation.most.cost
            account.committed_tokens += reservation.most.tokens
            reserved[account.id].append(reservation.most)
    await db.flush()
    for account_id, amounts in reserved.items():
        await _hold(db, account_id, worker, len(amounts), sum(amounts, Amount()))
    refusals: dict[Reservation, BudgetRefusal] = {}
    for reservation, account in refused.items():
        calls_open = await _any_call_open(db, account)
        if not calls_open:
            account.refused_cost, account.refused_tokens = (
                reservation.most.cost,
                reservation.most.tokens,
            )
            await db.flush()
            by = PausedBy.PROJECT if account.run_id is None else PausedBy.RUN
            await run_pauses.pause(db, reservation.run_id, by)
        refusals[reservation] = BudgetRefusal(calls_open)
    return refusals


async def settle(db: Writer, worker: str, settlements: Sequence[Settlement]) -> None:
    """Replaces each reservation by its bill."""
    of_account: defaultdict[UUID, list[Settlement]] = defaultdict(list)
    for settlement in settlements:
        for account_id in settlement.reservation.accounts:
            of_account[account_id].append(settlement)
    accounts = await _locked(db, of_account)
    for account_id, ended in of_account.items():
        account = accounts.get(account_id)
        if account is None:
            continue
        reserved = sum((settlement.reservation.most for settlement in ended), Amount())
        was_held = await _release(db, account_id, worker, len(ended), reserved)
        for settlement in ended:
            _settle(account, settlement, was_held=was_held)
    await db.flush()


async def renew(db: Writer, worker: str) -> None:
    """Extends the worker's holds by `HOLD_SECONDS`."""
    await db.execute(
        update(BudgetHold)
        .where(col(BudgetHold.worker) == worker, col(BudgetHold.calls) > 0)
        .values(expires_at=clock.seconds_ago(-HOLD_SECONDS))
    )


async def drop_holds(db: Writer, worker: str) -> None:
    """Deletes the holds of a worker without open calls.

    Their reservations count as spent, because nobody knows the bills.
    """
    holds = (await db.scalars(select(BudgetHold).where(col(BudgetHold.worker) == worker))).all()
    accounts = await _locked(db, {hold.account_id for hold in holds})
    for hold in holds:
        if hold.account_id in accounts:
            accounts[hold.account_id].uncertain_cost += hold.cost
        await db.delete(hold)
    await db.flush()


async def _lock_all(db: Writer, reservations: Sequence[Reservation]) -> dict[UUID, BudgetAccount]:
    """The accounts, locked until the transaction ends.

    The first call of a month opens its account.
    """
    account_ids = {
        account_id for reservation in reservations for account_id in reservation.accounts
    }
    accounts = await _locked(db, account_ids)
    months = {
        (reservation.project_id, reservation.month)
        for reservation in reservations
        if reservation.month
        and budget_accounts.month_id(reservation.project_id, reservation.month) not in accounts
    }
    if not months:
        return accounts
    for project_id, month in sorted(months):
        await budget_accounts.open_for_month(db, project_id, month)
    return await _locked(db, account_ids)


async def _locked(db: Writer, ids: Collection[UUID]) -> dict[UUID, BudgetAccount]:
    """Locks accounts in the order of their ids, so that no two transactions wait for each other."""
    rows = await db.scalars(
        select(BudgetAccount)
        .where(col(BudgetAccount.id).in_(ids))
        .order_by(col(BudgetAccount.id))
        .with_for_update()
    )
    return {row.id: row for row in rows}


def _fits(account: BudgetAccount, amount: Amount) -> bool:
    limits = (account.limit_cost, account.limit_tokens)
    committed = (account.committed_cost, account.committed_tokens)
    wanted = (amount.cost, amount.tokens)
    return all(
        limit is None or spent + more <= limit
        for limit, spent, more in zip(limits, committed, wanted, strict=True)
    )


def _settle(account: BudgetAccount, settlement: Settlement, *, was_held: bool) -> None:
    most = settlement.reservation.most
    if settlement.billed is None:
        if was_held:
            account.uncertain_cost += most.cost
        return
    account.committed_cost += settlement.billed.cost - most.cost
    account.committed_tokens += settlement.billed.tokens - most.tokens
    account.overbilled_tokens += max(0, settlement.billed.tokens - most.tokens)
    if account.limit_cost is not None:
        account.overbilled_cost += max(0, settlement.billed.cost - most.cost)
    if not was_held:
        # The hold had expired, so this call counted as lost until now.
        account.uncertain_cost -= most.cost


async def _hold(db: Writer, account_id: UUID, worker: str, calls: int, amount: Amount) -> None:
    values = {
        "account_id": account_id,
        "worker": worker,
        "calls": calls,
        "cost": amount.cost,
        "tokens": amount.tokens,
        "expires_at": clock.seconds_ago(-HOLD_SECONDS),
    }
    insert = dialect.insert(db, _HOLD)
    added = {name: _HOLD.c[name] + insert.excluded[name] for name in ("calls", "cost", "tokens")}
    await db.execute(
        insert.on_conflict_do_update(
            index_elements=["account_id", "worker"],
            set_=added | {"expires_at": insert.excluded.expires_at},
        ),
        values,
    )


async def _release(db: Writer, account_id: UUID, worker: str, calls: int, amount: Amount) -> bool:
    """False if the hold has expired, so that its calls already counted as lost."""
    rows = await db.execute(
        update(_HOLD)
        .where(_HOLD.c.account_id == account_id, _HOLD.c.worker == worker)
        .values(
            calls=_HOLD.c.calls - calls,
            cost=_HOLD.c.cost - amount.cost,
            tokens=_HOLD.c.tokens - amount.tokens,
        )
        .returning(_HOLD.c.worker)
    )
    return rows.first() is not None


async def _any_call_open(db: Writer, account: BudgetAccount) -> bool:
    """Whether a live worker has an open call. The calls of expired holds count as lost."""
    holds = (
        await db.scalars(select(BudgetHold).where(col(BudgetHold.account_id) == account.id))
    ).all()
    now = clock.now()
    for hold in holds:
        if hold.calls > 0 and hold.expires_at <= now:
            account.uncertain_cost += hold.cost
            await db.delete(hold)
    await db.flush()
    return any(hold.calls > 0 and hold.expires_at > now for hold in holds)
