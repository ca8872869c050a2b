"""OpenAI's Conversations API, by its own client, over HTTP."""

import base64
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
import requests
from django.db import connection

from agents.conversations import services
from agents.conversations.models import Conversation, Item
from agents.conversations.selectors import items_of_conversation, page_of
from tenants.keys.models import Scope
from tenants.keys.services import create_api_key
from tenants.registry.schemas import tenant_schema

TEXT_FILE = "data:text/plain;base64,eA=="


@pytest.fixture
def client(gateway: Any, cast: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gateway.base_url, api_key=cast.key, max_retries=0) as client:
        yield client


def message(text: str, role: str = "user") -> Any:
    return {"type": "message", "role": role, "content": text}


def texts(items: Any) -> list[str]:
    return [item.content[0].text for item in items]


def test_a_conversation_is_made_read_changed_and_deleted(client: openai.OpenAI) -> None:
    made = client.conversations.create(
        metadata={"topic": "demo"}, items=[message("Hello"), message("Hi!", "assistant")]
    )
    assert made.id.startswith("conv_")
    assert made.object == "conversation"
    assert made.metadata == {"topic": "demo"}
    assert client.conversations.retrieve(made.id) == made
    changed = client.conversations.update(made.id, metadata={"topic": "other"})
    assert changed.metadata == {"topic": "other"}
    assert client.conversations.update(made.id, metadata=None).metadata == {}

    told = client.conversations.delete(made.id)
    assert (told.id, told.object, told.deleted) == (made.id, "conversation.deleted", True)
    for ask in (client.conversations.retrieve, client.conversations.delete):
        with pytest.raises(openai.NotFoundError) as refused:
            ask(made.id)
        assert refused.value.code == "conversation_not_found"
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.list(made.id)


def test_a_text_becomes_a_part_of_its_role(client: openai.OpenAI) -> None:
    made = client.conversations.create()
    added = client.conversations.items.create(
        made.id,
        items=[message("Be brief", "system"), message("Hello"), message("Hi!", "assistant")],
    )
    assert [item.content[0].type for item in added.data] == [  # type: ignore[union-attr]
        "input_text",
        "input_text",
        "output_text",
    ]
    assert texts(added.data) == ["Be brief", "Hello", "Hi!"]
    assert all(item.status == "completed" for item in added.data)  # type: ignore[union-attr]
    assert (added.first_id, added.last_id) == (added.data[0].id, added.data[-1].id)
    assert added.has_more is False


def test_every_kind_of_item_comes_back_as_it_was_sent(client: openai.OpenAI) -> None:
    picture = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    items: list[Any] = [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this? \0 \U0001f600"},
                {"type": "input_image", "image_url": picture, "detail": "low"},
                {
                    "type": "input_file",
                    "filename": "a.txt",
                    "file_data": "data:text/plain;base64,eA==",
                },
            ],
        },
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Look"}], "id": "rs_1"},
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"a": 1}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "a cat"},
    ]
    made = client.conversations.create(items=items)
    read = list(client.conversations.items.list(made.id, order="asc"))
    assert [item.id.partition("_")[0] for item in read] == ["msg", "rs", "fc", "fco"]
    for sent, item in zip(items, read, strict=True):
        told = item.to_dict()
        for name, value in sent.items():
            if name != "id":
                assert told[name] == value, name
        assert client.conversations.items.retrieve(item.id, conversation_id=made.id) == item


def test_pages_follow_each_other_in_both_orders(client: openai.OpenAI) -> None:
    made = client.conversations.create(items=[message(str(n)) for n in range(20)])
    client.conversations.items.create(made.id, items=[message(str(n)) for n in range(20, 25)])

    page = client.conversations.items.list(made.id)
    assert texts(page.data) == [str(n) for n in range(24, 4, -1)]
    assert page.has_more
    every = list(client.conversations.items.list(made.id, limit=3))
    assert texts(every) == [str(n) for n in range(24, -1, -1)]
    forward = list(client.conversations.items.list(made.id, limit=7, order="asc"))
    assert texts(forward) == [str(n) for n in range(25)]
    last = client.conversations.items.list(made.id, after=every[-1].id)
    assert (last.data, last.has_more) == ([], False)


