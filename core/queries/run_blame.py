"""The tools and steps that the findings of a run name most often."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from core import findings
from core.db.database import Reader
from core.db.tables import EvalRun
from core.findings import StoredFinding
from core.ids import ProjectId, SpanKind, TargetType
from core.queries import run_findings
from core.queries.run_findings import FoundIn, StepName

MODEL_STEP: Final = "model answer"
MISSING: Final = "missing action"
MAX_SCORES: Final = 20_000
MAX_FINDINGS: Final = 200
"""Findings that are read per score."""

_MAX_SCORE_IDS: Final = 20_000


@dataclass(slots=True)
class Blamed:
    """A tool, or the answers of the model, with the scores whose findings name it."""

    name: str
    findings: int = 0
    targets: set[str] = field(default_factory=set)
    score_ids: set[UUID] = field(default_factory=set)
    texts: Counter[str] = field(default_factory=Counter)

    @property
    def most_often(self) -> str:
        return self.texts.most_common(1)[0][0] if self.texts else ""


@dataclass(slots=True)
class Blame:
    """`total`: the number of findings against the agent.

    `complete` is False if only the first scores were read.
    """

    total: int
    ranked: list[Blamed]
    complete: bool

    def scores_of(self, name: str) -> tuple[UUID, ...]:
        found = next((one for one in self.ranked if one.name == name), None)
        return tuple(sorted(found.score_ids))[:_MAX_SCORE_IDS] if found else ()


@dataclass(slots=True)
class BlameCounts:
    """The number of scores whose findings against the agent name a step, or are of a kind.

    A score counts once per step and once per kind. `scores` is the number of all scores.
    `complete` is False if only the first scores were read.
    """

    scores: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    complete: bool = True


async def of_run(
    db: Reader, project_id: ProjectId, run: EvalRun, metric: str | None = None
) -> Blame:
    blamed: dict[str, Blamed] = {}
    total = scores = 0
    async for score, named in _named_in(db, project_id, run, metric):
        scores += 1
        total += len(named)
        for finding, names in named:
            for name in names:
                _add(blamed.setdefault(name, Blamed(name)), score, finding)
    ranked = sorted(blamed.values(), key=lambda one: (-one.findings, one.name))
    return Blame(total, ranked, scores < MAX_SCORES)


async def counts(db: Reader, project_id: ProjectId, run: EvalRun, metric: str) -> BlameCounts:
    counted = BlameCounts()
    async for _, named in _named_in(db, project_id, run, metric):
        counted.scores += 1
        counted.steps.update(set[str]().union(*(names for _, names in named)))
        counted.kinds.update({finding.name for finding, _ in named})
    counted.complete = counted.scores < MAX_SCORES
    return counted


async def scores_of_kind(
    db: Reader, project_id: ProjectId, run: EvalRun, metric: str | None, kind: str
) -> tuple[UUID, ...]:
    """The scores with a finding against the agent whose `StoredFinding.name` is this kind."""
    score_ids: set[UUID] = set()
    chunks = run_findings.of_run(db, project_id, run, metric=metric, most=MAX_SCORES)
    async for chunk in chunks:
        score_ids |= {
            score.score_id
            for score in chunk
            if any(one.name == kind for one in findings.against(score.findings, most=MAX_FINDINGS))
        }
    return tuple(sorted(score_ids))[:_MAX_SCORE_IDS]


Named = list[tuple[StoredFinding, set[str]]]
"""Findings against the agent, with the names of the blamed steps."""


async def _named_in(
    db: Reader, project_id: ProjectId, run: EvalRun, metric: str | None
) -> AsyncIterator[tuple[FoundIn, Named]]:
    chunks = run_findings.of_run(db, project_id, run, metric=metric, most=MAX_SCORES)
    async for chunk in chunks:
        against = [(score, findings.against(score.findings, most=MAX_FINDINGS)) for score in chunk]
        # Findings about sessions name no spans.
        of_traces = against if run.target_type is TargetType.TRACE else []
        spans = [
            (UUID(score.target_id), span_id)
            for score, found in of_traces
            for one in found
            if not one.tool
            for span_id in one.span_ids
        ]
        names = await run_findings.names_of_spans(db, project_id, spans)
        for score, found in against:
            yield score, [(one, _blamed_by(one, names)) for one in found]


def _add(blamed: Blamed, score: FoundIn, finding: StoredFinding) -> None:
    blamed.findings += 1
    blamed.targets.add(score.target_id)
    blamed.score_ids.add(score.score_id)
    blamed.texts[finding.text[:200]] += 1


def _blamed_by(finding: StoredFinding, names: dict[UUID, StepName]) -> set[str]:
    """The tools among a finding's steps; without tools, the answers of the model."""
    if finding.tool:
        return {finding.tool}
    if finding.kind == "missing":
        # The finding names the steps before the missing action.
        return {MISSING}
    steps = [names[span_id] for span_id in finding.span_ids if span_id in names]
    tools = {step.name for step in steps if step.kind is SpanKind.TOOL}
    if tools:
        return tools
    return {MODEL_STEP if step.kind is SpanKind.LLM else step.name for step in steps}
