"""Why a call that is well must end all the same, asked before each piece of its answer."""

from billing.admission.live_holds import Hold, is_lost
from billing.usage.models import Status
from inference.upstreams.failures import UpstreamCallError


def require_running(hold: Hold) -> None:
    """Raises UpstreamCallError where nobody pays for the rest, or the operator has stopped it."""
    if is_lost(hold):
        raise UpstreamCallError.hold_lost()
    if hold.why_stopped:
        raise UpstreamCallError.stopped(hold.why_stopped)


def true_cause(failure: UpstreamCallError, hold: Hold) -> UpstreamCallError:
    """Of an answer that we broke off ourselves the provider is not to blame."""
    if not hold.why_stopped or failure.is_stop:
        return failure
    return UpstreamCallError.stopped(hold.why_stopped)


def status_of(failure: UpstreamCallError, *, delivered: bool) -> Status:
    if failure.is_stop:
        return Status.STOPPED
    return Status.UPSTREAM_BROKE if delivered else Status.UPSTREAM_FAILED
