"""Does the agent say something new, or what it said in the turns before?"""

from uuid import UUID

from pydantic import JsonValue

from core.ids import TraceId
from core.trace_model import Trace
from evals.case import TraceCase
from evals.judges.vectors import cosine
from evals.metric import EmbeddingMetric, Example, NotApplicable, Outcome, Scored
from evals.sample_traces import trace
from evals.transcript.phrases import jaccard, words
from evals.transcript.plain_text import text_to_compare

_WINDOW = 3
_PLACES = 4


async def evaluate(case: TraceCase) -> Outcome:
    answer = text_to_compare(case.trace.output)
    if not answer:
        return NotApplicable("The trace has no output to compare.")
    earlier = [
        (before, text)
        for before in case.earlier[-_WINDOW:]
        if (text := text_to_compare(before.output))
    ]
    if not earlier:
        return NotApplicable("No earlier trace of its session has an output to compare with.")
    vector, *others = await case.embed([answer, *(text for _, text in earlier)])
    found = [
        (before, max(0.0, cosine(vector, other)), jaccard(words(answer), words(text)))
        for (before, text), other in zip(earlier, others, strict=True)
    ]
    closest = max(likeness * overlap for _, likeness, overlap in found)
    comparisons: list[JsonValue] = [
        {
            "trace_id": str(before.id),
            "cosine": round(likeness, _PLACES),
            "jaccard": round(overlap, _PLACES),
            "hybrid": round(likeness * overlap, _PLACES),
        }
        for before, likeness, overlap in found
    ]
    return Scored(
        1.0 - closest,
        f"The output repeats at most {closest:.0%} of one of the {len(found)} before it.",
        {
            "window_size": len(found),
            "max_hybrid": round(closest, _PLACES),
            "comparisons": comparisons,
        },
    )


def _turn(number: int, answer: str) -> Trace:
    return trace("Any news?", answer).model_copy(update={"id": TraceId(UUID(int=number))})


METRIC = EmbeddingMetric(
    name="loop_detection",
    about="Does the agent say something new, or repeat its earlier turns?",
    formula="1 - the largest of cosine similarity x Jaccard similarity of the word sets, over the "
    "outputs with text of up to three traces before it in its session; not applicable without any",
    outputs={
        "window_size": "the number of earlier outputs that were compared",
        "max_hybrid": "the largest product",
        "comparisons": "for each: trace_id, cosine, jaccard, hybrid",
    },
    threshold=0.5,
    threshold_reason="an answer with a lower score repeats more than it adds",
    evaluate=evaluate,
    listed=False,
    window=_WINDOW,
    example=Example(
        trace=_turn(3, "Your parcel left Berlin today."),
        earlier=(_turn(1, "We have received your order."), _turn(2, "Your parcel left Berlin.")),
        vectors={
            "Your parcel left Berlin today.": (1.0, 0.0),
            "We have received your order.": (0.0, 1.0),
            "Your parcel left Berlin.": (0.8, 0.6),
        },
        # Three of the four words (parcel, left, berlin; today) also occur in the second message.
        expected=0.4,
    ),
)
