"""The service of the API's tests."""

from tests.api.conftest import settings, sqlite_service

__all__ = ["settings", "sqlite_service"]
