"""Messages of providers contain neither text of a trace nor a credential."""

import html
import json
import random
import string
import time
from urllib.parse import quote, quote_plus

import pytest

from evals.judges.redaction import MAX_READ, without_quotes

SENTENCES = [
    'The customer said:\n"My password is hunter2, and my name is Zoë Ångström."',
    'arguments: {"q": "ARGCANARY"}\tresult: RESCANARY\nC:\\temp\\file',
    "Überweisung von 1.234,56 € an IBAN DE89 3704 0044 0532 0130 00",
]
PROMPT = "You judge an agent.\n" + "\n".join(SENTENCES) + "\nHow good was the answer?"
QUOTES = {
    "plain": lambda text: text,
    "json": json.dumps,
    "ascii json in json": lambda text: json.dumps(json.dumps({"content": text})),
    "html": html.escape,
    "upper": str.upper,
    "url": quote,
    "form": quote_plus,
    "python": repr,
    "python bytes": lambda text: repr(text.encode()),
    "python bytes in json": lambda text: json.dumps(repr(text.encode())),
    "spaced": lambda text: " ".join(text.split()),
    "cut": lambda text: text[:25],
}


@pytest.mark.parametrize("quoted", QUOTES.values(), ids=QUOTES)
@pytest.mark.parametrize("sentence", SENTENCES)
def test_no_way_of_quoting_carries_the_prompt_into_a_message(sentence: str, quoted) -> None:  # type: ignore[no-untyped-def] # any of the functions above
    said = f"Invalid request near {quoted(sentence)}: too long"
    kept = without_quotes(said, PROMPT)
    assert kept.startswith("Invalid request near")
    words = {word.strip(string.punctuation).casefold() for word in sentence.split()}
    leaked = [word for word in words if len(word) > 5 and word in kept.casefold()]
    assert leaked == []


def test_pieces_cut_out_of_the_prompt_by_chance_leave_no_long_run() -> None:
    chance = random.Random(3)
    for _ in range(200):
        first = chance.randrange(len(PROMPT) - 40)
        piece = PROMPT[first : first + chance.randint(20, 40)]
        kept = without_quotes(f"### {json.dumps(piece)} ###", PROMPT)
        runs = [kept[at : at + 18] for at in range(len(kept) - 17)]
        assert not any(run in PROMPT for run in runs if run.isalnum()), (piece, kept)


@pytest.mark.parametrize(
    "said",
    [
        "Rate limit reached for gpt-5 in organization org-x on tokens per min. Limit: 30000.",
        "The model `gpt-9` does not exist or you do not have access to it.",
        "overloaded",
        "",
    ],
)
def test_the_providers_own_words_stay(said: str) -> None:
    assert without_quotes(said, PROMPT) == said


@pytest.mark.parametrize(
    "key", ["sk-proj-abcdefghijklmnop", "gsk_1234567890abcdef", "AIzaSyA1234567890", "my-secret"]
)
def test_credentials_are_left_out(key: str) -> None:
    said = without_quotes(f"Incorrect API key provided: {key}.", "", ["my-secret"])
    assert key not in said
    assert "[key]" in said


@pytest.mark.parametrize("body", ["x" * 4000, "How good was the answer? " * 200, "a1" * 2000])
def test_the_cost_is_bounded_by_the_length_of_the_prompt(body: str) -> None:
    prompt = "".join(random.Random(1).choices(string.ascii_lowercase + " ", k=400_000))
    began = time.process_time()
    assert len(without_quotes(body, prompt)) <= MAX_READ
    assert time.process_time() - began < 0.5
