"""The agreement of two readers on the same questions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bench.study.figures import cohens_kappa

CLEAR = 0.6
"""Minimum of Cohen's kappa for a wording that counts as clear."""

# Per metric: the kinds of findings that are compared per action. Others are compared per call.
_BY_STEP: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "step_efficiency": lambda finding: finding["kind"] == "waste",
    "confidence": lambda finding: not finding["grounded"],
}


class Agreement(NamedTuple):
    metric: str
    verdict: str
    units: int
    share: float
    kappa: float


def agreements(
    one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]
) -> Iterator[Agreement]:
    """Per metric over all verdicts, then per verdict against all others."""
    pairs: dict[str, list[tuple[str, str]]] = {}
    theirs = {(score["trace_id"], score["metric"]): score for score in other}
    for score in one:
        twin = theirs.get((score["trace_id"], score["metric"]))
        if twin is not None:
            pairs.setdefault(score["metric"], []).extend(_units(score, twin))
    for metric, found in sorted(pairs.items()):
        yield _agreement(metric, "all", found)
        for verdict in sorted({value for pair in found for value in pair}):
            yield _agreement(
                metric, verdict, [(str(a == verdict), str(b == verdict)) for a, b in found]
            )


def _agreement(metric: str, verdict: str, found: Sequence[tuple[str, str]]) -> Agreement:
    share = sum(one == other for one, other in found) / len(found)
    return Agreement(metric, verdict, len(found), share, cohens_kappa(found))


def _units(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not (one["applicable"] and other["applicable"]):
        yield _applies(one), _applies(other)
        return
    metric = one["metric"]
    if metric == "task_completion":
        yield str(one["success"]), str(other["success"])
    elif metric in _BY_STEP:
        marked = _BY_STEP[metric]
        sides = [
            {step for finding in score["findings"] if marked(finding) for step in finding["steps"]}
            for score in (one, other)
        ]
        for step in one["action_steps"]:
            yield tuple("marked" if step in side else "unmarked" for side in sides)  # type: ignore[misc]  # two sides
    else:
        yield from _by_place(one["findings"], other["findings"])


def _applies(score: Mapping[str, Any]) -> str:
    return "applies" if score["applicable"] else "not applicable"


def _by_place(
    one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """Calls and plan items in order; additional items of one reader count as `unlisted`."""
    for kind in ("call", "item"):
        lists = [[f["verdict"] for f in side if f["kind"] == kind] for side in (one, other)]
        length = max(map(len, lists))
        padded = [[*found, *["unlisted"] * (length - len(found))] for found in lists]
        yield from zip(*padded, strict=True)
