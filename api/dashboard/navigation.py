"""The sections of the dashboard. A new section is one line here and one module of routes."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Section:
    """`path` follows the project's address."""

    key: str
    title: str
    path: str


SECTIONS: Final = (
    Section("overview", "Overview", ""),
    Section("runs", "Runs", "/runs"),
    Section("traces", "Traces", "/traces"),
    Section("sessions", "Sessions", "/sessions"),
    Section("monitors", "Monitors", "/monitors"),
    Section("metrics", "Metrics", "/metrics"),
    Section("judges", "Judges", "/judges"),
)
