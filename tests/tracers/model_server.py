"""A model behind OpenAI's chat protocol, and a collector that records the exports of tracers.

The model first calls the tool `find_shelf`, and answers after the tool's result.
"""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CALL_ID = "call_1"
ARGUMENTS = {"part": "PART-41"}
RESULT = "SHELF-17"
ANSWER = "ANSWER-23: it is on that shelf."
USAGE = {"prompt_tokens": 30, "completion_tokens": 10, "total_tokens": 40}
TOKENS = 2 * USAGE["total_tokens"]


class ModelServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.exports: list[tuple[str, str, bytes]] = []
        """Path, content type and body of each export, in the order in which they came."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: ModelServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer("application/json", b'{"object": "list", "data": []}')

    def do_POST(self) -> None:
        body = self._body()
        if self.path.endswith("/chat/completions"):
            self._complete(json.loads(body))
        else:
            kind = self.headers.get("content-type", "")
            self.server.exports.append((self.path, kind, body))
            self._answer(kind or "application/json", b"{}" if "json" in kind else b"")

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
        return gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body

    def _complete(self, asked: dict[str, Any]) -> None:
        message, reason = _reply(asked)
        head = {"id": "chatcmpl-1", "created": 1_790_000_000, "model": asked["model"]}
        if not asked.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
            whole = head | {"object": "chat.completion", "choices": [choice], "usage": USAGE}
            self._answer("application/json", json.dumps(whole).encode())
            return
        delta = dict(message)
        if delta.get("tool_calls"):
            delta["tool_calls"] = [{"index": 0, **delta["tool_calls"][0]}]
        chunks: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
            {"choices": [], "usage": USAGE},
        ]
        lines = [
            f"data: {json.dumps(head | {'object': 'chat.completion.chunk'} | chunk)}\n\n"
            for chunk in chunks
        ]
        self._answer("text/event-stream", ("".join(lines) + "data: [DONE]\n\n").encode())

    def _answer(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Logs nothing."""


def _reply(asked: dict[str, Any]) -> tuple[dict[str, Any], str]:
    heard = json.dumps(asked["messages"])
    offered = [tool["function"]["name"] for tool in asked.get("tools") or () if "function" in tool]
    if RESULT in heard or not offered:
        final = next((name for name in offered if name in ("final_answer", "final_result")), None)
        if final is None:
            return {"role": "assistant", "content": ANSWER}, "stop"
        return _call(final, {"answer": ANSWER}), "tool_calls"
    return _call(
        next((n for n in offered if "find_shelf" in n), offered[0]), ARGUMENTS
    ), "tool_calls"


def _call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": CALL_ID, "type": "function", "function": function}],
    }


@contextmanager
def model_server() -> Iterator[ModelServer]:
    server = ModelServer()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
