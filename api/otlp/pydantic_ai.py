"""pydantic-ai, versions 1 and 2 of its instrumentation.

A model span lists its messages as events in the attribute `events`, or follows the GenAI
conventions. An agent span holds the whole conversation in `all_messages_events` or
`pydantic_ai.all_messages`, a tool span its call in `tool_arguments` and `tool_response`.
"""

from typing import Final

from pydantic import JsonValue

from api.otlp.message_events import MessageEvents, listed_events
from api.otlp.values import Attributes, structured
from api.otlp.vocabulary import Reading, SpanSource, Vocabulary
from core.ids import SpanKind

_CONVERSATION: Final = ("pydantic_ai.all_messages", "all_messages_events")
_TOOL: Final = ("tool_arguments", "tool_response")


def read(source: SpanSource) -> Reading | None:
    attributes = source.attributes
    if attributes.peek(*_TOOL) is not None:
        return Reading(
            kind=SpanKind.TOOL,
            name=attributes.take_text("gen_ai.tool.name"),
            input=structured(attributes.take("tool_arguments")),
            output=structured(attributes.take("tool_response")),
        )
    if attributes.peek("final_result", *_CONVERSATION) is not None:
        return _agent(attributes)
    if source.name.startswith("running ") and attributes.peek("tools") is not None:
        return Reading(kind=SpanKind.CHAIN)
    if source.name == "agent run" or attributes.peek("agent_name") is not None:
        return Reading(kind=SpanKind.AGENT, kind_is_guessed=True)
    return _model(attributes)


def _agent(attributes: Attributes) -> Reading:
    """The input and the output of the agent; the steps between have their own spans."""
    whole = structured(attributes.take(*_CONVERSATION))
    events = MessageEvents(listed_events(whole))
    answers: list[JsonValue] = [*events.asked, *events.answered]
    if not answers and isinstance(whole, list):
        answers = whole
    questions: list[JsonValue] = []
    for message in answers:
        if isinstance(message, dict) and message.get("role") == "assistant":
            break
        questions.append(message)
    output = structured(attributes.take("final_result"))
    if output is None and answers and answers[len(questions) :]:
        output = {"messages": [answers[-1]]}
    return Reading(
        kind=SpanKind.AGENT, input={"messages": questions} if questions else None, output=output
    )


def _model(attributes: Attributes) -> Reading | None:
    parameters = structured(attributes.take("model_request_parameters"))
    tools = parameters.get("function_tools") if isinstance(parameters, dict) else None
    events = MessageEvents(listed_events(attributes.peek("events")))
    if not events.asked and not events.answered and not tools:
        return None
    attributes.take("events")
    return Reading(
        kind=SpanKind.LLM,
        kind_is_guessed=True,
        input={"messages": events.asked} if events.asked else None,
        output={"messages": events.answered} if events.answered else None,
        tools=_tools(tools),
    )


def _tools(value: JsonValue) -> JsonValue:
    tools: list[JsonValue] = [
        {
            "name": one.get("name"),
            "description": one.get("description"),
            "parameters": one.get("parameters_json_schema"),
        }
        for one in (value if isinstance(value, list) else ())
        if isinstance(one, dict)
    ]
    return tools or None


VOCABULARY = Vocabulary(
    name="pydantic-ai",
    heads=frozenset(
        (
            *("pydantic_ai", "all_messages_events", "final_result", "events", "agent_name"),
            *("tool_arguments", "tool_response", "model_request_parameters", "tools"),
        )
    ),
    read=read,
)
