"""JSON text, also where it is examined part by part."""

import json

import pytest

from api.http import memory_budget
from core import json_codec

LONG = 1234567890123456789012


@pytest.mark.parametrize("before", range(-24, 3))
def test_a_long_number_is_read_exactly_wherever_it_begins(before: int) -> None:
    head = b'["' + b"x" * (json_codec._PART_BYTES + before) + b'",'
    body = head + str(LONG).encode() + b"]"
    assert json_codec.has_long_number(body)
    assert json_codec.read_json(body)[1] == LONG
    assert not json_codec.has_long_number(head + str(LONG)[:18].encode() + b"]")


@pytest.mark.parametrize("body", [b'["\xff"]', b'["\xff", 1234567890123456789012]'])
def test_text_that_is_not_utf8_is_refused(body: bytes) -> None:
    with pytest.raises(json.JSONDecodeError, match="it is not UTF-8"):
        json_codec.read_json(body)


def test_the_values_of_a_body_are_counted_in_all_of_its_parts() -> None:
    parts = memory_budget._PART_BYTES
    body = b" " * (parts - 1) + b"{{" + b" " * parts + b"["
    assert memory_budget.value_bytes(body) == 2 * 240 + 70
