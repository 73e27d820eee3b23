"""Cuts text to a length, for names, messages and reasons."""


def truncate(text: str, limit: int) -> str:
    """At most `limit` characters; a cut text ends with an ellipsis."""
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def one_line(text: str, limit: int) -> str:
    """Like `truncate`, with all white space replaced by single spaces."""
    # Cut before the split, too: a text may be megabytes of white space.
    return truncate(" ".join(text[: 8 * limit].split()), limit)
