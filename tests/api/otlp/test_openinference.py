"""How OpenInference's attributes are read."""

from typing import Any

import pytest

from tests.api.conftest import Service
from tests.api.otlp.otel import read

CALL = {"id": "1", "type": "function", "function": {"name": "find", "arguments": "{}"}}


async def test_openinference_messages_usage_cost_and_labels(sqlite_service: Service) -> None:
    attributes = {
        "openinference.span.kind": "LLM",
        "llm.model_name": "gpt-x",
        "llm.invocation_parameters": '{"temperature": 0}',
        "input.value": '{"raw": true}',
        "input.mime_type": "application/json",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.contents.0.message_content.type": "text",
        "llm.input_messages.0.message.contents.0.message_content.text": "Where?",
        "llm.input_messages.0.message.contents.1.message_content.type": "image",
        "llm.input_messages.0.message.contents.1.message_content.image.image.url": "http://i",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id": "1",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "find",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": "{}",
        "llm.token_count.prompt": 7,
        "llm.token_count.completion": 5,
        "llm.token_count.total": 12,
        "llm.token_count.prompt_details.cache_read": 2,
        "llm.cost.total": 0.25,
        "llm.tools.0.tool.json_schema": '{"function": {"name": "find"}}',
        "session.id": "s",
        "user.id": "u",
        "tag.tags": ["one", "two"],
        "metadata": '{"tier": "gold"}',
    }
    found = await read(sqlite_service, attributes)
    assert (found["kind"], found["model"]) == ("LLM", "gpt-x")
    picture = {"type": "image", "image_url": {"url": "http://i"}}
    said = [{"type": "text", "text": "Where?"}, picture]
    assert found["input"] == {"messages": [{"role": "user", "content": said}]}
    assert found["output"] == {"messages": [{"role": "assistant", "tool_calls": [CALL]}]}
    assert found["token_usage"] == {
        **{"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
        "prompt_cache_read_tokens": 2,
    }
    assert found["model_parameters"] == {"temperature": 0}
    assert found["cost"] == {"total": 0.25}
    assert found["metadata"] == {"tier": "gold", "tools": [{"function": {"name": "find"}}]}
    trace = found["trace"]
    assert (trace["session_id"], trace["user_id"], trace["tags"]) == ("s", "u", ["one", "two"])
    assert (trace["metadata"], trace["total_cost"]) == ({"tier": "gold"}, 0.25)


@pytest.mark.parametrize(
    ("attributes", "asked", "said"),
    [
        (
            {
                "openinference.span.kind": "RETRIEVER",
                "input.value": "{not json",
                "retrieval.documents.0.document.content": "D",
                "retrieval.documents.0.document.score": 0.5,
                "retrieval.documents.0.document.metadata": '{"page": 1}',
            },
            "{not json",
            [{"content": "D", "score": 0.5, "metadata": {"page": 1}}],
        ),
        (
            {
                "openinference.span.kind": "RERANKER",
                "reranker.query": "q",
                "reranker.input_documents.0.document.id": "1",
                "reranker.output_documents.0.document.id": "1",
            },
            {"query": "q", "documents": [{"id": "1"}]},
            [{"id": "1"}],
        ),
        (
            {
                "openinference.span.kind": "EMBEDDING",
                "embedding.model_name": "e",
                "embedding.embeddings.0.embedding.text": "t",
                "embedding.embeddings.0.embedding.vector": [0.5],
            },
            ["t"],
            None,
        ),
        (
            {
                "openinference.span.kind": "TOOL",
                "tool.name": "find",
                "tool.parameters": '{"q": 1}',
                "output.value": "[1]",
                "output.mime_type": "text/plain",
            },
            {"q": 1},
            "[1]",
        ),
    ],
)
async def test_openinference_inputs_and_outputs(
    sqlite_service: Service, attributes: dict[str, Any], asked: Any, said: Any
) -> None:
    found = await read(sqlite_service, attributes)
    assert (found["input"], found["output"]) == (asked, said)
