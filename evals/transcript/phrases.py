"""Words and phrases that rules search for. Phrases are English; word sets work in any language."""

import re

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")

STOP_WORDS = frozenset(
    [
        "a",
        "about",
        "after",
        "again",
        "all",
        "also",
        "am",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "because",
        "been",
        "before",
        "being",
        "both",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "doing",
        "done",
        "each",
        "few",
        "for",
        "from",
        "further",
        "get",
        "had",
        "has",
        "have",
        "having",
        "he",
        "her",
        "here",
        "hers",
        "him",
        "his",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "just",
        "let",
        "me",
        "more",
        "most",
        "my",
        "myself",
        "no",
        "nor",
        "not",
        "now",
        "of",
        "off",
        "on",
        "once",
        "only",
        "or",
        "other",
        "our",
        "ours",
        "out",
        "over",
        "own",
        "please",
        "same",
        "she",
        "should",
        "so",
        "some",
        "such",
        "than",
        "that",
        "the",
        "their",
        "theirs",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "through",
        "to",
        "too",
        "under",
        "until",
        "up",
        "us",
        "very",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "who",
        "whom",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
        "yours",
        "i'd",
        "i'll",
        "i'm",
        "i've",
        "you'd",
        "you'll",
        "you're",
        "you've",
        "it's",
        "that's",
        "we're",
        "they're",
        "don't",
        "can't",
    ]
)

_REFUSAL = re.compile(
    r"\b(?:unfortunately|unable to|(?:i|we)(?:'m| am| are|'re) (?:sorry|afraid)|i apologi[sz]e"
    r"|(?:can(?:no|')t|could(?: not|n't)|(?:am|are|is|was|were) not able to|not possible"
    r"|not permitted|not allowed|not eligible|does(?: not|n't) allow"
    r"|beyond (?:my|the) (?:scope|ability)))\b",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"\b(?:i think|i believe|i guess|maybe|perhaps|possibly|probably"
    r"|not (?:entirely |quite |fully )?(?:sure|certain)|might be|may be|seems? (?:to be|like|that)"
    r"|it appears|i assume|presumably"
    r"|as far as i (?:know|can tell)|if i understand)\b",
    re.IGNORECASE,
)
_REVISION = re.compile(
    r"\b(?:my mistake|i (?:made|was) (?:a mistake|mistaken|wrong)|i misunderstood|correction:"
    r"|(?:sorry|apologi[sz]e|apologies)\b.{0,40}"
    r"\b(?:confusion|mistake|error|oversight|misunderstanding)"
    r"|let me (?:try (?:again|another|a different)|correct|start over)|on second thought|wait,)",
    re.IGNORECASE,
)


def words(text: str) -> frozenset[str]:
    """Lower-cased, without stop words and single letters."""
    return frozenset(
        word
        for word in _WORD.findall(text.lower().replace("’", "'"))
        if len(word) > 1 and word not in STOP_WORDS
    )


def jaccard(first: frozenset[str], other: frozenset[str]) -> float:
    """Shared words over all words; 0 for two empty sets."""
    union = len(first | other)
    return len(first & other) / union if union else 0.0


def refuses(text: str) -> bool:
    """Whether the text says that something cannot be done."""
    return _REFUSAL.search(text.replace("’", "'")) is not None


def hedges(text: str) -> int:
    """The number of phrases that express uncertainty."""
    return len(_HEDGE.findall(text.replace("’", "'")))


def revises(text: str) -> bool:
    """Whether the text retracts or corrects an earlier statement."""
    return _REVISION.search(text.replace("’", "'")) is not None


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 tool call`, `2 tool calls`."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
