"""Drills of operations: what an operator does to a running installation, with figures."""
