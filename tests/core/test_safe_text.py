"""Storable text, and the replacement of other text."""

import html
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from core import json_codec
from core.safe_text import MAX_DEPTH, plain_markdown, sanitized_json

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.slow
@given(anything)
def test_mended_content_reads_back_as_it_was_written(value: Any) -> None:
    mended = sanitized_json(value)
    text = json_codec.dumps(mended)
    assert "\\u0000" not in text
    text.encode()
    assert json_codec.loads(text) == mended
    assert sanitized_json(mended) is mended


def test_clean_content_is_not_copied() -> None:
    value = {"a": ["é", 1, None]}
    assert sanitized_json(value) is value


def test_depth_has_a_limit() -> None:
    value: Any = "x"
    for _ in range(MAX_DEPTH):
        value = [value]
    assert sanitized_json(value) is value
    with pytest.raises(ValueError, match="levels deep"):
        sanitized_json([value])
    with pytest.raises(ValueError, match="levels deep"):
        sanitized_json({"a\0": 1, "b": value})


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**40])
def test_integers_keep_every_digit(number: int) -> None:
    assert json_codec.loads(json_codec.dumps({"n": [number]})) == {"n": [number]}
    assert json_codec.loads(json_codec.dumps({"n": [number]}).encode()) == {"n": [number]}


@pytest.mark.parametrize(
    "hostile",
    [
        "![x](http://evil.test/a.png)",
        "<img src=x onerror=alert(1)>",
        "[here](javascript:alert(1))",
        "# heading\n\n- list",
        "`code` **bold** ~~gone~~ _slanted_",
        "a|b\n-|-",
        "&lt;img&gt;",
        "https://evil.test",
        "back\\slash",
    ],
)
def test_what_a_client_wrote_is_plain_text_where_markdown_is_read(hostile: str) -> None:
    shown = MarkdownIt("commonmark", {"html": True, "linkify": False}).render(
        plain_markdown(hostile)
    )
    assert re.fullmatch(r"<p>[^<>]*</p>\n", shown), shown
    assert html.unescape(shown[3:-5]) == " ".join(hostile.split())


def test_names_of_metrics_stay_readable_where_text_is_shown_raw() -> None:
    assert plain_markdown("Nightly · step_efficiency") == "Nightly · step_efficiency"
