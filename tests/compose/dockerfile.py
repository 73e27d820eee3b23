"""The Dockerfile as stages of instructions. No container engine is available to build it."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text()


def stages() -> dict[str, list[str]]:
    """The instructions of each stage by its name, including the stages it builds upon."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    whole = re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(None, map(str.strip, whole.splitlines())):
        if begins := re.fullmatch(r"FROM (\S+) AS (\w+)", line):
            lines = found[begins[2]] = list(found.get(begins[1], []))
        lines.append(line)
    return found


def variables(stage: str) -> dict[str, str]:
    """The variables that a stage sets."""
    lines = (row.split()[1:] for row in stages()[stage] if row.startswith("ENV "))
    return dict(pair.split("=", 1) for pairs in lines for pair in pairs)


def command(stage: str, instruction: str = "CMD") -> list[str]:
    """The arguments of the last CMD, or of the CMD of the last HEALTHCHECK."""
    line = next(row for row in reversed(stages()[stage]) if row.startswith(instruction))
    return [str(part) for part in json.loads(line[line.index("[") :])]
