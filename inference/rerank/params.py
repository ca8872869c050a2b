"""The body of POST /v1/rerank: the shape that Jina, Cohere and vLLM share."""

from typing import Annotated, Any

from pydantic import ConfigDict, Discriminator, Field, Tag

from agentflare.errors import InvalidRequestError
from inference.inputs import ModelName, Params
from inference.numbers import WHOLE

MAX_DOCUMENTS = 1_000


class Document(Params):
    """Its text is read, or what `rank_fields` names; what else stands there comes back with it."""

    model_config = ConfigDict(extra="allow")

    text: str | None = None

    def ranked(self, fields: list[str]) -> str | None:
        """The fields that are read: one as it stands, several by name. None: one is missing."""
        own = {"text": self.text, **(self.model_extra or {})}
        found = {field: own.get(field) for field in fields}
        if not all(isinstance(value, str) for value in found.values()):
            return None
        if len(found) == 1:
            return str(found[fields[0]])
        return "\n".join(f"{name}: {value}" for name, value in found.items())


Text = Annotated[
    Annotated[str, Tag(":text")] | Annotated[Document, Tag(":object")],
    Discriminator(
        lambda value: ":text" if isinstance(value, str) else ":object",
        custom_error_type="neither_of_both",
        custom_error_message="a document must be a string or an object with a text",
    ),
]


class RerankParams(Params):
    model: ModelName
    query: Annotated[str, Field(min_length=1)]
    documents: Annotated[list[Text], Field(min_length=1, max_length=MAX_DOCUMENTS)]
    top_n: Annotated[int, Field(ge=1), WHOLE] | None = None
    return_documents: bool | None = None
    # Of objects; as Cohere's first version has it.
    rank_fields: Annotated[list[str], Field(min_length=1, max_length=20)] | None = None
    user: str | None = None
    # Accepted, and without meaning here.
    priority: int | None = None
    truncation: bool | None = None
    # Documents are never cut into several here.
    max_chunks_per_doc: Annotated[int, Field(ge=1), WHOLE] | None = None
    max_tokens_per_doc: Annotated[int, Field(ge=1), WHOLE] | None = None

    def texts(self) -> list[str]:
        """What is ranked of each document. Raises InvalidRequestError where that is missing."""
        fields = self.rank_fields or ["text"]
        texts = []
        for index, document in enumerate(self.documents):
            text = document if isinstance(document, str) else document.ranked(fields)
            if text is None:
                param = f"documents[{index}].{fields[0]}" if len(fields) == 1 else "rank_fields"
                raise InvalidRequestError(
                    f"Missing required parameter: '{param}': each document must have "
                    f"{' and '.join(fields)} as text.",
                    param=param,
                    code="missing_required_parameter",
                )
            texts.append(text)
        return texts

    def document(self, index: int) -> dict[str, Any]:
        document = self.documents[index]
        return (
            {"text": document}
            if isinstance(document, str)
            else document.model_dump(exclude_unset=True)
        )
