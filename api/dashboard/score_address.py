"""The address of a list of scores: its parameters, and the scores that they select."""

from typing import Final
from uuid import UUID

from pydantic import ConfigDict, Field

from api.dashboard import views
from api.dashboard.list_address import SortedListAddress, member
from api.dashboard.rendering import Addresses
from api.dashboard.views import Chip
from core.ids import ScoreSource, TargetType
from core.queries.score_listing import ScoreChoice, ScoreSortKey, ScoreState
from core.safe_text import PlainText
from core.truncation import truncate
from evals import catalog

_STATE_WORDS: Final = {
    ScoreState.SCORED: "scored",
    ScoreState.PASSED: "passed",
    ScoreState.BELOW: "below the threshold",
    ScoreState.NOT_APPLICABLE: "not applicable",
    ScoreState.FAILED: "failed",
}
_WITHOUT: Final = frozenset(("tag", "environment", "release", "user"))


class ScoreListAddress(SortedListAddress):
    """The parameters of the page's address; an empty parameter has no value.

    `because` is a whole reason, `q` a part of one. `without` names fields that the trace lacks.
    """

    model_config = ConfigDict(populate_by_name=True)

    run: UUID | None = None
    target: PlainText = ""
    metric: PlainText = ""
    state: PlainText = ""
    source: PlainText = ""
    trace: PlainText = ""
    session: PlainText = ""
    low: float | None = Field(None, alias="from", ge=0, le=1)
    high: float | None = Field(None, alias="to", ge=0, le=1)
    q: PlainText = ""
    because: PlainText | None = None
    environment: PlainText = ""
    tag: PlainText = ""
    release: PlainText = ""
    user: PlainText = ""
    without: PlainText = ""
    steps: PlainText = ""
    blame: PlainText = ""
    kind: PlainText = ""
    cached: bool | None = None

    @property
    def target_type(self) -> TargetType:
        is_session = self.target == TargetType.SESSION.value or self.session
        return TargetType.SESSION if is_session else TargetType.TRACE

    @property
    def sort_by(self) -> ScoreSortKey:
        return member(ScoreSortKey, self.sort) or ScoreSortKey.NEWEST

    @property
    def score_state(self) -> ScoreState | None:
        return member(ScoreState, self.state)

    def choice(self, ids: tuple[UUID, ...] | None) -> ScoreChoice:
        """The selected scores. `ids`: the scores whose findings name the requested step, if any."""
        return ScoreChoice(
            target_type=self.target_type,
            run_id=self.run,
            metric=self.metric or None,
            state=self.score_state,
            source=member(ScoreSource, self.source),
            target_id=self.trace or self.session or None,
            low=self.low,
            high=self.high,
            reason=self.q or None,
            reason_is=self.because,
            environment=self._of_trace("environment"),
            tag=self._of_trace("tag"),
            release=self._of_trace("release"),
            user=self._of_trace("user"),
            steps=_steps(self.steps),
            cached=self.cached,
            since=views.period_start(self.since),
            ids=ids,
            thresholds=catalog.thresholds(),
        )

    def _of_trace(self, name: str) -> str | None:
        """Conditions on the trace. An empty text selects traces without a value."""
        if self.without == name and name in _WITHOUT:
            return ""
        value: str = getattr(self, name)
        return value or None

    def chips(self, at: Addresses, run_name: str) -> list[Chip]:
        """One chip per active filter."""
        active: list[Chip] = []
        if self.run is not None:
            active.append(Chip("run", run_name, at(run=None)))
        for name, word in _WORDS.items():
            value = getattr(self, name)
            if value:
                active.append(Chip(word, str(value), at(**{name: None})))
        if self.score_state is not None:
            active.append(Chip("state", _STATE_WORDS[self.score_state], at(state=None)))
        if self.low is not None or self.high is not None:
            value = f"{self.low or 0:.2f} to {1 if self.high is None else self.high:.2f}"
            active.append(Chip("value", value, at(**{"from": None, "to": None})))
        if self.because is not None:
            active.append(Chip("reason", truncate(self.because, 60), at(because=None)))
        if self.cached is not None:
            active.append(Chip("from cache", "yes" if self.cached else "no", at(cached=None)))
        return active


_WORDS: Final = {
    "metric": "metric",
    "source": "source",
    "trace": "trace",
    "session": "session",
    "environment": "environment",
    "tag": "tag",
    "release": "release",
    "user": "user",
    "without": "without",
    "steps": "spans",
    "blame": "blamed",
    "kind": "finding",
    "since": "since",
    "q": "reason contains",
}


def _steps(text: str) -> tuple[int, int | None] | None:
    """Parses `6-11` or `41-`; the first number is included, the second is not.

    None for other text.
    """
    low, dash, high = text.partition("-")
    if not dash or not low.isdecimal() or (high and not high.isdecimal()):
        return None
    return int(low[:9]), int(high[:9]) if high else None
