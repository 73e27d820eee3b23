"""Durations of faults: seconds in normal test runs, the full length in `make chaos`."""

import pytest
from _pytest.mark import ParameterSet


def lengths(*, quick: float, full: float) -> list[ParameterSet]:
    return [
        pytest.param(quick, id="quick"),
        pytest.param(full, id="full", marks=pytest.mark.chaos),
    ]
