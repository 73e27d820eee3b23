"""Runs a command that the kernel kills when its parent process ends in any way.

Usage: `python parent_death.py PARENT_PID COMMAND…`. The process becomes the command (exec), so no
extra process stays. Only Linux offers this signal. On other systems the command runs without it,
and children outlive a parent that was killed with SIGKILL.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        # The parent may have died before prctl was called.
        if os.getppid() != parent:
            sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
