"""Runs a program whose clock a test can set: `clock_set_back.py FILE PROGRAM …`.

The program's wall clock is shifted by the seconds in FILE. All of Assay reads the time from
`core.clock`; Temporal has its own clock.
"""

import runpy
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from core import clock


def main() -> None:
    file, program, *arguments = sys.argv[1:]
    offset = Path(file)

    def now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(offset.read_text()))

    clock.now = now
    sys.argv = [program, *arguments]
    if program.endswith(".py"):
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
