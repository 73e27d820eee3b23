"""Prints the API's description: `python -m api.openapi > tests/api/openapi.json`."""

import json
import sys

from api.app import create_app
from core.settings import Settings


def text() -> str:
    """The document as JSON, independent of environment and settings."""
    described = create_app(Settings.model_construct()).openapi()
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
