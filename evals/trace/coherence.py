"""Is the answer about what was asked?"""

from evals.case import TraceCase
from evals.judges.vectors import cosine
from evals.metric import EmbeddingMetric, Example, NotApplicable, Outcome, Scored
from evals.sample_traces import order_trace
from evals.transcript.plain_text import plain_text, text_to_compare


async def evaluate(case: TraceCase) -> Outcome:
    asked, answered = text_to_compare(case.trace.input), text_to_compare(case.trace.output)
    if not asked or not answered:
        missing = "input" if not asked else "output"
        return NotApplicable(f"The trace has no {missing} to compare.")
    one, other = await case.embed([asked, answered])
    similarity = min(1.0, max(0.0, cosine(one, other)))
    return Scored(
        similarity,
        f"Input and output are similar in meaning to {similarity:.0%}, by their embeddings.",
        {"coherence_gap": round(1.0 - similarity, 4)},
    )


_TRACE = order_trace()

METRIC = EmbeddingMetric(
    name="coherence",
    about="Is the answer about the question, by the similarity of their embeddings?",
    formula="cosine similarity of the embeddings of the trace's input and output, at least 0; "
    "not applicable when either has no text",
    outputs={"coherence_gap": "1 - similarity"},
    threshold=0.15,
    threshold_reason="a lower answer is no closer to its own question than to other questions",
    evaluate=evaluate,
    example=Example(
        trace=_TRACE,
        vectors={
            plain_text(_TRACE.input): (1.0, 0.0),
            plain_text(_TRACE.output): (0.8, 0.6),
        },
        expected=0.8,
    ),
)
