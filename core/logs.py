import logging
import sys


def configure(level: str) -> None:
    """One line an event on standard error; Temporal's and LiteLLM's chatter at warnings only."""
    logging.basicConfig(
        level=level,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    for noisy in ("httpx", "httpcore", "aiosqlite", "LiteLLM", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
