"""POST /client/v4/graphql: the dataset aiInferenceAdaptiveGroups of each account."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import orjson
from aiohttp import web

from sandbox.workers_ai.analytics.books import Books, Line, Total
from sandbox.workers_ai.analytics.graphql import Field, QueryError, parse_query
from sandbox.workers_ai.exchange import json_number

DATASET: Final = "aiInferenceAdaptiveGroups"
MOST_ROWS: Final = 10_000
# How far back Cloudflare keeps them is not published for this dataset: as for others.
OLDEST: Final = timedelta(seconds=2_678_400)
DIMENSIONS: Final[dict[str, Callable[[Line], str]]] = {
    "date": lambda line: f"{line.hour:%Y-%m-%d}",
    "datetimeHour": lambda line: f"{line.hour:%Y-%m-%dT%H:%M:%SZ}",
    "modelId": lambda line: line.model,
}
Answer = dict[str, Any]


class RefusedError(Exception):
    """As GraphQL says it, with the HTTP status that goes with it."""

    def __init__(self, status: int, message: str, path: list[str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.path = path

    def body(self) -> Answer:
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        error = {"message": self.message, "path": self.path, "extensions": {"timestamp": now}}
        return {"data": None, "errors": [error]}


def answer_query(raw: bytes, books: Books) -> Answer:
    """Raises RefusedError."""
    try:
        body = orjson.loads(raw)
        query, variables = body["query"], body.get("variables") or {}
        if not isinstance(query, str) or not isinstance(variables, dict):
            raise QueryError("error parsing args: query is text, variables an object")
        data = {root.key: _viewer(root, books) for root in parse_query(query, dict(variables))}
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise RefusedError(400, "error parsing args: the body has no query") from None
    except QueryError as error:
        raise RefusedError(400, str(error)) from None
    return {"data": data, "errors": None}


def refused(error: RefusedError) -> web.Response:
    return web.Response(
        body=orjson.dumps(error.body()), status=error.status, content_type="application/json"
    )


def _viewer(root: Field, books: Books) -> Answer:
    _expect(root, "viewer")
    answer = {}
    for accounts in root.fields:
        _expect(accounts, "accounts")
        tag = accounts.arguments.get("filter", {}).get("accountTag")
        if not isinstance(tag, str) or not tag:
            raise RefusedError(403, "not authorized for that account", ["viewer", "accounts"])
        if books.drift_of(tag).fails:
            raise RefusedError(503, "unable to execute query, please try again later")
        answer[accounts.key] = [
            {group.key: _groups(group, tag, books) for group in accounts.fields}
        ]
    return answer


def _groups(group: Field, account: str, books: Books) -> list[Answer]:
    _expect(group, DATASET)
    limit = group.arguments.get("limit")
    if not isinstance(limit, int) or not 0 < limit <= MOST_ROWS:
        raise RefusedError(
            400, f"limit must be positive number and not greater than {MOST_ROWS}", _path(group)
        )
    wanted = _filter(group)
    dimensions = [each.name for each in _members(group, "dimensions")]
    for name in dimensions:
        if name not in DIMENSIONS:
            raise QueryError(f'unknown field "{name}"')
    sums: dict[tuple[str, ...], Total] = {}
    for line, total in books.told(account, now=time.time()).items():
        if wanted(line):
            key = tuple(DIMENSIONS[name](line) for name in dimensions)
            found = sums.setdefault(key, Total())
            found.calls += total.calls
            found.neurons += total.neurons
    rows = [_row(group, dict(zip(dimensions, k, strict=True)), t) for k, t in sums.items()]
    return rows[:limit]


def _filter(group: Field) -> Callable[[Line], bool]:
    """date, datetimeHour and modelId, each also with _geq, _gt, _leq, _lt, _in."""
    tests: list[Callable[[Line], bool]] = []
    given = group.arguments.get("filter", {})
    for key, value in given.items():
        name, _, operator = key.partition("_")
        if name not in DIMENSIONS or operator not in OPERATORS:
            raise QueryError(f'error parsing args: unknown field "{key}" in filter')
        tests.append(_test(DIMENSIONS[name], OPERATORS[operator], value))
        if name == "date" and isinstance(value, str):
            _check_age(value, group)
    if not any(key.startswith(("date", "datetime")) for key in given):
        raise RefusedError(400, "query time range is too large", _path(group))
    return lambda line: all(test(line) for test in tests)


OPERATORS: Final[dict[str, Callable[[str, Any], bool]]] = {
    "": lambda had, wanted: had == wanted,
    "geq": lambda had, wanted: had >= wanted,
    "gt": lambda had, wanted: had > wanted,
    "leq": lambda had, wanted: had <= wanted,
    "lt": lambda had, wanted: had < wanted,
    "in": lambda had, wanted: had in wanted,
}


def _test(
    read: Callable[[Line], str], compare: Callable[[str, Any], bool], value: Any
) -> Callable[[Line], bool]:
    return lambda line: compare(read(line), value)


def _check_age(day: str, group: Field) -> None:
    try:
        asked = datetime.fromisoformat(day).replace(tzinfo=UTC)
    except ValueError:
        raise QueryError(f'error parsing args: "{day}" is no date') from None
    if asked < datetime.now(UTC) - OLDEST - timedelta(days=1):
        raise RefusedError(
            400, f"cannot request data older than {int(OLDEST.total_seconds())}s", _path(group)
        )


def _row(group: Field, dimensions: dict[str, str], total: Total) -> Answer:
    row: Answer = {}
    for each in group.fields:
        match each.name:
            case "count":
                row[each.key] = total.calls
            case "sum":
                row[each.key] = {x.key: _sum(x, total.neurons) for x in each.fields}
            case "dimensions":
                row[each.key] = {x.key: dimensions[x.name] for x in each.fields}
            case name:
                raise QueryError(f'unknown field "{name}"')
    return row


def _sum(asked: Field, neurons: Decimal) -> Any:
    if asked.name != "totalNeurons":
        raise QueryError(f'unknown field "{asked.name}"')
    return json_number(neurons)


def _members(group: Field, name: str) -> list[Field]:
    return [member for each in group.fields if each.name == name for member in each.fields]


def _expect(asked: Field, name: str) -> None:
    if asked.name != name:
        raise QueryError(f'unknown field "{asked.name}"')
    if not asked.fields:
        raise QueryError("object field must have selections")


def _path(group: Field) -> list[str]:
    return ["viewer", "accounts", "0", group.key]
