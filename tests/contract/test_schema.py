"""Every response conforms to the OpenAPI document, for valid and invalid requests."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import AuthContext
from schemathesis.checks import CheckContext
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure

from tests.api.conftest import recorded_document
from tests.contract.conftest import API_KEY, ServerThread

# A request that contradicts the store or itself gets a 422 although each part is valid;
# `described_data_passes` checks the parts.
ACCEPTED = ["2xx", "404", "409", "422"]
NO_SERVER_ERROR = ["2xx", "4xx"]


def _document() -> dict[str, Any]:
    """The document without the headers that name a project, because another project is refused
    before any other check, and without the second header for keys, which takes precedence.
    `tests/api/http/test_auth.py` covers both.
    """
    document = recorded_document()
    del document["components"]["securitySchemes"]["APIKeyHeader"]
    for methods in document["paths"].values():
        for operation in methods.values():
            # Generated bodies would be random bytes; `tests/api/otlp` covers real ones.
            content = operation.get("requestBody", {}).get("content", {})
            content.pop("application/x-protobuf", None)
            if "security" in operation:
                operation["security"] = [{"HTTPBearer": []}]
            operation["parameters"] = [
                one
                for one in operation.get("parameters", ())
                if not one["name"].startswith("X-Project-")
            ]
    return document


schema = schemathesis.openapi.from_dict(
    _document(),
    config=SchemathesisConfig.from_dict(
        {
            "checks": {
                "positive_data_acceptance": {"expected-statuses": ACCEPTED},
                "not_a_server_error": {"expected-statuses": NO_SERVER_ERROR},
            },
        }
    ),
)


# Faults within an export are counted in the partial success, not refused: see tests/api/otlp.
described = schema.exclude(path_regex=r"^/v1/")


@schema.auth()
class Bearer:
    def get(self, case: schemathesis.Case[Any], context: AuthContext) -> str:
        return API_KEY

    def set(self, case: schemathesis.Case[Any], data: str, context: AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


def described_data_passes(
    _context: CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """No field that the document allows is refused."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if response.status_code != 422 or case.path == "/v1/traces":
        return
    refused = [problem for problem in _problems(response) if problem["type"] != "value_error"]
    if refused:
        raise Failure(
            operation=case.operation.label, title="Described data refused", message=str(refused)
        )


def _problems(response: schemathesis.Response) -> list[dict[str, Any]]:
    detail = response.json()["detail"]
    return detail if isinstance(detail, list) else []


@described.parametrize()
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_the_document_describes(
    case: schemathesis.Case[Any], served: ServerThread
) -> None:
    case.call_and_validate(
        base_url=served.url,
        additional_checks=[described_data_passes],
    )
