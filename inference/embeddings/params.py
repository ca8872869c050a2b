"""The body of POST /v1/embeddings."""

from typing import Annotated, Literal

from pydantic import Field

from inference.inputs import ModelName, Params, TextInput
from inference.numbers import WHOLE


class EmbeddingParams(Params):
    """pooling, and instruction with input_type, are known to some of Workers AI's models."""

    model: ModelName
    input: TextInput
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1, le=16_384), WHOLE] | None = None
    user: str | None = None

    pooling: Literal["mean", "cls"] | None = None
    instruction: str | None = None
    input_type: Literal["query", "document"] | None = None
