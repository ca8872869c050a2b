"""A client's WebSocket with one agent: commands come in, events of any number of turns go out."""

import logging
import threading
import time
from typing import Any
from uuid import UUID

import orjson
from django.db import connections

from agentflare.connections import given_back
from agentflare.errors import GatewayError, InvalidRequestError
from agentflare.ids import uuid7
from agents.agent_conversations.commands import (
    cancel_turn,
    create_conversation,
    create_turn,
    find_turn,
    retry_turn,
    submit_tool_outputs,
)
from agents.agent_conversations.objects import turn_id
from agents.agent_conversations.reach import Reach, as_not_found
from agents.agent_conversations.turns import Asker
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
    read_message,
    ref_of,
)
from agents.sockets.rate import Rate
from agents.sockets.refusals import Asked, error_message, refusal_of
from agents.turns.models import Turn
from agents.turns.reading import entries_of, require_events
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
        self.reach = Reach(agent_id, visitor.token, has_fields=True)
        self._rate = Rate()
        self._under_way = 0
        self._asked_at = time.monotonic()

    def check(self) -> None:
        """The agent is there, and the visitor may talk to it. Raises GatewayError."""
        record = self.visitor.record()
        with given_back(), tenant_schema(record.tenant_code):
            self.reach.agent()

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
        body = text.encode()
        told: dict[str, Any] = {}
        try:
            told = read_message(body)
            command = read_command(body, told)
            if isinstance(command, PingCommand):
                self._send({"type": "pong", "ref": command.ref})
                return
            # What ends one of them must not wait for the end of one.
            if self._under_way >= MAX_AT_ONCE and not isinstance(command, CancelTurn):
                raise InvalidRequestError(
                    f"At most {MAX_AT_ONCE} turns at once over one WebSocket.",
                    code="too_many_turns",
                )
        except GatewayError as error:
            self._refuse(error, ref_of(told))
            return
        self._under_way += 1
        threading.Thread(target=self._work, args=(command,), name="socket", daemon=True).start()

    # --- commands, each in a greenlet of its own --------------------------------------

    def _work(self, command: Command) -> None:
        asked = Asked(uuid7(), "/v1/agents")
        record: KeyRecord | None = None
        try:
            record = self.visitor.record()
            self._obey(command, record, asked.id)
        except SocketClosedError:
            pass  # nobody reads the answer; what was begun goes on
        except Exception as exc:
            self._refuse(refusal_of(as_not_found(exc), asked, record), command.ref)
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
        code = record.tenant_code
        match command:
            case CreateConversation():
                made = create_conversation(code, self.reach, command)
                told = {"type": "conversation.created", "ref": command.ref}
                self._send({**told, "conversation": made})
            case CreateTurn():
                number = create_turn(asker, self.reach, command.conversation, command)
                self._accepted(command.ref, number)
                self._follow(code, number)
            case SubscribeTurn():
                self._follow(code, self._turn(code, command).pk, after=command.after)
            case CancelTurn():
                cancel_turn(code, self._turn(code, command))
                self._send({"type": "turn.cancel.done", "ref": command.ref, "turn": command.turn})
            case RetryTurn():
                number = retry_turn(asker, self._turn(code, command))
                self._accepted(command.ref, number)
                self._follow(code, number)
            case SubmitToolOutputs():
                turn = self._turn(code, command)
                submit_tool_outputs(asker, turn, command)
                self._accepted(command.ref, turn.pk)
                self._follow(code, turn.pk, after=turn.next_event - 1)

    def _turn(
        self, code: str, command: SubscribeTurn | CancelTurn | RetryTurn | SubmitToolOutputs
    ) -> Turn:
        return find_turn(code, self.reach, command.conversation, command.turn)

    def _accepted(self, ref: str | None, number: UUID) -> None:
        self._send({"type": "turn.accepted", "ref": ref, "turn": turn_id(number)})

    def _follow(self, code: str, number: UUID, *, after: int = -1) -> None:
        """Its events as they stand in Redis. A slow reader holds up this turn's reading alone; what
        it has not read yet waits there."""
        require_events(code, number)
        for entries in entries_of(code, number, after=after):
            for entry in entries:
                self.connection.send(entry.body)
            if not self.connection.is_open:
                raise SocketClosedError

    # --- answers ------------------------------------------------------------------

    def _send(self, message: dict[str, Any]) -> None:
        self.connection.send(orjson.dumps(message).decode())

    def _refuse(self, error: GatewayError, ref: str | None) -> None:
        try:
            self._send(error_message(error, ref=ref))
        except SocketClosedError:
            logger.debug("Nobody reads the refusal")
