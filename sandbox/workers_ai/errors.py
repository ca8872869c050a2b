"""Every refusal of the stand-in, each in the form that the real service gives it.

Three envelopes: the inference layer's (`result: {}`, message ending in the request id), the
API edge's (`result: null`) and AI Gateway's (the singular key `error` holding a list).
"""

from typing import Any


class StandInError(Exception):
    """A refusal that knows its status and its body."""

    status = 500

    def body(self, request_id: str) -> dict[str, Any]:
        raise NotImplementedError


# --- the inference layer: the call reached a model, so it has a request id -------------------


class InferenceError(StandInError):
    """Refused or failed by the inference layer."""

    code: int | str = 3043
    prefix = "AiError: AiError: "

    def __init__(self, text: str = "Internal server error") -> None:
        super().__init__(text)
        self.text = text

    def body(self, request_id: str) -> dict[str, Any]:
        message = f"{self.prefix}{self.text} ({request_id})"
        return {
            "errors": [{"message": message, "code": self.code}],
            "success": False,
            "result": {},
            "messages": [],
        }


class MissingHeaderOrBodyError(InferenceError):
    status = 400
    code = 3003
    prefix = "AiError: "


class RequestTooLargeError(InferenceError):
    status = 413
    code = 3006
    prefix = "AiError: "


class InvalidBase64Error(InferenceError):
    status = 400
    code = 5004
    prefix = "AiError: "


class BadInputError(InferenceError):
    """The body does not match the model's schema."""

    status = 400
    code = 5006
    prefix = "AiError: Bad input: Error: "


class NoSuchModelError(InferenceError):
    status = 400
    code = 5007
    prefix = "AiError: "

    def __init__(self, model_id: str) -> None:
        super().__init__(f"No such model {model_id} or task")


class LicenceError(InferenceError):
    status = 403
    code = 5016
    prefix = "AiError: "


class ContextWindowError(InferenceError):
    """Estimated input and the output cap together do not fit."""

    status = 413
    code = 5021

    def __init__(self, *, tokens: int, context_window: int) -> None:
        super().__init__(
            f"The estimated number of input and maximum output tokens ({tokens}) exceeded "
            f"this model context window limit ({context_window})."
        )


class JsonModeStreamError(InferenceError):
    status = 400
    code = 5023
    prefix = "AiError: "

    def __init__(self) -> None:
        super().__init__("JSON Schema mode is not supported with stream mode")


class JsonModeFailedError(InferenceError):
    status = 400
    code = 5024
    prefix = "AiError: "

    def __init__(self) -> None:
        super().__init__("JSON Mode couldn't be met")


class JsonModeUnsupportedError(InferenceError):
    status = 400
    code = 5025
    prefix = "AiError: "

    def __init__(self) -> None:
        super().__init__("This model doesn't support JSON Schema.")


class DeprecatedModelError(InferenceError):
    status = 410
    code = 5028
    prefix = "AiError: Model has been deprecated: "

    def __init__(self, date: str) -> None:
        super().__init__(f"This model was deprecated on {date}. Please use an alternative model.")


class BusyError(InferenceError):
    """Out of capacity, and the caller does not want to wait."""

    status = 429
    code = 3040

    def __init__(self) -> None:
        super().__init__("Capacity temporarily exceeded, please try again.")


class InvalidInputError(InferenceError):
    """What the schema takes and the model does not: sound it can't decode, say."""

    status = 400
    code = 8001


class UnsupportedLanguageError(InferenceError):
    status = 400
    code = 8002

    def __init__(self, language: str) -> None:
        super().__init__(f"Invalid input: language '{language}' is not supported")


class InvalidToolError(InferenceError):
    status = 400
    code = 8001


class ForcedToolCallError(InferenceError):
    status = 400
    code = 8006

    def __init__(self) -> None:
        super().__init__("The forced tool call could not be completed: max_tokens is too small.")


class EngineError(InferenceError):
    """The engine's own error, wrapped as JSON text."""

    status = 400
    code = 8007


class LocalModelError(InferenceError):
    """Real text was asked for and the local model cannot give it."""

    status = 500
    code = 3043


class LocalModelRefusedError(LocalModelError):
    """The local model's engine did not take the call, most likely its schema."""


class NotServedYetError(InferenceError):
    """A part of the real service that the stand-in does not have."""

    status = 400
    code = 5006
    prefix = "AiError: "


class DirectiveError(InferenceError):
    """A script directive that the stand-in does not understand: a mistake in a test."""

    status = 400
    code = 5006
    prefix = "sandbox directive: "


class ScriptedError(InferenceError):
    """The error that a directive asked for."""

    def __init__(self, *, status: int, code: int | str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        if text.startswith("AiError"):
            self.prefix = ""


# --- the API edge: the call reached no model -------------------------------------------------


class EdgeError(StandInError):
    code = 7000
    text = "No route for that URI"

    def body(self, request_id: str) -> dict[str, Any]:
        return {
            "result": None,
            "success": False,
            "errors": [{"code": self.code, "message": self.text}],
            "messages": [],
        }


class AuthenticationError(EdgeError):
    status = 401
    code = 10000
    text = "Authentication error"


class NoRouteError(EdgeError):
    status = 404


class NoSuchLogError(EdgeError):
    """Never there, or not yet."""

    status = 404
    code = 7002
    text = "Not Found"


class InvalidAccountError(EdgeError):
    status = 404
    code = 7003

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.text = f"Could not route to {path}, perhaps your object identifier is invalid?"


class MethodNotAllowedError(EdgeError):
    status = 405
    code = 7001

    def __init__(self, method: str) -> None:
        super().__init__(method)
        self.text = f"Method {method} not available for that URI."


# --- AI Gateway ------------------------------------------------------------------------------


class GatewayError(StandInError):
    """AI Gateway's own refusal. No `cf-ai-req-id`: the call reached no model.

    form: the whole body, of refusals that have one of their own.
    """

    def __init__(
        self, *, status: int, code: int | str, text: str, form: dict[str, Any] | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text
        self.form = form

    def body(self, request_id: str) -> dict[str, Any]:
        if self.form is not None:
            return self.form
        return {
            "success": False,
            "result": [],
            "messages": [],
            "error": [{"code": self.code, "message": self.text}],
        }
