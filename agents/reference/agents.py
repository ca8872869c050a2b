"""What the API's reference says of /v1/agents."""

from agents.agent_conversations.params import (
    AgentConversationParams,
    AgentConversationUpdateParams,
    MessagesParams,
    RetryParams,
    ToolOutputsParams,
    TurnParams,
)
from agents.client_tokens.views import ClientTokenParams
from agents.conversations.params import ConversationForkParams
from agents.definitions.params import AgentParams, AgentUpdateParams
from agents.definitions.views import MAX_PAGE_SIZE, PAGE_SIZE
from agents.reference.answers import (
    AgentConversationList,
    AgentConversationObject,
    AgentDeleted,
    AgentList,
    AgentObject,
    ClientTokenObject,
    ConversationItemList,
    ToolSecret,
    TurnEvent,
    TurnList,
    TurnObject,
)
from agents.reference.refusals import (
    EVENTS_GONE,
    NO_SUCH_AGENT,
    NO_SUCH_TURN,
    NOT_FOR_TOKENS,
    NOT_LAST,
    NOT_WAITING,
    STILL_RUNS,
    STORAGE_FULL,
    TOO_MANY_AGENTS,
    TURN_TIMEOUT,
    TURNS,
)
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
    ANYBODY,
    INVALID,
    MEDIA_TYPE,
    NO_SUCH_CONVERSATION,
    NO_SUCH_ITEM,
    NO_SUCH_MODEL,
    TOO_LARGE,
    TOO_SLOW,
    UNKNOWN_PARAM,
    UNSUPPORTED_PARAM,
    WITH_SCOPE,
)

TAG = "Agents"
ABOUT = (
    "Agents that remember: instructions, a model, tools and limits; conversations with them; and "
    "turns that go on when you leave, are resumed from any event, and are each in the ledger. "
    "Also over a WebSocket: `/v1/agents/{agent_id}/ws`, as the AsyncAPI document at "
    "`/v1/asyncapi.json` says."
)
_AGENTS = "/v1/agents"
_AGENT = f"{_AGENTS}/{{agent_id}}"
_CONVERSATIONS = f"{_AGENT}/conversations"
_CONVERSATION = f"{_CONVERSATIONS}/{{conversation_id}}"
_TURNS = f"{_CONVERSATION}/turns"
_TURN = f"{_TURNS}/{{turn_id}}"
_EXAMPLE = "agent_019aa3b2c4d57e8f9a0b1c2d3e4f5060"
_IDS = (
    path_parameter("agent_id", "The `id` of an agent.", _EXAMPLE),
    path_parameter(
        "conversation_id",
        "The `id` of a conversation with it.",
        "conv_019aa3b2c4d57e8f9a0b1c2d3e4f5061",
    ),
    path_parameter("turn_id", "The `id` of a turn.", "turn_019aa3b2c4d57e8f9a0b1c2d3e4f5063"),
)
_OF_AGENT, _OF_CONVERSATION, _OF_TURN = _IDS[:1], _IDS[:2], _IDS
_WRITES = (INVALID, UNKNOWN_PARAM, MEDIA_TYPE, TOO_SLOW, TOO_LARGE)
_PAGES = (limit_parameter(PAGE_SIZE, MAX_PAGE_SIZE), AFTER)
_CLIENTS = "May be called with a client token, too."


_TURN_ANSWERS = {
    JSON: Content((TurnObject,)),
    EVENTS: Content(events=(TurnEvent,), when="With `stream`."),
}
_AS_IT_COMES = (
    query_parameter("stream", "Its events.", {"type": "boolean"}),
    query_parameter(
        "starting_after",
        "The `sequence_number` of the last event that you have seen; so does the header "
        "`Last-Event-ID`.",
        {"type": "integer", "minimum": 0},
    ),
)


def _path(path: str) -> str:
    for parameter in _IDS:
        path = path.replace(f"{{{parameter['name']}}}", parameter["example"])
    return path


