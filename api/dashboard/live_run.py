"""The live view of a run: its progress, its pace, and what it waits for; also as events."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from markupsafe import Markup

from api.dashboard import charts, formats, views, waits
from api.dashboard.access import ProjectViewer
from api.dashboard.charts import BarPart
from api.schemas.runs import EvalRunBody
from core import clock
from core.db.database import Reader
from core.db.paging import Page
from core.ids import TargetType
from core.queries import run_figures, run_pairs, score_listing, trace_titles, workers
from core.queries.run_figures import MetricFigures
from core.queries.score_listing import ScoreChoice
from core.queries.workers import Offer
from core.temporal import run_activity
from evals import catalog

if TYPE_CHECKING:
    from core.db.tables import EvalRun, Score

_NEWEST: Final = 8
_MAX_REASONS: Final = 5
_PENDING_SECONDS: Final = 1.0
_MOVES: Final = frozenset((run_activity.JUDGING, run_activity.RESOLVING, run_activity.FINISHING))


async def context(viewer: ProjectViewer, row: "EvalRun", run: EvalRunBody) -> dict[str, Any]:
    """The values that the page and each of its events show."""
    project = viewer.project.id
    async with viewer.stack.database.read() as db:
        figures = await run_figures.of_run(db, project, row, catalog.thresholds())
        pairs = await run_pairs.count_of(db, row)
        choice = ScoreChoice(target_type=row.target_type, run_id=row.id)
        newest, _ = await score_listing.page(db, project, choice, Page(_NEWEST))
        titles = await _titles(db, viewer, row, newest)
        failures = await run_figures.failures(db, project, row, limit=_MAX_REASONS)
        offer = await workers.offered(db)
    ended = sum(one.ended for one in figures)
    rate, left = _pace(run, ended, pairs)
    target = "" if row.target_type is TargetType.TRACE else "&target=SESSION"
    return {
        "run": run,
        "name": views.run_name(run),
        "state": views.run_status(run),
        "pairs": pairs,
        "ended": ended,
        "figures": figures,
        "scored": sum(one.scored for one in figures),
        "failed": sum(one.failed for one in figures),
        "not_applicable": sum(one.not_applicable for one in figures),
        "bar": _bar(figures, pairs),
        "percent": formats.percent(ended, pairs) if pairs else "",
        "rate": rate,
        "left": left,
        "scores": viewer.at(f"/scores?run={row.id}{target}"),
        "newest": [_newest(score, titles) for score in newest],
        "failures": failures,
        "metric_rows": [
            _metric_row(one, row.total_targets or run.total_targets) for one in figures
        ],
        "buckets": views.bucket_names(),
        "figure_rows": [views.figure_row(one) for one in figures],
        "provider": _provider(offer, run.model),
        "workers_seen": offer.seen,
        "chips": views.filter_chips(row.filters, row.sampling_rate),
        **await waits.of_run(viewer, run),
        "budget": _budget(run, ended, pairs),
    }


async def _titles(
    db: Reader, viewer: ProjectViewer, row: "EvalRun", newest: "list[Score]"
) -> dict[str, str]:
    if row.target_type is TargetType.SESSION:
        return {score.target_id: score.target_id for score in newest}
    ids = list({UUID(score.target_id) for score in newest})
    found = await trace_titles.of_traces(db, viewer.project.id, ids)
    return {str(trace_id): title.opening or title.name for trace_id, title in found.items()}


def _newest(score: "Score", titles: dict[str, str]) -> dict[str, Any]:
    return {
        "id": score.id,
        "title": titles.get(score.target_id, "deleted trace"),
        "metric": score.name,
        "cell": views.score_cell(score),
        "at": score.created_at,
    }


def _pace(run: EvalRunBody, ended: int, pairs: int) -> tuple[float | None, str | None]:
    """Pairs per second since the run was created, and the remaining time at this pace."""
    seconds = (clock.now() - run.created_at).total_seconds()
    if not ended or seconds < 1 or run.paused:
        return None, None
    rate = ended / seconds
    return rate, formats.duration(timedelta(seconds=max(0, pairs - ended) / rate))


def _bar(figures: list[MetricFigures], pairs: int) -> Markup:
    scored = sum(one.scored for one in figures)
    not_applicable = sum(one.not_applicable for one in figures)
    failed = sum(one.failed for one in figures)
    parts = [BarPart(scored), BarPart(not_applicable, "mid"), BarPart(failed, "bad")]
    ended = scored + not_applicable + failed
    return charts.progress(parts, pairs, f"{ended:,} of {pairs:,} pairs", 14)


def _budget(run: EvalRunBody, ended: int, pairs: int) -> dict[str, Any] | None:
    """The spent part of the run's own budget, with a bar; None without a budget.

    The line on the bar marks the expected total, if the remaining pairs cost as much on average.
    """
    state = run.budget
    if state is None:
        return None
    in_usd = state.max_cost_usd is not None
    spent, open_calls, most = (
        (state.spent_usd, state.open_usd, state.max_cost_usd or 0.0)
        if in_usd
        else (state.spent_tokens, state.open_tokens, state.max_tokens or 1)
    )
    whole = spent / ended * pairs if ended else None
    label = f"{_amount(spent, in_usd)} of {_amount(most, in_usd)}"
    if whole is not None:
        label += f", about {_amount(whole, in_usd)} when done"
    parts = [BarPart(spent, "full"), BarPart(open_calls, "mid")]
    return {
        "spent": _amount(spent, in_usd),
        "most": _amount(most, in_usd),
        "when_done": None if whole is None else _amount(whole, in_usd),
        "beyond": whole is not None and whole > most,
        "bar": charts.progress(parts, most, label, 14, whole),
    }


def _amount(amount: float, in_usd: bool) -> str:
    return formats.money(amount) if in_usd else f"{amount:,.0f} tokens"


def _metric_row(figures: MetricFigures, targets: int) -> dict[str, Any]:
    parts = [
        BarPart(figures.scored),
        BarPart(figures.not_applicable, "mid"),
        BarPart(figures.failed, "bad"),
    ]
    mean = figures.sums.mean
    return {
        "figures": figures,
        "progress": charts.progress(parts, targets, f"{figures.ended:,} of {targets:,} judged"),
        "interval": None
        if mean is None
        else charts.interval(mean, figures.sums.interval, figures.threshold),
        "histogram": charts.histogram(figures.histogram, figures.threshold, figures.name, None, 26),
    }


def _provider(offer: Offer, model: str) -> str | None:
    """The reason why the provider cannot be used, from the status of the provider."""
    found = offer.provider_of(model) if offer.seen else None
    return None if found is None or found.available else f"{found.name}: {found.message}"
