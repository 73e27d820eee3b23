"""Adds the state of budgets to runs, and the reason why a paused run waits."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from api.schemas.runs import BudgetBody, EvalRunBody
from core import clock
from core.db.database import Database, Reader
from core.ids import PausedBy, ProjectId
from core.queries import budget_accounts, budget_states, projects
from core.queries.budget_states import BudgetState, Judged
from core.temporal import pause_sentence

if TYPE_CHECKING:
    from core.db.tables import EvalRun

MAX_COUNTED: Final = 20_000
"""The scores of a run with at most this many targets are counted during a request."""


async def complete(
    database: Database, bodies: Sequence[EvalRunBody], rows: "Sequence[EvalRun]"
) -> list[EvalRunBody]:
    """Adds the state of budgets to the runs that have one, and a sentence to paused runs."""
    budgeted = [b.id for b in bodies if b.max_cost_usd is not None or b.max_tokens is not None]
    if not budgeted and not any(body.paused for body in bodies):
        return list(bodies)
    async with database.read() as db:
        states = await budget_states.states(db, budgeted)
        return [
            await _complete(db, body, row, states.get(body.id))
            for body, row in zip(bodies, rows, strict=True)
        ]


async def _complete(
    db: Reader, body: EvalRunBody, row: "EvalRun", state: BudgetState | None
) -> EvalRunBody:
    changed = body.model_copy()
    if state is not None:
        told = asdict(state)
        changed.budget = BudgetBody(**{name: told[name] for name in BudgetBody.model_fields})
    if body.paused:
        judged = await _judged(db, body, row)
        if row.paused_by is PausedBy.PROJECT:
            changed.activity = await _at_project_budget(db, row, judged)
        elif state is not None:
            changed.activity = pause_sentence.at_own_budget(state, judged)
    return changed


async def _judged(db: Reader, body: EvalRunBody, row: "EvalRun") -> Judged:
    """The progress of a run. Counts only whole targets for a large run."""
    if body.total_targets <= MAX_COUNTED:
        return await budget_states.judged(db, ProjectId(row.project_id), row)
    pairs = len(row.metric_names)
    ended = body.evaluated_count * pairs
    return Judged(ended, body.total_targets * pairs - ended, 0.0, 0)


async def _at_project_budget(db: Reader, row: "EvalRun", judged: Judged) -> str:
    month = budget_accounts.month_of(clock.now())
    account_id = budget_accounts.month_id(row.project_id, month)
    state = (await budget_states.states(db, [account_id])).get(account_id)
    name = await projects.name_of(db, row.project_id) or ""
    return pause_sentence.at_project_budget(
        name, state, judged, until=budget_accounts.end_of(month)
    )
