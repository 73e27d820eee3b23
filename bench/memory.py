"""Judgements kept in memory, for benchmarks and tests without a database."""

from core.judgement import StoredJudgement


class MemoryStore:
    """A `JudgementStore` of one process. Every claim succeeds, because no other process asks."""

    def __init__(self) -> None:
        self.kept: dict[str, StoredJudgement] = {}

    async def get(self, key: str) -> StoredJudgement | None:
        return self.kept.get(key)

    async def put(self, key: str, judgement: StoredJudgement) -> None:
        self.kept[key] = judgement

    async def claim(self, _: str) -> bool:
        return True

    async def release(self, _: str) -> None:
        """Claims are not recorded."""
