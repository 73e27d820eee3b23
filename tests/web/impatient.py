"""The API with pages that do not wait: parts that read many rows follow the page."""

from api.app import create_app
from api.dashboard.slow_parts import SlowParts

SlowParts.__init__.__defaults__ = (0.0,)

__all__ = ["create_app"]
