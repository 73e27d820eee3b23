"""Chunks of lists."""

import pytest

from core.db.paging import chunks_by_size


@pytest.mark.parametrize(
    ("sizes", "chunks"),
    [
        ([], []),
        ([1, 1, 1], [[0, 1, 2]]),
        ([1, 1, 1, 1], [[0, 1, 2], [3]]),
        ([5, 5, 1], [[0, 1], [2]]),
        ([11, 1, 99, 1, 1], [[0], [1], [2], [3, 4]]),
        ([10, 0, 0], [[0, 1, 2]]),
    ],
)
def test_chunks_have_at_most_a_count_and_a_size(sizes: list[int], chunks: list[list[int]]) -> None:
    assert list(chunks_by_size(enumerate(sizes), count=3, size=10)) == chunks
