"""Limits of the sizes of files and functions."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_FILE_LINES = 320
MAX_FUNCTION_LINES = 60
MAX_FOLDER_LEVELS = 2


def tracked(*patterns: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--deduplicate", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("only a checkout knows which files belong to the project")
    return [name for name in listed.stdout.split() if (ROOT / name).exists()]


def product() -> list[str]:
    folders = ("core", "evals", "activities", "workflows", "api")
    return tracked(*(f"{folder}/*.py" for folder in folders), "worker.py", "cli.py")


def test_files_are_small() -> None:
    files = [*product(), *tracked("tests/*.py", "bench/*.py")]
    lengths = {name: len((ROOT / name).read_text().splitlines()) for name in files}
    assert lengths
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_functions_are_small() -> None:
    too_long = {}
    for name in product():
        if "migrations/versions" in name:
            continue
        for node in ast.walk(ast.parse((ROOT / name).read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                lines = node.end_lineno - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    too_long[f"{name}:{node.name}"] = lines
    assert too_long == {}


def test_folders_are_at_most_two_levels_deep() -> None:
    modules = [name for name in product() if "migrations/versions" not in name]
    assert [name for name in modules if name.count("/") > MAX_FOLDER_LEVELS] == []
