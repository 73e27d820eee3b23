"""Writes the audit log: an entry for every request that changed something."""

import json
import logging
from typing import Final

from fastapi.routing import APIRoute
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.auth import Access
from api.http.gatekeeper import ACCESS
from core.db.group_commit import GroupCommit
from core.queries import audit
from core.queries.audit import Action
from core.telemetry import log_ids

_CHANGING: Final = ("POST", "PATCH", "PUT", "DELETE")

_INGESTION: Final = {"store_trace", "add_spans", "export_spans", "export_logs", "export_metrics"}
"""Operations that store traces, which need no further record."""

_MAX_READ_BYTES: Final = 64 * 1024
"""Responses about one row are smaller; a larger response is not searched for an id."""

_RECORDED: Final = "assay.audited"
"""Key of the ASGI scope for a request whose entry is already written."""

log = logging.getLogger(__name__)


class AuditTrail:
    """Writes the entry after the commit of the change and before the response.

    If the entry cannot be written, the failure is logged, because the change has already happened.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _CHANGING or ACCESS not in scope:
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def recording(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start is not None:
                if 200 <= start["status"] < 300:
                    await _record(scope, message.get("body", b""))
                begun, start = start, None
                await send(begun)
            await send(message)

        await self._app(scope, receive, recording)


def mark_recorded(scope: Scope) -> None:
    """Call this when the entry was committed together with the change."""
    scope[_RECORDED] = True


def action_of(scope: Scope, new_id: str | None) -> Action | None:
    """The entry of the request; None if it needs none.

    Its target is the ids in the path, or else the id of the new row.
    """
    route = scope.get("route")
    if not isinstance(route, APIRoute) or route.name in _INGESTION or ACCESS not in scope:
        return None
    access: Access = scope[ACCESS]
    return Action(
        action=route.name,
        actor=access.key.name,
        key_id=access.key_id,
        project_id=access.project_id,
        target="/".join(map(str, scope.get("path_params", {}).values())) or new_id,
        request_id=log_ids.request_id.get(),
    )


async def _record(scope: Scope, body: bytes) -> None:
    action = None if _RECORDED in scope else action_of(scope, _id_in(body))
    if action is None:
        return
    writes: GroupCommit = scope["app"].state.stack.writes
    try:
        await writes.write(lambda db: audit.record(db, action))
    except (SQLAlchemyError, OSError) as error:
        log.warning("The audit log cannot be written: %s", type(error).__name__)


def _id_in(body: bytes) -> str | None:
    """The id in the response, which is that of a new row."""
    if not 0 < len(body) <= _MAX_READ_BYTES:
        return None
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    made = answer.get("id") if isinstance(answer, dict) else None
    return None if made is None else str(made)
