"""The steps of a trace on a time axis, with the numbers that the judge uses."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from markupsafe import Markup

from api.dashboard import charts, formats
from api.dashboard.findings import FindingView
from core.ids import SpanId, SpanKind, SpanStatus
from core.trace_model import Span, Trace
from evals.transcript.steps import StepRef
from evals.transcript.transcript import Transcript

MAX_STEPS: Final = 200
"""Maximum number of steps per page."""

MAX_TEXT: Final = 2_000
"""Maximum characters of a text on a page."""

MAX_WHOLE_TEXT: Final = 500_000
"""Maximum characters of a text that is requested whole."""

_MIN_GAP_SECONDS: Final = 1.0
_LABEL: Final = re.compile(
    r"^(arguments|result|error|input|output|assistant|thinking): ", re.MULTILINE
)
_KINDS: Final = {
    "USER": "user",
    "LLM": "model",
    "TOOL": "tool",
    "AGENT": "agent",
    "CHAIN": "chain",
    "RETRIEVER": "search",
    "EMBEDDING": "embed",
    "SYSTEM": "system",
    "INPUT": "input",
    "OUTPUT": "output",
}
_BARS: Final = {"model": "kmodel", "tool": "ktool", "search": "ktool", "user": "kuser"}
_SHORT: Final = {"arguments": "args"}


@dataclass(frozen=True, slots=True)
class StepText:
    """A labelled text of a step. `left_out` is the number of hidden characters at the end."""

    label: str
    text: str
    is_prose: bool
    is_error: bool
    left_out: int


@dataclass(slots=True)
class StepView:
    number: int
    kind: str
    name: str
    texts: list[StepText]
    duration: str
    bar: Markup
    failed: bool
    gap: str = ""
    marks: list[FindingView] = field(default_factory=list)
    tone: str = ""


@dataclass(frozen=True, slots=True)
class StepsPage:
    """A page of a trace's steps.

    `first` is the number of the first step; `total` counts all steps.
    """

    steps: list[StepView]
    axis: Markup
    total: int
    first: int
    seconds: float
    errors: int


@dataclass(frozen=True, slots=True)
class StepsChoice:
    """`whole`: the step whose texts are shown in full. `blamed`: only steps with findings."""

    first: int = 1
    whole: int | None = None
    blamed: bool = False
    chosen: str = ""


def of_trace(
    trace: Trace, transcript: Transcript, findings: Sequence[FindingView], choice: StepsChoice
) -> StepsPage:
    refs = transcript.steps
    marks = _marks(findings)
    clock = _Clock(trace)
    shown = [ref for ref in refs if not choice.blamed or ref.number in marks]
    window = [ref for ref in shown if ref.number >= choice.first][:MAX_STEPS]
    spans = {span.id: span for span in trace.spans}
    views = [_view(ref, spans, clock, choice) for ref in window]
    _add_gaps(views, window, spans)
    for view in views:
        view.marks = marks.get(view.number, [])
        chosen = next((one for one in view.marks if one.mark == choice.chosen), None)
        view.tone = "" if chosen is None else f"on {chosen.tone}"
    errors = sum(1 for span in trace.spans if span.status is SpanStatus.ERROR or span.error)
    return StepsPage(
        views, charts.axis(clock.seconds), len(shown), choice.first, clock.seconds, errors
    )


def _marks(findings: Iterable[FindingView]) -> dict[int, list[FindingView]]:
    marks: dict[int, list[FindingView]] = defaultdict(list)
    for finding in findings:
        for step in dict.fromkeys(finding.steps):
            marks[step].append(finding)
    return marks


class _Clock:
    """The time of a trace from its first start to its last end."""

    def __init__(self, trace: Trace) -> None:
        starts = [span.started_at for span in trace.spans] or [trace.started_at]
        ends = [span.ended_at or span.started_at for span in trace.spans]
        ends.append(trace.ended_at or trace.started_at)
        self.start = min(starts)
        self.seconds = max(0.0, (max(ends) - self.start).total_seconds())

    def place(self, at: datetime) -> float:
        return (at - self.start).total_seconds() / self.seconds if self.seconds else 0.0


def _view(
    ref: StepRef, spans: Mapping[SpanId, Span], clock: _Clock, choice: StepsChoice
) -> StepView:
    kind = _KINDS.get(ref.kind, ref.kind.lower())
    # A message has no time of its own, and neither has a call that only a model's request shows.
    span = spans.get(ref.span_id) if ref.span_id else None
    span = span if span is not None and span.kind.value == ref.kind else None
    failed = span is not None and (span.status is SpanStatus.ERROR or bool(span.error))
    duration, bar = "", Markup("")
    if span is not None:
        end = span.ended_at or span.started_at
        duration = (
            "unfinished" if span.ended_at is None else formats.duration(end - span.started_at)
        )
        width = clock.place(end) - clock.place(span.started_at)
        shade = "bad" if failed else _BARS.get(kind, "base2")
        bar = charts.step_bar(clock.place(span.started_at), width, shade)
    most = MAX_WHOLE_TEXT if choice.whole == ref.number else MAX_TEXT
    return StepView(
        number=ref.number,
        kind=kind,
        name=_name(ref, span),
        texts=_texts(ref.text, kind, most),
        duration=duration,
        bar=bar,
        failed=failed,
    )


def _name(ref: StepRef, span: Span | None) -> str:
    if span is not None and span.kind is SpanKind.LLM and span.model:
        return span.model
    return formats.first_line(ref.name, 120)


def _texts(text: str, kind: str, most: int) -> list[StepText]:
    """The step's texts with their labels; the step's own text has no label."""
    texts: list[StepText] = []
    starts = list(_LABEL.finditer(text))
    if not starts or starts[0].start() > 0:
        head = text[: starts[0].start() if starts else None].strip()
        if head:
            texts.append(_text("", head, kind, most))
    ends = [*(start.start() for start in starts), len(text)][1:]
    for start, end in zip(starts, ends, strict=True):
        texts.append(_text(start[1], text[start.end() : end].rstrip("\n"), kind, most))
    return texts


def _text(label: str, text: str, kind: str, most: int) -> StepText:
    shown = text[:most]
    # Messages are prose; inputs and outputs of tools keep their layout.
    is_prose = kind in ("user", "system", "model", "agent", "input", "output") and label in (
        *("", "user", "assistant", "input", "output"),
    )
    own = {"user": "user", "model": "assistant"}.get(kind) == label
    word = "" if own else _SHORT.get(label, label)
    return StepText(word, shown, is_prose, label == "error", len(text) - len(shown))


def _add_gaps(views: list[StepView], refs: list[StepRef], spans: Mapping[SpanId, Span]) -> None:
    """Adds how long the agent waited for the user, before each user message except the first."""
    end: datetime | None = None
    for view, ref in zip(views, refs, strict=True):
        span = spans.get(ref.span_id) if ref.span_id else None
        if span is None or span.kind is SpanKind.AGENT:
            continue
        if view.kind == "user" and end is not None:
            seconds = (span.started_at - end).total_seconds()
            if seconds >= _MIN_GAP_SECONDS:
                view.gap = f"{formats.milliseconds(seconds * 1000)} until the user answers"
        finish = span.ended_at or span.started_at
        end = finish if end is None or finish > end else end


@dataclass(frozen=True, slots=True)
class TimeShare:
    """The share of a trace's time in one kind of step."""

    words: str
    seconds: float
    shade: str


def time_shares(trace: Trace) -> list[TimeShare]:
    """The shares of models and tools, the longest first."""
    shares: list[TimeShare] = []
    for kinds, word, shade in (
        ((SpanKind.LLM,), "model", "kmodel"),
        ((SpanKind.TOOL, SpanKind.RETRIEVER), "tool", "ktool"),
    ):
        spans = [span for span in trace.spans if span.kind in kinds]
        seconds = sum(
            max(0.0, (span.ended_at - span.started_at).total_seconds())
            for span in spans
            if span.ended_at is not None
        )
        if spans:
            words = f"{word}s, {formats.plural(len(spans), 'call')}"
            shares.append(TimeShare(words, seconds, shade))
    return sorted(shares, key=lambda share: -share.seconds)
