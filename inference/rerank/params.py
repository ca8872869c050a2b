"""The body of POST /v1/rerank: the shape that Jina, Cohere and vLLM share."""

from typing import Annotated, Any

from pydantic import ConfigDict, Discriminator, Field, Tag

from inference.inputs import ModelName, Params

MAX_DOCUMENTS = 1_000


class Document(Params):
    """Only its text is read; what else stands there comes back with it."""

    model_config = ConfigDict(extra="allow")

    text: str


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
    top_n: Annotated[int, Field(ge=1)] | None = None
    return_documents: bool | None = None
    user: str | None = None
    # Documents are never cut into several here.
    max_chunks_per_doc: Annotated[int, Field(ge=1)] | None = None
    max_tokens_per_doc: Annotated[int, Field(ge=1)] | None = None

    def texts(self) -> list[str]:
        return [
            document if isinstance(document, str) else document.text for document in self.documents
        ]

    def document(self, index: int) -> dict[str, Any]:
        document = self.documents[index]
        return {"text": document} if isinstance(document, str) else document.model_dump()
