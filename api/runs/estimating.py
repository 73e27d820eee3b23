"""Estimates a run: renders some of its traces, and prices the tokens that the judge would read and
write.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from api.schemas.estimates import EstimateBody, RangeBody
from api.schemas.run_requests import TraceRunBody
from core.db import paging
from core.db.database import Database, Reader
from core.ids import ProjectId
from core.model_prices import price_of
from core.queries import estimate_reads, trace_loading
from core.queries.estimate_reads import History
from core.queries.run_sampling import sample_size
from core.trace_model import Trace
from evals import catalog, questions
from evals.evaluation import measurable
from evals.judges.offline import OFFLINE_MODEL
from evals.metric import JudgedMetric
from evals.transcript.transcript import Transcript

MAX_MEASURED: Final = 200
"""Maximum number of traces that one estimate renders."""

MAX_MEASURED_BYTES: Final = 20_000_000
"""Stored bytes of these traces. Rendering them takes about a second."""

BYTES_PER_TOKEN: Final = (4.5, 3.0)
"""Bytes per token of ordinary text, at most and at least; tokenizers differ."""

_HISTORY_SPREAD: Final = 0.25
_SHORT_ANSWER: Final = 0.25
"""Without a history, an answer is assumed to use between a quarter and all of its maximum
length.
"""

_ANSWER_TOKENS: Final = 8_192
_TRACES_LOADED: Final = 10
_BYTES_LOADED: Final = 2_000_000
"""The traces that are in memory at once; a larger trace is alone."""


@dataclass(slots=True)
class _Work:
    """The judge's work for the measured traces.

    `answer_tokens` by metric: the number of its questions, and the maximum length of its answers.
    """

    calls: int = 0
    prompt_bytes: int = 0
    low_tokens: float = 0.0
    high_tokens: float = 0.0


async def estimate(
    database: Database, project_id: ProjectId, body: TraceRunBody, model: str
) -> EstimateBody:
    metrics = [catalog.trace_metric(name) for name in body.metrics]
    judged = [metric for metric in metrics if isinstance(metric, JudgedMetric)]
    async with database.read() as db:
        matching = await estimate_reads.matching(db, project_id, body.filters)
        sampled = sample_size(matching, body.sampling_rate)
        ids = await estimate_reads.random_ids(
            db, project_id, body.filters, count=min(MAX_MEASURED, matching), of=matching
        )
        sized = _first(await trace_loading.sized(db, project_id, ids))
        ids = [trace_id for trace_id, _ in sized]
        histories = await estimate_reads.histories(db, project_id, body.metrics)
        known = 0
        if not body.fresh:
            versions = {metric.name: metric.version for metric in judged}
            known = await estimate_reads.known_pairs(
                db, project_id, ids, versions=versions, model=model
            )
        # Without bundles each metric needs a separate call.
        groups = [judged] if body.bundle else [[metric] for metric in judged]
        work = await _measured(db, project_id, sized, groups, histories)
    pairs = len(ids) * len(judged)
    cached_share = known / pairs if pairs else 0.0
    scale = sampled / len(ids) if ids else 0.0
    if model == OFFLINE_MODEL:
        work, cached_share = _Work(), 0.0
    return _body(
        model, matching, sampled, len(metrics), _Scaled(work, scale, cached_share, len(ids))
    )


@dataclass(frozen=True, slots=True)
class _Scaled:
    """The work of the measured traces, projected to the run. Cached pairs cost nothing."""

    work: _Work
    scale: float
    cached_share: float
    measured: int

    def of(self, amount: float) -> int:
        return round(amount * self.scale * (1 - self.cached_share))


def _body(model: str, matching: int, sampled: int, metrics: int, run: _Scaled) -> EstimateBody:
    work = run.work
    prompt = [run.of(work.prompt_bytes / per_token) for per_token in BYTES_PER_TOKEN]
    completion = [run.of(tokens) for tokens in (work.low_tokens, work.high_tokens)]
    cost, reason = _cost(model, prompt, completion)
    return EstimateBody(
        model=model,
        matching_traces=matching,
        sampled_traces=sampled,
        pairs=sampled * metrics,
        cached_pairs=round(sampled * metrics * run.cached_share),
        judge_calls=run.of(work.calls),
        prompt_tokens=RangeBody(low=prompt[0], high=prompt[1]),
        completion_tokens=RangeBody(low=completion[0], high=completion[1]),
        cost_usd=cost,
        cost_unknown_because=reason,
        measured_traces=run.measured,
    )


def _cost(
    model: str, prompt: Sequence[int], completion: Sequence[int]
) -> tuple[RangeBody | None, str | None]:
    if model == OFFLINE_MODEL:
        return RangeBody(low=0, high=0), None
    price = price_of(model)
    if price is None:
        return None, f"LiteLLM's price table has no price for {model}."
    low, high = (
        round(read * price.prompt + written * price.completion, 6)
        for read, written in zip(prompt, completion, strict=True)
    )
    return RangeBody(low=low, high=high), None


def _first(sized: Sequence[tuple[UUID, int]]) -> Sequence[tuple[UUID, int]]:
    """As many of the traces as one estimate may render."""
    chunks = paging.chunks_by_size(sized, count=MAX_MEASURED, size=MAX_MEASURED_BYTES)
    return sized[: len(next(chunks, []))]


async def _measured(
    db: Reader,
    project_id: ProjectId,
    sized: Sequence[tuple[UUID, int]],
    groups: Sequence[Sequence[JudgedMetric[Any]]],
    histories: dict[str, History],
) -> _Work:
    work = _Work()
    for chunk in paging.chunks_by_size(sized, count=_TRACES_LOADED, size=_BYTES_LOADED):
        traces = await trace_loading.load(db, project_id, chunk)
        # Runs in a thread, because rendering takes milliseconds per trace and other requests must
        # continue.
        await asyncio.to_thread(_add_traces, work, traces.values(), groups, histories)
    return work


def _add_traces(
    work: _Work,
    traces: Iterable[Trace],
    groups: Sequence[Sequence[JudgedMetric[Any]]],
    histories: dict[str, History],
) -> None:
    """`groups`: the metrics that may share calls."""
    for trace in traces:
        transcript = Transcript(trace)
        planned: list[questions.Group] = []
        for metrics in groups:
            wanted = [one for one in metrics if measurable(one, transcript) is None]
            planned += questions.plan(wanted, transcript.facts, _ANSWER_TOKENS)
        for group in planned:
            question = questions.question(group, transcript, questions.PREVIEW_TOKENS)
            work.calls += 1
            work.prompt_bytes += len(question.trace.encode(errors="replace"))
            work.prompt_bytes += len(question.text.encode(errors="replace"))
            for part in group:
                low, high = _answer_tokens(part.tokens, histories.get(part.metric.name))
                work.low_tokens += low
                work.high_tokens += high


def _answer_tokens(most: int, history: History | None) -> tuple[float, float]:
    if history is None:
        return most * _SHORT_ANSWER, float(most)
    usual = history.completion_tokens
    return usual * (1 - _HISTORY_SPREAD), usual * (1 + _HISTORY_SPREAD)
