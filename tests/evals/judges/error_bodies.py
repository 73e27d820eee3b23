"""Error bodies as providers send them, and their meaning for a run."""

import json
from typing import NamedTuple

from core.errors import JudgeBusy, JudgeError, JudgeFailed, JudgeUnusable

OPENAI, ANTHROPIC, GEMINI = (
    "openai/gpt-4o-mini",
    "anthropic/claude-haiku-4-5",
    "gemini/gemini-2.5-flash",
)
BAD_GATEWAY = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center>"
    "<h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>"
)


class Case(NamedTuple):
    name: str
    model: str
    status: int
    body: str
    error: type[JudgeError]
    says: str
    rate_limited: bool = False
    retry_after: float | None = None


def openai(message: str, kind: str, code: str | None) -> str:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


def anthropic(kind: str, message: str) -> str:
    error = {"type": kind, "message": message}
    return json.dumps({"type": "error", "error": error, "request_id": "req_011CTest"})


def gemini(code: int, status: str, message: str, **detail: object) -> str:
    details = [detail] if detail else []
    error = {"code": code, "message": message, "status": status, "details": details}
    return json.dumps({"error": error})


def gemini_quota(quota: str) -> str:
    violation = {"quotaMetric": "generate_content_requests", "quotaId": quota}
    return gemini(
        429,
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing details.",
        violations=[violation],
        retryDelay="37s",
    )


