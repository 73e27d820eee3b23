"""Refuses budgets in US dollars if the price of the model is unknown."""

from core.db.database import Reader
from core.errors import Invalid
from core.ids import ProjectId
from core.queries import projects
from evals.judges.call_price import known_price


async def check(db: Reader, project_id: ProjectId, model: str, max_cost_usd: float | None) -> None:
    """Raises Invalid."""
    if known_price(model) is not None:
        return
    unknown = f"The price of model {model!r} is unknown"
    if max_cost_usd is not None:
        raise Invalid(f"{unknown}, so max_cost_usd cannot be enforced. Set max_tokens instead.")
    if (await projects.get(db, project_id)).monthly_budget_usd is not None:
        raise Invalid(
            f"{unknown}, so the monthly budget of this project cannot be kept. Name a model whose "
            "price is known, or clear the budget."
        )
