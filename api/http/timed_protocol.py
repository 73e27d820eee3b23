"""uvicorn's HTTP protocol with deadlines for sending the head of a request and reading a response.

Use it as `uvicorn --http api.http.timed_protocol:TimedProtocol`. uvicorn alone keeps a connection
with an incomplete request open forever; a few thousand of them use up all file descriptors.
"""

import asyncio
from typing import ClassVar, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS: Final = 10.0
MAX_INCOMPLETE_HEADS: Final = 512
"""Beyond this number, each new connection closes the connection that has waited longest."""

UNREAD_SECONDS: Final = 60.0
MIN_READ_BYTES_PER_SECOND: Final = 50_000
"""A client that does not read its response this fast is disconnected, because the response takes
memory until it is read.
"""


class TimedProtocol(H11Protocol):
    _incomplete: ClassVar[dict["TimedProtocol", asyncio.TimerHandle]] = {}
    _read_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_here()
        self._end_read_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._is_answering() and self not in self._incomplete:
            self._await_head()
        super().data_received(data)
        if self._is_answering():
            self._head_is_here()

    def pause_writing(self) -> None:
        """The client does not keep up with the response."""
        super().pause_writing()
        unread = self.transport.get_write_buffer_size()
        seconds = UNREAD_SECONDS + unread / MIN_READ_BYTES_PER_SECOND
        self._read_deadline = self.loop.call_later(seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._end_read_deadline()
        super().resume_writing()

    def _end_read_deadline(self) -> None:
        if self._read_deadline is not None:
            self._read_deadline.cancel()
            self._read_deadline = None

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        if len(self._incomplete) >= MAX_INCOMPLETE_HEADS:
            next(iter(self._incomplete))._give_up()
        self._incomplete[self] = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _head_is_here(self) -> None:
        timer = self._incomplete.pop(self, None)
        if timer is not None:
            timer.cancel()

    def _give_up(self) -> None:
        self._head_is_here()
        self.transport.abort()
