"""requirements.lock fulfills pyproject.toml. The test resolves nothing and needs no network."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()

PINS = {
    canonicalize_name(name): version
    for name, version in re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^]]*\])?==([^\s;]+)", LOCK, re.M)
}
ASKED = [
    *PROJECT["project"]["dependencies"],
    *PROJECT["project"]["optional-dependencies"]["dev"],
    *PROJECT["build-system"]["requires"],
]


@pytest.mark.parametrize("asked", ASKED)
def test_the_lock_holds_what_the_project_asks_for(asked: str) -> None:
    requirement = Requirement(asked)
    pinned = PINS.get(canonicalize_name(requirement.name))
    assert pinned is not None, f"{requirement.name} is not locked: make lock"
    assert requirement.specifier.contains(pinned), f"{requirement.name} is locked at {pinned}"


def test_the_lock_holds_nothing_the_project_no_longer_asks_for() -> None:
    direct = {
        canonicalize_name(name)
        for name, via in re.findall(
            r"^([A-Za-z0-9_.-]+)==.*?\n((?:    # .*\n)+)", re.sub(r"    --hash.*\n", "", LOCK), re.M
        )
        if "assay (pyproject.toml)" in via
    }
    assert direct == {canonicalize_name(Requirement(entry).name) for entry in ASKED}, "make lock"


def test_every_locked_package_carries_hashes() -> None:
    blocks = re.split(r"^(?=[A-Za-z0-9_.-]+==)", LOCK, flags=re.M)[1:]
    assert len(blocks) >= len(PINS)
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_the_lock_names_no_package_index() -> None:
    assert "://" not in LOCK
    assert "index-url" not in re.sub(r"^#.*$", "", LOCK, flags=re.M)
