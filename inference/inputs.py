"""What several endpoints take in the same form: texts, and token arrays in their place."""

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
)

from agentflare.errors import InvalidRequestError
from inference.numbers import whole_numbers
from inference.tokens.decoding import MAX_TOKEN, decode_tokens


def told(**keywords: Any) -> Any:
    """Tells in the schema what is checked elsewhere, in words of its own."""
    return Field(json_schema_extra=keywords)


# As `inference.images.inputs` takes it.
IMAGE_URL = told(pattern="^([dD][aA][tT][aA]:|[hH][tT][tT][pP][sS]?://)")
ModelName = Annotated[str, StringConstraints(min_length=1)]
# As many as OpenAI takes.
MAX_INPUTS = 2048
# And of their tokens, with room for what else a body holds.
MAX_VALUES_WITH_TOKENS = 310_000


class Params(BaseModel):
    """Null counts as absent for every parameter, as at OpenAI's; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _kind(value: Any) -> str | None:
    """Chooses the member of a union by its `type`, so that a fault names the right one."""
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f":{kind}" if isinstance(kind, str) else None


def one_of(*kinds: str, what: str) -> Discriminator:
    """Of a union whose members are tagged `:<type>`; `what` they are is told in a refusal."""
    names = ", ".join(f"'{kind}'" for kind in kinds)
    return Discriminator(
        _kind,
        custom_error_type="not_a_content_part",
        custom_error_message=f"{what} must be an object with one of the types {names}",
    )


def _form(value: Any) -> str:
    """Chooses the member of the union by the first element, so that a fault names the right one."""
    if not isinstance(value, list):
        return ":text"
    first = value[0] if value else ""
    if isinstance(first, bool):
        return ":texts"
    if isinstance(first, int | float):
        return ":tokens"
    return ":lists" if isinstance(first, list) else ":texts"


Text = Annotated[str, StringConstraints(min_length=1)]
Tokens = Annotated[
    list[Annotated[int, told(minimum=0, maximum=MAX_TOKEN)]],
    Field(min_length=1),
    BeforeValidator(whole_numbers),
]
TextInput = Annotated[
    Annotated[Text, Tag(":text")]
    | Annotated[list[Text], Field(min_length=1, max_length=MAX_INPUTS), Tag(":texts")]
    | Annotated[Tokens, Tag(":tokens")]
    | Annotated[list[Tokens], Field(min_length=1, max_length=MAX_INPUTS), Tag(":lists")],
    Discriminator(
        _form,
        custom_error_type="neither_of_both",
        custom_error_message="it must be a string, an array of strings, or token arrays",
    ),
]


def texts_of_input(value: Any, *, param: str) -> list[str]:
    """The texts that an input stands for, one for each answer.

    Token arrays (LangChain sends them) are read as OpenAI's tokenizers wrote them.
    Raises InvalidRequestError for an empty text or unknown tokens.
    """
    items = value if _is_list_of_texts(value) else [value]
    texts = []
    for position, item in enumerate(items):
        where = name_of_text(value, position, param=param)
        text = item if isinstance(item, str) else _decoded(item, where)
        if not text:
            raise InvalidRequestError(
                f"'{where}' cannot be an empty string.", param=where, code="empty_string"
            )
        texts.append(text)
    return texts


def name_of_text(value: Any, position: int, *, param: str) -> str:
    """How the client named one of its texts: `input[17]`, or `input` where there is one alone."""
    return f"{param}[{position}]" if _is_list_of_texts(value) else param


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and not (value and isinstance(value[0], int))


def _decoded(tokens: list[int], param: str) -> str:
    try:
        return decode_tokens(tokens)
    except ValueError as exc:
        raise InvalidRequestError(
            f"Invalid value for '{param}': {exc}.", param=param, code="invalid_value"
        ) from None
