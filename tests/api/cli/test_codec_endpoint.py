"""Temporal's UI, and no other page, has its payloads decoded on this machine."""

from base64 import b64encode
from collections.abc import AsyncIterator

import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from temporalio.api.common.v1 import Payload, Payloads
from typer.testing import CliRunner

from api.cli import codec_server
from api.cli.codec_server import endpoint
from cli import app
from core.temporal.keyring_codec import KeyringCodec

UI = "http://127.0.0.1:8233"
CODEC = KeyringCodec(f"now:{b64encode(b'k' * 32).decode()}")
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"planted"')


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = httpx.ASGITransport(endpoint(CODEC, [UI]))
    async with httpx.AsyncClient(
        transport=app, base_url="http://endpoint", headers={"Origin": UI}
    ) as client:
        yield client


async def encoded() -> dict[str, object]:
    sealed = await CODEC.encode([PLAIN])
    return dict(MessageToDict(Payloads(payloads=sealed)))


async def test_the_ui_gets_its_payloads_decoded(client: httpx.AsyncClient) -> None:
    answer = await client.post("/decode", json=await encoded(), headers={"X-Namespace": "assay"})
    assert answer.json() == MessageToDict(Payloads(payloads=[PLAIN]))
    assert answer.headers["access-control-allow-origin"] == UI


async def test_what_the_ui_encodes_can_be_decoded(client: httpx.AsyncClient) -> None:
    plain = MessageToDict(Payloads(payloads=[PLAIN]))
    answer = await client.post("/encode", json=plain)
    sealed = answer.json()
    assert sealed != plain
    assert (await client.post("/decode", json=sealed)).json() == plain


async def test_another_page_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/decode", json=await encoded(), headers={"Origin": "http://evil.test"}
    )
    assert answer.status_code == 403
    assert "planted" not in answer.text
    asked = {"Origin": "http://evil.test", "Access-Control-Request-Method": "POST"}
    assert (await client.options("/decode", headers=asked)).status_code == 400


async def test_a_payload_of_another_key_is_explained(client: httpx.AsyncClient) -> None:
    other = KeyringCodec(f"before:{b64encode(b'b' * 32).decode()}")
    body = MessageToDict(Payloads(payloads=await other.encode([PLAIN])))
    answer = await client.post("/decode", json=body)
    assert answer.status_code == 400
    assert "'before', which ASSAY_TEMPORAL_CODEC_KEYS does not contain" in answer.json()["message"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{not json", b'{"payloads": 3}', b'{"other": []}'])
async def test_a_body_that_holds_no_payloads_is_refused(
    client: httpx.AsyncClient, body: bytes
) -> None:
    answer = await client.post("/decode", content=body)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("Send Temporal payloads as JSON")


async def test_a_body_above_the_limit_is_refused(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec_server, "MAX_BODY_BYTES", 100)
    assert (await client.post("/decode", content=b"x" * 101)).status_code == 400


def test_the_command_needs_a_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_TEMPORAL_CODEC", raising=False)
    told = CliRunner().invoke(app, ["codec-endpoint"])
    assert told.exit_code == 1
    assert "ASSAY_TEMPORAL_CODEC is not set" in told.output
