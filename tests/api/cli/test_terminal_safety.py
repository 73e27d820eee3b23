"""Untrusted text neither formats nor controls the terminal."""

import io
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

import cli
from api.cli import screens

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


def test_a_key_is_not_taken_from_the_arguments() -> None:
    done = CliRunner().invoke(cli.app, ["--api-key", "secret", "scores", "x"])
    assert done.exit_code == 2
    assert "ASSAY_API_KEY" in done.output
