"""docs/operations.md lists every setting with its default and description."""

import re
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from core.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
ROWS = re.findall(r"^\| `(ASSAY_\w+)` \| (.*?) \| (.*?) \|$", PAGE, flags=re.MULTILINE)


def default(field: FieldInfo) -> str:
    return "unset" if field.default is None else f"`{str(field.default).lower()}`"


def test_the_page_lists_the_settings_there_are_in_their_order() -> None:
    assert [name for name, _, _ in ROWS] == [f"ASSAY_{n.upper()}" for n in Settings.model_fields]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_page_gives_each_setting_its_default_and_meaning(name: str) -> None:
    field = Settings.model_fields[name]
    rows = {row: (value.lower(), meaning) for row, value, meaning in ROWS}
    assert rows[f"ASSAY_{name.upper()}"] == (default(field), field.description)
