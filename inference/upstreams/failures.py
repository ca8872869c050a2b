"""A call that upstream did not answer."""

from dataclasses import dataclass, field
from enum import Enum

from agentflare import errors


class Scope(Enum):
    """What a failure says of the calls that come after it."""

    CALL = "call"  # nothing: this call was at fault
    MODEL = "model"  # this model at this account has trouble
    TASK = "task"  # this account is over its limit for this kind of work
    ACCOUNT = "account"  # this account can call nothing


@dataclass(slots=True, eq=False)
class UpstreamCallError(Exception):
    """`error` is what the client reads.

    code: upstream's own; 0 where there is none. may_retry: the same call may succeed in a
    moment. may_fall_over: another account or another model may answer it. scope, closed_for_s:
    what to leave alone, and for how long where upstream's rules say so. may_be_provoked: it was
    answered, so that the call itself may have made it fail: it speaks for its tenant alone.
    """

    code: int
    detail: str
    error: errors.GatewayError
    may_retry: bool = False
    may_fall_over: bool = False
    scope: Scope = Scope.CALL
    closed_for_s: float = 0.0
    may_be_provoked: bool = False
    request_id: str = field(default="")
    # The operator has ended it.
    is_stop: bool = False

    @property
    def log_line(self) -> str:
        """For logs, and for the operator. Without upstream's words where the call itself may have
        brought them about: they quote what was said, which is nobody's business."""
        if self.scope is Scope.CALL or self.may_be_provoked:
            return self.detail.partition(": ")[0]
        return self.detail

    @classmethod
    def unreachable(cls, detail: str) -> "UpstreamCallError":
        error = errors.UpstreamError("The upstream service could not be reached.")
        return cls(0, detail, error, may_retry=True, may_fall_over=True, scope=Scope.MODEL)

    @classmethod
    def timeout(cls, detail: str, *, may_be_provoked: bool = False) -> "UpstreamCallError":
        """may_be_provoked: it had begun to answer."""
        error = errors.UpstreamTimeoutError("The upstream service did not answer in time.")
        return cls(
            0,
            detail,
            error,
            may_fall_over=True,
            scope=Scope.MODEL,
            may_be_provoked=may_be_provoked,
        )

    @classmethod
    def unreadable(cls, detail: str) -> "UpstreamCallError":
        error = errors.UpstreamError("The upstream service sent an answer that cannot be read.")
        return cls._of_an_answer(detail, error)

    @classmethod
    def broken(cls, detail: str) -> "UpstreamCallError":
        """Broken off in the middle. It is asked again only if nothing had been passed on yet."""
        error = errors.UpstreamError("The upstream service broke off its answer.")
        return cls._of_an_answer(detail, error)

    @classmethod
    def hold_lost(cls) -> "UpstreamCallError":
        """We stood still until the call was taken for dead: the rest of it would be free."""
        error = errors.ServiceUnavailableError(
            "The service stood still for too long in the middle of the call. What had been "
            "delivered before is all that is charged. Please retry."
        )
        return cls(0, "the hold was taken for dead", error)

    @classmethod
    def stopped(cls, why: str) -> "UpstreamCallError":
        """The tenant was suspended while its call ran."""
        error = errors.TenantSuspendedError(f"This account is suspended: {why}")
        return cls(0, "stopped: its tenant is suspended", error, is_stop=True)

    @classmethod
    def _of_an_answer(cls, detail: str, error: errors.GatewayError) -> "UpstreamCallError":
        return cls(
            0,
            detail,
            error,
            may_retry=True,
            may_fall_over=True,
            scope=Scope.MODEL,
            may_be_provoked=True,
        )

    @classmethod
    def left_alone(cls, detail: str, *, retry_after_s: float) -> "UpstreamCallError":
        """Not even called: it has failed too often just now."""
        error = errors.UpstreamBusyError(
            "The model is not available at present. Please retry shortly.",
            retry_after_s=retry_after_s,
        )
        return cls(0, detail, error, may_fall_over=True)
