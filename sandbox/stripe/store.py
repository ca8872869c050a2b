"""Every object, kept in memory and in a journal that outlives the process.

One API call is one `Unit` and one line of the journal, written before its answer is sent:
killed in between, the process comes back with what it told, or as if it was never asked.
"""

import json
import os
import secrets
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from sandbox.stripe.errors import NoSuchObjectError
from sandbox.stripe.settings import API_VERSION, Settings

# A Stripe object; names that begin with `_` are ours and never shown.
Object = dict[str, Any]


def new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


def public(found: Object) -> Object:
    """A copy without what is ours."""
    return {name: deepcopy(value) for name, value in found.items() if not name.startswith("_")}


class Store:
    """url: our own address, for the pages that objects name."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.url = ""
        path = settings.file
        self.kinds: dict[str, dict[str, Object]] = {}
        self.file: int | None = None
        if path is not None:
            self.read(path)
            self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def read(self, path: Path) -> None:
        """What an earlier process wrote. A last line that is not whole was never told."""
        if not path.exists():
            return
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        for line in whole.splitlines():
            self.put(json.loads(line))
        if len(whole) < len(content):
            os.truncate(path, len(whole))

    def put(self, objects: list[Object]) -> None:
        for one in objects:
            self.kinds.setdefault(one["object"], {})[one["id"]] = one

    def write(self, objects: list[Object]) -> None:
        """All of them, or after a crash none."""
        if self.file is not None:
            line = memoryview(json.dumps(objects, separators=(",", ":")).encode() + b"\n")
            while line:
                line = line[os.write(self.file, line) :]
        self.put(objects)

    def all(self, kind: str) -> dict[str, Object]:
        return self.kinds.get(kind, {})

    def find(self, kind: str, object_id: str) -> Object | None:
        return self.all(kind).get(object_id)

    def close(self) -> None:
        if self.file is not None:
            os.close(self.file)
            self.file = None


class Unit:
    """What one call reads and changes: copies, until it is committed.

    now: the moment of the call, the same for all that it makes.
    """

    def __init__(self, store: Store, *, request_id: str | None = None, key: str | None = None):
        self.store = store
        self.settings = store.settings
        self.url = store.url
        self.request = {"id": request_id, "idempotency_key": key}
        self.now = int(time.time())
        self.copies: dict[tuple[str, str], Object] = {}
        self.events: list[Object] = []

    def find(self, kind: str, object_id: str) -> Object | None:
        if (kind, object_id) not in self.copies:
            stored = self.store.find(kind, object_id)
            if stored is None:
                return None
            self.copies[kind, object_id] = deepcopy(stored)
        return self.copies[kind, object_id]

    def get(self, kind: str, object_id: str, *, param: str = "") -> Object:
        """The object, to be read or changed. Raises NoSuchObjectError.

        param: the parameter that named it; none when the path did.
        """
        found = self.find(kind, object_id)
        if found is None or found.get("deleted"):
            raise NoSuchObjectError(kind, object_id, param or "id", status=400 if param else 404)
        return found

    def add(self, prefix: str, kind: str, **fields: Any) -> Object:
        made = {"id": new_id(prefix), "object": kind, "created": self.now, **fields}
        return self.keep(made)

    def keep(self, made: Object) -> Object:
        self.copies[made["object"], made["id"]] = made
        return made

    def all(self, kind: str) -> Iterator[Object]:
        """Every object of a kind, oldest first, as this call sees it. To be read only."""
        stored = self.store.all(kind)
        for object_id, one in stored.items():
            yield self.copies.get((kind, object_id), one)
        for (one_kind, object_id), one in list(self.copies.items()):
            if one_kind == kind and object_id not in stored:
                yield one

    def emit(self, type_: str, about: Object) -> None:
        """An event that shows the object as it is now."""
        data: Object = {"object": public(about)}
        before = self.store.find(about["object"], about["id"])
        if type_.endswith(".updated") and before is not None:
            shown = public(before)
            data["previous_attributes"] = {
                name: shown.get(name)
                for name, value in data["object"].items()
                if shown.get(name) != value
            }
        event = self.add(
            "evt",
            "event",
            api_version=API_VERSION,
            data=data,
            livemode=False,
            pending_webhooks=0,
            request=dict(self.request),
            type=type_,
        )
        self.events.append(event)

    def changed(self) -> list[Object]:
        return [
            one
            for (kind, object_id), one in self.copies.items()
            if one != self.store.find(kind, object_id)
        ]

    def commit(self) -> None:
        changed = self.changed()
        if changed:
            self.store.write(deepcopy(changed))

    def forget(self) -> None:
        """Undo everything: the call was refused."""
        self.copies.clear()
        self.events.clear()
