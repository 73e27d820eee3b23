"""A scripted judge on loopback, in the protocols of three providers.

async with JudgeServer([rate_limited(2), says({"score": 7}), hangs()]) as server:
        ...  # a model at server.openai, server.anthropic or server.gemini

Each call uses one step. After the last step, and without steps, a call gets a valid instance of its
schema. A callable script gets each request and returns its step, or None for a valid instance.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

import orjson

from bench.mock_answers import answer_for, text_of

Protocol = Literal["openai", "anthropic", "gemini", "ollama", "embeddings"]
Finish = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True, slots=True)
class Says:
    """An answer of the model. `silent`: an answer without content."""

    text: str | None = None
    finish: Finish = "stop"
    refusal: str | None = None
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Sends:
    """A raw HTTP response. `status` 0: the connection is reset. None as body: never an answer."""

    status: int = 200
    body: str | None = ""
    headers: dict[str, str] = field(default_factory=dict)


Step = Says | Sends


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def protocol(self) -> Protocol:
        if self.path.endswith("/chat/completions"):
            return "openai"
        if self.path.endswith("/messages"):
            return "anthropic"
        if self.path.endswith("/embeddings"):
            return "embeddings"
        return "ollama" if self.path.endswith("/api/chat") else "gemini"

    @property
    def mode(self) -> Literal["schema", "tool", "plain"]:
        if self.body.get("tools"):
            return "tool"
        config = self.body.get("generationConfig", {})
        asked = ("response_format", "output_format", "output_config", "format")
        shaped = any(self.body.get(name) for name in asked)
        return "schema" if shaped or config.get("response_mime_type") else "plain"

    @property
    def text(self) -> str:
        """The whole prompt."""
        if self.protocol == "gemini":
            parts = [p for c in self.body.get("contents", []) for p in c["parts"]]
            return "\n".join(str(part.get("text", "")) for part in parts)
        return text_of(self.body.get("messages", []))


Script = Sequence[Step] | Callable[[Request], Step | None]


def says(answer: object) -> Says:
    """An answer in JSON, or the given text."""
    return Says(answer if isinstance(answer, str) else orjson.dumps(answer).decode())


def rate_limited(retry_after: float | None = None) -> Sends:
    headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
    return fails(429, "Rate limit reached for requests", "rate_limit_exceeded", **headers)


def fails(status: int, message: str, code: str | None = None, **headers: str) -> Sends:
    """An error in OpenAI's form."""
    error = {"message": message, "type": "error", "param": None, "code": code}
    return Sends(status, orjson.dumps({"error": error}).decode(), headers)


def hangs() -> Sends:
    return Sends(body=None)


def resets() -> Sends:
    return Sends(status=0)


