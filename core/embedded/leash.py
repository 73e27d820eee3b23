"""Runs a command that dies with the process that asked for it, however that ends.

Used as `python leash.py PARENT COMMAND…`. The leash becomes the command
(exec), so no extra process stays. Only Linux can do this; elsewhere the command
runs without it, and children outlive a parent that is killed outright.
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
        # The parent may have died before the line above could notice.
        if os.getppid() != parent:
            sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
