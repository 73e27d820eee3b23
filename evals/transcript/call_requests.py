"""Requests for tool calls, each with its answer.

An answer belongs to the request with its id in the latest message with requests, else to a request
for its tool, else to the first open request.
"""

from collections import deque
from collections.abc import Callable, Hashable

from core.json_codec import canonical
from evals.transcript.call_evidence import CallEvidence
from evals.transcript.message import Message
from evals.transcript.tool_shapes import ToolCallRequest
from evals.transcript.turns import Turn


class Requests:
    """Requests in order, each with its answer."""

    def __init__(self, own_request: str) -> None:
        self.found: list[CallEvidence] = []
        self.by_request: dict[int, CallEvidence] = {}
        self.answers: set[int] = set()
        self.orphans: list[Message] = []
        self._own_request = own_request
        self._batch = 0
        self._open_by_id = _Open()
        self._open_by_name = _Open()
        self._open = _Open()

    def read(self, place: int, turn: Turn) -> None:
        inputs = turn.heard or ()
        own = [
            at
            for at, message in enumerate(inputs)
            if message.role == "user" and message.text == self._own_request
        ]
        beginning = own[-1] if own else 0
        for at, message in enumerate(inputs):
            self._read(place, message, earlier=at < beginning)
        for message in turn.said or ():
            self._read(place, message, earlier=False)

    def _read(self, place: int, message: Message, *, earlier: bool) -> None:
        if message.role == "tool":
            self._answer(message)
        if message.requests:
            self._batch += 1
        for request in message.requests:
            shown = self._shown_already(request)
            if shown is None:
                shown = CallEvidence(request.name, request, place, self._batch, earlier=earlier)
                self.found.append(shown)
                if request.id is not None:
                    self._open_by_id.add(request.id, shown)
                self._open_by_name.add(request.name, shown)
                self._open.add(None, shown)
            self.by_request[id(request)] = shown

    def _shown_already(self, request: ToolCallRequest) -> CallEvidence | None:
        """The same request without an answer, from a second tracer or a repeated attempt."""
        if request.id is None:
            return None
        shown = self._open_by_id.last(request.id)
        if shown is None or shown.batch == self._batch or shown.request is None:
            return None
        same = shown.name == request.name and canonical(shown.request.arguments) == canonical(
            request.arguments
        )
        return shown if same else None

    def _answer(self, message: Message) -> None:
        request = self._open_by_id.take(message.id) if message.id is not None else None
        if request is None and message.name:
            request = self._open_by_name.take(message.name, self._fits(message))
        if request is None and not message.name:
            request = self._open.take(None, self._fits(message))
        if request is None:
            self.orphans.append(message)
        else:
            request.answer = message
            self.answers.add(id(message))

    @staticmethod
    def _fits(message: Message) -> Callable[[CallEvidence], bool]:
        """An answer with an id matches by order only a request without an id, and vice versa."""
        return lambda one: (
            message.id is None or one.request is None or one.request.id in (None, message.id)
        )


class _Open:
    """Open requests under a key.

    Requests of the last message come first, in the order of the message.
    """

    def __init__(self) -> None:
        self._groups: dict[Hashable, list[deque[CallEvidence]]] = {}

    def add(self, key: Hashable, request: CallEvidence) -> None:
        groups = self._groups.setdefault(key, [])
        if not groups or groups[-1][-1].batch != request.batch:
            groups.append(deque())
        groups[-1].append(request)

    def last(self, key: Hashable) -> CallEvidence | None:
        self._drop_answered(key)
        groups = self._groups.get(key)
        return groups[-1][0] if groups else None

    def take(
        self, key: Hashable, fits: Callable[[CallEvidence], bool] = lambda _: True
    ) -> CallEvidence | None:
        first = self.last(key)
        return first if first is not None and fits(first) else None

    def _drop_answered(self, key: Hashable) -> None:
        groups = self._groups.get(key)
        while groups:
            while groups[-1] and groups[-1][0].answer is not None:
                groups[-1].popleft()
            if groups[-1]:
                return
            groups.pop()
