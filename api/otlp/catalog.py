"""The catalog of vocabularies: every module of this package that defines a VOCABULARY."""

import pkgutil
from functools import cache
from importlib import import_module

import api.otlp
from api.otlp.vocabulary import Vocabulary


@cache
def vocabularies() -> tuple[Vocabulary, ...]:
    """Most specific first."""
    modules: list[Vocabulary] = []
    for module in pkgutil.iter_modules(api.otlp.__path__):
        vocabulary = getattr(import_module(f"api.otlp.{module.name}"), "VOCABULARY", None)
        if isinstance(vocabulary, Vocabulary):
            modules.append(vocabulary)
    return tuple(sorted(modules, key=lambda one: (one.rank, one.name)))


@cache
def known_heads() -> frozenset[str]:
    """The first words of all attributes and events that any vocabulary knows."""
    return frozenset(head for vocabulary in vocabularies() for head in vocabulary.heads)
