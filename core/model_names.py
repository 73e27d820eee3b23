"""What the name of a model says of its provider: read alike by workers and by the API."""

import re
from collections.abc import Collection
from typing import Final

_ALIASES: Final = {"ollama_chat": "ollama", "cohere_chat": "cohere", "google": "gemini"}
_FAMILIES: Final = (
    (re.compile(r"(?:gpt-|chatgpt-|o\d)"), "openai"),
    (re.compile(r"claude-"), "anthropic"),
    (re.compile(r"gemini-"), "gemini"),
    (re.compile(r"(?:mi|mini|code|pix)stral-"), "mistral"),
    (re.compile(r"deepseek-"), "deepseek"),
    (re.compile(r"grok-"), "xai"),
    (re.compile(r"command-"), "cohere"),
)


def provider_of(
    name: str, known: Collection[str], *, of_any_other: str | None = None
) -> tuple[str, str] | None:
    """The provider's key, and its own name for the model. None where the name does not tell.

    `provider/model`, or the bare name of a well-known family. `of_any_other`: whose
    every name is that says nothing of its provider, families included.
    """
    prefix, slash, rest = name.partition("/")
    key = _ALIASES.get(prefix, prefix)
    if slash and rest and key in known:
        return key, rest
    if of_any_other is not None:
        return of_any_other, name
    if slash:
        return None
    family = next((found for pattern, found in _FAMILIES if pattern.match(name)), None)
    return (family, name) if family in known and family is not None else None
