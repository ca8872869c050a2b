"""The audit trail's page: read, filtered, paged, taken away as a file."""

import csv
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest

from tenants.audit import services as audit
from tenants.audit.models import AuditEvent
from tenants.audit.services import Actor
from tenants.audit.words import ACTIONS, details
from tenants.members.tests.builders import member, signed_in, text
from tenants.registry.schemas import tenant_schema
from tenants.users.models import Role


def url(cast: Any, query: str = "", path: str = "audit/") -> str:
    return f"/t/{cast.tenant.slug}/{path}?{query}"


def note(
    cast: Any, count: int = 1, *, actor: str = "ann@x.test", action: str = "member.left"
) -> None:
    with tenant_schema(cast.code):
        for number in range(count):
            audit.record(
                actor=Actor(actor, "203.0.113.5"),
                action=action,
                subject=f"s{number}",
                role="viewer",
            )


@pytest.mark.parametrize("role", Role)
def test_who_may(acme: Any, role: Role) -> None:
    client = signed_in(member(acme, role, "somebody"))
    may = role in {Role.OWNER, Role.ADMIN}

    assert client.get(url(acme)).status_code == (200 if may else 403)
    assert client.get(url(acme, path="audit/export.csv")).status_code == (200 if may else 403)


def test_another_workspace_s_is_not_read(acme: Any, globex: Any) -> None:
    note(acme, actor="secret@x.test")
    stranger = signed_in(globex.owner)

    for path in ("audit/", "audit/export.csv"):
        assert stranger.get(url(acme, path=path)).status_code == 404
    assert "secret@x.test" not in text(stranger.get(url(globex)))


def test_an_event_tells_who_what_when_and_from_where(acme: Any) -> None:
    note(acme)
    page = text(signed_in(acme.owner).get(url(acme)))

    for words in ("ann@x.test", "left", "s0", "role: viewer", "203.0.113.5"):
        assert words in page


def test_it_is_filtered_by_person_action_and_day(acme: Any) -> None:
    note(acme, actor="ann@x.test", action="member.left")
    note(acme, actor="bob@x.test", action="member.left")
    note(acme, actor="ann@x.test", action="member.joined")
    with tenant_schema(acme.code):
        AuditEvent.objects.filter(actor="bob@x.test").update(
            created_at=datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
        )
    client = signed_in(acme.owner)

    def rows(query: str) -> int:
        return text(client.get(url(acme, query))).count('<th scope="row"')

    assert rows("actor=ann@x.test") == 2
    assert rows("actor=ann@x.test&action=member.left") == 1
    assert rows("since=2026-03-01&until=2026-03-01") == 1
    assert rows("until=2026-02-28") == 0
    assert "that matches" in text(client.get(url(acme, "actor=nobody")))


@pytest.mark.parametrize(
    "query", ["before=x", "before=-1", "since=nonsense", "actor=%00", "before=99999999999999999999"]
)
def test_nonsense_is_no_error(acme: Any, query: str) -> None:
    assert signed_in(acme.owner).get(url(acme, query)).status_code == 200


def test_every_event_is_on_exactly_one_page(acme: Any) -> None:
    note(acme, 120)
    client = signed_in(acme.owner)
    seen: list[str] = []
    link = url(acme, "action=member.left")
    while link:
        answer = client.get(link)
        seen += [event.subject for event, *_ in answer.context["rows"]]
        # What comes meanwhile changes no page that follows.
        note(acme, 1)
        older = answer.context["older"]
        link = url(acme, older) if older else ""

    assert seen == [f"s{number}" for number in reversed(range(120))]


def test_the_file_has_what_the_filter_says(acme: Any) -> None:
    note(acme, 3)
    note(acme, actor='=HYPERLINK("https://evil")', action="member.joined")
    client = signed_in(acme.owner)

    answer = client.get(url(acme, "action=member.left", path="audit/export.csv"))
    rows = list(csv.reader(StringIO(b"".join(answer).decode())))
    assert rows[0][:3] == ["id", "time", "actor"]
    assert [row[4] for row in rows[1:]] == ["s2", "s1", "s0"]

    every = b"".join(client.get(url(acme, path="audit/export.csv"))).decode()
    actors = [row[2] for row in csv.reader(StringIO(every))]
    assert """'=HYPERLINK("https://evil")""" in actors


def test_a_long_file_is_whole(acme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenants.audit.selectors._BATCH", 7)
    note(acme, 30)

    answer = signed_in(acme.owner).get(url(acme, "action=member.left", path="audit/export.csv"))

    assert len(list(csv.reader(StringIO(b"".join(answer).decode())))) == 31


def test_details_are_told_in_words() -> None:
    event = AuditEvent(
        detail={"role": ["viewer", "admin"], "events": ["a", "b"], "amount_nusd": "5", "none": None}
    )

    assert details(event) == [
        ("role", "viewer → admin"),
        ("events", "a, b"),
        ("amount", "$0.000000005"),
    ]
    assert all(ACTIONS.values())
