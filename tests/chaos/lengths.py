"""How long a fault lasts: seconds in every run of the tests, as long as it may in `make chaos`."""

import pytest
from _pytest.mark import ParameterSet


def lengths(*, quick: float, full: float) -> list[ParameterSet]:
    return [
        pytest.param(quick, id="quick"),
        pytest.param(full, id="full", marks=pytest.mark.chaos),
    ]
