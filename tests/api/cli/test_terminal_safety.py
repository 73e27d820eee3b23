"""Untrusted text neither formats nor controls the terminal."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

import cli
from api.cli import screens, trace_screen

ESCAPES = [
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]0;title\x07",
    "\x1b[2J",
    "\x9b2J",
    "\r",
    "\x08",
    "\u202e",
]


def shown(what: Any) -> str:
    written = io.StringIO()
    Console(file=written, width=200, force_terminal=False).print(what)
    return written.getvalue()


@pytest.mark.parametrize("escape", ESCAPES)
def test_scores_are_shown_without_their_control_characters(escape: str) -> None:
    text = f"before{escape}after [red]"
    score = {"trace_id": text, "name": text, "status": "SUCCESS", "data_type": "CATEGORICAL"}
    score |= {"value": text, "reason": text}
    for what in (
        screens.score_tables([score]),
        screens.summary([score], [text]),
        screens.example_table([score], {text: text}, [text]),
        screens.escape(text),
    ):
        found = shown(what)
        assert escape not in found.replace("\n", "")
        assert "after" in found


@pytest.mark.parametrize("escape", ESCAPES)
def test_a_trace_is_shown_without_its_control_characters(escape: str) -> None:
    text = f"before{escape}after [red]"
    span: dict[str, Any] = {
        "span_id": "a",
        "parent_span_id": None,
        "kind": "LLM",
        "status": "OK",
        "name": text,
    }
    span |= {"input": {text: text}, "output": text, "error": text}
    trace: dict[str, Any] = {
        "name": text,
        "status": "COMPLETED",
        "total_tokens": 1,
        "started_at": "now",
    }
    trace |= {"input": text, "output": [text], "spans": [span]}
    found = shown(trace_screen.trace_tree(trace))
    assert escape not in found.replace("\n", "")
    assert found.count("after [red]") == 8


@pytest.mark.parametrize("escape", ESCAPES)
def test_what_a_judge_reads_is_shown_without_control_characters(
    escape: str, tmp_path: Path
) -> None:
    trace = {"name": "t", "started_at": "2026-01-01T00:00:00Z"}
    trace["output"] = f"before{escape}after [red]"
    file = tmp_path / "traces.jsonl"
    file.write_text(json.dumps(trace))
    done = CliRunner().invoke(cli.app, ["import", "--dry-run", str(file)])
    assert done.exit_code == 0, done.output
    assert escape not in done.output.replace("\n", "")
    assert "after [red]" in done.output


@pytest.mark.parametrize("escape", ESCAPES)
def test_verbatim_text_keeps_its_brackets_and_loses_control_characters(
    escape: str, capsys: pytest.CaptureFixture[str]
) -> None:
    screens.print_verbatim(f"before{escape}after [red]")
    found = capsys.readouterr().out
    assert escape not in found.replace("\n", "")
    assert "after [red]" in found


def test_a_key_is_not_taken_from_the_arguments() -> None:
    done = CliRunner().invoke(cli.app, ["--api-key", "secret", "scores", "x"])
    assert done.exit_code == 2
    assert "ASSAY_API_KEY" in done.output
