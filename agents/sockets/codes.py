"""Why a WebSocket ends. Documented in docs/agents.md and in the AsyncAPI document."""

from enum import IntEnum


class Code(IntEnum):
    NORMAL = 1000
    GOING_AWAY = 1001  # this server ends: connect again, and resume
    UNSUPPORTED_DATA = 1003
    TOO_BIG = 1009
    NOT_AUTHENTICATED = 4401  # the key was revoked or has expired, or the token's time is over
    SUSPENDED = 4403
    NO_PONG = 4408
    IDLE = 4409
    TOO_FAST = 4429


MEANINGS = {
    Code.NORMAL: "You closed it.",
    Code.GOING_AWAY: "This server ends. Connect again and resume: nothing is lost.",
    Code.UNSUPPORTED_DATA: "A message was binary. Send JSON as text.",
    Code.TOO_BIG: "A message was larger than is taken.",
    Code.NOT_AUTHENTICATED: "The API key was revoked or has expired, or the client token's time "
    "is over. Get another, and connect again.",
    Code.SUSPENDED: "The workspace is suspended.",
    Code.NO_PONG: "Nothing was heard from you, not even an answer to pings.",
    Code.IDLE: "Nothing was asked for a long time. Connect again when you need it.",
    Code.TOO_FAST: "More messages came than are taken. Wait before you connect again.",
}
