"""A worker starts only if Temporal has the search attributes, and names missing ones."""

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from core.errors import Misconfigured, Unavailable
from core.temporal import client as client_module
from core.temporal.client import SEARCH_ATTRIBUTES, check_types, ensure_search_attributes


async def test_a_namespace_that_does_not_exist_is_named(temporal_client: Client) -> None:
    address = temporal_client.service_client.config.target_host
    client = await Client.connect(address, namespace="no-such-namespace")
    with pytest.raises(Misconfigured, match="no namespace 'no-such-namespace'"):
        await ensure_search_attributes(client)


def test_an_attribute_of_another_type_is_named() -> None:
    known = {"AssayProject": IndexedValueType.INDEXED_VALUE_TYPE_TEXT}
    with pytest.raises(Misconfigured, match="AssayProject exist in Temporal with another type"):
        check_types(known)


async def test_a_temporal_that_is_away_is_waited_for() -> None:
    client = await Client.connect("127.0.0.1:1", lazy=True)
    with pytest.raises((Unavailable, RuntimeError)):
        await ensure_search_attributes(client)


async def test_without_registering_missing_attributes_are_named(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = SearchAttributeKey.for_keyword("AssayNotRegistered")
    monkeypatch.setattr(client_module, "SEARCH_ATTRIBUTES", (*SEARCH_ATTRIBUTES, extra))
    with pytest.raises(Misconfigured, match="lacks the search attributes AssayNotRegistered"):
        await ensure_search_attributes(temporal_client, register=False)


async def test_without_registering_a_namespace_with_every_attribute_is_accepted(
    temporal_client: Client,
) -> None:
    await ensure_search_attributes(temporal_client, register=False)


@pytest.mark.parametrize("status", [RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED])
async def test_a_service_that_does_not_list_attributes_is_an_error_only_if_they_are_registered(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, status: RPCStatusCode
) -> None:
    async def refuse(_request: object) -> None:
        raise RPCError("not allowed", status, b"")

    operator = temporal_client.operator_service
    monkeypatch.setattr(operator, "list_search_attributes", refuse)
    await ensure_search_attributes(temporal_client, register=False)
    with pytest.raises(Misconfigured, match="Then set ASSAY_TEMPORAL_REGISTER=false"):
        await ensure_search_attributes(temporal_client)


@pytest.mark.parametrize(
    "status",
    [
        *(RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED),
        RPCStatusCode.RESOURCE_EXHAUSTED,
    ],
)
async def test_a_service_that_is_busy_is_waited_for(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, status: RPCStatusCode
) -> None:
    async def refuse(_request: object) -> None:
        raise RPCError("try again", status, b"")

    monkeypatch.setattr(temporal_client.operator_service, "list_search_attributes", refuse)
    with pytest.raises(Unavailable):
        await ensure_search_attributes(temporal_client)
