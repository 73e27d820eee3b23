"""Schedules and the keys of the codec.

Temporal passes the result or the failure of a schedule's last start to the next start, encrypted
with the key of its time. No update of a schedule removes it, and a worker without that key cannot
begin the next start. So a schedule is made again when the key has changed.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from temporalio.api.common.v1 import Memo, Payload
from temporalio.client import Client, ScheduleDescription
from temporalio.converter import DataConverter, WorkflowSerializationContext

from core.temporal.keyring_codec import KEY_ID

CLEAR: Final = DataConverter.default.payload_converter
"""Writes the memo of a schedule in clear. A memo cannot be changed later, so a codec's key that is
removed would make it unreadable; ids of keys and names of task queues are never encrypted anyway.
"""

_MADE_WITH: Final = "codec_key"


async def current_key(client: Client, workflow_id: str) -> str:
    """The id of the key that encrypts now; empty without a codec that names its keys.

    `workflow_id`: the beginning of the ids of the schedule's workflows.
    """
    context = WorkflowSerializationContext(client.namespace, workflow_id)
    encoded = await client.data_converter.with_context(context).encode([""])
    return encoded[0].metadata.get(KEY_ID, b"").decode("utf-8", "replace")[:64]


def made_with(key_id: str) -> Mapping[str, Payload]:
    """The part of a new schedule's memo that names the key."""
    return {_MADE_WITH: CLEAR.to_payload(key_id)}


def is_outdated(memo: Memo, key_id: str) -> bool:
    """Whether another key, or none, encrypted when the schedule was made."""
    payload = memo.fields.get(_MADE_WITH)
    return bool(key_id) and (payload is None or CLEAR.from_payload(payload) != key_id)


def is_idle(described: ScheduleDescription, now: datetime, jitter: timedelta) -> bool:
    """Whether the schedule can be deleted and made again without a consequence.

    A new schedule does not know the open workflow of the old one, and leaves out a due time that
    has passed but waits for its jitter.
    """
    following = described.info.next_action_times[:1]
    return not described.info.running_actions and all(at - now > jitter for at in following)
