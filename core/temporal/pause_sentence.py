"""Plain sentences about why a run is paused, and how much budget it would need."""

from datetime import datetime

from core.queries.budget_states import BudgetState, Judged


def at_own_budget(state: BudgetState, judged: Judged) -> str:
    """For example: Paused at its budget: 4.98 of 5.00 USD spent, 120 pairs left, about 1.70 USD
    more needed."""
    parts = []
    if state.max_cost_usd is not None:
        parts.append(f"{_usd(state.spent_usd)} of {_usd(state.max_cost_usd)} USD spent")
    if state.max_tokens is not None:
        parts.append(f"{state.spent_tokens:,} of {state.max_tokens:,} tokens used")
    needed = [
        *_needed_usd(state, judged, state.spent_usd),
        *_needed_tokens(state, judged),
    ]
    return f"Paused at its budget: {', '.join([*parts, _pairs_left(judged), *needed])}"


def at_project_budget(
    name: str, state: BudgetState | None, judged: Judged, *, until: datetime
) -> str:
    """`until`: the end of the month."""
    new = f"until it is raised, or until {until:%Y-%m-%d} 00:00 UTC, when another month begins"
    if state is None or state.max_cost_usd is None:
        return f"Paused at the monthly budget of project {name}; the run continues in a moment"
    spent = f"{_usd(state.spent_usd)} of {_usd(state.max_cost_usd)} USD spent"
    needed = _needed_usd(state, judged, judged.cost_usd)
    said = ", ".join([spent, _pairs_left(judged), *needed])
    return f"Paused at the monthly budget of project {name}: {said}. It waits {new}"


def _needed_usd(state: BudgetState, judged: Judged, spent_on_run: float) -> list[str]:
    if state.max_cost_usd is None:
        return []
    room = state.max_cost_usd - state.spent_usd
    least = state.refused_usd - room
    if judged.pairs and spent_on_run:
        rest = spent_on_run / judged.pairs * judged.left - room
        return [f"about {_usd(max(rest, least))} USD more needed"] if max(rest, least) > 0 else []
    return [f"at least {_usd(least)} USD more needed"] if least > 0 else []


def _needed_tokens(state: BudgetState, judged: Judged) -> list[str]:
    if state.max_tokens is None:
        return []
    room = state.max_tokens - state.spent_tokens
    least = state.refused_tokens - room
    if judged.pairs and state.spent_tokens:
        rest = round(state.spent_tokens / judged.pairs * judged.left) - room
        return [f"about {max(rest, least):,} tokens more needed"] if max(rest, least) > 0 else []
    return [f"at least {least:,} tokens more needed"] if least > 0 else []


def _pairs_left(judged: Judged) -> str:
    return f"{judged.left:,} pair{'' if judged.left == 1 else 's'} left"


def _usd(amount: float) -> str:
    """Rounds to the cent; smaller amounts get as many digits as they need to differ from zero."""
    return f"{amount:.2f}" if amount >= 0.01 or amount == 0 else f"{amount:.2g}"
