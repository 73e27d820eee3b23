import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("module", ["api.app", "cli", "worker", "workflows.evaluation"])
def test_no_process_loads_litellm_before_it_needs_a_provider(module: str) -> None:
    check = f"import sys, {module}; assert 'litellm' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)


def test_the_workflow_sandbox_passes_our_modules_through() -> None:
    """Loaded anew for each run, they would cost each of them a second."""
    from workflows.batch import EvalBatchWorkflow
    from workflows.evaluation import EvalRunWorkflow

    for workflow in (EvalBatchWorkflow, EvalRunWorkflow):
        text = Path(sys.modules[workflow.__module__].__file__ or "").read_text()
        outside = text.split("with workflow.unsafe.imports_passed_through():")[0]
        for ours in ("activities", "core", "evals", "workflows"):
            assert f"from {ours}" not in outside
