"""TLS in front of a plain Temporal server, as a proxy or Temporal Cloud terminates it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trustme
from hpack import Decoder
from hyperframe.frame import ContinuationFrame, Frame, HeadersFrame

_PREFACE_BYTES = 24
_FRAME_HEAD_BYTES = 9


class TlsGate:
    """Accepts clients with a certificate of the current authority; records their API keys."""

    def __init__(self, server: str) -> None:
        self._host, port = server.rsplit(":", 1)
        self._server_port = int(port)
        self._ours = trustme.CA()
        self._clients = trustme.CA()
        self._listening: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.port = 0
        self.api_keys: set[str] = set()

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    def write_authority(self, folder: Path) -> Path:
        path = folder / "server-authority.pem"
        self._ours.cert_pem.write_to_path(path)
        return path

    def write_client(self, folder: Path) -> tuple[Path, Path]:
        """A certificate of the current authority, in the same two files each time."""
        issued = self._clients.issue_cert("worker.example")
        certificate, key = folder / "client.pem", folder / "client.key"
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        return certificate, key

    async def distrust_all_clients(self) -> None:
        """Ends every connection and accepts only certificates of a new authority."""
        self._clients = trustme.CA()
        await self._close()
        await self._listen()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["TlsGate"]:
        await self._listen()
        try:
            yield self
        finally:
            await self._close()

    async def _listen(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.set_alpn_protocols(["h2"])
        context.verify_mode = ssl.CERT_REQUIRED
        self._ours.issue_cert("localhost").configure_cert(context)
        self._clients.configure_trust(context)
        self._listening = await asyncio.start_server(
            self._accept, "127.0.0.1", self.port, ssl=context
        )
        self.port = self._listening.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._listening
        self._listening.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._listening.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._open.add(task)
        try:
            await self._forward(reader, writer)
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(self._host, self._server_port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._requests(reader, up_writer))
                both.create_task(_copy(up_reader, writer))
        except* (OSError, asyncio.IncompleteReadError):
            pass  # One side has closed the connection.
        finally:
            up_writer.transport.abort()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(_PREFACE_BYTES))
        decoder = Decoder()
        block = b""
        while True:
            head = await reader.readexactly(_FRAME_HEAD_BYTES)
            frame, length = Frame.parse_frame_header(memoryview(head))
            body = await reader.readexactly(length)
            writer.write(head + body)
            if isinstance(frame, HeadersFrame | ContinuationFrame):
                frame.parse_body(memoryview(body))
                block += frame.data
                if "END_HEADERS" in frame.flags:
                    self._record({str(name): str(value) for name, value in decoder.decode(block)})
                    block = b""
            await writer.drain()

    def _record(self, headers: dict[str, str]) -> None:
        if key := headers.get("authorization"):
            self.api_keys.add(key)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    raise asyncio.IncompleteReadError(b"", None)
