"""DeepEval over the traces of a file, in a separate environment.

Uses its best settings: steps given in advance, so that each metric is one call; full concurrency;
no output, cache or telemetry.
"""

import contextlib
import io
import json
import os
import sys
import time

os.environ["DEEPEVAL_TELEMETRY_OPT_OUT"] = "YES"
os.environ["DEEPEVAL_NO_INSPECT_PROMPT"] = "1"
# As many attempts as phoenix-evals gets; the default of two fails pairs under random faults.
os.environ["DEEPEVAL_RETRY_MAX_ATTEMPTS"] = "11"

from deepeval import evaluate  # type: ignore[import-not-found]  # installed beside us, not with us
from deepeval.evaluate.configs import (  # type: ignore[import-not-found]
    AsyncConfig,
    CacheConfig,
    DisplayConfig,
    ErrorConfig,
)
from deepeval.metrics import GEval  # type: ignore[import-not-found]
from deepeval.models import OpenAIModel  # type: ignore[import-not-found]
from deepeval.test_case import (  # type: ignore[import-not-found]
    LLMTestCase,
    SingleTurnParams,
)

QUESTIONS = {
    "task_completion": "Did the agent complete what the user asked for?",
    "tool_correctness": "Did the agent call the right tools for the request?",
    "step_efficiency": "Did the agent avoid steps that it did not need?",
}


def main(base_url: str, path: str, concurrency: int) -> None:
    with open(path) as lines:
        traces = [json.loads(line) for line in lines]
    cases = [
        LLMTestCase(input=json.dumps(trace), actual_output=str(trace["output"])) for trace in traces
    ]
    model = OpenAIModel(model="gpt-4o-mini", base_url=base_url, api_key="mock")
    # Requests structured output directly, because the mock judge has no log probabilities.
    model.model_data.supports_log_probs = False
    metrics = [
        GEval(
            name=name,
            model=model,
            evaluation_steps=[question],
            evaluation_params=[SingleTurnParams.INPUT, SingleTurnParams.ACTUAL_OUTPUT],
        )
        for name, question in QUESTIONS.items()
    ]
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        done = evaluate(
            cases,
            metrics,
            async_config=AsyncConfig(max_concurrent=concurrency),
            display_config=DisplayConfig(
                show_indicator=False, print_results=False, inspect_after_run=False
            ),
            cache_config=CacheConfig(write_cache=False),
            error_config=ErrorConfig(ignore_errors=True),
        )
    seconds = time.perf_counter() - started
    scores = [m.score for result in done.test_results for m in result.metrics_data or []]
    pairs = len(traces) * len(QUESTIONS)
    failed = pairs - sum(score is not None for score in scores)
    print(json.dumps({"seconds": seconds, "pairs": pairs, "failed": failed}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
