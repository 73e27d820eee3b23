"""Measures durations so that a busy machine does not affect the outcome."""

import gc
import time
from collections.abc import Callable

MAX_GROWTH = 9.0
"""For four times the input, linear work takes 4 times as long, and quadratic work 16 times."""


def cpu_seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """The shortest of some repetitions, in processor time of this process, without garbage
    collection.

    A collection would walk objects of earlier tests, which do not belong to the work.
    """
    times = []
    collected = gc.isenabled()
    gc.disable()
    try:
        for _ in range(repeats):
            began = time.process_time()
            work()
            times.append(time.process_time() - began)
    finally:
        if collected:
            gc.enable()
    return min(times)


def growth(small: Callable[[], object], large: Callable[[], object]) -> float:
    """The factor by which the large work takes longer than the small work: the smallest of up to
    three comparisons.
    """
    ratios = []
    for _ in range(3):
        ratios.append(cpu_seconds(large, 2) / max(cpu_seconds(small, 2), 1e-3))
        if ratios[-1] <= MAX_GROWTH:
            break
    return min(ratios)
