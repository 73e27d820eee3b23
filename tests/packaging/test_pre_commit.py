"""Git's hooks run what `make check` runs."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


def checks() -> list[str]:
    """The commands of `make check`, as the shell sees them."""
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)
    assert recipe
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]


def test_the_hooks_run_every_check_on_the_same_files() -> None:
    config: Any = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    entries = [hook["entry"].removesuffix(" --force-exclude") for hook in hooks]
    # A hook gets the changed files; `.` and `--check` are for the whole checkout.
    wanted = [check.removesuffix(" .").removesuffix(" --check") for check in checks()]
    assert len(wanted) >= 5
    assert entries == wanted
    stages = {stage for hook in hooks for stage in hook.get("stages", ["pre-commit"])}
    assert set(config["default_install_hook_types"]) == stages
