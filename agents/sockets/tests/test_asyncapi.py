"""The AsyncAPI document says what there is."""

from typing import Any

import pytest
from django.test import Client
from jsonschema import Draft202012Validator

from agents.sockets.asyncapi import document
from agents.sockets.codes import Code
from agents.sockets.params import COMMANDS


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    if isinstance(value, list):
        return set().union(*map(references, value))
    return set()


@pytest.mark.usefixtures("_database")
def test_it_is_served_without_a_key() -> None:
    answer = Client().get("/v1/asyncapi.json")
    assert answer.status_code == 200
    assert answer.json()["asyncapi"] == "3.0.0"


def test_every_reference_leads_somewhere() -> None:
    for reference in references(document()):
        found: Any = document()
        for step in reference.removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        assert found


def test_every_command_and_every_close_code_is_told() -> None:
    told = document()
    names = {message["name"] for message in told["components"]["messages"].values()}
    assert set(COMMANDS) <= names
    for code in Code:
        assert f"- {code.value}: " in told["info"]["description"]


def test_a_command_that_is_taken_is_in_the_document() -> None:
    schema = {
        "$ref": "#/components/schemas/CreateTurn",
        "components": document()["components"],
    }
    good = {"type": "turn.create", "conversation": "conv_1", "input": "Hi", "if_busy": "wait"}
    assert Draft202012Validator(schema).is_valid(good)
    assert not Draft202012Validator(schema).is_valid({**good, "if_busy": "never"})
