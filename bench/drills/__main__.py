"""Drills of operations on this machine: `python -m bench.drills upgrade restart --small`.

Without a name, all of them. Each drill prints its figures. The exit code is 1 if a drill failed.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final

from bench.claims import Claim, show
from bench.drills import restart, restore, rotation, sizing, upgrade
from bench.drills.installation import processors

DRILLS: Final[dict[str, Callable[[bool], Awaitable[list[Claim]]]]] = {
    "restore": lambda small: restore.drill(restore.SMALL if small else restore.DEFAULT),
    "rotation": lambda small: rotation.drill(rotation.SMALL if small else rotation.DEFAULT),
    "upgrade": lambda small: upgrade.drill(upgrade.SMALL if small else upgrade.DEFAULT),
    "restart": lambda small: restart.drill(restart.SMALL if small else restart.DEFAULT),
    "sizing": lambda small: sizing.drill(sizing.SMALL if small else sizing.DEFAULT),
}


async def passes(name: str, *, small: bool) -> bool:
    machine, began = processors(), time.monotonic()
    claims = await DRILLS[name](small)
    took = time.monotonic() - began
    passed = show(f"{name}: {took:.0f} s on {machine}", claims)
    print(f"{name}: {'passed' if passed else 'FAILED'}\n")
    return passed


async def main() -> bool:
    """Whether all drills passed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="drill", help=", ".join(DRILLS))
    parser.add_argument("--small", action="store_true", help="Less load, for a first look.")
    options = parser.parse_args()
    if unknown := set(options.names) - set(DRILLS):
        parser.error(f"No drill is called {', '.join(sorted(unknown))}. There are: {[*DRILLS]}")
    return all([await passes(name, small=options.small) for name in options.names or DRILLS])


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main()) else 1)
