"""Client tokens: short-lived, for one agent or one conversation, and for one end user.

A program that has an API key mints them and gives them to browsers. They are kept nowhere: a token
says what it is for, encrypted under SECRET_KEY. Whoever has one acts with the limits, budgets and
standing of the key that minted it, and no longer than that key is good.
"""

import time
from dataclasses import dataclass
from uuid import UUID

import orjson

from agentflare import secrets
from agentflare.errors import InvalidApiKeyError, NotFoundError
from tenants.keys.format import KeyParts

PREFIX = "ct_"
PURPOSE = "client-tokens"
MIN_S, DEFAULT_S, MAX_S = 10, 600, 86_400


@dataclass(frozen=True, slots=True)
class ClientToken:
    """expires_at: seconds since 1970. conversation_id: None: all of the end user's."""

    key: KeyParts
    agent_id: UUID
    end_user: str
    expires_at: int
    conversation_id: UUID | None = None

    def dumps(self) -> str:
        told = [
            self.key.tenant_code,
            self.key.key_id,
            self.key.digest,
            self.agent_id.hex,
            self.end_user,
            self.expires_at,
            self.conversation_id.hex if self.conversation_id else None,
        ]
        return PREFIX + secrets.encrypt(orjson.dumps(told).decode(), purpose=PURPOSE)

    @classmethod
    def loads(cls, text: str) -> "ClientToken":
        """Raises InvalidApiKeyError for one that nobody minted, or whose time is over."""
        try:
            told = orjson.loads(secrets.decrypt(text.removeprefix(PREFIX), purpose=PURPOSE))
        except (secrets.ForeignSecretError, ValueError):
            raise InvalidApiKeyError("Incorrect client token provided.") from None
        tenant_code, key_id, digest, agent, end_user, expires_at, conversation = told
        token = cls(
            KeyParts(tenant_code, key_id, digest),
            UUID(hex=agent),
            end_user,
            expires_at,
            UUID(hex=conversation) if conversation else None,
        )
        token.require_time()
        return token

    def require_time(self) -> None:
        if self.expires_at <= time.time():
            raise InvalidApiKeyError("This client token has expired. Ask your server for another.")

    def require_agent(self, agent_id: UUID) -> None:
        """Raises NotFoundError: of others it knows nothing."""
        if agent_id != self.agent_id:
            raise NotFoundError("There is no such agent.", code="agent_not_found")

    def may_read(self, *, conversation_id: UUID, end_user: str) -> bool:
        if self.conversation_id is not None:
            return conversation_id == self.conversation_id
        return end_user == self.end_user
