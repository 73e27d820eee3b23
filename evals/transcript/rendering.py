"""Writes a trace as text for a judge, within a token budget.

Texts that do not fit are shortened in the middle, the longest outputs first. The first user
message, the last answer, the name of every tool and every error stay.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from core.truncation import one_line
from evals.transcript.outline import Outline, Piece, Step, Weight

# A token has 3.5 to 4.5 bytes of English or JSON, about 2.5 bytes of other scripts, and as few as
# 1.5 bytes of text without words, such as base64. A low estimate keeps a rendering inside the
# judge's window.
BYTES_PER_TOKEN = 3.0
_OTHER_SCRIPTS = 0.3
_WORDLESS = 1.0
_WORDLESS_RUN = re.compile(r"[\w+/=-]{64,}", re.ASCII)
# The maximum cost of a character. Most traces are far below the budget and need no exact count.
_MAX_BYTES_PER_CHARACTER = 4 * (1 + _OTHER_SCRIPTS)
_ASCII = bytes(range(128))

# The minimum length of a shortened text, per round. Rounds shorten outputs first, then inputs, then
# all texts.
_ROUNDS: tuple[tuple[Weight, int], ...] = (
    (Weight.OUTPUT, 400),
    (Weight.INPUT, 400),
    (Weight.OUTPUT, 120),
    (Weight.INPUT, 120),
    (Weight.KEPT, 600),
    (Weight.INPUT, 0),
    (Weight.KEPT, 160),
)
_MIN_OF_PIECE = {Weight.OUTPUT: 120, Weight.INPUT: 0, Weight.KEPT: 160}
_SUMMARY_ROOM = 800
_MARK_ROOM = 40
_MIN_KEPT = 20
# Text after the first bar of a line comes from the trace; a line without a bar does not.
_BAR = "\n  |"
_OURS = "\n  "
# Approximate length of the beginning of a line.
_PIECE_OVERHEAD = 6


@dataclass(frozen=True, slots=True)
class Rendering:
    text: str
    truncated: bool


def rendered(outline: Outline, budget_tokens: int) -> Rendering:
    """Renders a trace of any size within about `budget_tokens`."""
    allowed = int(budget_tokens * BYTES_PER_TOKEN)
    whole = _written(outline)
    if len(whole) * _MAX_BYTES_PER_CHARACTER <= allowed:
        return Rendering(whole, truncated=False)
    cost = _cost(whole)
    if cost <= allowed:
        return Rendering(whole, truncated=False)
    return Rendering(_shortened(outline, allowed, cost / max(len(whole), 1)), truncated=True)


def _cost(text: str) -> int:
    """The cost of the text: the bytes of English text with as many tokens."""
    wordless = sum(map(len, _WORDLESS_RUN.findall(text)))
    if text.isascii():
        return len(text) + int(_WORDLESS * wordless)
    encoded = text.encode("utf-8", "replace")
    other = len(encoded.translate(None, _ASCII))
    return len(encoded) + int(_WORDLESS * wordless + _OTHER_SCRIPTS * other)


def _written(outline: Outline) -> str:
    lines = [_headed(outline.header, outline.name)]
    if outline.tools:
        lines.append("\nTools on offer")
        _write(lines, outline.tools)
    for step in outline.steps:
        lines.append("\n")
        lines.append(_headed(step.header, step.name))
        _write(lines, step.pieces)
    lines.append(f"\nEnd: {outline.ending}")
    return "".join(lines)


def _headed(header: str, name: str) -> str:
    return f"{header} | {name}" if name else header


def _write(lines: list[str], pieces: Iterable[Piece]) -> None:
    for piece in pieces:
        if piece.stand_in:
            lines.append(f"{_OURS}{piece.label} = {piece.stand_in}".replace("   = ", "  = "))
            continue
        lines.append(f"{_OURS}{piece.label} |" if piece.label else _BAR)
        lines.append(_barred(piece.text))
        if piece.left_out:
            lines.append(f"{_OURS}[…] {piece.left_out} characters left out")
            if piece.tail:
                lines.append(_BAR)
                lines.append(_barred(piece.tail))


def _barred(text: str) -> str:
    """Puts a bar before each further line, so that no text can begin a step or a label."""
    if "\n" not in text:
        return f" {text}"
    return " " + text.replace("\n", f"{_BAR} ").replace(f"{_BAR} \n", f"{_BAR}\n")


def _shortened(outline: Outline, allowed: int, cost_of_a_character: float) -> str:
    """Cuts with less and less room until the text fits, because the cost is known only after
    writing.
    """
    room = int(allowed / cost_of_a_character)
    text = ""
    for _ in range(8):
        text = _written(_cut(_folded_to(outline, room), room))
        cost = _cost(text)
        if cost <= allowed:
            return text
        room = int(room * min(0.9, allowed / cost))
    return _middle_out(text, int(allowed * len(text) / max(1, _cost(text))))


def _cut(outline: Outline, room: int) -> Outline:
    caps = _caps(outline, room)

    def shorter(piece: Piece) -> Piece:
        return _piece_within(piece, caps[piece.weight])

    return replace(
        outline,
        tools=list(map(shorter, outline.tools)),
        steps=[replace(step, pieces=list(map(shorter, step.pieces))) for step in outline.steps],
    )


def _caps(outline: Outline, room: int) -> dict[Weight, int]:
    """The maximum length of a text per weight, such that all texts fit if possible."""
    lengths: dict[Weight, list[int]] = {weight: [] for weight in Weight}
    fixed = _fixed_of(outline) + sum(map(_header_of, outline.steps))
    for piece in outline.pieces():
        lengths[piece.weight].append(_length(piece))
        fixed += len(piece.label) + _PIECE_OVERHEAD
    caps = {weight: max(found, default=0) for weight, found in lengths.items()}
    for weight, floor in _ROUNDS:
        others = fixed + sum(
            _total(lengths[other], caps[other]) for other in Weight if other is not weight
        )
        caps[weight] = max(
            min(floor, caps[weight]), _highest_cap(lengths[weight], room - others, caps[weight])
        )
        if others + _total(lengths[weight], caps[weight]) <= room:
            break
    return caps


def _total(lengths: Sequence[int], cap: int) -> int:
    return sum(length if length < cap else cap for length in lengths)


def _highest_cap(lengths: Sequence[int], room: int, start: int) -> int:
    low, high = 0, start
    while low < high:
        middle = (low + high + 1) // 2
        if _total(lengths, middle) <= room:
            low = middle
        else:
            high = middle - 1
    return low


def _length(piece: Piece) -> int:
    return len(piece.stand_in or piece.text)


def _piece_within(piece: Piece, cap: int) -> Piece:
    """At most about `cap` characters: the beginning, the number of omitted characters, the end."""
    if _length(piece) <= cap or piece.stand_in:
        return piece
    kept = cap - _MARK_ROOM
    if kept < max(_MIN_KEPT, piece.kept):
        if piece.kept and _length(piece) <= piece.kept + _MARK_ROOM:
            return piece
        return replace(piece, text=piece.text[: piece.kept], left_out=len(piece.text) - piece.kept)
    head = max(kept * 2 // 3, piece.kept)
    text, left_out = piece.text, len(piece.text) - kept
    return replace(piece, text=text[:head], left_out=left_out, tail=text[head + left_out :])


def _middle_out(text: str, cap: int) -> str:
    """The last resort: removes whole lines in the middle, and marks the place."""
    if len(text) <= cap:
        return text
    mark = "\n[…] the middle is left out\n"
    kept = max(0, cap - len(mark))
    head, tail = text[: kept * 2 // 3], text[len(text) - kept // 3 :]
    return f"{head.rpartition(chr(10))[0]}{mark}{tail.partition(chr(10))[2]}"


def _folded_to(outline: Outline, room: int) -> Outline:
    """Removes plain steps first, then the middle of the rest.

    Used for traces with thousands of steps.
    """
    first, last = _ends(outline.steps)
    if _least_of(outline) > room:
        outline = _folded(
            outline,
            lambda place, step: bool(step.tool or step.error) or place in (first, last),
        )
    if _least_of(outline) > room:
        outline = _without_the_middle(outline, room)
    return outline


def _fixed_of(outline: Outline) -> int:
    return len(outline.header) + len(outline.name) + len(outline.ending) + 30


def _header_of(step: Step) -> int:
    return len(step.header) + len(step.name) + 4


def _least_of(outline: Outline) -> int:
    ends = _fixed_of(outline) + sum(map(_least_of_piece, outline.tools))
    return ends + sum(map(_least_of_step, outline.steps))


def _least_of_step(step: Step) -> int:
    return _header_of(step) + sum(map(_least_of_piece, step.pieces))


def _least_of_piece(piece: Piece) -> int:
    floor = max(_MIN_OF_PIECE[piece.weight], piece.kept)
    return len(piece.label) + _PIECE_OVERHEAD + min(_length(piece), floor)


def _without_the_middle(outline: Outline, room: int) -> Outline:
    """Gives half of the room to the first steps and half to the last ones."""
    spare = room - _least_of(replace(outline, steps=[])) - _SUMMARY_ROOM
    sizes = list(map(_least_of_step, outline.steps))
    keep: set[int] = set()
    for order in (range(len(sizes)), reversed(range(len(sizes)))):
        left = spare // 2
        for place in order:
            left -= sizes[place]
            if left < 0:
                break
            keep.add(place)
    return _folded(outline, lambda place, _: place in keep)


def _ends(steps: Sequence[Step]) -> tuple[int, int]:
    """The steps with the first user message and with the last answer."""
    kept = [
        place
        for place, step in enumerate(steps)
        if any(piece.weight is Weight.KEPT for piece in step.pieces)
    ]
    return (kept[0], kept[-1]) if kept else (0, len(steps) - 1)


def _folded(outline: Outline, keeps: Callable[[int, Step], bool]) -> Outline:
    """Replaces each sequence of removed steps by one step that names their tools and errors."""
    steps: list[Step] = []
    run: list[Step] = []
    for place, step in enumerate(outline.steps):
        if not keeps(place, step):
            run.append(step)
            continue
        if run:
            steps.append(_summary(run))
            run = []
        steps.append(step)
    if run:
        steps.append(_summary(run))
    return replace(outline, steps=steps)


def _summary(run: Sequence[Step]) -> Step:
    tools = Counter(step.tool for step in run if step.tool)
    errors = Counter(one_line(step.error, 160) for step in run if step.error)
    pieces = [
        Piece(
            label,
            "; ".join(_times(text, count) for text, count in found.most_common()),
            Weight.KEPT,
        )
        for label, found in (("tools", tools), ("errors", errors))
        if found
    ]
    return Step(f"[…] {len(run)} steps left out", pieces=pieces)


def _times(text: str, count: int) -> str:
    return text if count == 1 else f"{text} ×{count}"