class JudgeServer:
    def __init__(self, script: Script = (), *, delay: float = 0.0) -> None:
        self.requests: list[Request] = []
        self.delay = delay
        self.script: Script = script
        self._used = 0
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._port = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def openai(self) -> str:
        """The api_base of models named openai/…"""
        return f"{self.address}/v1"

    anthropic = gemini = ollama = address

    async def __aenter__(self) -> "JudgeServer":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Refuses connections from now on. Entering the context again serves on the same port."""
        if self._server is not None:
            self._server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            while (request := await _received(reader)) is not None:
                self.requests.append(request)
                await asyncio.sleep(self.delay)
                await self._respond(request, writer)
        except (ConnectionError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._clients.discard(task)
            writer.close()

    async def _respond(self, request: Request, writer: asyncio.StreamWriter) -> None:
        step = self._next(request) or Says(None)
        sent = step if isinstance(step, Sends) else Sends(body=spoken(step, request))
        if sent.body is None:
            await asyncio.get_running_loop().create_future()
        if sent.status == 0:
            raise ConnectionResetError
        body = (sent.body or "").encode()
        kind = "text/html" if body.startswith(b"<") else "application/json"
        headers = {"content-type": kind, **sent.headers, "content-length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {sent.status} Scripted\r\n{head}\r\n".encode() + body)
        await writer.drain()

    def _next(self, request: Request) -> Step | None:
        if callable(self.script):
            return self.script(request)
        self._used += 1
        return self.script[self._used - 1] if self._used <= len(self.script) else None


async def _received(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    path = first.split(" ")[1].split("?")[0]
    return Request(path, headers, orjson.loads(body or b"{}"))


def spoken(step: Says, request: Request) -> str:
    """The answer in the protocol of the request."""
    text = step.text
    if text is None and not step.silent and not step.refusal and request.protocol != "embeddings":
        text = answer_for(_as_openai(request))
    worded = {
        "openai": _openai,
        "anthropic": _anthropic,
        "gemini": _gemini,
        "ollama": _ollama,
        "embeddings": _embeddings,
    }[request.protocol]
    return orjson.dumps(worded(step, text, request)).decode()


def _as_openai(request: Request) -> dict[str, Any]:
    """The requested schema, in any protocol."""
    messages = [{"role": "user", "content": request.text}]
    body = request.body
    config = body.get("generationConfig", {})
    schema = config.get("response_json_schema") or config.get("response_schema")
    schema = schema or body.get("output_format", {}).get("schema")
    schema = schema or body.get("output_config", {}).get("format", {}).get("schema")
    if body.get("tools") and "input_schema" in body["tools"][0]:
        schema = body["tools"][0]["input_schema"]
    elif body.get("tools") and "function_declarations" in body["tools"][0]:
        schema = body["tools"][0]["function_declarations"][0]["parameters"]
    if isinstance(body.get("format"), dict):
        schema = body["format"]
    if schema is None:
        return {**body, "messages": messages}
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    return {"messages": messages, "response_format": form}


def _openai(step: Says, text: str | None, request: Request) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": step.refusal}
    if request.body.get("tools") and text is not None:
        function = {"name": request.body["tools"][0]["function"]["name"], "arguments": text}
        call = {"id": "call_1", "type": "function", "function": function}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": step.finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": request.body.get("model"),
        "choices": [choice],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }


def _anthropic(step: Says, text: str | None, request: Request) -> dict[str, Any]:
    reasons = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}
    content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text is not None else []
    if request.body.get("tools") and text is not None and text.startswith("{"):
        name = request.body["tools"][0]["name"]
        content = [{"type": "tool_use", "id": "t1", "name": name, "input": orjson.loads(text)}]
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": request.body.get("model"),
        "content": content,
        "stop_reason": "refusal" if step.refusal else reasons[step.finish],
        "usage": {"input_tokens": 100, "output_tokens": 20},
    }


def _gemini(step: Says, text: str | None, request: Request) -> dict[str, Any]:
    reasons = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
    parts: list[dict[str, Any]] = [{"text": text}] if text is not None else []
    if request.body.get("tools") and text is not None and text.startswith("{"):
        name = request.body["tools"][0]["function_declarations"][0]["name"]
        parts = [{"functionCall": {"name": name, "args": orjson.loads(text)}}]
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
    usage = {"promptTokenCount": 100, "candidatesTokenCount": 20, "totalTokenCount": 120}
    reason = "SAFETY" if step.refusal else reasons[step.finish]
    return {"candidates": [{**candidate, "finishReason": reason}], "usageMetadata": usage}


def _ollama(step: Says, text: str | None, request: Request) -> dict[str, Any]:
    return {
        "model": request.body.get("model"),
        "created_at": "2026-01-01T00:00:00Z",
        "message": {"role": "assistant", "content": text or ""},
        "done": True,
        "done_reason": step.finish,
        "prompt_eval_count": 100,
        "eval_count": 20,
    }


def _embeddings(_step: Says, _text: str | None, request: Request) -> dict[str, Any]:
    texts = request.body["input"]
    data = [
        {"object": "embedding", "index": at, "embedding": [float(len(text)), 1.0, 0.0]}
        for at, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return {"object": "list", "data": data[::-1], "model": "e", "usage": usage}
