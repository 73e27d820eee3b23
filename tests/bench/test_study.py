"""The judge study: questions to files, answers from files, figures from scores."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.study import __main__ as study
from bench.study import figures, readers
from bench.study.figures import Case
from core.errors import Misconfigured
from tests.factories import trace_body
from tests.judge_server import JudgeServer

ROOT = Path(__file__).parents[2]
METRICS = "task_completion,step_efficiency"


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    path = tmp_path / "traces.jsonl"
    bodies = [trace_body(input=f"Where is order {n}?") for n in range(4)]
    path.write_text("".join(f"{json.dumps(body)}\n" for body in bodies))
    labels = [f"{body['trace_id']},{n % 2}" for n, body in enumerate(bodies)]
    (tmp_path / "labels.csv").write_text("\n".join(["trace_id,reward", *labels]))
    return path


async def run(traces: Path, *options: str, metrics: str = METRICS) -> int:
    folder = str(traces.parent / "study")
    arguments = [str(traces), "--folder", folder, "--metrics", metrics, *options]
    return await study.study(study.parsed(arguments))


def completion(accomplished: bool) -> dict[str, Any]:
    return {
        "wishes": [{"wish": "Find the order.", "steps": [1], "main": True, "verdict": "met"}],
        "breaches": [],
        "untruths": [],
        "accomplished": accomplished,
        "likelihood": 0.9 if accomplished else 0.1,
    }


def answer(traces: Path, verdicts: Sequence[bool], folder: str = "answers") -> None:
    for number, verdict in enumerate(verdicts, 1):
        body = {"task_completion": completion(verdict), "step_efficiency": {"waste": []}}
        path = traces.parent / "study" / folder / f"{number:03d}.json"
        path.write_text(f"Here it is:\n```json\n{json.dumps(body)}\n```")


async def test_open_questions_are_files_without_a_label(traces: Path) -> None:
    assert await run(traces, "--labels", str(traces.parent / "labels.csv")) == 1
    questions = sorted((traces.parent / "study" / "questions").iterdir())
    assert [path.name for path in questions] == ["001.txt", "002.txt", "003.txt", "004.txt"]
    for path in questions:
        text = path.read_text()
        assert "Question 1: `task_completion`" in text
        assert "reward" not in text


async def test_answers_become_figures(traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await run(traces)
    answer(traces, [False, True, False, False])
    assert await run(traces, "--labels", str(traces.parent / "labels.csv")) == 0
    told = capsys.readouterr().out
    assert "4 of 4 conversations answered, 0 answers unusable" in told
    assert "accuracy               0.75" in told
    assert "Cohen's kappa          0.50" in told


async def test_an_answer_that_does_not_validate_is_told(
    traces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await run(traces, metrics="step_efficiency")
    path = traces.parent / "study" / "answers" / "001.json"
    path.write_text('{"waste": "none"}')
    assert await run(traces, metrics="step_efficiency") == 1
    assert "001.json: its JSON does not fit the schema" in capsys.readouterr().out


async def test_a_folder_keeps_the_wording_it_was_made_with(traces: Path) -> None:
    await run(traces)
    (traces.parent / "study" / "questions" / "001.txt").write_text("another wording")
    with pytest.raises(Misconfigured, match="name another folder"):
        await run(traces)


async def test_two_readers_are_compared_verdict_by_verdict(
    traces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await run(traces, "--readers", "a,b")
    answer(traces, [True, True, False, False], "a")
    answer(traces, [True, False, False, False], "b")
    assert await run(traces, "--readers", "a,b") == 0
    told = capsys.readouterr().out
    assert "task_completion        all" in told
    assert "75% alike  kappa 0.50  unclear wording" in told


async def test_a_model_at_an_address_is_asked_once_per_conversation(
    traces: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-this-test")
    async with JudgeServer() as server:
        model = ("--judge", "openai/gpt-4o-mini", "--api-base", server.openai)
        assert await run(traces, *model, "--labels", str(traces.parent / "labels.csv")) == 0
    assert len(server.requests) == 4
    assert {request.body["model"] for request in server.requests} == {"gpt-4o-mini"}
    told = capsys.readouterr().out
    assert "4 of 4 conversations answered, 0 answers unusable" in told
    assert "task_completion against 4 labelled conversations" in told


def test_a_revision_asks_in_its_own_words(
    traces: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    older = tmp_path_factory.mktemp("older")
    for package in ("bench", "core", "evals"):
        shutil.copytree(ROOT / package, older / package)
    metric = older / "evals" / "trace" / "step_efficiency.py"
    metric.write_text(
        metric.read_text().replace("Could a careful agent", "In old words: could an agent")
    )
    as_author = ("-c", "user.name=a", "-c", "user.email=a@b.test")
    for command in (("init", "-q"), ("add", "."), (*as_author, "commit", "-qm", "older")):
        subprocess.run(["git", *command], cwd=older, check=True)
    monkeypatch.chdir(older)
    (older / "traces.jsonl").write_bytes(traces.read_bytes())
    given = ["traces.jsonl", "--folder=./study", "--metrics", "step_efficiency"]
    monkeypatch.setattr(sys, "argv", ["study", *given, "--revision", "HEAD"])
    assert study.main() == 1, "four questions are open"
    text = (older / "study" / "questions" / "004.txt").read_text()
    assert "In old words: could an agent have left steps out?" in text


def cases(*agreeing: bool) -> dict[str, Case]:
    return {str(n): Case(0.9, True, agrees) for n, agrees in enumerate(agreeing)}


def test_versions_are_compared_on_shared_conversations_by_mcnemars_exact_test() -> None:
    found = figures.compared(cases(*[True] * 9), cases(*[False] * 9, True))
    assert (found.shared, found.only_this, found.only_other) == (9, 9, 0)
    assert found.p_value == pytest.approx(2 / 2**9)


def test_figures_of_perfect_and_of_reversed_verdicts() -> None:
    right = [Case(0.9, True, True), Case(0.1, False, False)]
    wrong = [Case(0.9, True, False), Case(0.1, False, True)]
    assert (figures.accuracy(right), figures.kappa(right), figures.auc(right)) == (1, 1, 1)
    assert (figures.accuracy(wrong), figures.kappa(wrong), figures.auc(wrong)) == (0, -1, 0)
    assert figures.brier(right) == pytest.approx(0.01)
    assert [count for _, _, count in figures.calibration(right)] == [1, 1]


def test_readers_of_calls_are_compared_call_by_call() -> None:
    def score(*verdicts: str) -> dict[str, Any]:
        findings = [{"kind": "call", "verdict": verdict} for verdict in verdicts]
        return {"trace_id": "t", "metric": "tool_correctness", "applicable": True,
                "findings": findings}  # fmt: skip

    found = {
        one.verdict: one
        for one in readers.agreements([score("right", "needless")], [score("right", "right")])
    }
    assert (found["all"].units, found["all"].share) == (2, 0.5)
    assert set(found) == {"all", "right", "needless"}
