"""A client's WebSocket with one agent: commands come in, events of any number of turns go out."""

import logging
import threading
import time
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import orjson
from django.db import connections

from agentflare.api import as_gateway_error
from agentflare.connections import given_back
from agentflare.errors import GatewayError, InvalidRequestError, NotFoundError
from agentflare.ids import uuid7
from agents.agent_conversations.objects import agent_conversation_object, turn_id, turn_uuid
from agents.agent_conversations.turn_views import cancel_turn
from agents.agent_conversations.turns import Asker, begin_turn, go_on, make_again
from agents.conversations import services
from agents.conversations.items import Message, require_readable
from agents.conversations.models import Conversation
from agents.conversations.objects import uuid_of
from agents.definitions.models import Agent
from agents.definitions.objects import agent_uuid
from agents.sockets.codes import Code
from agents.sockets.connection import Connection, SocketClosedError
from agents.sockets.door import Visitor
from agents.sockets.params import (
    CancelTurn,
    Command,
    CreateConversation,
    CreateTurn,
    PingCommand,
    RetryTurn,
    SubmitToolOutputs,
    SubscribeTurn,
    read_command,
    ref_of,
)
from agents.sockets.rate import Rate
from agents.turns.models import Turn
from agents.turns.reading import entries_of, require_events
from inference.refused import note_unless_admitted
from tenants.keys.lookup import KeyRecord
from tenants.registry.schemas import tenant_schema

logger = logging.getLogger(__name__)
# Commands under way and turns listened to, at once.
MAX_AT_ONCE = 32
IDLE_S = 15 * 60.0


