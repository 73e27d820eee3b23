"""The attacks of `make attack`, in a small form."""

from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from bench import attack


@pytest.mark.parametrize(
    "short",
    [
        partial(attack.bodies, count=6, size=3_000_000),
        partial(attack.keyless, count=4),
        attack.keys,
        attack.spans,
        partial(attack.heads, count=600),
    ],
    ids=["bodies", "keyless", "keys", "spans", "heads"],
)
async def test_an_attack_keeps_its_bound_of_memory(
    short: Callable[[attack.Target], Awaitable[attack.Outcome]],
) -> None:
    async with attack.target() as made:
        await short(made)
        # `make attack` measures the times; here other tests run at the same time.
        assert made.peak < 400 * attack.MB
