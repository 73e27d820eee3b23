"""The codec of Temporal payloads that the settings name."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from inspect import signature

from pydantic import SecretStr
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)

from core.errors import Misconfigured
from core.telemetry.error_text import described


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
    arguments = () if keys is None else (keys.get_secret_value(),)
    try:
        signature(codec_class).bind(*arguments)
    except TypeError:
        wrong = "needs" if keys is None else "takes no"
        raise Misconfigured(
            f"ASSAY_TEMPORAL_CODEC: {name} {wrong} keys. See ASSAY_TEMPORAL_CODEC_KEYS."
        ) from None
    made: Callable[..., PayloadCodec] = codec_class
    try:
        return made(*arguments)
    except Misconfigured:
        raise
    except Exception as error:  # noqa: BLE001 - another's code; its text may quote a key
        raise Misconfigured(
            f"ASSAY_TEMPORAL_CODEC: {name} cannot be made ({type(error).__name__}). Check "
            "ASSAY_TEMPORAL_CODEC_KEYS."
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
    except Exception as error:
        raise Misconfigured(
            f"ASSAY_TEMPORAL_CODEC: {name} cannot be imported: {described(error)}."
        ) from error
