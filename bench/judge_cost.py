"""Calls and tokens of judging a trace, bundled and with each metric alone.

    python -m bench.judge_cost TRACES

TRACES are JSON Lines of trace bodies. The prompts are real; the answers come from the offline rules
and are shorter than a model's. Costs use the list prices of two models.
"""

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from bench import traces
from bench.memory import MemoryStore
from bench.rendering import Counter, token_counter
from core.trace_model import Trace
from evals import catalog
from evals.evaluation import evaluate
from evals.judges.cache import Questions, RememberingJudge
from evals.judges.protocol import A, Judgement, Question, Usage
from evals.metric import JudgedMetric
from evals.transcript.transcript import Transcript

THREE: Final = ("task_completion", "tool_correctness", "step_efficiency")
MODELS: Final = ("gpt-4.1-mini", "claude-haiku-4-5")


@dataclass(slots=True)
class CountingJudge:
    """Answers by the rules and counts calls and tokens."""

    count: Counter
    model: str = "bench/counting"
    input_tokens: int = 100_000
    answer_tokens: int = 16_000
    parameters: str = ""
    calls: int = 0
    prompt: int = 0
    answer: int = 0

    async def ask(self, question: Question[A]) -> Judgement[A]:
        assert question.rule is not None
        found = question.rule()
        self.calls += 1
        self.prompt += self.count(f"{question.trace}\n\n{question.text}")
        self.answer += self.count(found.model_dump_json())
        return Judgement(found, Usage(calls=1))

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[1.0] for _ in texts]


async def measured(
    found: Sequence[Trace], names: Sequence[str], count: Counter, *, bundle: bool
) -> CountingJudge:
    judge = CountingJudge(count)
    asked = RememberingJudge(judge, MemoryStore(), Questions())
    metrics = [catalog.trace_metric(name) for name in names]
    together = [one for one in metrics if isinstance(one, JudgedMetric)] if bundle else []
    for trace in found:
        transcript = Transcript(trace)
        await asyncio.gather(
            *(evaluate(metric, transcript, asked, judge, together=together) for metric in metrics)
        )
    return judge


def cost_of(model: str, judge: CountingJudge) -> float:
    """Dollars by LiteLLM's price table."""
    prompt, answer = import_module("litellm").cost_per_token(
        model=model, prompt_tokens=judge.prompt, completion_tokens=judge.answer
    )
    return float(prompt + answer)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("traces", type=Path)
    given = parser.parse_args()
    found = [trace for _, trace in traces.read(given.traces)]
    count, unit = token_counter()
    everything = [metric.name for metric in catalog.trace_metrics()]
    print(f"per trace, over {len(found)} traces, in {unit}; dollars per 1,000 traces")
    for names in (THREE, everything):
        for bundle in (True, False):
            judge = await measured(found, names, count, bundle=bundle)
            costs = ", ".join(
                f"{model} ${1_000 * cost_of(model, judge) / len(found):.2f}" for model in MODELS
            )
            print(
                f"  {len(names)} metrics {'bundled' if bundle else 'alone  '}  "
                f"calls {judge.calls / len(found):.2f}  prompt {judge.prompt / len(found):,.0f}  "
                f"answer {judge.answer / len(found):,.0f}  {costs}"
            )


if __name__ == "__main__":
    asyncio.run(main())
