"""The pairs of a comparison whose scores changed most, and both sides of one pair."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

from api.dashboard import findings, formats, steps, views
from api.dashboard.access import ProjectViewer
from api.dashboard.steps import StepsChoice, StepView
from api.schemas.comparisons import ChangedItem, MetricComparison
from core.db.database import Reader
from core.ids import TargetType
from core.queries import score_reads, trace_loading, trace_titles
from core.queries.trace_titles import TraceTitle
from core.statistics.score_pair import DECIMALS
from core.trace_model import Trace
from evals.transcript.transcript import Transcript

if TYPE_CHECKING:
    from core.db.tables import Score

MAX_STEPS: Final = 24
_MAX_TEXT: Final = 160
_ACTIONS: Final = ("tool", "search")
ORDERS: Final = {"lost": "Lost", "won": "Won", "flip": "Crossed the threshold"}


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """`explanation`: the judge's finding against the side with the lower score."""

    item: ChangedItem
    title: TraceTitle
    explanation: str


@dataclass(frozen=True, slots=True)
class StepRow:
    number: int
    name: str
    given: str
    got: str
    failed: bool
    blamed: bool


@dataclass(frozen=True, slots=True)
class Side:
    """One score of a pair, with the steps to show; `more` counts the other steps."""

    score: "Score"
    cell: views.Cell
    steps: list[StepRow]
    more: int


def changed(metric: MetricComparison, order: str) -> list[ChangedItem]:
    """The items that lost, won, or crossed the threshold, as `order` requests."""
    if order == "won":
        return metric.most_improved
    if order == "flip":
        crossed = [item for item in metric.most_worsened if item.change == "pass to fail"]
        return [*crossed, *(item for item in metric.most_improved if item.change == "fail to pass")]
    return metric.most_worsened


def total(metric: MetricComparison, order: str) -> int:
    """The number of pairs in the whole list."""
    if order == "flip":
        return metric.passed_only_baseline + metric.passed_only_candidate
    return metric.wins if order == "won" else metric.losses


async def rows(db: Reader, viewer: ProjectViewer, items: Sequence[ChangedItem]) -> list[ChangedRow]:
    project = viewer.project.id
    ids = [
        score_id for item in items for score_id in (item.baseline_score_id, item.candidate_score_id)
    ]
    scores = await score_reads.by_id(db, project, ids)
    traces = [
        UUID(score.target_id) for score in scores.values() if score.target_type is TargetType.TRACE
    ]
    titles = await trace_titles.of_traces(db, project, traces)
    return [_row(item, scores, titles) for item in items]


async def of_scores(
    db: Reader, viewer: ProjectViewer, key: str, baseline: UUID, candidate: UUID
) -> ChangedRow | None:
    """The pair of these two scores; None if a score was deleted or has no number."""
    scores = await score_reads.by_id(db, viewer.project.id, [baseline, candidate])
    numbers = [scores[one].number for one in (baseline, candidate) if one in scores]
    if len(numbers) < 2 or numbers[0] is None or numbers[1] is None:
        return None
    item = ChangedItem(
        key=key,
        baseline=numbers[0],
        candidate=numbers[1],
        difference=round(numbers[1] - numbers[0], DECIMALS),
        baseline_score_id=baseline,
        candidate_score_id=candidate,
        change="none",
    )
    [row] = await rows(db, viewer, [item])
    return row


def _row(
    item: ChangedItem, scores: "dict[UUID, Score]", titles: dict[UUID, TraceTitle]
) -> ChangedRow:
    score = scores.get(item.candidate_score_id) or scores.get(item.baseline_score_id)
    lower = scores.get(item.candidate_score_id if item.difference < 0 else item.baseline_score_id)
    title = TraceTitle("", "")
    if score is not None and score.target_type is TargetType.TRACE:
        title = titles.get(UUID(score.target_id), views.GONE)
    return ChangedRow(item, title, "" if lower is None else _explanation(lower))


def _explanation(score: "Score") -> str:
    """The first finding against the agent, else the reason."""
    against = next((finding.text for finding in findings.of_score(score) if finding.against), None)
    return formats.first_line(against or score.reason or "", _MAX_TEXT)


async def side_by_side(
    db: Reader, viewer: ProjectViewer, item: ChangedItem, threshold: float
) -> list[Side] | None:
    """None if a score or its trace was deleted, or if the scores are scores of sessions."""
    ids = [item.baseline_score_id, item.candidate_score_id]
    scores = await score_reads.by_id(db, viewer.project.id, ids)
    if len(scores) < len(ids):
        return None
    pair = [scores[score_id] for score_id in ids]
    if any(score.target_type is not TargetType.TRACE for score in pair):
        return None
    targets = [UUID(score.target_id) for score in pair]
    loaded = await trace_loading.load(db, viewer.project.id, list(set(targets)))
    if any(target not in loaded for target in targets):
        return None
    return [
        await asyncio.to_thread(_side, score, loaded[target], threshold)
        for score, target in zip(pair, targets, strict=True)
    ]


def _side(score: "Score", trace: Trace, threshold: float) -> Side:
    views_of_findings = findings.of_score(score)
    page = steps.of_trace(trace, Transcript(trace), views_of_findings, StepsChoice())
    blamed = {
        number for finding in views_of_findings if finding.against for number in finding.steps
    }
    shown = _telling(page.steps, blamed)[:MAX_STEPS]
    return Side(
        score,
        views.score_cell(score, threshold),
        [_step(step, step.number in blamed) for step in shown],
        page.total - len(shown),
    )


def _telling(all_steps: list[StepView], blamed: set[int]) -> list[StepView]:
    """The agent's actions, the blamed steps, and the last answer; all steps if there are none of
    these.
    """
    spoken = [step.number for step in all_steps if step.kind == "model" and step.texts]
    kept = {*blamed, *spoken[-1:]}
    chosen = [
        step for step in all_steps if step.kind in _ACTIONS or step.failed or step.number in kept
    ]
    return chosen or all_steps


def _step(step: StepView, blamed: bool) -> StepRow:
    given = [text.text for text in step.texts if text.label in ("arguments", "args", "input")]
    got = [text.text for text in step.texts if text.label not in ("arguments", "args", "input")]
    return StepRow(
        number=step.number,
        name=step.name if step.kind in _ACTIONS else step.kind,
        given=formats.first_line(" ".join(given), _MAX_TEXT),
        got=formats.first_line(" ".join(got), _MAX_TEXT),
        failed=step.failed,
        blamed=blamed,
    )
