"""What happened to a call, in words, and what to do about it."""

from billing.usage.models import Status, Truth

STATUS = {
    Status.COMPLETED: "Completed",
    Status.EMPTY: "Nothing came back",
    Status.CLIENT_GONE: "Client left",
    Status.UPSTREAM_FAILED: "Provider failed",
    Status.UPSTREAM_BROKE: "Provider broke off",
    Status.STOPPED: "Suspended",
    Status.PROCESS_DIED: "Our process died",
}
STATUS_TOLD = {
    Status.COMPLETED: "It was answered to its end.",
    Status.EMPTY: "It was answered, but nothing was in the answer. Nothing is charged.",
    Status.CLIENT_GONE: "Your program left before the end. The provider was stopped at once; what "
    "was delivered until then is charged.",
    Status.UPSTREAM_FAILED: "The provider failed, or refused the input, before the first token. "
    "Nothing is charged.",
    Status.UPSTREAM_BROKE: "The provider failed in the middle of the answer, which ended in an "
    "error event. What was delivered until then is charged.",
    Status.STOPPED: "The workspace was suspended in the middle of the answer, which ended in an "
    "error event. What was delivered until then is charged.",
    Status.PROCESS_DIED: "Our own process died during the call. At most what was delivered until "
    "then is charged.",
}
TRUTH_TOLD = {
    Truth.PROVIDER: "The provider said so.",
    Truth.COUNTED: "We counted what was relayed: the provider did not say.",
    Truth.RECONCILED: "The provider’s own log of the call told it, later.",
    Truth.ESTIMATED: "Estimated: neither the provider nor what was relayed tells it.",
}
REFUSED = "Refused"

# Code that was answered → what to do.
REMEDIES = {
    "insufficient_quota": "Add credit, or ask for less: a lower max_tokens holds less.",
    "credit_held": "Your running calls hold the credit. Retry when some have ended, or add credit.",
    "key_budget_exceeded": "Raise the budget of the key, wait for its next day or month, or lower "
    "max_tokens.",
    "rate_limit_exceeded": "Slow down, and retry after the time in Retry-After; or raise the limit "
    "that the message names.",
    "requests": "Slow down, and retry after the time in Retry-After.",
    "tokens": "Ask for less at a time, and retry after the time in Retry-After.",
    "model_not_found": "Copy the model’s id from the page of models, and check that the key may "
    "call it.",
    "model_not_supported": "Use the endpoint of this kind of model: its page has a snippet.",
    "unknown_parameter": "Leave the parameter out, or correct its name: the message has it.",
    "unsupported_parameter": "Leave the parameter out, or choose a model that can do it.",
    "invalid_value": "Correct the parameter that the message names.",
    "invalid_type": "Correct the parameter that the message names.",
    "missing_required_parameter": "Send the parameter that the message names.",
    "invalid_request_error": "Correct the request as the message says.",
    "context_length_exceeded": "Shorten the prompt, or choose a model with a larger window.",
    "string_above_max_length": "Shorten the text that the message names.",
    "content_policy_violation": "The provider’s filter refused it: change the input.",
    "ip_not_authorized": "Call from an address in the key’s ranges, or change its ranges.",
    "insufficient_permissions": "Give the key the scope that the message names, or use another.",
    "tenant_suspended": "The workspace is suspended: the banner above says why.",
    "request_too_large": "Send less: smaller files, or fewer at once.",
    "idempotency_key_in_use": "The first request with this key still runs: retry later.",
    "idempotency_key_reused": "Use a new Idempotency-Key for every new request.",
    "idempotency_answer_not_kept": "Use a new Idempotency-Key to call again.",
    "upstream_error": "Retry. If it lasts, choose another model.",
    "upstream_busy": "The provider has no capacity for this model: retry later, or choose another.",
    "upstream_timeout": "Retry, ask for a shorter answer, or stream it.",
    "json_schema_not_met": "Choose a model with JSON mode, or simplify the schema.",
    "service_unavailable": "It passes: retry after the time in Retry-After.",
    "internal_error": "Our own fault. If it lasts, tell us the request id.",
}


# What stands in the names of codes for a parameter that is not as it should be.
_OF_PARAMETERS = ("invalid_", "_value", "_length", "empty_")


def remedy_of(code: str) -> str:
    if code not in REMEDIES and any(part in code for part in _OF_PARAMETERS):
        return REMEDIES["invalid_value"]
    return REMEDIES.get(code, "Do as the message says, or tell us the request id.")
