"""Removes credentials and quotations of the prompt from messages.

A provider's error may repeat the request: literally, as escaped JSON, or in pieces. Texts are
therefore compared by their letters and digits only, in runs of a few characters.
"""

import html
import re
from collections.abc import Collection
from typing import Final

MAX_READ: Final = 1500
"""Maximum number of characters of an error that are read, because the comparison takes time per
character.
"""

_RUN: Final = 12
_STEP: Final = 6
"""Every run of `_RUN + _STEP` characters contains a compared run."""

_MIN_SECRET: Final = 6
_MAX_UNESCAPINGS: Final = 3
_MARK: Final = "[…]"
_ESCAPED: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([nrtbf\"'\\/]))")
_BYTES: Final = re.compile(r"(?:%[0-9a-fA-F]{2})+|(?:\\x[0-9a-fA-F]{2})+")
_CHARACTERS: Final = {"n": "\n", "r": "\r", "t": "\t", "b": " ", "f": " "}
_KEYS: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:sk|pk|gsk|xai|hf|r8|or|nvapi|csk|fw|tgp)[-_]|AIza)[-_A-Za-z0-9*.]{12,}"
    r"|bearer\s+\S+|(?<=key=)[^&\s\"']+|[A-Za-z0-9+/_-]*\*{3,}[A-Za-z0-9+/_-]*"
    r"|\b(?=[A-Za-z0-9+/_-]*\d)(?=[A-Za-z0-9+/_-]*[A-Za-z])[A-Za-z0-9+/_]{32,}\b",
    re.IGNORECASE,
)


def without_quotes(text: str, prompt: str, secrets: Collection[str] = ()) -> str:
    """The beginning of `text` without credentials and without quotations from the prompt.

    Reads at most `MAX_READ` characters, so that the length of the prompt bounds the cost.
    """
    text = _unescaped(text[:MAX_READ])
    for secret in secrets:
        if len(secret) >= _MIN_SECRET:
            text = text.replace(secret, "[key]")
    return _KEYS.sub("[key]", _without_runs(text, _folded(prompt)))


def _unescaped(text: str) -> str:
    """Decodes escapes of JSON, HTML, URLs and Python's bytes, also nested ones."""
    for _ in range(_MAX_UNESCAPINGS):
        plain = html.unescape(_ESCAPED.sub(_character, _BYTES.sub(_decoded, text)))
        if plain == text:
            break
        text = plain
    return text


def _decoded(escapes: re.Match[str]) -> str:
    digits = escapes[0].replace("%", "").replace("\\x", "")
    return bytes.fromhex(digits).decode(errors="replace")


def _character(escape: re.Match[str]) -> str:
    if escape[1] is not None:
        return chr(int(escape[1], 16))
    return _CHARACTERS.get(escape[2], escape[2])


def _folded(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def _without_runs(text: str, folded_prompt: str) -> str:
    places = [at for at, one in enumerate(text) if one.isalnum()]
    # Keeps one letter per position, even if case folding turns one letter into two.
    folded = "".join(text[at].casefold()[:1] for at in places)
    quoted = _quoted(folded, folded_prompt)
    remaining: list[str] = []
    end = 0
    for first, last in quoted:
        remaining += [text[end : places[first]], _MARK]
        end = places[last - 1] + 1
    return "".join([*remaining, text[end:]])


def _quoted(text: str, prompt: str) -> list[tuple[int, int]]:
    """The ranges of the text that repeat the prompt, including remainders that are too short to
    compare.
    """
    ranges: list[tuple[int, int]] = []
    at = 0
    while at < len(text):
        run = text[at : at + _RUN]
        if run not in prompt or (len(run) < _RUN and not ranges and at):
            at += _STEP
            continue
        first, last = _extended(text, prompt, at, at + len(run))
        if ranges and first - ranges[-1][1] < _RUN:
            first = ranges.pop()[0]
        ranges.append((first, last))
        at = last
    if ranges and len(text) - ranges[-1][1] < _RUN:
        ranges[-1] = (ranges[-1][0], len(text))
    return ranges


def _extended(text: str, prompt: str, first: int, last: int) -> tuple[int, int]:
    while first > 0 and text[first - 1 : first - 1 + _RUN] in prompt:
        first -= 1
    while last < len(text) and text[last - _RUN + 1 : last + 1] in prompt:
        last += 1
    return first, last
