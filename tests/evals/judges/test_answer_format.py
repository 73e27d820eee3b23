"""Schemas that every provider accepts, and answers in the forms of real models."""

import json
import sys
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from evals.judges.answer_format import Mode, Unreadable, correction, instructions, read, schema_of


class Verdict(BaseModel):
    tool: str
    fits: Literal["yes", "no"]


class Answer(BaseModel):
    reason: str = Field(description="Why.", max_length=500)
    score: float = Field(ge=0, le=1)
    verdicts: list[Verdict] = Field(default_factory=list, max_length=50)
    plan: str | None = None


class Loose(BaseModel):
    number: float


GOOD = {"reason": "r", "score": 0.5, "verdicts": [{"tool": "t", "fits": "yes"}], "plan": None}
ANSWER = Answer.model_validate(GOOD)


def test_the_schema_is_one_that_strict_modes_accept() -> None:
    schema = schema_of(Answer)
    text = json.dumps(schema)
    for refused in ("$ref", "$defs", "minimum", "maxLength", "maxItems", "default", "title"):
        assert f'"{refused}"' not in text
    assert schema["required"] == ["reason", "score", "verdicts", "plan"]
    assert schema["additionalProperties"] is False
    assert '"required": ["tool", "fits"], "additionalProperties": false' in text or (
        '"additionalProperties": false' in text
    )


def test_the_reasoning_comes_before_the_score_and_bounds_stay_in_words() -> None:
    properties = schema_of(Answer)["properties"]
    assert isinstance(properties, dict)
    assert list(properties)[:2] == ["reason", "score"]
    assert properties["score"] == {"type": "number", "description": "(at least 0, at most 1)"}
    assert "Why. (greatest number of characters 500)" in json.dumps(properties["reason"])


def test_a_schema_that_contains_itself_is_refused() -> None:
    class Node(BaseModel):
        below: "list[Node]"

    with pytest.raises(TypeError, match="contains itself"):
        schema_of(Node)


def test_modes_get_plainer_until_there_is_none() -> None:
    assert Mode.SCHEMA.plainer is Mode.TOOL
    assert Mode.TOOL.plainer is Mode.PLAIN
    assert Mode.PLAIN.plainer is None


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD),
        f"```json\n{json.dumps(GOOD, indent=2)}\n```",
        f"Here is my verdict:\n{json.dumps(GOOD)}\nI hope this helps {{not JSON}}.",
        f"<think>{{maybe: 0}}</think>{json.dumps(GOOD)}",
        json.dumps({"answer": GOOD}),
        json.dumps({**GOOD, "more": 1}),
        json.dumps(GOOD).replace('"r"', '"r"').replace("0.5", '"0.5"'),
    ],
    ids=["bare", "fenced", "chatty", "thinking", "wrapped", "extra", "quoted number"],
)
def test_an_answer_is_read_however_it_is_dressed(text: str) -> None:
    assert read(text, Answer) == ANSWER


def test_line_breaks_in_strings_are_forgiven() -> None:
    assert read('{"reason": "a\nb", "score": 1}', Answer).reason == "a\nb"


def test_the_last_object_that_fits_counts() -> None:
    forged = {**GOOD, "score": 1.0}
    text = f"The trace says {json.dumps(forged)}, but: {json.dumps(GOOD)}"
    assert read(text, Answer).score == 0.5


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "answered nothing"),
        (" \n", "answered nothing"),
        ("It went well.", "13 characters without a complete JSON object"),
        ('{"reason": "r", "score": 0.', "without a complete JSON object"),
        ('{"reason": "r", "score": 7}', "`score`: Input should be less than or equal to 1"),
        ('{"reason": "r", "score": -1}', "greater than or equal to 0"),
        ('{"reason": "r", "score": NaN}', "not finite"),
        ('{"reason": "r", "score": 1e999}', "not finite"),
        ('{"reason": "r", "score": "nan"}', "`score`"),
        ('{"reason": "r", "score": null}', "`score`: Input should be a valid number"),
        ('{"score": 0.5}', "`reason`: Field required"),
        ('{"reason": "r", "score": 1, "verdicts": [{"tool": "t"}]}', "`verdicts.0.fits`"),
        ("[0.5]", "without a complete JSON object"),
    ],
)
def test_what_does_not_validate_is_told_in_words(text: str, problem: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read(text, Answer)
    assert problem in str(caught.value)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", '"inf"', '"nan"'])
def test_no_number_is_ever_infinite_even_where_nothing_bounds_it(number: str) -> None:
    with pytest.raises(Unreadable, match="not finite"):
        read(f'{{"number": {number}}}', Loose)


def test_the_model_is_told_what_was_wrong_and_the_schema_again() -> None:
    with pytest.raises(Unreadable) as caught:
        read('{"score": 9, "reason": "the secret of the trace"}', Answer)
    told = correction(Answer, caught.value)
    assert "less than or equal to 1" in told
    assert instructions(Answer) in told
    assert "secret" not in told


@given(st.text(max_size=400))
def test_any_text_is_an_answer_or_unreadable(text: str) -> None:
    try:
        found = read(text, Answer)
    except Unreadable:
        return
    assert 0 <= found.score <= 1


@given(st.text(max_size=60), st.floats(0, 1), st.text(max_size=60), st.text(max_size=60))
def test_chatter_around_an_answer_never_changes_it(
    reason: str, score: float, before: str, after: str
) -> None:
    answer = json.dumps({"reason": reason, "score": score})
    text = f"{before.replace('{', '(')}{answer}{after.replace('{', '(')}"
    found = read(text, Answer)
    assert (found.reason, found.score) == (reason, score)


@pytest.mark.parametrize("text", ["{" * 100_000, '{"a":' * 50_000, "{}" * 100_000])
def test_hostile_nesting_is_unreadable_and_fast(text: str) -> None:
    with pytest.raises(Unreadable):
        read(text, Answer)


LONG = '{"score": ' + "1" * 5000


@pytest.mark.parametrize(
    "text",
    [LONG, LONG + "}", LONG.replace(" 1", " -1") + "}", '{"a":' + "[" * 1500 + "]" * 1500 + "}"],
    ids=["long number, cut off", "long number", "long negative number", "deep"],
)
@pytest.mark.parametrize("before", ["", "My verdict: ", '{"reason": "r", "score": 7} '])
def test_more_than_python_reads_is_unreadable(before: str, text: str) -> None:
    with pytest.raises(Unreadable):
        read(before + text, Answer)


def test_an_answer_beside_a_number_that_python_does_not_read_counts() -> None:
    assert read(f"{LONG}}} {json.dumps(GOOD)}", Answer) == ANSWER


@pytest.mark.slow
def test_an_object_as_deep_as_the_decoder_reads_is_unreadable() -> None:
    deepest = sys.getrecursionlimit()
    for depth in range(deepest - 150, deepest + 10):
        with pytest.raises(Unreadable):
            read('{"other":' + "[" * depth + "]" * depth + "}", Answer)
