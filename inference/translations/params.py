"""The body of POST /v1/translations."""

from typing import Annotated

from pydantic import Discriminator, Field, Tag

from inference.inputs import ModelName, Params

MAX_TEXTS = 100
Texts = Annotated[
    Annotated[str, Field(min_length=1), Tag(":text")]
    | Annotated[
        list[Annotated[str, Field(min_length=1)]],
        Field(min_length=1, max_length=MAX_TEXTS),
        Tag(":texts"),
    ],
    Discriminator(
        lambda value: ":texts" if isinstance(value, list) else ":text",
        custom_error_type="neither_of_both",
        custom_error_message="it must be a string or an array of strings",
    ),
]
Language = Annotated[str, Field(min_length=2, max_length=32, pattern=r"^[A-Za-z_ -]+$")]


class TranslationParams(Params):
    """Languages as ISO 639-1 codes ("fr"), or as the model names them."""

    model: ModelName
    input: Texts
    target_language: Language
    source_language: Language | None = None
    user: str | None = None

    def texts(self) -> list[str]:
        return self.input if isinstance(self.input, list) else [self.input]
