"""Fields of a body, taken by type. What is wrong is collected and refused together."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from sandbox.workers_ai.errors import InvalidBase64Error
from sandbox.workers_ai.violations import Violations


class Fields:
    """Takes fields out of a body; `refuse_wrong` has to be called after the last.

    is_form: the values came in a form, where numbers are text.
    """

    def __init__(self, raw: dict[str, Any], *, is_form: bool = False) -> None:
        self.raw = raw
        self.violations = Violations()
        self._is_form = is_form

    def refuse_wrong(self) -> None:
        """Raises BadInputError if any field taken so far was missing or wrong."""
        self.violations.refuse(has_prompt_form=False)

    def has(self, key: str) -> bool:
        return self.raw.get(key) is not None

    def require(self, *keys: str) -> None:
        if missing := [key for key in keys if key not in self.raw]:
            self.violations.found.append(f"required properties at '/' are '{','.join(missing)}'")

    def text(self, key: str, *, default: str | None = None, may_be_empty: bool = False) -> str:
        """A text; required if there is no default."""
        if key not in self.raw:
            if default is None:
                self.require(key)
            return default or ""
        value = self.raw[key]
        if not self.violations.check_type(f"/{key}", value, "string"):
            return ""
        if not value and not may_be_empty:
            self.violations.found.append(f"minLength at '/{key}' is 1, got 0")
        return str(value)

    def texts(self, key: str, *, max_items: int | None = None) -> list[str]:
        """A text or a list of them; the field has to be there."""
        value = self.raw.get(key)
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list):
            self.violations.wrong_type(f"/{key}", "string", value)
            return []
        if max_items is not None and len(values) > max_items:
            self.violations.found.append(f"maxItems at '/{key}' is {max_items}, got {len(values)}")
        if not values:
            self.violations.found.append(f"minItems at '/{key}' is 1, got 0")
        for i, item in enumerate(values):
            if self.violations.check_type(f"/{key}/{i}", item, "string") and not item:
                self.violations.found.append(f"minLength at '/{key}/{i}' is 1, got 0")
        return [item for item in values if isinstance(item, str)]

    def contexts(self, key: str = "contexts") -> list[str]:
        """The texts of `[{"text": …}]`."""
        value: Any = self.raw.get(key)
        if key not in self.raw:
            self.require(key)
            return []
        if not self.violations.check_type(f"/{key}", value, "array"):
            return []
        if not value:
            self.violations.found.append(f"minItems at '/{key}' is 1, got 0")
        texts = []
        for i, item in enumerate(value):
            path = f"/{key}/{i}"
            if not self.violations.check_type(path, item, "object"):
                continue
            if "text" not in item:
                self.violations.found.append(f"required properties at '{path}' are 'text'")
            elif self.violations.check_type(f"{path}/text", item["text"], "string"):
                texts.append(item["text"])
        return texts

    def whole(self, key: str, low: int, high: int, *, default: int) -> int:
        return int(self._number(key, "integer", low, high, default))

    def number(self, key: str, low: float, high: float, *, default: float) -> float:
        return self._number(key, "number", low, high, default)

    def _number(self, key: str, kind: str, low: float, high: float, default: float) -> float:
        value: Any = self.raw.get(key)
        if value is None:
            return default
        if self._is_form and isinstance(value, str):
            value = number_in(value)
        if not self.violations.check_type(f"/{key}", value, kind):
            return default
        self.violations.check_range(f"/{key}", value, low, high)
        return value if isinstance(value, int | float) else default

    def choice(self, key: str, options: Sequence[str], *, default: str) -> str:
        value = self.raw.get(key)
        if value is None:
            return default
        if value not in options:
            self.violations.found.append(f"enum {value} not in {','.join(options)} at '/{key}'")
            return default
        return str(value)

    def flag(self, key: str, *, default: bool = False) -> bool:
        value = self.raw.get(key)
        if value is None or not self.violations.check_type(f"/{key}", value, "boolean"):
            return default
        return bool(value)

    def byte_list(self, key: str) -> bytes:
        """A list of byte values; empty if it is not one."""
        value: Any = self.raw.get(key)
        if not self.violations.check_type(f"/{key}", value, "array"):
            return b""
        try:
            return bytes(value)
        except (TypeError, ValueError):
            self.violations.found.append(f"items at '/{key}' must be numbers from 0 to 255")
            return b""

    def base64(self, key: str) -> bytes:
        """Raises InvalidBase64Error for a text that is none."""
        value: Any = self.raw.get(key)
        if not self.violations.check_type(f"/{key}", value, "string"):
            return b""
        return decode_base64(value)


def decode_base64(text: str) -> bytes:
    """Bytes of base64, with or without a data URI's head. Raises InvalidBase64Error."""
    try:
        head, _, content = text.rpartition(",")
        return base64.b64decode(content if head.startswith("data:") else text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidBase64Error("Invalid base64 data") from error


def number_in(text: str) -> int | float | str:
    """The number a form's field holds, or the text if it is none."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
