"""One small trace in the export format of each tool: a question, one tool call, an answer."""

import base64
import json
from typing import Any

QUESTION = "QUESTION-5: which shelf holds the part?"
ARGUMENTS = {"part": "PART-6"}
RESULT = {"shelf": "SHELF-7"}
ANSWER = "ANSWER-8: it is on that shelf."
WORDS = ("QUESTION-5", "PART-6", "SHELF-7", "ANSWER-8")

CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "find_shelf", "arguments": json.dumps(ARGUMENTS)},
}
ASKED: dict[str, Any] = {"role": "user", "content": QUESTION}
CALLING: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": [CALL]}
TOLD: dict[str, Any] = {
    "role": "tool",
    "tool_call_id": "call_1",
    "content": json.dumps(RESULT),
}
ANSWERED: dict[str, Any] = {"role": "assistant", "content": ANSWER}

MINUTE = "2026-03-01T10:00:0"


def langfuse() -> list[dict[str, Any]]:
    def observation(name: str, kind: str, second: int, **fields: Any) -> dict[str, Any]:
        times = {"startTime": f"{MINUTE}{second}.000Z", "endTime": f"{MINUTE}{second}.500Z"}
        return {"id": name, "traceId": "t-1", "type": kind, "name": name, **times, **fields}

    usage: dict[str, Any] = {"input": 30, "output": 10, "total": 40}
    observations = [
        observation(
            *("first", "GENERATION", 1),
            input=[ASKED],
            output=CALLING,
            model="gpt-4o-mini",
            usageDetails=usage,
        ),
        observation("find_shelf", "TOOL", 2, input=ARGUMENTS, output=RESULT),
        observation(
            *("second", "GENERATION", 3),
            input=[ASKED, CALLING, TOLD],
            output=ANSWERED,
            model="gpt-4o-mini",
            usageDetails=usage,
        ),
    ]
    return [
        {
            "id": "t-1",
            "name": "shelf",
            "timestamp": f"{MINUTE}0.000Z",
            "input": QUESTION,
            "output": ANSWER,
            "sessionId": "s-1",
            "userId": "u-1",
            "tags": ["dev"],
            "environment": "test",
            "observations": observations,
        }
    ]


def langfuse_observations() -> list[dict[str, Any]]:
    [trace] = langfuse()
    found: list[dict[str, Any]] = trace["observations"]
    return found


def langsmith() -> list[dict[str, Any]]:
    root = "0a000000-0000-4000-8000-000000000001"

    def run(number: int, kind: str, inputs: Any, outputs: Any, **fields: Any) -> dict[str, Any]:
        return {
            "id": f"0a000000-0000-4000-8000-00000000000{number}",
            "trace_id": root,
            "parent_run_id": root if number > 1 else None,
            "name": "find_shelf" if kind == "tool" else kind,
            "run_type": kind,
            "start_time": f"{MINUTE}{number}.000000",
            "end_time": f"{MINUTE}{number}.500000",
            "inputs": inputs,
            "outputs": outputs,
            "extra": {"metadata": {"thread_id": "s-1", "ls_model_name": "gpt-4o-mini"}},
            **fields,
        }

    def message(kind: str, **kwargs: Any) -> dict[str, Any]:
        return {
            "lc": 1,
            "type": "constructor",
            "id": ["langchain", "schema", "messages", kind],
            "kwargs": kwargs,
        }

    human = message("HumanMessage", content=QUESTION, type="human")
    call = {"name": "find_shelf", "args": ARGUMENTS, "id": "call_1", "type": "tool_call"}
    calling = message("AIMessage", content="", type="ai", tool_calls=[call])
    told = message("ToolMessage", content=json.dumps(RESULT), type="tool", tool_call_id="call_1")
    answered = message("AIMessage", content=ANSWER, type="ai")
    usage: dict[str, Any] = {"prompt_tokens": 30, "completion_tokens": 10, "total_tokens": 40}
    return [
        run(1, "chain", {"messages": [ASKED]}, {"messages": [ASKED, ANSWERED]}),
        run(2, "llm", {"messages": [[human]]}, _generated(calling), **usage),
        run(3, "tool", {"input": str(ARGUMENTS)}, {"output": told}),
        run(4, "llm", {"messages": [[human, calling, told]]}, _generated(answered), **usage),
    ]


def _generated(message: Any) -> dict[str, Any]:
    return {"generations": [[{"text": "", "message": message}]]}


def phoenix() -> list[dict[str, Any]]:
    """Rows of Phoenix' data frame."""

    def row(number: int, kind: str, name: str, **attributes: Any) -> dict[str, Any]:
        named = {f"attributes.{key.replace('__', '.')}": v for key, v in attributes.items()}
        return {
            "context.trace_id": "ab" * 16,
            "context.span_id": f"000000000000000{number}",
            "parent_id": "0000000000000001" if number > 1 else None,
            "name": name,
            "span_kind": kind,
            "start_time": f"{MINUTE}{number}+00:00",
            "end_time": f"{MINUTE}{number}.5+00:00",
            "status_code": "OK",
            "status_message": "",
            "attributes.session.id": "s-1",
            **named,
        }

    def said(role: str, content: str | None, **more: Any) -> dict[str, Any]:
        return {"message.role": role, "message.content": content, **more}

    called = {
        "tool_call.id": "call_1",
        "tool_call.function.name": "find_shelf",
        "tool_call.function.arguments": json.dumps(ARGUMENTS),
    }
    asked = said("user", QUESTION)
    calling = {"message.role": "assistant", "message.tool_calls": [called]}
    told = said("tool", json.dumps(RESULT), **{"message.tool_call_id": "call_1"})
    counts: dict[str, Any] = {"llm__token_count__prompt": 30, "llm__token_count__completion": 10}
    return [
        row(1, "AGENT", "shelf", input__value=QUESTION, output__value=ANSWER),
        row(
            *(2, "LLM", "chat"),
            llm__model_name="gpt-4o-mini",
            llm__input_messages=[asked],
            llm__output_messages=[calling],
            **counts,
        ),
        row(3, "TOOL", "find_shelf", input__value=json.dumps(ARGUMENTS), output__value=str(RESULT)),
        row(
            *(4, "LLM", "chat"),
            llm__model_name="gpt-4o-mini",
            llm__input_messages=[asked, calling, told],
            llm__output_messages=[said("assistant", ANSWER)],
            **counts,
        ),
    ]


