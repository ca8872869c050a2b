"""The AsyncAPI document says what there is."""

import pytest
from django.test import Client
from jsonschema import Draft202012Validator

from agents.sockets.asyncapi import document
from agents.sockets.codes import Code
from agents.sockets.params import COMMANDS
from inference.reference.tests.references import expect_references_lead_somewhere


@pytest.mark.usefixtures("_database")
def test_it_is_served_without_a_key() -> None:
    answer = Client().get("/v1/asyncapi.json")
    assert answer.status_code == 200
    assert answer.json()["asyncapi"] == "3.0.0"


def test_every_reference_leads_somewhere() -> None:
    expect_references_lead_somewhere(document())


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
