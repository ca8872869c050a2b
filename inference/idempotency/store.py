"""The Idempotency-Keys of a tenant, in Redis: who runs, and the answers that are kept.

`{pNN}:idem:<tenant>:<sha256 of the key>` is one record: its state (running, done), the request
that took it, the fingerprint of what was asked, and the answer: its head, and its compressed
body. A record without a body tells that the answer was too large, or has made room for newer
ones. Each script is one atomic step, and safe to send again after a lost answer.
"""

import logging
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from redis.client import NEVER_DECODE
from redis.commands.core import Script

from agentflare import errors
from agentflare.partitions import partition_key, partition_of, tenant_key
from agentflare.redis_store import RedisDownError, get_redis
from billing.admission.gate import hold_key

logger = logging.getLogger(__name__)
_SCRIPTS = Path(__file__).parent / "scripts"


@dataclass(frozen=True, slots=True)
class Head:
    """What is kept of an answer beside its body."""

    request_id: str
    status: int
    headers: dict[str, str]
    is_stream: bool

    def dumps(self) -> bytes:
        return orjson.dumps([self.request_id, self.status, self.headers, self.is_stream])

    @classmethod
    def loads(cls, text: str) -> "Head":
        return cls(*orjson.loads(text))


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An earlier call's answer. `body` is compressed with zlib."""

    head: Head
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """An Idempotency-Key that a request has taken: it must `keep` its answer or `release` it."""

    tenant_code: str
    digest: str
    fingerprint: str
    request_id: str

    @property
    def record(self) -> str:
        return _records(self.tenant_code) + self.digest

    def keep(self, head: Head, body: bytes | None) -> None:
        """The call has ended well. body: compressed; None: too large, never asked for again.

        While Redis is down nothing is kept; the record then tells a repeat that the call was
        paid for, as long as Redis remembers its capture.
        """
        try:
            _run(
                "keep",
                keys=[
                    self.record,
                    tenant_key(self.tenant_code, f"idem_kept:{self.tenant_code}"),
                    tenant_key(self.tenant_code, f"idem_bytes:{self.tenant_code}"),
                    _records(self.tenant_code),
                ],
                args=[
                    self.request_id,
                    self.fingerprint,
                    settings.IDEMPOTENCY_KEEP_S,
                    self.digest,
                    head.dumps(),
                    body or b"",
                    settings.IDEMPOTENCY_TENANT_BYTES,
                ],
            )
        except RedisDownError:
            logger.warning("Redis is down: the answer of %s is not kept", self.request_id)

    def release(self) -> None:
        """The call has failed: the key is free again. A repeat changes nothing.

        While Redis is down the key stays taken until the call counts as dead.
        """
        try:
            _run("release", keys=[self.record], args=[self.request_id])
        except RedisDownError:
            logger.warning("Redis is down: the key of %s is not free yet", self.request_id)


def claim(
    *, tenant_code: str, idempotency_key: str, fingerprint: str, request_id: str
) -> Claim | KeptAnswer:
    """Take the key for a request, or get the answer of the request that took it first.

    Raises IdempotencyKeyInUseError, IdempotencyKeyReusedError,
    IdempotencyAnswerNotKeptError, RedisDownError.
    """
    mine = Claim(
        tenant_code=tenant_code,
        digest=sha256(idempotency_key.encode("utf-8", "surrogatepass")).hexdigest(),
        fingerprint=fingerprint,
        request_id=request_id,
    )
    partition = partition_of(tenant_code)
    verdict, *facts = _run(
        "claim",
        # The names of the other request's keys are made in the script, in the same slot.
        keys=[mine.record, hold_key(partition, ""), partition_key(partition, "done:")],
        args=[
            request_id,
            fingerprint,
            settings.IDEMPOTENCY_KEEP_S,
            settings.IDEMPOTENCY_GRACE_S * 1000,
            settings.IDEMPOTENCY_STORE_GRACE_S,
            settings.CAPTURE_MEMORY_S,
        ],
    )
    if verdict == "kept":
        body = _body(mine.record)
        if body is None:
            raise errors.IdempotencyAnswerNotKeptError
        return KeptAnswer(Head.loads(facts[0]), body)
    if verdict != "claimed":
        raise _REFUSALS[verdict]()
    return mine


_REFUSALS = {
    "in_use": errors.IdempotencyKeyInUseError,
    "reused": errors.IdempotencyKeyReusedError,
    "not_kept": errors.IdempotencyAnswerNotKeptError,
}


def _records(tenant_code: str) -> str:
    return tenant_key(tenant_code, f"idem:{tenant_code}:")


def _body(record: str) -> bytes | None:
    """The one value in Redis that is no text."""
    body: bytes | None = get_redis().execute_command("HGET", record, "body", **{NEVER_DECODE: True})
    return body


def _run(name: str, *, keys: list[str], args: list[Any]) -> Any:
    return _script(name)(keys=keys, args=args, client=get_redis())


@cache
def _script(name: str) -> Script:
    registered: Script = get_redis().register_script((_SCRIPTS / f"{name}.lua").read_text())
    return registered