def phoenix_api() -> list[dict[str, Any]]:
    """The form of Phoenix' API, with attributes in a separate object."""
    found = []
    for row in phoenix():
        prefix = "attributes."
        attributes = {k.removeprefix(prefix): v for k, v in row.items() if k.startswith(prefix)}
        rest = {k: v for k, v in row.items() if "." not in k}
        ids = {name: row[f"context.{name}"] for name in ("trace_id", "span_id")}
        found.append(rest | {"context": ids, "attributes": attributes})
    return found


def mlflow() -> list[dict[str, Any]]:
    def span(number: int, kind: str, name: str, asked: Any, said: Any, **more: Any) -> Any:
        start = 1_772_359_200_000_000_000 + number * 1_000_000_000
        attributes = {
            "mlflow.spanType": json.dumps(kind),
            "mlflow.spanInputs": json.dumps(asked),
            "mlflow.spanOutputs": json.dumps(said),
            **{key: json.dumps(value) for key, value in more.items()},
        }
        return {
            "span_id": base64.b64encode(number.to_bytes(8)).decode(),
            "parent_span_id": base64.b64encode((1).to_bytes(8)).decode() if number > 1 else None,
            "name": name,
            "start_time_unix_nano": start,
            "end_time_unix_nano": start + 500_000_000,
            "status": {"code": "STATUS_CODE_OK"},
            "attributes": attributes,
        }

    usage: dict[str, Any] = {"mlflow.chat.tokenUsage": {"input_tokens": 30, "output_tokens": 10}}
    spans = [
        span(1, "AGENT", "shelf", {"question": QUESTION}, ANSWER),
        span(
            2,
            "CHAT_MODEL",
            "c",
            {"messages": [ASKED]},
            {"choices": [{"message": CALLING}]},
            **usage,
        ),
        span(3, "TOOL", "find_shelf", ARGUMENTS, RESULT),
        span(
            *(4, "CHAT_MODEL", "c"),
            {"messages": [ASKED, CALLING, TOLD]},
            {"choices": [{"message": ANSWERED}]},
            **usage,
        ),
    ]
    info = {"trace_id": "tr-1", "trace_metadata": {"mlflow.trace.session": "s-1"}}
    return [{"info": info, "data": {"spans": spans}}]


def messages() -> list[dict[str, Any]]:
    return [
        {
            "messages": [ASKED, CALLING, TOLD, ANSWERED],
            "model": "gpt-4o-mini",
            "session_id": "s-1",
            "created": 1_772_359_200,
        }
    ]


def otlp() -> list[dict[str, Any]]:
    """One request per line, in the form of the collector's file exporter."""

    def span(number: int, name: str, **attributes: Any) -> dict[str, Any]:
        start = 1_772_359_200_000_000_000 + number * 1_000_000_000
        return {
            "traceId": "cd" * 16,
            "spanId": f"000000000000000{number}",
            "parentSpanId": "0000000000000001" if number > 1 else "",
            "name": name,
            "startTimeUnixNano": str(start),
            "endTimeUnixNano": str(start + 500_000_000),
            "attributes": [
                {"key": key.replace("__", "."), "value": _value(value)}
                for key, value in attributes.items()
            ],
        }

    usage: dict[str, Any] = {"gen_ai__usage__input_tokens": 30, "gen_ai__usage__output_tokens": 10}
    spans = [
        span(1, "shelf", input__value=QUESTION, output__value=ANSWER, session__id="s-1"),
        span(
            *(2, "chat"),
            gen_ai__operation__name="chat",
            gen_ai__input__messages=json.dumps([ASKED]),
            gen_ai__output__messages=json.dumps([CALLING]),
            **usage,
        ),
        span(
            *(3, "execute_tool find_shelf"),
            gen_ai__operation__name="execute_tool",
            gen_ai__tool__name="find_shelf",
            gen_ai__tool__call__arguments=json.dumps(ARGUMENTS),
            gen_ai__tool__call__result=json.dumps(RESULT),
        ),
        span(
            *(4, "chat"),
            gen_ai__operation__name="chat",
            gen_ai__input__messages=json.dumps([ASKED, CALLING, TOLD]),
            gen_ai__output__messages=json.dumps([ANSWERED]),
            **usage,
        ),
    ]
    return [{"resourceSpans": [{"scopeSpans": [{"spans": [one]}]}]} for one in spans]


def _value(value: Any) -> dict[str, Any]:
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}