class AgentSession:
    def __init__(self, connection: Connection, visitor: Visitor, agent_id: str) -> None:
        self.connection = connection
        self.visitor = visitor
        self.agent_id = agent_uuid(agent_id)
        self._rate = Rate()
        self._under_way = 0
        self._asked_at = time.monotonic()

    def check(self) -> None:
        """The agent is there, and the visitor may talk to it. Raises GatewayError."""
        record = self.visitor.record()
        with given_back(), tenant_schema(record.tenant_code):
            self._agent()

    def run(self) -> None:
        """Until it is closed. Raises SocketClosedError."""
        while True:
            text = self.connection.receive()
            self._asked_at = time.monotonic()
            if not self._rate.take():
                self.connection.close(Code.TOO_FAST, "more messages came than are taken")
                raise SocketClosedError
            self._take(text)

    def end(self) -> None:
        """Turns go on without their listener."""

    def is_idle(self) -> bool:
        return not self._under_way and time.monotonic() - self._asked_at > IDLE_S

    def _take(self, text: str) -> None:
        try:
            command = read_command(text)
            if isinstance(command, PingCommand):
                self._send({"type": "pong", "ref": command.ref})
                return
            if self._under_way >= MAX_AT_ONCE:
                raise InvalidRequestError(
                    f"At most {MAX_AT_ONCE} turns at once over one WebSocket.",
                    code="too_many_turns",
                )
        except GatewayError as error:
            self._refuse(error, ref_of(text))
            return
        self._under_way += 1
        threading.Thread(target=self._work, args=(command,), name="socket", daemon=True).start()

    # --- commands, each in a greenlet of its own --------------------------------------

    def _work(self, command: Command) -> None:
        asked = SimpleNamespace(id=uuid7(), path="/v1/agents")
        record: KeyRecord | None = None
        try:
            record = self.visitor.record()
            self._obey(command, record, asked.id)
        except SocketClosedError:
            pass
        except Exception as exc:
            error = as_gateway_error(_told(exc))
            if error is None:
                logger.exception("A command over a WebSocket broke")
                error = GatewayError("The server had an error while processing your message.")
            if record is not None:
                note_unless_admitted(asked, record, error)  # type: ignore[arg-type]
            self._refuse(error, command.ref)
        finally:
            self._under_way -= 1
            connections.close_all()

    def _obey(self, command: Command, record: KeyRecord, request_id: UUID) -> None:
        asker = Asker(
            record=record,
            request_id=request_id,
            cache_ttl_s=record.cache_ttl_s,
            shrink_to_fit=record.shrink_to_fit,
        )
        match command:
            case CreateConversation():
                self._create_conversation(command, record)
            case CreateTurn():
                self._create_turn(command, asker)
            case SubscribeTurn():
                turn = self._turn(record, command.conversation, command.turn)
                self._follow(record, turn.pk, after=command.after)
            case CancelTurn():
                turn = self._turn(record, command.conversation, command.turn)
                cancel_turn(record.tenant_code, turn)
                self._send({"type": "turn.cancel.done", "ref": command.ref, "turn": command.turn})
            case RetryTurn():
                turn = self._turn(record, command.conversation, command.turn)
                made = make_again(asker, self._loaded_agent(record), turn)
                self._accepted(command.ref, made)
                self._follow(record, made)
            case SubmitToolOutputs():
                require_readable([out.item() for out in command.outputs], param="outputs")
                turn = self._turn(record, command.conversation, command.turn)
                go_on(asker, self._loaded_agent(record), turn, command.outputs)
                self._accepted(command.ref, turn.pk)
                self._follow(record, turn.pk, after=turn.next_event - 1)

    def _create_conversation(self, command: CreateConversation, record: KeyRecord) -> None:
        items = command.items or []
        require_readable(items, param="items")
        token = self.visitor.token
        if token is not None and token.conversation_id is not None:
            raise NotFoundError(
                "This client token is for one conversation.", code="not_for_client_tokens"
            )
        with given_back(), tenant_schema(record.tenant_code):
            made = services.create_conversation(
                metadata=command.metadata or {},
                items=[item.told() for item in items],
                agent_id=self._agent().pk,
                end_user=token.end_user if token else command.end_user or "",
                title=command.title or "",
            )
        told = agent_conversation_object(made, cost_nusd=0)
        self._send({"type": "conversation.created", "ref": command.ref, "conversation": told})

    def _create_turn(self, command: CreateTurn, asker: Asker) -> None:
        given = command.input
        items = [Message(role="user", content=given)] if isinstance(given, str) else given
        require_readable(list(items), param="input")
        record = asker.record
        with given_back(), tenant_schema(record.tenant_code):
            conversation = self._conversation(command.conversation)
        assert conversation.agent is not None
        made = begin_turn(
            asker,
            conversation.agent,
            conversation.pk,
            [item.told() for item in items],
            metadata=command.metadata or {},
            wait_s=command.wait_s if command.if_busy == "wait" else 0,
        )
        self._accepted(command.ref, made)
        self._follow(record, made)

    def _accepted(self, ref: str | None, number: UUID) -> None:
        self._send({"type": "turn.accepted", "ref": ref, "turn": turn_id(number)})

    def _follow(self, record: KeyRecord, number: UUID, *, after: int = -1) -> None:
        """Its events as they stand in Redis. A slow reader holds up this turn's reading alone; what
        it has not read yet waits there."""
        require_events(record.tenant_code, number)
        for entries in entries_of(record.tenant_code, number, after=after):
            for entry in entries:
                self.connection.send(entry.body)
            if not self.connection.is_open:
                raise SocketClosedError

    # --- what it may touch, in the tenant's schema --------------------------------------

    def _agent(self) -> Agent:
        if self.agent_id is None:
            raise _no_agent()
        if self.visitor.token is not None:
            self.visitor.token.require_agent(self.agent_id)
        if (agent := Agent.objects.filter(pk=self.agent_id).first()) is None:
            raise _no_agent()
        return agent

    def _loaded_agent(self, record: KeyRecord) -> Agent:
        with given_back(), tenant_schema(record.tenant_code):
            return self._agent()

    def _conversation(self, given: str) -> Conversation:
        agent = self._agent()
        number, token = uuid_of(given, "conv"), self.visitor.token
        rows = Conversation.objects.select_related("agent")
        found = rows.filter(pk=number, agent=agent).first() if number else None
        is_theirs = (
            found is None
            or token is None
            or token.may_read(conversation_id=found.pk, end_user=found.end_user)
        )
        if found is None or not is_theirs:
            raise NotFoundError(
                f"Conversation with id '{given}' not found.",
                param="conversation",
                code="conversation_not_found",
            )
        return found

    def _turn(self, record: KeyRecord, conversation: str, given: str) -> Turn:
        number = turn_uuid(given)
        with given_back(), tenant_schema(record.tenant_code):
            of = self._conversation(conversation)
            found = Turn.objects.filter(pk=number, conversation=of).first() if number else None
        if found is None:
            raise NotFoundError(
                f"Turn with id '{given}' not found.", param="turn", code="turn_not_found"
            )
        return found

    # --- answers ------------------------------------------------------------------

    def _send(self, message: dict[str, Any]) -> None:
        self.connection.send(orjson.dumps(message).decode())

    def _refuse(self, error: GatewayError, ref: str | None) -> None:
        message = {"type": "error", "ref": ref, "status": error.status, **error.body()}
        try:
            self._send(message)
        except SocketClosedError:
            logger.debug("Nobody reads the refusal")


def _told(exc: Exception) -> Exception:
    """What was deleted meanwhile is not there."""
    if isinstance(exc, Conversation.DoesNotExist):
        return NotFoundError("There is no such conversation.", code="conversation_not_found")
    if isinstance(exc, Turn.DoesNotExist):
        return NotFoundError("There is no such turn.", code="turn_not_found")
    return exc


def _no_agent() -> NotFoundError:
    return NotFoundError("There is no such agent.", code="agent_not_found")
