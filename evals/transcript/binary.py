"""Binary content inside JSON values, replaced by a note of its type and size."""

import re
from collections.abc import Mapping

from pydantic import JsonValue

_DATA_URI = re.compile(
    r"data:([\w.+-]{1,80}/[\w.+-]{1,80})?(?:;[\w.+-]{1,40}=[^;,\s]{0,80}){0,4}"
    r";base64,([A-Za-z0-9+/_=%-]*)"
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_BYTES_LITERAL = re.compile(r"b'(?:[^'\\]|\\.)*'|b\"(?:[^\"\\]|\\.)*\"")
# Shorter texts are shown, because a note would not be shorter.
MIN_BINARY_CHARACTERS = 200
# Minimum length of a text without a stated type, so that tokens and keys do not count as binary
# data.
_MIN_UNTYPED_CHARACTERS = 1_000
_SAMPLE = 1_000
_MIN_DISTINCT = 40
_MIN_BYTE_LIST = 64
_MAX_DEPTH = 24
_ANNOUNCED = (b";base64,", b"b'\\\\x", b'b\\"\\\\x', b"Buffer", b'"data":[', b'{"0":')
_RUNS = bytes(
    ord("a") if (chr(byte).isalnum() and byte < 128) or byte in b"+/_-=" else ord(" ")
    for byte in range(256)
)
_LONG_RUN = b"a" * MIN_BINARY_CHARACTERS
# Base64 as mail writes it: in lines of 64 or 76 characters.
_WRAPPED_RUN = b"a" * 64
_MIN_WRAPPED_LINES = 4
_TYPE_KEYS = ("mime_type", "mimeType", "media_type", "mediaType", "content_type", "contentType",
              "format", "image_mimetype", "document_mimetype", "filename", "kind")  # fmt: skip
_MODALITIES = ("image", "audio", "video", "document", "file", "pdf", "input_audio", "blob",
               "inline_data", "inlineData", "media", "image_url", "input_image", "input_file",
               "image_generation_call", "binary", "screenshot", "computer_screenshot")  # fmt: skip
_DATA_KEYS = ("data", "bytes", "base64", "b64_json", "blob", "url", "content", "result", "value",
              "image", "audio", "image_url", "file_data", "source", "body", "raw")  # fmt: skip


def may_hold_binary(text: str) -> bool:
    """Whether JSON text may hold binary content: a fast check before the exact check."""
    if len(text) < MIN_BINARY_CHARACTERS:
        return False
    # Runs for every value, so it avoids regular expressions, which are many times slower.
    raw = text.encode("utf-8", "replace")
    runs = raw.translate(_RUNS)
    wrapped = _WRAPPED_RUN in runs and runs.count(_WRAPPED_RUN) >= _MIN_WRAPPED_LINES
    return _LONG_RUN in runs or wrapped or any(word in raw for word in _ANNOUNCED)


def without_binary(value: JsonValue) -> JsonValue:
    """Replaces each binary content in the value by a note such as `(image/png, 45 KB)`."""
    return _replaced(value, "", 0)


def note(kind: str, size: int) -> str:
    """`size` is in bytes."""
    if size < 1024:
        return f"({kind}, {size} bytes, not shown)"
    if size < 1024 * 1024:
        return f"({kind}, {size / 1024:.0f} KB, not shown)"
    return f"({kind}, {size / 1024 / 1024:.1f} MB, not shown)"


def _replaced(value: JsonValue, kind: str, depth: int) -> JsonValue:
    """`kind` is the type that surrounding objects state; empty without one."""
    if isinstance(value, str):
        return _text(value, kind) if len(value) >= MIN_BINARY_CHARACTERS else value
    if depth > _MAX_DEPTH:
        return value
    if isinstance(value, list):
        if _is_byte_list(value, kind):
            return note(kind or "binary data", len(value))
        return [_replaced(item, kind, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    if "0" in value and _is_byte_list(list(value.values()), kind):
        # A byte array of JavaScript.
        return note(kind, len(value))
    own = _type_of(value) or kind
    if kind in _MODALITIES and own != kind and "/" not in own and kind not in own:
        own = f"{kind} {own}"
    return {
        key: _replaced(
            inner,
            (own or (key if key in _MODALITIES else "")) if _may_be_data(key) else "",
            depth + 1,
        )
        for key, inner in value.items()
    }


def _may_be_data(key: str) -> bool:
    return key in _DATA_KEYS or key in _MODALITIES


def _type_of(value: Mapping[str, JsonValue]) -> str:
    kind = value.get("type")
    modality = kind if isinstance(kind, str) and kind in (*_MODALITIES, "Buffer") else ""
    if not modality:
        modality = next((key for key in _MODALITIES if value.get(key)), "")
    for key in _TYPE_KEYS:
        exact = value.get(key)
        if isinstance(exact, str) and 0 < len(exact) <= 100:
            return exact if "/" in exact or not modality else f"{modality} {exact}"
    return "binary data" if modality == "Buffer" else modality


def _text(text: str, kind: str) -> str:
    if ";base64," in text:
        return _DATA_URI.sub(_data_uri_note, text)
    if kind and kind != "text/plain" and _BASE64.fullmatch("".join(text.split())):
        return note(kind, len(text) * 3 // 4)
    if text[:2] in ("b'", 'b"') and "\\x" in text[:400] and _BYTES_LITERAL.fullmatch(text):
        return note(kind or "binary data", text.count("\\x") + len(text.replace("\\x", "")) // 3)
    if len(text) >= _MIN_UNTYPED_CHARACTERS and _looks_random(text):
        return note("binary data", len(text) * 3 // 4)
    return text


def _data_uri_note(match: re.Match[str]) -> str:
    if len(match[2]) < MIN_BINARY_CHARACTERS:
        return match[0]
    return note(match[1] or "binary data", len(match[2]) * 3 // 4)


def _looks_random(text: str) -> bool:
    sample = text[:_SAMPLE]
    return len(set(sample)) >= _MIN_DISTINCT and _BASE64.fullmatch(text.strip()) is not None


def _is_byte_list(value: list[JsonValue], kind: str) -> bool:
    return (
        bool(kind)
        and len(value) >= _MIN_BYTE_LIST
        and all(isinstance(item, int) and 0 <= item < 256 for item in value)
    )