def test_an_item_is_deleted_and_the_others_stay_where_they_are(client: openai.OpenAI) -> None:
    made = client.conversations.create(items=[message(str(n)) for n in range(3)])
    items = list(client.conversations.items.list(made.id, order="asc"))
    told = client.conversations.items.delete(items[1].id or "", conversation_id=made.id)
    assert told == made
    with pytest.raises(openai.NotFoundError) as refused:
        client.conversations.items.delete(items[1].id or "", conversation_id=made.id)
    assert refused.value.code == "item_not_found"
    client.conversations.items.create(made.id, items=[message("3")])
    left = list(client.conversations.items.list(made.id, order="asc"))
    assert texts(left) == ["0", "2", "3"]


def test_a_fork_has_copies_and_outlives_the_first(
    gateway: Any, cast: Any, client: openai.OpenAI
) -> None:
    made = client.conversations.create(
        items=[message(str(n)) for n in range(5)], metadata={"a": "b"}
    )
    items = list(client.conversations.items.list(made.id, order="asc"))
    url = f"{gateway.base_url}/conversations/{made.id}/fork"
    told = requests.post(url, json={"until": items[2].id}, headers=cast.auth, timeout=10).json()
    assert told["forked_from"] == made.id
    assert told["metadata"] == {"a": "b"}
    client.conversations.items.create(told["id"], items=[message("other")])
    client.conversations.delete(made.id)

    copies = list(client.conversations.items.list(told["id"], order="asc"))
    assert texts(copies) == ["0", "1", "2", "other"]
    assert not {copy.id for copy in copies} & {item.id for item in items}
    refused = requests.post(url, json={}, headers=cast.auth, timeout=10)
    assert refused.status_code == 404


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"items": [message("x")] * 21}, "items", "array_above_max_length"),
        ({"items": "x"}, "items", "invalid_type"),
        ({"items": [{"type": "computer_call"}]}, "items[0]", "invalid_value"),
        ({"items": [{"type": "message"}]}, "items[0].role", "missing_required_parameter"),
        ({"items": [message("x", "robot")]}, "items[0].role", "invalid_value"),
        ({"items": [message([])]}, "items[0].content", "empty_array"),  # type: ignore[arg-type]
        (
            {"items": [message([{"type": "input_image", "file_id": "f"}])]},  # type: ignore[arg-type]
            "items[0].content[0].file_id",
            "unsupported_parameter",
        ),
        ({"items": [{**message("x"), "what": 1}]}, "items[0].what", "unknown_parameter"),
        ({"metadata": {"a": 1}}, "metadata.a", "invalid_type"),
        ({"metadata": {"a": "x" * 513}}, "metadata.a", "string_above_max_length"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "metadata", None),
        ({"metadata": {"a": "\0"}}, "metadata.a", None),
        ({"items": [message("x" * (4 * 1024 * 1024))]}, "items[0]", "string_above_max_length"),
        ({"what": 1}, "what", "unknown_parameter"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name_and_nothing_is_kept(
    gateway: Any, cast: Any, body: dict[str, Any], param: str, code: str | None
) -> None:
    url = f"{gateway.base_url}/conversations"
    answer = requests.post(url, json=body, headers=cast.auth, timeout=10)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["param"] == param
    if code is not None:
        assert error["code"] == code
    with tenant_schema(cast.code):
        assert not Conversation.objects.exists()


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "order=up", "after=msg_x", "after=conv_1", "after=%00"],
)
def test_a_page_that_cannot_be_is_refused(gateway: Any, cast: Any, query: str) -> None:
    made = requests.post(
        f"{gateway.base_url}/conversations", json={}, headers=cast.auth, timeout=10
    ).json()
    url = f"{gateway.base_url}/conversations/{made['id']}/items?{query}"
    assert requests.get(url, headers=cast.auth, timeout=10).status_code == 400