CASES = [
    Case(
        "openai rate limit", OPENAI, 429,
        openai("Rate limit reached for gpt-4o-mini in organization org-abc on tokens per min "
               "(TPM): Limit 200000, Used 199000, Requested 4000. Please try again in 1m2.5s.",
               "tokens", "rate_limit_exceeded"),
        JudgeBusy, "limits the rate", True, 62.5,
    ),
    Case(
        "openai quota", OPENAI, 429,
        openai("You exceeded your current quota, please check your plan and billing details.",
               "insufficient_quota", "insufficient_quota"),
        JudgeUnusable, "no quota or credit",
    ),
    Case(
        "openai bigger than the minute's allowance", OPENAI, 429,
        openai("Request too large for gpt-4o in organization org-abc on tokens per min (TPM): "
               "Limit 500, Requested 40000. The input or output tokens must be reduced.",
               "tokens", "rate_limit_exceeded"),
        JudgeFailed, "prompt too long",
    ),
    Case(
        "openai key", OPENAI, 401,
        openai("Incorrect API key provided: sk-abcd****wxyz. You can find your API key at "
               "https://platform.openai.com/account/api-keys.",
               "invalid_request_error", "invalid_api_key"),
        JudgeUnusable, "does not accept these credentials",
    ),
    Case(
        "openai model", OPENAI, 404,
        openai("The model `gpt-99` does not exist or you do not have access to it.",
               "invalid_request_error", "model_not_found"),
        JudgeUnusable, "has no model openai/gpt-4o-mini",
    ),
    Case(
        "openai region", OPENAI, 403,
        openai("Country, region, or territory not supported", "request_forbidden",
               "unsupported_country_region_territory"),
        JudgeUnusable, "does not accept",
    ),
    Case(
        "openai content", OPENAI, 400,
        openai("Invalid prompt: your prompt was flagged as potentially violating our usage "
               "policy. Please try again with a different prompt.",
               "invalid_request_error", "invalid_prompt"),
        JudgeFailed, "refused to judge this content",
    ),
    Case(
        "azure content filter", OPENAI, 400,
        openai("The response was filtered due to the prompt triggering Azure OpenAI's content "
               "management policy.", "invalid_request_error", "content_filter"),
        JudgeFailed, "refused to judge this content",
    ),
    Case(
        "openai server", OPENAI, 500,
        openai("The server had an error while processing your request. Sorry about that!",
               "server_error", None),
        JudgeBusy, "unreachable or overloaded (500)",
    ),
    Case("bad gateway page", OPENAI, 502, BAD_GATEWAY, JudgeBusy, "HTML page: 502 Bad Gateway"),
    Case("bad gateway page", ANTHROPIC, 502, BAD_GATEWAY, JudgeBusy, "HTML page: 502 Bad Gateway"),
    Case("bad gateway page", GEMINI, 502, BAD_GATEWAY, JudgeBusy, "HTML page: 502 Bad Gateway"),
    Case(
        "deepseek balance", OPENAI, 402,
        openai("Insufficient Balance", "unknown_error", "invalid_request_error"),
        JudgeUnusable, "no quota or credit",
    ),
    Case(
        "openrouter free tier", OPENAI, 429,
        openai("Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free "
               "model requests per day", "rate_limit", None),
        JudgeUnusable, "no quota or credit",
    ),
    Case(
        "groq retired model", OPENAI, 400,
        openai("The model `llama-9` has been decommissioned and is no longer supported.",
               "invalid_request_error", "model_decommissioned"),
        JudgeUnusable, "has no model",
    ),
    Case(
        "something else in the request", OPENAI, 422,
        openai("Extra inputs are not permitted: seed", "invalid_request_error", None),
        JudgeFailed, "refused the call (422): Extra inputs",
    ),
    Case(
        "anthropic rate limit", ANTHROPIC, 429,
        anthropic("rate_limit_error", "This request would exceed the rate limit for your "
                  "organization of 50 requests per minute."),
        JudgeBusy, "limits the rate", True,
    ),
    Case(
        "anthropic overloaded", ANTHROPIC, 529, anthropic("overloaded_error", "Overloaded"),
        JudgeBusy, "overloaded (529): Overloaded",
    ),
    Case(
        "anthropic credit", ANTHROPIC, 400,
        anthropic("invalid_request_error", "Your credit balance is too low to access the "
                  "Anthropic API. Please go to Plans & Billing to upgrade."),
        JudgeUnusable, "no quota or credit",
    ),
    Case(
        "anthropic key", ANTHROPIC, 401, anthropic("authentication_error", "invalid x-api-key"),
        JudgeUnusable, "does not accept",
    ),
    Case(
        "anthropic permission", ANTHROPIC, 403,
        anthropic("permission_error", "Your API key does not have permission to use this model."),
        JudgeUnusable, "does not accept",
    ),
    Case(
        "anthropic model", ANTHROPIC, 404, anthropic("not_found_error", "model: claude-99"),
        JudgeUnusable, "has no model",
    ),
    Case(
        "anthropic length", ANTHROPIC, 400,
        anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        JudgeFailed, "prompt too long",
    ),
    Case(
        "anthropic size", ANTHROPIC, 413,
        anthropic("request_too_large", "Request exceeds the maximum size"),
        JudgeFailed, "prompt too long",
    ),
    Case(
        "gemini key as 400", GEMINI, 400,
        gemini(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.",
               reason="API_KEY_INVALID"),
        JudgeUnusable, "does not accept",
    ),
    Case(
        "gemini permission", GEMINI, 403,
        gemini(403, "PERMISSION_DENIED", "Generative Language API has not been used in project 1"),
        JudgeUnusable, "does not accept",
    ),
    Case(
        "gemini a minute's quota", GEMINI, 429,
        gemini_quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"),
        JudgeBusy, "limits the rate", True, 37.0,
    ),
    Case(
        "gemini a day's quota", GEMINI, 429,
        gemini_quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier"),
        JudgeUnusable, "no quota or credit",
    ),
    Case(
        "gemini model", GEMINI, 404,
        gemini(404, "NOT_FOUND", "models/gemini-99 is not found for API version v1beta"),
        JudgeUnusable, "has no model",
    ),
    Case(
        "gemini overloaded", GEMINI, 503,
        gemini(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
        JudgeBusy, "overloaded (503)",
    ),
    Case(
        "gemini length", GEMINI, 400,
        gemini(400, "INVALID_ARGUMENT", "The input token count (1200000) exceeds the maximum "
               "number of tokens allowed (1048576)."),
        JudgeFailed, "prompt too long",
    ),
]  # fmt: skip
