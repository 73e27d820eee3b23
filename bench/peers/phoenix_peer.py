"""phoenix-evals over the traces of a file, in a separate environment.

Uses its best settings: the asynchronous executor at full concurrency, no rate limit, no progress
bar, structured output, one call per metric.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import pandas as pd
from phoenix.evals import (  # type: ignore[import-not-found]  # installed beside us, not with us
    LLM,
    async_evaluate_dataframe,
    create_classifier,
)

QUESTIONS = {
    "task_completion": "Did the agent complete what the user asked for?",
    "tool_correctness": "Did the agent call the right tools for the request?",
    "step_efficiency": "Did the agent avoid steps that it did not need?",
}


async def main(base_url: str, path: str, concurrency: int) -> None:
    lines = Path(path).read_text().splitlines()
    traces = pd.DataFrame({"trace": lines})
    llm = LLM(
        provider="openai",
        model="gpt-4o-mini",
        base_url=base_url,
        api_key="mock",
        initial_per_second_request_rate=10_000,
    )
    evaluators = [
        create_classifier(
            name=name,
            llm=llm,
            prompt_template=f"{{trace}}\n\n{question}",
            choices={"yes": 1.0, "no": 0.0},
        )
        for name, question in QUESTIONS.items()
    ]
    started = time.perf_counter()
    done = await async_evaluate_dataframe(
        dataframe=traces,
        evaluators=evaluators,
        concurrency=concurrency,
        hide_tqdm_bar=True,
        exit_on_error=False,
        max_retries=10,
    )
    seconds = time.perf_counter() - started
    scored = sum(int(done[f"{name}_score"].notna().sum()) for name in QUESTIONS)
    pairs = len(traces) * len(QUESTIONS)
    print(json.dumps({"seconds": seconds, "pairs": pairs, "failed": pairs - scored}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
