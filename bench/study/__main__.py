"""A judge study: how a judge or a reader answers the questions about a set of traces.

    python -m bench.study TRACES --folder FOLDER --judge files --metrics task_completion
    python -m bench.study TRACES --folder FOLDER --judge MODEL --labels LABELS --api-base ADDRESS

With `--judge files` it writes one question file per conversation into FOLDER/questions and reads
answers, JSON files of the same names, from FOLDER/answers. Run it again when there are answers. A
person or any model answers the files. Question files contain no label. With `--labels` (a CSV with
the columns trace_id and reward) it prints the agreement of the scores with the truth, with
`--against` the difference of two versions on the same conversations, with `--readers` the agreement
of two readers. Several metrics share one call. `--revision` uses the wording of an older version of
the code.
"""

import argparse
import asyncio
import csv
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.study import figures, readers, run
from bench.study.figures import Case
from bench.study.files import StudyFolder
from evals.judges.judge_config import JudgeConfig


def read_labels(path: Path) -> dict[str, bool]:
    with path.open(newline="") as lines:
        return {row["trace_id"]: float(row["reward"]) >= 0.5 for row in csv.DictReader(lines)}


def cases_of(
    scores: Sequence[Mapping[str, Any]], metric: str, labels: Mapping[str, bool]
) -> dict[str, Case]:
    return {
        score["trace_id"]: Case(score["score"], score["success"], labels[score["trace_id"]])
        for score in scores
        if score["metric"] == metric and score["applicable"] and score["trace_id"] in labels
    }


def report(metric: str, cases: Sequence[Case]) -> Iterator[str]:
    rate = sum(case.truth for case in cases) / len(cases)
    passed = sum(case.passed for case in cases) / len(cases)
    yield f"{metric} against {len(cases)} labelled conversations"
    yield f"  really accomplished    {rate:.0%}   judged to pass {passed:.0%}"
    for name, figure in (
        ("accuracy", figures.accuracy),
        ("Cohen's kappa", figures.kappa),
        ("AUC", figures.auc),
        ("Brier score", figures.brier),
    ):
        low, high = figures.interval(figure, cases)
        yield f"  {name:<22} {figure(cases):.2f}  95 % interval {low:.2f} to {high:.2f}"
    for mean, share, count in figures.calibration(cases):
        yield f"  scores around {mean:.2f}     {share:.0%} of {count} really accomplished"


def compare(metric: str, this: Mapping[str, Case], other: Mapping[str, Case]) -> str:
    found = figures.compared(this, other)
    return (
        f"{metric} on the {found.shared} conversations of both versions: only this one is right "
        f"{found.only_this} times, only the other {found.only_other} times, exact McNemar "
        f"p = {found.p_value:.3f}"
    )


def reader_report(folder: Path, names: Sequence[str]) -> Iterator[str]:
    one, other = (run.saved_scores(folder, name) for name in names)
    yield "agreement of two readers"
    for found in readers.agreements(one, other):
        clear = "" if found.kappa >= readers.CLEAR else "  unclear wording"
        yield (
            f"  {found.metric:<22} {found.verdict:<22} {found.units:>4} units  "
            f"{found.share:.0%} alike  kappa {found.kappa:.2f}{clear}"
        )


def in_revision(revision: str, arguments: Sequence[str]) -> int:
    """Runs this command with the code of another git revision."""
    archive = subprocess.run(
        ["git", "archive", "--format=tar", revision], check=True, capture_output=True
    ).stdout
    with tempfile.TemporaryDirectory() as place:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(place, filter="data")
        command = [sys.executable, "-m", "bench.study", *arguments]
        return subprocess.run(command, cwd=place, check=False).returncode


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    about = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m bench.study", description=about)
    parser.add_argument("traces", type=_absolute, help="JSON Lines of trace bodies, plain or gz")
    parser.add_argument("--folder", type=_absolute, required=True, help="questions and answers")
    parser.add_argument("--judge", default=run.FILES, help="`files`, or a model")
    parser.add_argument("--api-base", help="address of the model; its provider's by default")
    parser.add_argument("--metrics", default="task_completion", help="names, with commas between")
    parser.add_argument("--sample", type=int, help="how many conversations; all by default")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--labels", type=_absolute, help="CSV with trace_id and reward")
    parser.add_argument("--against", type=_absolute, help="folder of a study of another version")
    parser.add_argument("--readers", default="answers", help="folders of answers: one, or two,two")
    parser.add_argument("--revision", help="git revision whose wording is asked")
    return parser.parse_args(arguments)


def _absolute(path: str) -> Path:
    return Path(path).absolute()


def without_revision(arguments: Sequence[str], given: argparse.Namespace) -> list[str]:
    """The arguments for another working directory: paths are absolute."""
    paths = {path for path in (given.traces, given.folder, given.labels, given.against) if path}
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if skip or argument == "--revision":
            skip = not skip
        elif not argument.startswith("--revision="):
            option, _, value = argument.rpartition("=")
            path = _absolute(value)
            kept.append(f"{option}={path}".lstrip("=") if path in paths else argument)
    return kept


async def study(given: argparse.Namespace) -> int:
    transcripts = run.sampled(given.traces, given.sample, given.seed)
    metrics = run.judged_metrics(given.metrics.split(","))
    names = given.readers.split(",")
    incomplete = 0
    for name in names:
        folder = StudyFolder(given.folder, name)
        judge = JudgeConfig(model=given.judge, api_base=given.api_base)
        result = await run.answered(transcripts, metrics, judge, folder)
        print(
            f"{name}: {len(transcripts) - result.open_questions} of {len(transcripts)} "
            f"conversations answered, {len(result.unusable)} answers unusable"
        )
        for problem in result.unusable:
            print(f"  {problem}")
        incomplete += result.open_questions + len(result.unusable)
        if given.labels:
            _print_agreement(given, [metric.name for metric in metrics], result.scores)
    if len(names) == 2:
        print("\n".join(reader_report(given.folder, names)))
    return 1 if incomplete else 0


def _print_agreement(
    given: argparse.Namespace, metrics: Sequence[str], scores: Sequence[Mapping[str, Any]]
) -> None:
    labels = read_labels(given.labels)
    for metric in metrics:
        cases = cases_of(scores, metric, labels)
        if not cases:
            continue
        print("\n".join(report(metric, [*cases.values()])))
        if given.against:
            other = cases_of(run.saved_scores(given.against), metric, labels)
            print(compare(metric, cases, other))


def main() -> int:
    given = parsed()
    if given.revision:
        return in_revision(given.revision, without_revision(sys.argv[1:], given))
    return asyncio.run(study(given))


if __name__ == "__main__":
    sys.exit(main())
