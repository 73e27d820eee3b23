"""A trace that is read in a process of its own: all its content counts."""

import pytest

from activities.judging.trace_processes import LARGE_BYTES, is_large
from core.trace_model import Trace
from tests.evals import made

HALF = "x" * (LARGE_BYTES // 2)
MORE_THAN_HALF = HALF + "x" * 1_000


@pytest.mark.parametrize(
    ("trace", "large"),
    [
        (made.trace(), False),
        (made.trace(input=MORE_THAN_HALF), False),
        (made.trace(input=HALF, output=MORE_THAN_HALF), True),
        (made.trace(made.tool("look", {"q": MORE_THAN_HALF}, "found")), False),
        (made.trace(made.tool("look", {"q": HALF}, MORE_THAN_HALF)), True),
        (made.trace(*(made.tool("look", {"q": HALF}, "found") for _ in range(3))), True),
    ],
    ids=[
        *("nothing", "half of it in the input", "input and output"),
        *(
            "half of it in a span",
            "both ends of a span",
            "several spans",
        ),
    ],
)
def test_all_content_of_a_trace_counts(trace: Trace, large: bool) -> None:
    assert is_large(trace) is large
