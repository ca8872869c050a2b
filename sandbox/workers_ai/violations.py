"""What is wrong with a body, in the words of the service's validator."""

from dataclasses import dataclass, field
from typing import Any

from sandbox.workers_ai.errors import BadInputError


@dataclass
class Violations:
    """Collects what is wrong with a body, in the words of the service's validator."""

    found: list[str] = field(default_factory=list)

    def wrong_type(self, path: str, expected: str, value: Any) -> None:
        self.found.append(f"Type mismatch of '{path}', '{expected}' not in '{type_name(value)}'")

    def check_type(self, path: str, value: Any, expected: str) -> bool:
        names = [type_name(value)]
        if names == ["integer"]:
            names.append("number")
        if expected in names:
            return True
        self.wrong_type(path, expected, value)
        return False

    def check_range(self, path: str, value: float, low: float, high: float) -> None:
        if value < low:
            self.found.append(f"'{path}' must be >= {low}")
        if value > high:
            self.found.append(f"'{path}' must be <= {high}")

    def refuse(self, *, has_prompt_form: bool) -> None:
        """Raises BadInputError if there is anything to refuse.

        has_prompt_form: the schema is a choice of two, a prompt or messages, and says so.
        """
        if not self.found:
            return
        text = ", ".join(dict.fromkeys(self.found))
        if has_prompt_form:
            text = (
                f"oneOf at '/' not met, 0 matches: required properties at '/' are 'prompt', {text}"
            )
        raise BadInputError(text)


def type_name(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case None:
            return "null"
        case _:
            return "object"
