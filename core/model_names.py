"""Derives the provider from the name of a model, for workers and the API."""

import re
from collections.abc import Collection
from typing import Final

_ALIASES: Final = {
    "ollama_chat": "ollama",
    "cohere_chat": "cohere",
    "google": "gemini",
    "google_genai": "gemini",
}
_FAMILIES: Final = (
    (re.compile(r"(?:gpt-|chatgpt-|o\d)"), "openai"),
    (re.compile(r"claude-"), "anthropic"),
    (re.compile(r"gemini-"), "gemini"),
    (re.compile(r"(?:mi|mini|code|pix)stral-"), "mistral"),
    (re.compile(r"deepseek-"), "deepseek"),
    (re.compile(r"grok-"), "xai"),
    (re.compile(r"command-"), "cohere"),
)


_MODEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:@+-]|/(?=[A-Za-z0-9_.~@-])){0,200}")
"""Accepted names of models.

No accepted name can change the path or query of a request to the server.
"""

_FINE_TUNED: Final = ("ft:", "ft-")
_FOREIGN: Final = frozenset(
    {
        *("huggingface", "ollama", "ollama_chat", "custom", "custom_openai", "litellm_proxy"),
        *("responses", "a2a", "a2a_agent", "sagemaker", "replicate", "predibase", "petals"),
    }
)
"""Parts of a name that make client libraries call another server than the provider's."""

_MIXED: Final = frozenset({"openrouter", "together_ai", "fireworks_ai", "groq", "hosted_vllm"})
"""Providers whose model names begin with the name of another company."""


def is_well_formed(model: str, provider: str) -> bool:
    """Whether a model name is safe: no part of it addresses another server or path."""
    parts = model.split("/")
    if not _MODEL.fullmatch(model) or ".." in model or any(part == "." for part in parts):
        return False
    if provider == "openai":
        return not _FOREIGN.intersection(parts[:-1])
    if any(mark in model.lower() for mark in _FINE_TUNED):
        return False
    return provider in _MIXED or not _FOREIGN.intersection(parts[:-1])


def is_listed(name: str, listed: str | None) -> bool:
    """Whether an allow-list has the model.

    The list has names and `provider/*`, separated by commas. Without a list every model is listed.
    """
    if listed is None:
        return True
    entries = {entry.strip() for entry in listed.split(",")} - {""}
    return name in entries or f"{name.partition('/')[0]}/*" in entries


_LISTED_ALIASES: Final = {"google_genai": "gemini"}
"""Provider names that clients of compatible services expect."""


def other_names_of(key: str) -> list[str]:
    return [alias for alias, name in _LISTED_ALIASES.items() if name == key]


def provider_of(
    name: str, known: Collection[str], *, of_any_other: str | None = None
) -> tuple[str, str] | None:
    """The provider's key, and the provider's name of the model.

    None if the name is ambiguous or is not a valid name.

    `provider/model`, or the bare name of a well-known family. `of_any_other`: the provider that
    gets every name without a known provider, families included.
    """
    found = _provider_of(name, known, of_any_other)
    return found if found and is_well_formed(found[1], found[0]) else None


def _provider_of(
    name: str, known: Collection[str], of_any_other: str | None
) -> tuple[str, str] | None:
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