def test_another_tenants_ids_are_not_found(gateway: Any, client: openai.OpenAI) -> None:
    made = client.conversations.create(items=[message("secret")])
    (item,) = client.conversations.items.list(made.id)
    other = gateway.cast(name="globex")
    root = f"{gateway.base_url}/conversations/{made.id}"
    for method, url in (
        ("get", root),
        ("post", root),
        ("delete", root),
        ("get", f"{root}/items"),
        ("post", f"{root}/items"),
        ("post", f"{root}/fork"),
        ("get", f"{root}/items/{item.id}"),
        ("delete", f"{root}/items/{item.id}"),
    ):
        body = {"metadata": {}} if url == root else {}
        body = {"items": [message("x")]} if url.endswith("/items") else body
        answer = requests.request(method, url, json=body, headers=other.auth, timeout=10)
        assert answer.status_code == 404, (method, url, answer.text)
        assert "secret" not in answer.text
    assert texts(client.conversations.items.list(made.id)) == ["secret"]


def test_a_key_without_the_scope_is_refused(gateway: Any) -> None:
    cast = gateway.cast()
    _, key = create_api_key(
        tenant=cast.tenant, name="calls", actor="test", scopes=[Scope.INFERENCE]
    )
    url = f"{gateway.base_url}/conversations"
    answer = requests.post(url, json={}, headers={"Authorization": f"Bearer {key}"}, timeout=10)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "insufficient_permissions"
    assert requests.post(url, json={}, timeout=10).status_code == 401


def test_clients_that_write_at_once_lose_nothing_and_stay_together(
    gateway: Any, cast: Any, client: openai.OpenAI
) -> None:
    made = client.conversations.create()
    together = threading.Barrier(8)

    def write(writer: int) -> None:
        together.wait()
        for batch in range(3):
            items = [message(f"{writer}.{batch}.{n}") for n in range(4)]
            client.conversations.items.create(made.id, items=items)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    told = texts(client.conversations.items.list(made.id, order="asc", limit=100))
    assert len(told) == 96
    batches = [told[at : at + 4] for at in range(0, 96, 4)]
    assert all([text.rpartition(".")[2] for text in batch] == list("0123") for batch in batches)
    assert all(len({text.rpartition(".")[0] for text in batch}) == 1 for batch in batches)
    with tenant_schema(cast.code):
        positions = list(Item.objects.values_list("position", flat=True))
    assert positions == list(range(96))


def test_deleting_while_others_write_is_clean(gateway: Any, client: openai.OpenAI) -> None:
    made = client.conversations.create(items=[message("x")] * 20)
    together = threading.Barrier(5)

    def write(_: int) -> str:
        together.wait()
        try:
            for _ in range(10):
                client.conversations.items.create(made.id, items=[message("y")])
        except openai.NotFoundError:
            return "gone"
        return "written"

    def delete() -> str:
        together.wait()
        return client.conversations.delete(made.id).object

    with ThreadPoolExecutor(5) as pool:
        writers = [pool.submit(write, n) for n in range(4)]
        assert pool.submit(delete).result() == "conversation.deleted"
        assert {writer.result() for writer in writers} <= {"gone", "written"}
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(made.id)


def test_a_page_asks_as_much_however_long_the_history_is(
    acme: Any, django_assert_num_queries: Any
) -> None:
    with tenant_schema(acme.code):
        made = services.create_conversation(metadata={})
        Item.objects.bulk_create(
            Item(conversation=made, position=n, type="message", body="{}") for n in range(3_000)
        )
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE conversations_item")
        middle = Item.objects.get(conversation=made, position=1_500)
        with django_assert_num_queries(3):
            rows, has_more = page_of(
                items_of_conversation(made.pk), after=middle.pk, limit=20, newest_first=True
            )
        assert [row.position for row in rows] == list(range(1_499, 1_479, -1))
        assert has_more
        page = Item.objects.filter(conversation=made, position__lt=1_500).order_by("-position")
        plan = page[:21].explain(analyze=True)
    assert "Sort" not in plan
    assert "Index Scan" in plan
