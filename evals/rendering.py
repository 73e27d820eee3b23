"""A trace as text for a judge to read, within a budget.

What does not fit is shortened in the middle, the longest outputs first. The
first user message, the last answer, every tool's name and every error stay.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from evals.outline import Outline, Piece, Step, Weight

# Tokenizers make one token of 3.5 to 4.5 bytes of English or JSON, of about 2.5 of other scripts,
# and of as few as 1.5 of text without words, such as base64. Counting low keeps a rendering inside
# the judge's window.
BYTES_PER_TOKEN = 3.0
_OTHER_SCRIPTS = 0.3
_WORDLESS = 1.0
_WORDLESS_RUN = re.compile(r"[\w+/=-]{64,}", re.ASCII)
# No character costs more; most traces fit by far and need no closer look.
_MOST_FOR_A_CHARACTER = 4 * (1 + _OTHER_SCRIPTS)
_ASCII = bytes(range(128))

# Fewest characters a text keeps, round by round: outputs give way first, then inputs, then all.
_ROUNDS: tuple[tuple[Weight, int], ...] = (
    (Weight.OUTPUT, 400),
    (Weight.INPUT, 400),
    (Weight.OUTPUT, 120),
    (Weight.INPUT, 120),
    (Weight.KEPT, 600),
    (Weight.INPUT, 0),
    (Weight.KEPT, 160),
)
_LEAST = {Weight.OUTPUT: 120, Weight.INPUT: 0, Weight.KEPT: 160}
_SUMMARY_ROOM = 800
_STEP_INDENT = "\n  "
_TEXT_INDENT = "\n    "


@dataclass(frozen=True, slots=True)
class Rendering:
    text: str
    truncated: bool


def rendered(outline: Outline, budget_tokens: int) -> Rendering:
    """Costs no more than about `budget_tokens`, whatever the size of the trace."""
    allowed = int(budget_tokens * BYTES_PER_TOKEN)
    whole = _written(outline)
    if len(whole) * _MOST_FOR_A_CHARACTER <= allowed:
        return Rendering(whole, truncated=False)
    cost = _cost(whole)
    if cost <= allowed:
        return Rendering(whole, truncated=False)
    return Rendering(_shortened(outline, allowed, cost / max(len(whole), 1)), truncated=True)


def _cost(text: str) -> int:
    """In bytes of ordinary text that take as many tokens."""
    wordless = sum(map(len, _WORDLESS_RUN.findall(text)))
    if text.isascii():
        return len(text) + int(_WORDLESS * wordless)
    encoded = text.encode("utf-8", "replace")
    other = len(encoded.translate(None, _ASCII))
    return len(encoded) + int(_WORDLESS * wordless + _OTHER_SCRIPTS * other)


def _written(outline: Outline) -> str:
    lines = [outline.header]
    _write(lines, outline.opening)
    for step in outline.steps:
        lines.append("\n")
        lines.append(step.header)
        _write(lines, step.pieces)
    if outline.closing:
        lines.append("\nEnd")
        _write(lines, outline.closing)
    return "".join(lines)


def _write(lines: list[str], pieces: Iterable[Piece]) -> None:
    for piece in pieces:
        lines.append(_STEP_INDENT)
        lines.append(piece.label)
        lines.append(": ")
        # Indented, a text cannot open a step or speak in another's name.
        text = piece.text
        if "\n" in text:
            text = text.replace("\n", _TEXT_INDENT).replace(f"{_TEXT_INDENT}\n", "\n\n")
        lines.append(text)


def _shortened(outline: Outline, allowed: int, cost_of_a_character: float) -> str:
    """Tightens until it fits: what the rest costs is known only afterwards."""
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
        return replace(piece, text=_middle_out(piece.text, caps[piece.weight]))

    return Outline(
        outline.header,
        [shorter(piece) for piece in outline.opening],
        [replace(step, pieces=[shorter(p) for p in step.pieces]) for step in outline.steps],
        [shorter(piece) for piece in outline.closing],
    )


def _caps(outline: Outline, room: int) -> dict[Weight, int]:
    """The longest text allowed of each weight, so that all of it fits if anything does."""
    lengths: dict[Weight, list[int]] = {weight: [] for weight in Weight}
    fixed = len(outline.header) + sum(len(step.header) + 1 for step in outline.steps)
    for piece in outline.pieces():
        lengths[piece.weight].append(len(piece.text))
        fixed += len(piece.label) + 5
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


def _middle_out(text: str, cap: int) -> str:
    """At most about `cap` characters: the beginning and the end, and how much is missing."""
    if len(text) <= cap:
        return text
    left_out = len(text) - cap
    mark = f" [… {left_out} characters left out] "
    kept = cap - len(mark)
    if kept < 20:
        return f"[… {len(text)} characters left out]"
    head = kept * 2 // 3
    return f"{text[:head]}{mark}{text[-(kept - head) :]}"


def _folded_to(outline: Outline, room: int) -> Outline:
    """With steps by the thousand, plain ones go first, then the middle of what is left."""
    first, last = _ends(outline.steps)
    if _least_of(outline) > room:
        outline = _folded(
            outline,
            lambda place, step: bool(step.tool or step.errors) or place in (first, last),
        )
    if _least_of(outline) > room:
        outline = _without_the_middle(outline, room)
    return outline


def _least_of(outline: Outline) -> int:
    ends = len(outline.header) + sum(map(_least_of_piece, (*outline.opening, *outline.closing)))
    return ends + sum(map(_least_of_step, outline.steps))


def _least_of_step(step: Step) -> int:
    return len(step.header) + 1 + sum(map(_least_of_piece, step.pieces))


def _least_of_piece(piece: Piece) -> int:
    floor = _LEAST[piece.weight]
    return len(piece.label) + 5 + min(len(piece.text), floor)


def _without_the_middle(outline: Outline, room: int) -> Outline:
    """Half of the room for the first steps, half for the last."""
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
    """The steps that hold the first user message and the last answer."""
    kept = [
        place
        for place, step in enumerate(steps)
        if any(piece.weight is Weight.KEPT for piece in step.pieces)
    ]
    return (kept[0], kept[-1]) if kept else (0, len(steps) - 1)


def _folded(outline: Outline, keeps: Callable[[int, Step], bool]) -> Outline:
    """Each run of steps left out becomes one that still names its tools and errors."""
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
    errors = Counter(_middle_out(error, 160) for step in run for error in step.errors)
    pieces = [
        Piece(
            label,
            "; ".join(_times(text, count) for text, count in found.most_common()),
            Weight.KEPT,
        )
        for label, found in (("tools", tools), ("errors", errors))
        if found
    ]
    return Step(f"[… {len(run)} steps left out]", pieces)


def _times(text: str, count: int) -> str:
    return text if count == 1 else f"{text} ×{count}"
