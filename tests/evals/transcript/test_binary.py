"""Binary content in every provider's shape becomes a note of its type and size."""

import base64
import json
import random
from typing import Any

import pytest

from core.trace_model import Trace
from evals.transcript.transcript import Transcript
from tests.evals import made

RAW = random.Random(3).randbytes(3_000)
BASE64 = base64.b64encode(RAW).decode()
IMAGE, PDF = "image/png", "application/pdf"

PARTS: dict[str, tuple[Any, str]] = {
    "OpenAI image": ({"type": "image_url",
                      "image_url": {"url": f"data:{IMAGE};base64,{BASE64}"}}, IMAGE),
    "OpenAI file": ({"type": "file", "file": {"filename": "a.pdf",
                                              "file_data": f"data:{PDF};base64,{BASE64}"}}, PDF),
    "OpenAI audio": ({"type": "input_audio", "input_audio": {"data": BASE64, "format": "wav"}},
                     "input_audio wav"),
    "Anthropic image": ({"type": "image", "source": {"type": "base64", "media_type": IMAGE,
                                                     "data": BASE64}}, IMAGE),
    "Anthropic document": ({"type": "document", "source": {
        "type": "base64", "media_type": PDF, "data": BASE64}}, PDF),
    "Gemini": ({"inlineData": {"mimeType": IMAGE,
                               "data": base64.urlsafe_b64encode(RAW).decode()}}, IMAGE),
    "Gemini's SDK": ({"inline_data": {"mime_type": IMAGE, "data": str(RAW)}}, IMAGE),
    "Gemini's bytes as numbers": ({"inline_data": {"mime_type": IMAGE, "data": list(RAW)}}, IMAGE),
    "Bedrock image": ({"image": {"format": "png", "source": {"bytes": BASE64}}}, "image png"),
    "Bedrock document": ({"document": {"format": "pdf", "name": "r",
                                       "source": {"bytes": BASE64}}}, "document pdf"),
    "OpenTelemetry": ({"type": "blob", "mime_type": IMAGE, "modality": "image",
                       "content": BASE64}, IMAGE),
    "Vercel": ({"type": "file", "mediaType": IMAGE, "data": BASE64}, IMAGE),
    "Vercel's byte array": ({"type": "file", "mediaType": IMAGE, "data": {
        str(at): byte for at, byte in enumerate(RAW)}}, IMAGE),
    "Node's buffer": ({"type": "image", "image": {"type": "Buffer", "data": list(RAW)}},
                      "image binary data"),
    "LangChain": ({"type": "image", "base64": BASE64, "mime_type": IMAGE}, IMAGE),
    "LlamaIndex": ({"block_type": "image", "image": BASE64, "image_mimetype": IMAGE}, IMAGE),
    "MCP image": ({"type": "image", "data": BASE64, "mimeType": IMAGE}, IMAGE),
    "MCP resource": ({"type": "resource", "resource": {"uri": "x", "mimeType": PDF,
                                                       "blob": BASE64}}, PDF),
    "wrapped in lines": ({"type": "image", "source": {
        "media_type": IMAGE, "data": base64.encodebytes(RAW).decode()}}, IMAGE),
    "without a type": ({"data": BASE64}, "binary data"),
}  # fmt: skip


def traces(part: Any) -> list[Trace]:
    """The part in each place of a trace that can hold it."""
    content = [{"type": "text", "text": "WORDS"}, part]
    asked = {"role": "assistant", "tool_calls": [{"id": "c", "name": "t", "arguments": {}}]}
    result = {"type": "tool_result", "tool_use_id": "c", "content": content}
    return [
        made.trace(made.llm([{"role": "user", "content": content}], made.assistant("x"))),
        made.trace(made.llm([], asked), made.llm([{"role": "user", "content": [result]}], None)),
        made.trace(made.tool("t", {"a": 1}, {"content": content})),
        made.trace(made.tool("t", {"a": part, "b": "WORDS"}, "ok")),
        made.trace(made.tool("t", {"a": 1}, json.dumps({"content": content}))),
        made.trace(input={"question": "WORDS", "attachment": part}),
        made.trace(output={"answer": "WORDS", "attachment": part}),
    ]


@pytest.mark.parametrize(("part", "kind"), PARTS.values(), ids=PARTS.keys())
def test_binary_content_becomes_a_note(part: Any, kind: str) -> None:
    for trace in traces(part):
        text = Transcript(trace).prompt(1_000_000).text.partition("<trace-")[2]
        assert f"({kind}, 3 KB, not shown)" in text
        assert "WORDS" in text
        assert len(text) < 1_300


def test_a_data_uri_amid_words_leaves_the_words() -> None:
    trace = made.trace(input=f"Look: data:{IMAGE};base64,{BASE64} and tell.")
    assert f"Look: ({IMAGE}, 3 KB, not shown) and tell." in Transcript(trace).prompt(9_000).text


@pytest.mark.parametrize(
    "value",
    ["word " * 900, "x" * 5_000, "a/b/" * 1_000, {"data": "short"}, {"data": [1, 2, 3] * 40},
     {"type": "Buffer size", "data": "some words " * 50}],
)  # fmt: skip
def test_what_is_not_binary_is_shown(value: Any) -> None:
    text = Transcript(made.trace(made.tool("t", {"a": 1}, value))).prompt(1_000_000).text
    assert "not shown" not in text.partition("<trace-")[2]


def test_attachments_elsewhere_are_named_by_their_address() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": "https://a.example/x.png"}},
        {"type": "input_file", "file_id": "file-7"},
        {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/v.mp4"}},
        {"type": "document", "source": {"type": "text", "data": "PLAIN words"}},
    ]
    message = {"role": "user", "content": parts}
    text = Transcript(made.trace(made.llm([message], None))).prompt(9_000).text
    for shown in ("https://a.example/x.png", "file-7", "gs://b/v.mp4", "PLAIN words"):
        assert shown in text
