import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("module", ["api.app", "cli", "worker", "workflows.eval_run"])
def test_no_process_loads_litellm_before_it_needs_a_provider(module: str) -> None:
    check = f"import sys, {module}; assert 'litellm' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)


def test_a_worker_does_not_load_the_statistics_of_the_pages() -> None:
    check = "import sys, worker; assert 'scipy' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)


WORKFLOW_MODULES = [
    path
    for path in sorted((ROOT / "workflows").glob("*.py"))
    if "@workflow.defn" in path.read_text()
]


@pytest.mark.parametrize("path", WORKFLOW_MODULES, ids=lambda path: path.stem)
def test_a_workflow_module_imports_ours_through_the_sandbox(path: Path) -> None:
    """Without this, each run would load the modules again, which takes a second."""
    tree = ast.parse(path.read_text())
    outside = {
        name.split(".")[0]
        for node in tree.body
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom)
            else []
        )
    }  # fmt: skip
    assert outside.isdisjoint({"activities", "core", "evals", "workflows"})
    inside = [node for node in tree.body if isinstance(node, ast.With)]
    assert len(inside) == 1
    assert ast.unparse(inside[0].items[0]) == "workflow.unsafe.imports_passed_through()"


def test_every_workflow_is_in_a_module_of_its_own_folder() -> None:
    assert {path.stem for path in WORKFLOW_MODULES} >= {"eval_batch", "eval_run", "monitor"}
