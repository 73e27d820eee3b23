"""One meaning per name: no two classes of the product have the same name."""

import ast
from collections import defaultdict

from tests.packaging.test_sizes import ROOT, product

ROWS_NAMED_AFTER_THEIR_VALUES = {"Span", "Trace"}
"""The rows in `core/db/trace_tables.py` store the values in `core/trace_model.py`."""
OLD_NAMES_OF_LIMITS = ("MOST", "LONGEST", "SHORTEST", "LEAST", "LARGEST", "SMALLEST", "FEWEST")


def test_no_two_classes_have_one_name() -> None:
    places = defaultdict(list)
    for name in product():
        for node in ast.parse((ROOT / name).read_text()).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name)
    assert places
    shared = {name: found for name, found in places.items() if len(found) > 1}
    assert shared.keys() - ROWS_NAMED_AFTER_THEIR_VALUES == set(), shared


def test_limits_are_called_max_or_min() -> None:
    named = []
    for name in product():
        for node in ast.parse((ROOT / name).read_text()).body:
            match node:
                case ast.AnnAssign(target=ast.Name(id=constant)):
                    named.append((constant, name))
                case ast.Assign(targets=[ast.Name(id=constant)]):
                    named.append((constant, name))
    assert named
    old = [
        (constant, name)
        for constant, name in named
        if constant.isupper() and set(constant.split("_")) & set(OLD_NAMES_OF_LIMITS)
    ]
    assert old == []
