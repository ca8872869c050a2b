"""What the API's reference says of /v1/responses."""

from agents.conversations.pages import MAX_PAGE_SIZE, PAGE_SIZE
from agents.reference.answers import (
    ConversationItemList,
    Response,
    ResponseDeleted,
    ResponseEvent,
)
from agents.reference.refusals import (
    EVENTS_GONE,
    LOCKED,
    NO_SUCH_PREVIOUS,
    NO_SUCH_RESPONSE,
    PREVIOUS_NOT_FINISHED,
    STORAGE_FULL,
)
from agents.responses.params import ResponseParams
from inference.reference.groups.common import (
    AFTER,
    EVENTS,
    JSON,
    calls_a_model,
    limit_parameter,
    path_parameter,
    query_parameter,
)
from inference.reference.operation import Body, Content, Example, Operation
from inference.reference.refusals import (
    CHATS,
    INVALID,
    NO_SUCH_CONVERSATION,
    NO_SUCH_ITEM,
    WITH_SCOPE,
)

TAG = "Responses"
ABOUT = (
    "OpenAI's Responses API, with every chat model: stored, followed by `previous_response_id`, in "
    "the background, and over a WebSocket (`response.create`)."
)
_ROOT = "/v1/responses"
_ONE = f"{_ROOT}/{{response_id}}"
_EXAMPLE = "resp_019aa3b2c4d57e8f9a0b1c2d3e4f5064"
_ID = path_parameter("response_id", "The `id` of a response.", _EXAMPLE)
_MODEL = "llama-3.3-70b-fast"
_CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}


OPERATIONS = (
    calls_a_model(
        path=_ROOT,
        id="createResponse",
        tag=TAG,
        summary="Create a response",
        description="A model's answer to a text or to items, whole, streamed, or in the "
        "background. It is stored for 30 days unless `store` is false, and can be followed by "
        "`previous_response_id`; with a `conversation` its input and output are added there.\n\n"
        "Works with every model for chats. Tools are functions of your own.",
        bodies={JSON: Body(ResponseParams)},
        answers={
            JSON: Content((Response,)),
            EVENTS: Content(
                events=(ResponseEvent,),
                when="With `stream`; ends in `response.completed`, `response.incomplete` or "
                "`response.failed`.",
            ),
        },
        refusals=(
            *CHATS,
            NO_SUCH_CONVERSATION,
            NO_SUCH_ITEM,
            NO_SUCH_PREVIOUS,
            PREVIOUS_NOT_FINISHED,
            LOCKED,
            STORAGE_FULL,
        ),
        examples=(
            Example(
                "A question",
                {"model": _MODEL, "input": "What is the capital of Peru?"},
                call="responses.create",
                python="print(answer.output_text)",
                javascript="console.log(answer.output_text);",
            ),
            Example(
                "Streamed",
                {
                    "model": _MODEL,
                    "input": "Tell me a story of one sentence.",
                    "stream": True,
                },
                call="responses.create",
                python='for event in answer:\n    if event.type == "response.output_text.delta":\n'
                '        print(event.delta, end="", flush=True)',
                javascript="for await (const event of answer) {\n"
                '  if (event.type === "response.output_text.delta") '
                "process.stdout.write(event.delta);\n}",
            ),
            Example(
                "With a function",
                {
                    "model": _MODEL,
                    "input": "What is the weather in Lima?",
                    "tools": [
                        {
                            "type": "function",
                            "name": "get_weather",
                            "description": "The weather in a city now",
                            "parameters": _CITY,
                            "strict": False,
                        }
                    ],
                },
                call="responses.create",
                python="print(answer.output)",
                javascript="console.log(answer.output);",
            ),
        ),
    ),
    Operation(
        method="get",
        path=_ONE,
        id="getResponse",
        tag=TAG,
        summary="Look up a response",
        description="One that is stored. With `stream=true` its events from any of them on, while "
        "it is made and for 15 minutes after its end.",
        parameters=(
            _ID,
            query_parameter("stream", "Its events.", {"type": "boolean"}),
            query_parameter(
                "starting_after",
                "The `sequence_number` of the last event that you have seen.",
                {"type": "integer", "minimum": 0},
            ),
        ),
        answers={
            JSON: Content((Response,)),
            EVENTS: Content(events=(ResponseEvent,), when="With `stream`."),
        },
        refusals=(NO_SUCH_RESPONSE, EVENTS_GONE, INVALID, *WITH_SCOPE),
        examples=(Example("One", path=f"{_ROOT}/{_EXAMPLE}", call="responses.retrieve"),),
    ),
    Operation(
        method="delete",
        path=_ONE,
        id="deleteResponse",
        tag=TAG,
        summary="Delete a response",
        description="Responses that follow it stay as they are.",
        parameters=(_ID,),
        answers={JSON: Content((ResponseDeleted,))},
        refusals=(NO_SUCH_RESPONSE, *WITH_SCOPE),
        examples=(Example("One", path=f"{_ROOT}/{_EXAMPLE}", call="responses.delete"),),
    ),
    Operation(
        method="post",
        path=f"{_ONE}/cancel",
        id="cancelResponse",
        tag=TAG,
        summary="Cancel a response",
        description="One in the background. What came until now is kept, and charged. A repeat "
        "changes nothing.",
        parameters=(_ID,),
        answers={JSON: Content((Response,))},
        refusals=(NO_SUCH_RESPONSE, INVALID, *WITH_SCOPE),
        examples=(Example("One", path=f"{_ROOT}/{_EXAMPLE}/cancel", call="responses.cancel"),),
    ),
    Operation(
        method="get",
        path=f"{_ONE}/input_items",
        id="listResponseInputItems",
        tag=TAG,
        summary="List a response's input",
        description="What was sent with it; not what it follows.",
        parameters=(
            _ID,
            limit_parameter(PAGE_SIZE, MAX_PAGE_SIZE),
            query_parameter("order", "`desc` unless said.", {"enum": ["asc", "desc"]}),
            AFTER,
        ),
        answers={JSON: Content((ConversationItemList,))},
        refusals=(NO_SUCH_RESPONSE, INVALID, *WITH_SCOPE),
        examples=(Example("All of it", path=f"{_ROOT}/{_EXAMPLE}/input_items"),),
    ),
)
TAGS = {TAG: ABOUT}
