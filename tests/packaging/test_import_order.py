import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("core", "evals", "activities", "workflows", "api", "bench")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if path.name != "__init__.py"
}


def test_every_module_can_be_imported_first() -> None:
    """In a circle of imports, whether a module can be loaded depends on what was loaded before."""
    order = TopologicalSorter({name: set(_imported(path)) for name, path in MODULES.items()})
    try:
        order.prepare()
    except CycleError as error:
        pytest.fail("Circular imports: " + " imports ".join(reversed(error.args[1])))


def _imported(path: Path) -> Iterator[str]:
    """Modules of the project that the loading of the file imports."""
    for node in _run_at_import(ast.parse(path.read_text()).body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from {node.module, *names} & MODULES.keys()


def _run_at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.With | ast.Try):
            yield from _run_at_import(node.body)
