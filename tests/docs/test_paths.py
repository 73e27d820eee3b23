"""Documents name only files and folders that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "AGENTS.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/decisions").glob("*.md")),
]
FOLDERS = ("activities", "api", "bench", "core", "docs", "evals", "tests", "workflows")
PATH = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*[\w/])`")
LINK = re.compile(r"\]\(([\w./-]+\.\w+)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_named_path_exists(page: Path) -> None:
    text = page.read_text()
    missing = [path for path in PATH.findall(text) if not (ROOT / path).exists()]
    missing += [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    assert missing == []


def test_the_questions_of_a_newcomer_have_answers() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().split("| question | file |")[1].split("\n\n")[0]
    rows = [row for row in table.splitlines() if row.startswith("| Where")]
    assert len(rows) >= 15
    assert all(PATH.search(row) for row in rows)
