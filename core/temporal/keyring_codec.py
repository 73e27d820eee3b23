"""Encrypts what Temporal stores of workflows and activities: AES-256-GCM with a ring of keys."""

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import urandom
from typing import Final, Self

from cachetools import LRUCache
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from core.errors import Misconfigured

ENCODING: Final = b"binary/encrypted"
KEY_ID: Final = "encryption-key-id"
SALT: Final = "encryption-salt"

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
SALT_BYTES: Final = 16

MAX_PAYLOADS_PER_SALT: Final = 2**30
"""NIST SP 800-38D allows 2^32 random nonces per key; a quarter of that leaves a margin."""

_MAX_DERIVED_KEYS: Final = 1000
_KEY = re.compile(r"(?P<id>[A-Za-z0-9_.-]{1,64}):(?P<key>[A-Za-z0-9+/]+={0,2})")


class KeyringCodec(PayloadCodec):
    """Encrypts with the first key of the ring; decrypts with any.

    Each process derives a key of its own from the ring's key and a random salt (HKDF-SHA256,
    RFC 5869), so that the number of payloads per key stays far below the limit of AES-GCM. The
    id of the key and the salt stand in clear beside the encrypted payload. Payloads that are not
    encrypted pass, so that runs continue when encryption is turned on.
    """

    def __init__(self, keys: str) -> None:
        """`keys` is `id:key` once or more, separated by commas; a key is 32 bytes in base64.

        Raises Misconfigured.
        """
        self._keys = _parsed(keys)
        self._current = next(iter(self._keys))
        self._derived: LRUCache[tuple[str, bytes], AESGCM] = LRUCache(_MAX_DERIVED_KEYS)
        self._sealing = _Sealing.begin(self._current, self._keys)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._encrypted(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Raises Misconfigured for a key outside of the ring and for a changed payload."""
        return [self._decrypted(payload) for payload in payloads]

    def _encrypted(self, payload: Payload) -> Payload:
        if self._sealing.payloads >= MAX_PAYLOADS_PER_SALT:
            self._sealing = _Sealing.begin(self._current, self._keys)
        return self._sealing.seal(payload)

    def _decrypted(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload
        key_id = payload.metadata[KEY_ID].decode("utf-8", "replace")
        salt = payload.metadata[SALT]
        if key_id not in self._keys:
            raise Misconfigured(
                f"Temporal holds data encrypted with the key {key_id[:64]!r}, which "
                "ASSAY_TEMPORAL_CODEC_KEYS does not contain. Add this key after the current one."
            )
        cipher = self._derived.get((key_id, salt))
        if cipher is None:
            cipher = self._derived[key_id, salt] = _derive(self._keys[key_id], salt)
        nonce, sealed = payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:]
        try:
            text = cipher.decrypt(nonce, sealed, _associated(key_id))
        except (InvalidTag, ValueError):
            raise Misconfigured(
                f"Data in Temporal cannot be decrypted with the key {key_id!r}: the key has "
                "another value than when the data was written, or the data was changed."
            ) from None
        return Payload.FromString(text)


@dataclass(slots=True)
class _Sealing:
    """Encrypts under one derived key."""

    key_id: str
    salt: bytes
    cipher: AESGCM
    payloads: int = 0

    @classmethod
    def begin(cls, key_id: str, keys: Mapping[str, bytes]) -> Self:
        salt = urandom(SALT_BYTES)
        return cls(key_id, salt, _derive(keys[key_id], salt))

    def seal(self, payload: Payload) -> Payload:
        self.payloads += 1
        nonce = urandom(NONCE_BYTES)
        sealed = self.cipher.encrypt(nonce, payload.SerializeToString(), _associated(self.key_id))
        return Payload(
            metadata={"encoding": ENCODING, KEY_ID: self.key_id.encode(), SALT: self.salt},
            data=nonce + sealed,
        )


def _derive(key: bytes, salt: bytes) -> AESGCM:
    hkdf = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=b"assay temporal payload")
    return AESGCM(hkdf.derive(key))


def _associated(key_id: str) -> bytes:
    return ENCODING + b" " + key_id.encode()


def _parsed(keys: str) -> dict[str, bytes]:
    ring: dict[str, bytes] = {}
    for number, text in enumerate(keys.split(","), 1):
        match = _KEY.fullmatch(text.strip())
        key = _decoded(match["key"]) if match else b""
        if match is None or len(key) != KEY_BYTES:
            # The message must not show the text, which contains a key.
            raise Misconfigured(
                f"ASSAY_TEMPORAL_CODEC_KEYS: entry {number} is not `id:key` with a key of 32 bytes "
                "in base64. Make a key with `openssl rand -base64 32`."
            )
        if match["id"] in ring:
            raise Misconfigured(f"ASSAY_TEMPORAL_CODEC_KEYS has two keys {match['id']!r}.")
        ring[match["id"]] = key
    return ring


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error:
        return b""
