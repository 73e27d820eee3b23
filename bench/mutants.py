"""Mutates the code and counts the mutants that no test detects.

    python -m bench.mutants --per-room 12

Cosmic Ray makes the mutants, in a copy of the checkout. A seeded sample of each room is tested,
each mutant with the test files that name its module, or with the first test folder of the room if
no file does. The shares of killed mutants are therefore lower bounds. Ends with exit code 1 if
fewer mutants are killed than the floor of a room.
"""

import argparse
import filecmp
import random
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import WorkItem
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
SECONDS_PER_MUTANT = 300
EQUIVALENT = ("BitOr", "AddNot_Is")
"""Operators whose mutants no test can detect, because `|` occurs in type annotations."""


@dataclass(frozen=True)
class Room:
    """Modules, the tests that should detect their mutants, and the minimum share of killed
    mutants.
    """

    modules: str
    tests: tuple[str, ...]
    floor: float


ROOMS = {
    "activities": Room("activities", ("tests/activities", "tests/workflows"), 0.7),
    "queries": Room("core/queries", ("tests/core/queries", "tests/api"), 0.7),
    "api": Room("api", ("tests/api/routes", "tests/api"), 0.7),
}

CONFIG = """\
[cosmic-ray]
module-path = "{modules}"
timeout = {seconds}
excluded-modules = ["api/dashboard/*", "api/cli/*"]
test-command = "{python} -m bench.mutants {room} --test-against {original}"

[cosmic-ray.distributor]
name = "local"
"""


def copied_checkout(folder: Path) -> Path:
    """Copies the tracked files in their current state, so that mutants never change the checkout
    itself.
    """
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    copy = folder / "checkout"
    for name in listed.stdout.splitlines():
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            shutil.copy2(ROOT / name, target)
    return copy


def sampled(session: Path, count: int, seed: int) -> int:
    """Keeps a random sample of the session's mutants, and returns their original number."""
    with use_db(session, WorkDB.Mode.open) as database:
        items = sorted(database.work_items, key=lambda item: item.job_id)
        usable = [item for item in items if is_usable(item)]
        # Sorted by place, because job ids are random: the same seed samples the same mutants.
        usable.sort(key=lambda item: repr(item.mutations))
        kept = random.Random(seed).sample(usable, min(count, len(usable)))
        database.clear()
        database.add_work_items(kept)
    return len(usable)


def is_usable(item: WorkItem) -> bool:
    names = [mutation.operator_name for mutation in item.mutations]
    return not any(part in name for name in names for part in EQUIVALENT)


def near_tests(room: Room, module: Path) -> list[str]:
    """The test files of the room that name the module, else the first test folder of the room."""
    leaf = module.stem
    dotted = ".".join(module.with_suffix("").parts)
    package = ".".join(module.parent.parts)
    named = re.compile(rf"{re.escape(dotted)}\b|from {re.escape(package)} import [^\n]*\b{leaf}\b")
    files = sorted({file for folder in room.tests for file in Path(folder).rglob("test_*.py")})
    near = [
        str(file) for file in files
        if leaf in file.stem.removeprefix("test_") or named.search(file.read_text())
    ]  # fmt: skip
    return near or [room.tests[0]]


def test_mutant(room: Room, original: Path) -> int:
    """Tests the mutant in the working directory; returns the exit code of pytest."""
    changed = [
        file for file in Path(room.modules).rglob("*.py")
        if not filecmp.cmp(file, original / file, shallow=False)
    ]  # fmt: skip
    tests = sorted({test for file in changed for test in near_tests(room, file)})
    options = ["-x", "-q", "-p", "no:cacheprovider", "-k", "not postgres"]
    code = subprocess.run([sys.executable, "-m", "pytest", *options, *tests]).returncode
    return 0 if code == pytest.ExitCode.NO_TESTS_COLLECTED else code


@dataclass(frozen=True)
class Measured:
    """`out_of_time`: mutants whose tests did not end in time, which says nothing."""

    tested: int
    survivors: list[str]
    out_of_time: int

    @property
    def killed(self) -> int:
        return self.tested - len(self.survivors)


def measure(name: str, room: Room, count: int, seed: int) -> Measured:
    with tempfile.TemporaryDirectory(prefix="assay-mutants-") as folder:
        copy = copied_checkout(Path(folder))
        shutil.copytree(copy, copy.with_name("original"))
        config, session = Path(folder) / f"{name}.toml", Path(folder) / f"{name}.sqlite"
        config.write_text(
            CONFIG.format(
                modules=room.modules,
                seconds=SECONDS_PER_MUTANT,
                python=sys.executable,
                room=name,
                original=copy.with_name("original"),
            )
        )
        tool = str(Path(sys.executable).with_name("cosmic-ray"))
        subprocess.run([tool, "init", str(config), str(session)], cwd=copy, check=True)
        sampled(session, count, seed)
        subprocess.run([tool, "exec", str(config), str(session)], cwd=copy, check=True)
        with use_db(session, WorkDB.Mode.open) as database:
            # Cosmic Ray counts a timeout as killed, with this word as the output.
            ended = {job: one for job, one in database.results if one.output != "timeout"}
            out_of_time = len(list(database.results)) - len(ended)
            survivors = [
                f"{mutation.module_path}:{mutation.start_pos[0]} {mutation.operator_name}"
                for item in database.work_items
                if item.job_id in ended and not ended[item.job_id].is_killed
                for mutation in item.mutations
            ]
    return Measured(len(ended), survivors, out_of_time)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rooms", nargs="*", default=list(ROOMS), help=f"Of: {', '.join(ROOMS)}.")
    parser.add_argument("--per-room", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--test-against", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.test_against:
        sys.exit(test_mutant(ROOMS[options.rooms[0]], options.test_against))
    table = Table("room", "mutants", "killed", "out of time", "floor", "survivors", title="Mutants")
    missed = False
    for name in options.rooms:
        found = measure(name, ROOMS[name], options.per_room, options.seed)
        missed |= found.killed < ROOMS[name].floor * found.tested
        table.add_row(
            *(name, str(found.tested), str(found.killed), str(found.out_of_time)),
            *(f"{ROOMS[name].floor:.0%}", "\n".join(found.survivors)),
        )
    Console(width=120).print(table)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
