"""The codec of Temporal payloads that the settings name."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module

from pydantic import SecretStr
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)

from core.errors import Misconfigured


def load_codec(name: str | None, keys: SecretStr | None) -> PayloadCodec | None:
    """The codec at `module:Class`, made with the keys where there are keys.

    Raises Misconfigured.
    """
    if name is None:
        if keys is not None:
            raise Misconfigured(
                "ASSAY_TEMPORAL_CODEC_KEYS is set without ASSAY_TEMPORAL_CODEC, so nothing would "
                "be encrypted. Set ASSAY_TEMPORAL_CODEC=core.temporal.keyring_codec:KeyringCodec."
            )
        return None
    codec_class = _imported(name)
    if not (isinstance(codec_class, type) and issubclass(codec_class, PayloadCodec)):
        raise Misconfigured(
            f"ASSAY_TEMPORAL_CODEC: {name} is no subclass of temporalio.converter.PayloadCodec."
        )
    made: Callable[..., PayloadCodec] = codec_class
    try:
        return made() if keys is None else made(keys.get_secret_value())
    except TypeError:
        wrong = "needs" if keys is None else "takes no"
        raise Misconfigured(
            f"ASSAY_TEMPORAL_CODEC: {name} {wrong} keys. See ASSAY_TEMPORAL_CODEC_KEYS."
        ) from None


def data_converter(codec: PayloadCodec | None) -> DataConverter:
    """Pydantic's converter; with a codec, messages and stacks of failures are encoded too."""
    if codec is None:
        return pydantic_data_converter
    return replace(
        pydantic_data_converter,
        payload_codec=codec,
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


def _imported(name: str) -> object:
    module, colon, attribute = name.partition(":")
    if not colon:
        raise Misconfigured(f"ASSAY_TEMPORAL_CODEC: write {name} as module:Class.")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise Misconfigured(f"ASSAY_TEMPORAL_CODEC: {name} cannot be imported: {error}.") from error
