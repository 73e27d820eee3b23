"""What the store can hold, and what is made of the rest."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import jsontext
from core.text import MAX_DEPTH, storable

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(anything)
def test_mended_content_reads_back_as_it_was_written(value: Any) -> None:
    mended = storable(value)
    text = jsontext.dumps(mended)
    assert "\\u0000" not in text
    text.encode()
    assert jsontext.loads(text) == mended
    assert storable(mended) is mended


def test_clean_content_is_not_copied() -> None:
    value = {"a": ["é", 1, None]}
    assert storable(value) is value


def test_depth_has_a_limit() -> None:
    value: Any = "x"
    for _ in range(MAX_DEPTH):
        value = [value]
    assert storable(value) is value
    with pytest.raises(ValueError, match="levels deep"):
        storable([value])
    with pytest.raises(ValueError, match="levels deep"):
        storable({"a\0": 1, "b": value})


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**40])
def test_integers_keep_every_digit(number: int) -> None:
    assert jsontext.loads(jsontext.dumps({"n": [number]})) == {"n": [number]}
    assert jsontext.loads(jsontext.dumps({"n": [number]}).encode()) == {"n": [number]}
