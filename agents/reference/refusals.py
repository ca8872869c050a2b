"""What agents, their turns and responses may be refused with, beside what all endpoints may."""

from uuid import UUID

from agentflare import errors
from agents.agent_conversations.turns import TurnNotWaitingError, TurnStillRunsError
from agents.conversations.storage import StorageFullError
from agents.definitions.models import Agent
from agents.tools.opening import ToolServerError
from agents.turns.budget import AgentBudgetError
from agents.turns.reading import EventsGoneError
from agents.turns.run import TurnTimeoutError
from agents.turns.services import ConversationLockedError, TurnNotLastError
from inference.reference.refusals import CHATS, CONTEXT_LENGTH, JSON_NOT_MET, WHEN

_AGENT = "agent_019aa3b2c4d57e8f9a0b1c2d3e4f5060"
NO_SUCH_AGENT = errors.NotFoundError(f"Agent with id '{_AGENT}' not found.", code="agent_not_found")
NO_SUCH_TURN = errors.NotFoundError(
    "Turn with id 'turn_019aa3b2c4d57e8f9a0b1c2d3e4f5063' not found.", code="turn_not_found"
)
NO_SUCH_RESPONSE = errors.NotFoundError(
    "Response with id 'resp_019aa3b2c4d57e8f9a0b1c2d3e4f5064' not found.",
    code="response_not_found",
)
NO_SUCH_PREVIOUS = errors.InvalidRequestError(
    "Previous response with id 'resp_019aa3b2c4d57e8f9a0b1c2d3e4f5064' not found.",
    param="previous_response_id",
    code="previous_response_not_found",
)
PREVIOUS_NOT_FINISHED = errors.InvalidRequestError(
    "Previous response with id 'resp_019aa3b2c4d57e8f9a0b1c2d3e4f5064' is not finished yet.",
    param="previous_response_id",
    code="previous_response_not_finished",
)
NOT_FOR_TOKENS = errors.NotFoundError(
    "A client token is not for this.", code="not_for_client_tokens"
)
TOO_MANY_AGENTS = errors.InvalidRequestError(
    "A workspace has at most 1000 agents. Delete one that nobody uses.", code="too_many_agents"
)
STORAGE_FULL = StorageFullError(10 * 1024**3)
LOCKED = ConversationLockedError(UUID(int=0))
NOT_WAITING = TurnNotWaitingError("completed")
STILL_RUNS = TurnStillRunsError()
NOT_LAST = TurnNotLastError()
EVENTS_GONE = EventsGoneError()
TOOL_SERVER = ToolServerError("files", "the server files answered with status 500.")
AGENT_BUDGET = AgentBudgetError(
    Agent(monthly_budget_nusd=5_000_000_000, spent_nusd=0), needed_nusd=12_000_000
)
TURN_TIMEOUT = TurnTimeoutError(300)

WHEN.update(
    {
        NO_SUCH_AGENT: "No such agent, or it was deleted.",
        NO_SUCH_TURN: "No such turn in this conversation.",
        NO_SUCH_RESPONSE: "No such response, or it was deleted, or never stored.",
        NO_SUCH_PREVIOUS: "The response to be followed is not there, or was never stored.",
        PREVIOUS_NOT_FINISHED: "The response to be followed is still being made.",
        NOT_FOR_TOKENS: "Only an API key may do this.",
        TOO_MANY_AGENTS: "The workspace has as many agents as it may have.",
        STORAGE_FULL: "The workspace keeps as much of conversations and responses as it may.",
        LOCKED: "Another turn is under way in this conversation: retry when it has ended.",
        NOT_WAITING: "The turn does not wait for results of tools.",
        STILL_RUNS: "The turn has not ended: cancel it first.",
        NOT_LAST: "Others have come after it. Fork the conversation instead.",
        EVENTS_GONE: "The turn's events are not kept any more. Read the whole of it.",
        TOOL_SERVER: "An MCP server of the agent does not tell its tools.",
        AGENT_BUDGET: "What the agent may spend in a month does not pay for the call.",
        TURN_TIMEOUT: "A turn took longer than its agent allows. What came is charged.",
    }
)
TURNS = tuple(
    dict.fromkeys(
        (
            *CHATS,
            CONTEXT_LENGTH,
            JSON_NOT_MET,
            NO_SUCH_AGENT,
            LOCKED,
            STORAGE_FULL,
            TOOL_SERVER,
            AGENT_BUDGET,
        )
    )
)
