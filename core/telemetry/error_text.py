"""Errors in words that quote no trace, no prompt and no key."""

import traceback
from collections.abc import Iterator
from typing import Final

from core.errors import AssayError

_PLAIN: Final = (
    *(AssayError, OSError, RuntimeError, ImportError),
    *(AttributeError, NameError, TypeError),
)
"""Errors whose text names things of the code or of the system. Others may quote a value: the key
that a dictionary lacks, the row that PostgreSQL refuses, the text that is no number.
"""
_PLAIN_LIBRARIES: Final = ("temporalio", "asyncio")

OMITTED: Final = "(text left out, because it may quote a trace)"


def described(error: BaseException) -> str:
    """The type of the error, and its text if errors of this type quote no values."""
    name = type(error).__name__
    text = str(error)
    if not text:
        return name
    library = type(error).__module__.partition(".")[0]
    if isinstance(error, _PLAIN) or library in _PLAIN_LIBRARIES:
        return f"{name}: {text}"
    # What a database refuses is told by the type of its driver's error.
    driver = getattr(error, "orig", None)
    of = f" of {type(driver).__name__}" if isinstance(driver, Exception) else ""
    return f"{name}{of} {OMITTED}"


def stack_of(error: BaseException) -> str:
    """The stack of the error after those of the errors behind it, like Python's own."""
    parts = []
    for one in reversed(list(_chain(error))):
        stack = "".join(traceback.format_tb(one.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{stack}{described(one)}")
    return "\n\nThen:\n\n".join(parts)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised from."""
    seen = set[int]()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