OPERATIONS = (
    Operation(
        method="get",
        path="/v1/asyncapi.json",
        id="getAsyncApi",
        tag=TAG,
        summary="The AsyncAPI document",
        description="Both WebSockets: their messages, and why they are closed.",
        answers={JSON: Content()},
        refusals=ANYBODY,
        is_public=True,
    ),
    Operation(
        method="post",
        path=_AGENTS,
        id="createAgent",
        tag=TAG,
        summary="Create an agent",
        description="Needs a key with the scope `agents`, as all of these do.",
        bodies={JSON: Body(AgentParams)},
        answers={JSON: Content((AgentObject,))},
        refusals=(*_WRITES, NO_SUCH_MODEL, TOO_MANY_AGENTS, *WITH_SCOPE),
        examples=(
            Example(
                "A brief one",
                body={
                    "name": "Ana",
                    "model": "llama-3.3-70b-fast",
                    "instructions": "You are brief and kind.",
                    "monthly_budget": "5.00",
                },
            ),
        ),
    ),
    Operation(
        method="get",
        path=_AGENTS,
        id="listAgents",
        tag=TAG,
        summary="List agents",
        description="The newest first.",
        parameters=_PAGES,
        answers={JSON: Content((AgentList,))},
        refusals=(INVALID, *WITH_SCOPE),
        examples=(Example("The newest"),),
    ),
    Operation(
        method="get",
        path=_AGENT,
        id="getAgent",
        tag=TAG,
        summary="Look up an agent",
        description=f"{_CLIENTS} It reads its name and description alone.",
        parameters=_OF_AGENT,
        answers={JSON: Content((AgentObject,))},
        refusals=(NO_SUCH_AGENT, *WITH_SCOPE),
        examples=(Example("One", path=_path(_AGENT)),),
    ),
    Operation(
        method="post",
        path=_AGENT,
        id="updateAgent",
        tag=TAG,
        summary="Change an agent",
        description="Turns under way go on as they began.",
        parameters=_OF_AGENT,
        bodies={JSON: Body(AgentUpdateParams)},
        answers={JSON: Content((AgentObject,))},
        refusals=(NO_SUCH_AGENT, NO_SUCH_MODEL, NOT_FOR_TOKENS, *_WRITES, *WITH_SCOPE),
        examples=(Example("Another name", body={"name": "Bea"}, path=_path(_AGENT)),),
    ),
    Operation(
        method="delete",
        path=_AGENT,
        id="deleteAgent",
        tag=TAG,
        summary="Delete an agent",
        description="With its conversations. What it has cost stays in the ledger.",
        parameters=_OF_AGENT,
        answers={JSON: Content((AgentDeleted,))},
        refusals=(NO_SUCH_AGENT, NOT_FOR_TOKENS, *WITH_SCOPE),
        examples=(Example("One", path=_path(_AGENT)),),
    ),
    Operation(
        method="post",
        path=f"{_AGENT}/tool_secret",
        id="replaceToolSecret",
        tag=TAG,
        summary="Replace the tool secret",
        description="What requests to HTTP tools are signed with, in place of the former at once.",
        parameters=_OF_AGENT,
        answers={JSON: Content((ToolSecret,))},
        refusals=(NO_SUCH_AGENT, INVALID, *WITH_SCOPE),
        examples=(Example("Another", path=_path(f"{_AGENT}/tool_secret")),),
    ),
    Operation(
        method="post",
        path=f"{_AGENT}/tokens",
        id="createClientToken",
        tag=TAG,
        summary="Mint a client token",
        description="For one of your users' browsers, for minutes: it reads and writes this "
        "user's conversations with this agent, and nothing else. It is kept nowhere; revoking the "
        "key ends it.",
        parameters=_OF_AGENT,
        bodies={JSON: Body(ClientTokenParams)},
        answers={JSON: Content((ClientTokenObject,))},
        refusals=(NO_SUCH_AGENT, *_WRITES, *WITH_SCOPE),
        examples=(Example("For a user", body={"end_user": "u1"}, path=_path(f"{_AGENT}/tokens")),),
    ),
    Operation(
        method="post",
        path=_CONVERSATIONS,
        id="createAgentConversation",
        tag=TAG,
        summary="Begin a conversation",
        description=_CLIENTS,
        parameters=_OF_AGENT,
        bodies={JSON: Body(AgentConversationParams)},
        answers={JSON: Content((AgentConversationObject,))},
        refusals=(
            NO_SUCH_AGENT,
            NOT_FOR_TOKENS,
            UNSUPPORTED_PARAM,
            STORAGE_FULL,
            *_WRITES,
            *WITH_SCOPE,
        ),
        examples=(Example("A user's", body={"end_user": "u1"}, path=_path(_CONVERSATIONS)),),
    ),
    Operation(
        method="get",
        path=_CONVERSATIONS,
        id="listAgentConversations",
        tag=TAG,
        summary="List conversations",
        description=f"The newest first. {_CLIENTS}",
        parameters=(
            *_OF_AGENT,
            query_parameter("end_user", "Those of one of your users.", {"type": "string"}),
            *_PAGES,
        ),
        answers={JSON: Content((AgentConversationList,))},
        refusals=(NO_SUCH_AGENT, INVALID, *WITH_SCOPE),
        examples=(Example("The newest", path=_path(_CONVERSATIONS)),),
    ),
    Operation(
        method="get",
        path=_CONVERSATION,
        id="getAgentConversation",
        tag=TAG,
        summary="Look up a conversation",
        description=f"Without its messages. {_CLIENTS}",
        parameters=_OF_CONVERSATION,
        answers={JSON: Content((AgentConversationObject,))},
        refusals=(NO_SUCH_AGENT, NO_SUCH_CONVERSATION, *WITH_SCOPE),
        examples=(Example("One", path=_path(_CONVERSATION)),),
    ),
    Operation(
        method="post",
        path=_CONVERSATION,
        id="updateAgentConversation",
        tag=TAG,
        summary="Change a conversation",
        description=_CLIENTS,
        parameters=_OF_CONVERSATION,
        bodies={JSON: Body(AgentConversationUpdateParams)},
        answers={JSON: Content((AgentConversationObject,))},
        refusals=(NO_SUCH_AGENT, NO_SUCH_CONVERSATION, *_WRITES, *WITH_SCOPE),
        examples=(Example("A title", body={"title": "Trip"}, path=_path(_CONVERSATION)),),
    ),
    Operation(
        method="delete",
        path=_CONVERSATION,
        id="deleteAgentConversation",
        tag=TAG,
        summary="Delete a conversation",
        description=f"With its messages and turns. {_CLIENTS}",
        parameters=_OF_CONVERSATION,
        answers={JSON: Content((AgentDeleted,))},
        refusals=(NO_SUCH_AGENT, NO_SUCH_CONVERSATION, *WITH_SCOPE),
        examples=(Example("One", path=_path(_CONVERSATION)),),
    ),
    Operation(
        method="post",
        path=f"{_CONVERSATION}/fork",
        id="forkAgentConversation",
        tag=TAG,
        summary="Fork a conversation",
        description="Another that begins with copies of its messages, all or up to one of them. "
        f"A repeat makes one more. {_CLIENTS}",
        parameters=_OF_CONVERSATION,
        bodies={JSON: Body(ConversationForkParams)},
        answers={JSON: Content((AgentConversationObject,))},
        refusals=(
            NO_SUCH_AGENT,
            NO_SUCH_CONVERSATION,
            NO_SUCH_ITEM,
            STORAGE_FULL,
            *_WRITES,
            *WITH_SCOPE,
        ),
        examples=(Example("All of it", body={}, path=_path(f"{_CONVERSATION}/fork")),),
    ),
    Operation(
        method="get",
        path=f"{_CONVERSATION}/export",
        id="exportAgentConversation",
        tag=TAG,
        summary="Export a conversation",
        description=f"JSON Lines: the conversation, then its items, the oldest first. {_CLIENTS}",
        parameters=_OF_CONVERSATION,
        answers={"application/jsonl": Content(is_text=True)},
        refusals=(NO_SUCH_AGENT, NO_SUCH_CONVERSATION, *WITH_SCOPE),
        examples=(Example("All of it", path=_path(f"{_CONVERSATION}/export")),),
    ),
    Operation(
        method="get",
        path=f"{_CONVERSATION}/messages",
        id="listAgentMessages",
        tag=TAG,
        summary="List messages",
        description="All items: messages, calls of tools and their results, what the model "
        f"thought. The newest first, unless asked otherwise. {_CLIENTS}",
        parameters=(
            *_OF_CONVERSATION,
            query_parameter("order", "`desc` unless said.", {"enum": ["asc", "desc"]}),
            *_PAGES,
        ),
        answers={JSON: Content((ConversationItemList,))},
        refusals=(NO_SUCH_AGENT, NO_SUCH_CONVERSATION, NO_SUCH_ITEM, INVALID, *WITH_SCOPE),
        examples=(
            Example("From the beginning", path=_path(f"{_CONVERSATION}/messages?order=asc")),
        ),
    ),
    Operation(
        method="post",
        path=f"{_CONVERSATION}/messages",
        id="createAgentMessages",
        tag=TAG,
        summary="Add messages",
        description=f"At the end, in their order; the agent is not asked. {_CLIENTS}",
        parameters=_OF_CONVERSATION,
        bodies={JSON: Body(MessagesParams)},
        answers={JSON: Content((ConversationItemList,))},
        refusals=(
            NO_SUCH_AGENT,
            NO_SUCH_CONVERSATION,
            UNSUPPORTED_PARAM,
            STORAGE_FULL,
            *_WRITES,
            *WITH_SCOPE,
        ),
        examples=(
            Example(
                "One",
                body={"items": [{"role": "user", "content": "My name is Ana."}]},
                path=_path(f"{_CONVERSATION}/messages"),
            ),
        ),
    ),
    calls_a_model(
        path=_TURNS,
        id="createTurn",
        tag=TAG,
        summary="Begin a turn",
        description="The agent's answer to an input: at its end, streamed, or in the background. "
        "It goes on when you leave, and is read again from any event. One turn at a time: another "
        f"one waits, or is refused. {_CLIENTS}",
        parameters=_OF_CONVERSATION,
        bodies={JSON: Body(TurnParams)},
        answers=_TURN_ANSWERS,
        refusals=(*TURNS, NO_SUCH_CONVERSATION, TURN_TIMEOUT),
        examples=(
            Example("A question", body={"input": "Hello!"}, path=_path(_TURNS)),
            Example("Streamed", body={"input": "Hello!", "stream": True}, path=_path(_TURNS)),
        ),
    ),
    Operation(
        method="get",
        path=_TURNS,
        id="listTurns",
        tag=TAG,
        summary="List turns",
        description=f"The newest first. {_CLIENTS}",
        parameters=(*_OF_CONVERSATION, *_PAGES),
        answers={JSON: Content((TurnList,))},
        refusals=(NO_SUCH_AGENT, NO_SUCH_CONVERSATION, INVALID, *WITH_SCOPE),
        examples=(Example("The newest", path=_path(_TURNS)),),
    ),
    Operation(
        method="get",
        path=_TURN,
        id="getTurn",
        tag=TAG,
        summary="Look up a turn",
        description="Or, with `stream=true`, its events after any of them: without a gap or a "
        f"repeat, and without being charged again. {_CLIENTS}",
        parameters=(*_OF_TURN, *_AS_IT_COMES),
        answers=_TURN_ANSWERS,
        refusals=(
            NO_SUCH_AGENT,
            NO_SUCH_CONVERSATION,
            NO_SUCH_TURN,
            EVENTS_GONE,
            INVALID,
            *WITH_SCOPE,
        ),
        examples=(Example("One", path=_path(_TURN)),),
    ),
    Operation(
        method="post",
        path=f"{_TURN}/cancel",
        id="cancelTurn",
        tag=TAG,
        summary="Cancel a turn",
        description="What came until now is kept, and charged. A repeat changes nothing. "
        f"{_CLIENTS}",
        parameters=_OF_TURN,
        answers={JSON: Content((TurnObject,))},
        refusals=(NO_SUCH_AGENT, NO_SUCH_CONVERSATION, NO_SUCH_TURN, INVALID, *WITH_SCOPE),
        examples=(Example("One", path=_path(f"{_TURN}/cancel")),),
    ),
    calls_a_model(
        path=f"{_TURN}/tool_outputs",
        id="submitToolOutputs",
        tag=TAG,
        summary="Submit results of tools",
        description="Of all calls of `required_action` together; then the turn goes on. "
        f"{_CLIENTS}",
        parameters=_OF_TURN,
        bodies={JSON: Body(ToolOutputsParams)},
        answers=_TURN_ANSWERS,
        refusals=(*TURNS, NO_SUCH_CONVERSATION, NO_SUCH_TURN, NOT_WAITING),
        examples=(
            Example(
                "One result",
                body={"outputs": [{"call_id": "call_1", "output": "31 C"}]},
                path=_path(f"{_TURN}/tool_outputs"),
            ),
        ),
    ),
    calls_a_model(
        path=f"{_TURN}/retry",
        id="retryTurn",
        tag=TAG,
        summary="Make a turn again",
        description="The last one of its conversation: a new turn with the same input, in its "
        f"place. What the first has cost stays. {_CLIENTS}",
        parameters=_OF_TURN,
        bodies={JSON: Body(RetryParams)},
        answers=_TURN_ANSWERS,
        refusals=(*TURNS, NO_SUCH_CONVERSATION, NO_SUCH_TURN, STILL_RUNS, NOT_LAST),
        examples=(Example("Again", body={}, path=_path(f"{_TURN}/retry")),),
    ),
)
TAGS = {TAG: ABOUT}
