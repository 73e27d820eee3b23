"""What Temporal stores can be read with the right keys only, across a rotation of keys."""

from base64 import b64encode
from pathlib import Path

import pytest
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec, WithSerializationContext

from core.errors import Misconfigured
from core.temporal import keyring_codec
from core.temporal.keyring_codec import KeyringCodec
from core.temporal.payload_codec import data_converter, load_codec

KEYRING = "core.temporal.keyring_codec:KeyringCodec"


def key(fill: bytes) -> str:
    return b64encode(fill * 32).decode()


OLD, NEW = f"2026-05:{key(b'o')}", f"2026-11:{key(b'n')}"
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'{"trace_id":"planted"}')


async def test_an_encoded_payload_hides_its_data_and_its_metadata() -> None:
    codec = KeyringCodec(NEW)
    [sealed] = await codec.encode([PLAIN])
    assert b"planted" not in sealed.SerializeToString()
    assert b"json/plain" not in sealed.SerializeToString()
    assert await codec.decode([sealed]) == [PLAIN]


async def test_equal_payloads_differ_when_they_are_encoded() -> None:
    first, second = await KeyringCodec(NEW).encode([PLAIN, PLAIN])
    assert first.data != second.data


async def test_a_ring_decodes_what_an_older_key_encoded() -> None:
    [sealed] = await KeyringCodec(OLD).encode([PLAIN])
    rotated = KeyringCodec(f"{NEW},{OLD}")
    assert await rotated.decode([sealed]) == [PLAIN]
    [again] = await rotated.encode([PLAIN])
    assert again.metadata["encryption-key-id"] == b"2026-11"


async def test_payloads_from_before_the_encryption_pass() -> None:
    assert await KeyringCodec(NEW).decode([PLAIN]) == [PLAIN]


async def test_a_missing_key_is_named() -> None:
    [sealed] = await KeyringCodec(OLD).encode([PLAIN])
    with pytest.raises(Misconfigured, match="key '2026-05', which ASSAY_TEMPORAL_CODEC_KEYS"):
        await KeyringCodec(NEW).decode([sealed])


@pytest.mark.parametrize("cut", ["data", "salt", "key"])
async def test_a_changed_payload_is_refused(cut: str) -> None:
    [sealed] = await KeyringCodec(NEW).encode([PLAIN])
    codec = KeyringCodec(NEW)
    if cut == "data":
        sealed.data = sealed.data[:-1] + bytes([sealed.data[-1] ^ 1])
    elif cut == "salt":
        sealed.metadata["encryption-salt"] = b"x" * 16
    else:
        codec = KeyringCodec(f"2026-11:{key(b'x')}")
    with pytest.raises(Misconfigured, match="cannot be decrypted with the key '2026-11'"):
        await codec.decode([sealed])


async def test_a_payload_that_was_cut_short_is_refused() -> None:
    codec = KeyringCodec(NEW)
    [sealed] = await codec.encode([PLAIN])
    sealed.data = sealed.data[:5]
    with pytest.raises(Misconfigured, match="cannot be decrypted"):
        await codec.decode([sealed])


async def test_a_derived_key_encrypts_a_bounded_number_of_payloads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keyring_codec, "MAX_PAYLOADS_PER_SALT", 2)
    codec = KeyringCodec(NEW)
    sealed = await codec.encode([PLAIN] * 5)
    assert len({one.metadata["encryption-salt"] for one in sealed}) == 3
    assert await codec.decode(sealed) == [PLAIN] * 5


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("", "entry 1 is not `id:key`"),
        ("a:short", "entry 1 is not `id:key`"),
        (f"{NEW},b:{b64encode(b'x' * 16).decode()}", "entry 2 is not `id:key`"),
        (f"bad id:{key(b'x')}", "entry 1 is not `id:key`"),
        (f"{NEW},{NEW}", "two keys '2026-11'"),
    ],
)
def test_a_bad_ring_is_refused_without_showing_a_key(keys: str, message: str) -> None:
    with pytest.raises(Misconfigured, match=message) as refused:
        KeyringCodec(keys)
    assert key(b"n") not in refused.value.message


class NeedsNothing(PayloadCodec):
    async def encode(self, payloads):  # type: ignore[no-untyped-def]
        return list(payloads)

    async def decode(self, payloads):  # type: ignore[no-untyped-def]
        return list(payloads)


class Picky(NeedsNothing):
    def __init__(self, keys: str) -> None:
        raise ValueError(f"not a key: {keys}")


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        (None, NEW, "without ASSAY_TEMPORAL_CODEC, so nothing would be encrypted"),
        ("core.temporal", None, "write core.temporal as module:Class"),
        ("core.nowhere:Codec", None, "core.nowhere:Codec cannot be imported"),
        ("core.settings:Nothing", None, "core.settings:Nothing cannot be imported"),
        ("core.settings:Settings", None, "no subclass of temporalio.converter.PayloadCodec"),
        (KEYRING, None, "needs keys"),
        (f"{__name__}:NeedsNothing", NEW, "takes no keys"),
        (f"{__name__}:Picky", NEW, r"Picky cannot be made \(ValueError\)\. Check"),
        (":Codec", None, ":Codec cannot be imported"),
        ("broken_codec:Codec", None, "broken_codec:Codec cannot be imported: SyntaxError"),
    ],
)
def test_a_codec_that_cannot_be_made_stops_the_process(
    name: str | None,
    keys: str | None,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "broken_codec.py").write_text("class Codec(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Misconfigured, match=message) as refused:
        load_codec(name, SecretStr(keys) if keys else None)
    assert NEW not in refused.value.message


def test_a_codec_is_made_with_its_keys_or_without_any() -> None:
    assert isinstance(load_codec(KEYRING, SecretStr(NEW)), KeyringCodec)
    assert isinstance(load_codec(f"{__name__}:NeedsNothing", None), NeedsNothing)
    assert load_codec(None, None) is None


def test_without_a_codec_failures_stay_readable() -> None:
    assert data_converter(None).payload_codec is None
    assert data_converter(KeyringCodec(NEW)).failure_converter_class is not (
        data_converter(None).failure_converter_class
    )


def test_a_keyring_needs_no_context() -> None:
    assert not issubclass(KeyringCodec, WithSerializationContext)
