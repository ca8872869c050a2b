"""Meanings of parameters whose models have none beside the field."""

from inference.reference.schemas import Schema

WORDS: dict[str, dict[str, str]] = {}


def describe(schemas: dict[str, Schema]) -> None:
    """Put them into the schemas, where nothing is said yet."""
    for name, schema in schemas.items():
        for field, words in WORDS.get(name, {}).items():
            schema["properties"][field].setdefault("description", words)
