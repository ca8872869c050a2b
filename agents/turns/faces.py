"""The two forms in which clients read a turn: OpenAI's response, and ours of an agent's turn."""

from typing import Any, Protocol

from agents.agent_conversations.objects import turn_id, turn_object
from agents.responses.objects import response_object
from agents.turns.models import Turn
from agents.turns.state import TurnState


class Face(Protocol):
    """name: of its object in an event, and how the types of its events begin."""

    name: str

    def object(self, state: TurnState) -> dict[str, Any]: ...

    def outcome(self, state: TurnState) -> str: ...

    def marks(self, state: TurnState) -> dict[str, Any]:
        """What every event says, for who reads those of several turns at once."""
        ...


class ResponseFace:
    """OpenAI's. asked: what the request said beside its input."""

    name = "response"

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked

    def object(self, state: TurnState) -> dict[str, Any]:
        return response_object(state, self.asked)

    def outcome(self, state: TurnState) -> str:
        """OpenAI has no event for a cancelled response: its stream just ends. A client that waits
        for the end reads that it was not completed."""
        if state.status == Turn.Status.COMPLETED:
            return "completed"
        if state.status in {Turn.Status.INCOMPLETE, Turn.Status.CANCELLED}:
            return "incomplete"
        return "failed"

    def marks(self, state: TurnState) -> dict[str, Any]:
        return {}


class AgentFace:
    """Ours. asked: what the turn's request said beside its input."""

    name = "turn"

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked

    def object(self, state: TurnState) -> dict[str, Any]:
        return turn_object(state, self.asked)

    def outcome(self, state: TurnState) -> str:
        return str(state.status)

    def marks(self, state: TurnState) -> dict[str, Any]:
        assert state.conversation_id is not None
        return {
            "turn_id": turn_id(state.id),
            "conversation_id": f"conv_{state.conversation_id.hex}",
        }


def face_of(turn: Turn) -> Face:
    return AgentFace(turn.asked) if turn.agent_id else ResponseFace(turn.asked)


def lifecycle_event(face: Face, state: TurnState, what: str) -> dict[str, Any]:
    return {"type": f"{face.name}.{what}", face.name: face.object(state)}


def number(event: dict[str, Any], face: Face, state: TurnState) -> dict[str, Any]:
    """The event in its place among the turn's."""
    event |= face.marks(state)
    event["sequence_number"] = state.next_event
    state.next_event += 1
    return event
