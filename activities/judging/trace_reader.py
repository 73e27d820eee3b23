"""The process that works on large traces: `python -m activities.judging.trace_reader`.

The process reads one piece of work at a time from its input, and writes the result to its output.
Each message consists of its length and a pickle.
"""

import os
import pickle
import signal
import sys
from typing import Any, BinaryIO, Final

from activities.judging.trace_work import LENGTH, Broken, Work, WorkRefused
from core.errors import JudgeError

MAX_WORK_SECONDS: Final = 120
"""The worker kills a slow process much earlier. After this time the process ends itself, in case
the worker was killed.
"""


def answer_of(work: Work[object]) -> object:
    try:
        return work.result()
    except JudgeError as error:
        return WorkRefused(error.message)
    except Exception as error:  # noqa: BLE001 - sent to the worker, which reports it as a bug
        return Broken(type(error).__name__)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Serves until the worker closes `requests`."""
    while head := requests.read(LENGTH.size):
        work: Any = pickle.loads(requests.read(LENGTH.unpack(head)[0]))
        # The default action of the signal ends the process even while Python is inside a regular
        # expression.
        signal.alarm(MAX_WORK_SECONDS)
        data = pickle.dumps(answer_of(work), pickle.HIGHEST_PROTOCOL)
        signal.alarm(0)
        answers.write(LENGTH.pack(len(data)) + data)
        answers.flush()


if __name__ == "__main__":
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as output:
        # Printed text must not get between the messages.
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        serve(sys.stdin.buffer, output)
