"""A JSON reader that tolerates mistakes of form and never guesses a value.

It accepts trailing commas, comments, Python's and JavaScript's literals and quotes, typographic
quotes, bare keys, raw line breaks and wrong escapes. It adds nothing: it refuses a truncated value
and an ambiguous number. It reads each character a bounded number of times.
"""

import re
from typing import Final

from pydantic import JsonValue

_MAX_DEPTH: Final = 60
_MAX_LOOKAHEAD: Final = 64
_BLANK: Final = re.compile(r"(?:\s+|//[^\n]*|#[^\n]*|/\*[^*]*\*+(?:[^/*][^*]*\*+)*/)*")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?=\s*(?:[,}\]]|//|#|/\*|\Z))")
_WORD: Final = re.compile(r"[A-Za-z_][\w-]*")
_PLAIN: Final = re.compile(r"[^\\\"'`“”„‟‘’‚‛]+")
_LITERALS: Final[dict[str, JsonValue]] = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    "null": None, "None": None, "NULL": None, "undefined": None,
}  # fmt: skip
_CLOSING: Final = {
    '"': '"', "'": "'", "`": "`", "“": "”“„", "”": "”“", "„": "“”‟", "‟": "”“", "‘": "’‘",
    "’": "’‘", "‚": "‘’", "‛": "’",
}  # fmt: skip
_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HEX: Final = re.compile(r"[0-9a-fA-F]{4}")


class NotJson(ValueError):
    """The text at this place is not a complete value."""


def read_object(text: str, start: int) -> tuple[dict[str, JsonValue], int]:
    """The object that begins at `start`, and the position after it. Raises NotJson."""
    reader = _Reader(text, start)
    return reader.object(0), reader.at


def _number(text: str) -> JsonValue:
    """Raises NotJson for an integer with more digits than Python reads."""
    if not text.lstrip("-").isdigit():
        return float(text)
    try:
        return int(text)
    except ValueError:
        raise NotJson from None


class _Reader:
    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at

    def object(self, depth: int) -> dict[str, JsonValue]:
        self._expect("{")
        members: dict[str, JsonValue] = {}
        while not self._closes("}"):
            key = self._key()
            self._skip()
            self._expect(":")
            members[key] = self._value(depth + 1)
            self._separate("}")
        return members

    def _array(self, depth: int) -> list[JsonValue]:
        self._expect("[")
        found: list[JsonValue] = []
        while not self._closes("]"):
            found.append(self._value(depth + 1))
            self._separate("]")
        return found

    def _value(self, depth: int) -> JsonValue:
        if depth > _MAX_DEPTH:
            raise NotJson
        self._skip()
        character = self.text[self.at : self.at + 1]
        if character == "{":
            return self.object(depth)
        if character == "[":
            return self._array(depth)
        if character in _CLOSING:
            return self._string()
        number = _NUMBER.match(self.text, self.at)
        if number is not None:
            self.at = number.end()
            return _number(number[0])
        word = _WORD.match(self.text, self.at)
        if word is None or word[0] not in _LITERALS:
            raise NotJson
        self.at = word.end()
        return _LITERALS[word[0]]

    def _key(self) -> str:
        if self.text[self.at : self.at + 1] in _CLOSING:
            return self._string()
        word = _WORD.match(self.text, self.at)
        if word is None:
            raise NotJson
        self.at = word.end()
        return word[0]

    def _string(self) -> str:
        closing = _CLOSING[self.text[self.at]]
        self.at += 1
        parts: list[str] = []
        while self.at < len(self.text):
            plain = _PLAIN.match(self.text, self.at)
            if plain is not None:
                parts.append(plain[0])
                self.at = plain.end()
                continue
            character = self.text[self.at]
            self.at += 1
            if character == "\\":
                parts.append(self._escape())
            elif character in closing and self._ends_a_string():
                return "".join(parts)
            else:
                parts.append(character)
        raise NotJson

    def _ends_a_string(self) -> bool:
        """Whether a quote ends a string: quotes may also be part of the text."""
        rest = self.text[self.at : self.at + _MAX_LOOKAHEAD].lstrip()
        return not rest or rest[0] in ":,}]" or rest.startswith(("//", "#", "/*"))

    def _escape(self) -> str:
        character = self.text[self.at : self.at + 1]
        self.at += 1
        if character == "u":
            digits = _HEX.match(self.text, self.at)
            if digits is None:
                return "\\u"
            self.at = digits.end()
            return chr(int(digits[0], 16))
        if character in _ESCAPES:
            return _ESCAPES[character]
        return character if character in "\"'\\/`\n" else f"\\{character}"

    def _closes(self, bracket: str) -> bool:
        self._skip()
        if self.text[self.at : self.at + 1] != bracket:
            return False
        self.at += 1
        return True

    def _separate(self, bracket: str) -> None:
        self._skip()
        if self.text[self.at : self.at + 1] == ",":
            self.at += 1
        elif self.text[self.at : self.at + 1] != bracket:
            raise NotJson

    def _expect(self, character: str) -> None:
        if self.text[self.at : self.at + 1] != character:
            raise NotJson
        self.at += 1

    def _skip(self) -> None:
        blank = _BLANK.match(self.text, self.at)
        self.at = self.at if blank is None else blank.end()
