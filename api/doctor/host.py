"""Checks of this machine."""

import shutil
from pathlib import Path
from typing import Final

from api.doctor.check_result import CheckResult, fine, problem, warning

DISK: Final = "disk"

LITTLE_BYTES: Final = 5 * 1024**3
HARDLY_ANY_BYTES: Final = 1024**3


def disk(home: Path) -> CheckResult:
    """Of the file system of the home folder, or of the folder in which it will be made."""
    folder = home.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    sentence = f"{free / 1024**3:.1f} GB are free at {folder}."
    if free >= LITTLE_BYTES:
        return fine(DISK, sentence)
    level = problem if free < HARDLY_ANY_BYTES else warning
    return level(
        DISK,
        sentence,
        "Free some space: a database without space refuses to write, and runs wait.",
    )
