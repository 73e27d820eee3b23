import gzip
import io
from pathlib import Path

import pytest

from api.cli import jsonlines
from api.cli.jsonlines import JsonLines, parse
from core.errors import Invalid


def read(path: str) -> list[tuple[int, bytes]]:
    with JsonLines(path) as lines:
        return list(lines)


def test_lines_keep_their_numbers_and_empty_ones_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_bytes(b"{}\n\n  \r\n[]")
    assert read(str(file)) == [(1, b"{}\n"), (4, b"[]")]


def test_gzip_is_told_by_its_content_not_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_bytes(gzip.compress(b"{}\n"))
    assert read(str(file)) == [(1, b"{}\n")]
    file.with_suffix(".gz").write_bytes(b"{}\n")
    assert read(str(file.with_suffix(".gz"))) == [(1, b"{}\n")]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert read(str(tmp_path / "empty")) == []


def test_standard_input_is_read_and_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    piped = io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"{}\n")))
    monkeypatch.setattr("sys.stdin", piped)
    with JsonLines("-") as lines:
        assert list(lines) == [(1, b"{}\n")]
        assert (lines.name, lines.size, lines.position) == ("standard input", None, 0)
    assert not piped.closed


def test_position_and_size_tell_how_far_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_bytes(b"{}\n" * 3)
    with JsonLines(str(file)) as lines:
        assert (lines.position, lines.size) == (0, 9)
        list(lines)
        assert lines.position == 9


def test_a_missing_file_is_named() -> None:
    with pytest.raises(Invalid, match=r"nowhere\.jsonl: No such file or directory"):
        JsonLines("nowhere.jsonl")


@pytest.mark.parametrize("damage", [slice(0, 40), slice(0, -6)])
def test_damaged_gzip_data_is_named(tmp_path: Path, damage: slice) -> None:
    file = tmp_path / "cut.gz"
    file.write_bytes(gzip.compress(bytes(range(256)))[damage])
    with pytest.raises(Invalid, match=r"cut\.gz: the gzip data is damaged or ends early"):
        read(str(file))


def test_a_line_is_one_object() -> None:
    assert parse(b'{"name": "\xc3\xa9"}') == {"name": "é"}
    assert parse(b'\xef\xbb\xbf{"name": "from Windows"}\r\n') == {"name": "from Windows"}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b'{"name": "x",}\n', r"not valid JSON \(.+ at column 1\d\)$"),
        (b'{"name": "\xff"}', "not UTF-8 text"),
        (b'{"name": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_wrong_with_a_line_is_told(line: bytes, what: str) -> None:
    with pytest.raises(Invalid, match=what):
        parse(line)


@pytest.mark.parametrize("line", [b"{", b"[]", b"1", b"null", b'{"a": "\xff"}', b"{} {}"])
def test_any_other_line_is_refused_without_quoting_it(line: bytes) -> None:
    with pytest.raises(Invalid, match=r"not valid JSON|not UTF-8|not a JSON object"):
        parse(line)


def test_an_endless_line_is_one_bad_line_and_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonlines, "MAX_LINE_BYTES", 1000)
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb") as file:
        file.write(b'{"a":1}\n' + b"x" * 5000 + b'\n{"b":2}\n' + b"y" * 3000)
    with jsonlines.JsonLines(str(path)) as lines:
        found = [line for _, line in lines]
    assert [len(line) for line in found] == [8, 1001, 8, 1001]
    with pytest.raises(Invalid, match="longer than"):
        jsonlines.parse(found[1])
