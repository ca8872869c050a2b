"""The body of POST /v1/classifications."""

from typing import Annotated

from pydantic import Field

from inference.inputs import ModelName, Params
from inference.numbers import WHOLE
from inference.translations.params import Texts


class ClassificationParams(Params):
    model: ModelName
    input: Texts
    top_k: Annotated[int, Field(ge=1), WHOLE] | None = None
    user: str | None = None

    def texts(self) -> list[str]:
        return self.input if isinstance(self.input, list) else [self.input]
