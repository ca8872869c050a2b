"""The bodies of POST /v1/messages and /v1/messages/count_tokens: Anthropic's parameters, checked.

Unknown parameters are refused. What only tunes Anthropic's own service (`cache_control`,
`service_tier`, `context_management` …) is accepted and means nothing here; what would change
an answer and cannot be had (`container`, `mcp_servers` …) is refused unless it is empty.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, Tag

from agentflare.errors import InvalidRequestError, ThreadNotFoundError, UnsupportedParamError
from inference.chat.params import MAX_MESSAGES, MAX_TOOLS, Cap
from inference.inputs import told
from inference.messages.content import BLOCKS_BY_ROLE, STRING_OR_BLOCKS, Lenient, Message, TextBlock
from inference.numbers import WHOLE

MAX_STOP_SEQUENCES = 4


class Tool(Lenient):
    """`type`: a custom tool has none, or `custom`; every other is one of Anthropic's own."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None

    @property
    def is_custom(self) -> bool:
        return self.type in (None, "custom")


class ToolChoice(Lenient):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(Lenient):
    """budget_tokens: a hint at how much, see `requests`. display: whether the text is sent."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: Annotated[int, Field(ge=1), WHOLE] | None = None
    display: Literal["summarized", "omitted"] | None = None


class OutputFormat(Lenient):
    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(Lenient):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None


class Metadata(Lenient):
    user_id: str | None = None


class Thread(Lenient):
    """The conversation as the server holds it, or is asked to."""

    type: Literal["create", "continue"]
    previous_message_id: str | None = None


class PromptParams(BaseModel):
    """What a prompt consists of: all that counting its tokens takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: Annotated[str, StringConstraints(min_length=1)]
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    system: (
        Annotated[
            Annotated[str, Tag(":string")] | Annotated[list[TextBlock], Tag(":list")],
            STRING_OR_BLOCKS,
        ]
        | None
    ) = None
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    # Its name before it became a part of output_config.
    output_format: OutputFormat | None = None

    # Accepted, and without meaning here.
    cache_control: Any = None
    context_management: Any = None
    speed: str | None = None
    user_profile_id: str | None = None

    # Known, and not to be had here: null alone, or empty.
    container: None = None
    mcp_servers: Annotated[list[Any], told(maxItems=0)] | None = None

    @property
    def json_schema(self) -> dict[str, Any] | None:
        """What the answer must match."""
        form = (self.output_config and self.output_config.format) or self.output_format
        return form.schema_ if form else None

    @property
    def effort(self) -> str | None:
        return self.output_config.effort if self.output_config else None

    def check(self) -> None:
        """Rules between fields. Raises InvalidRequestError."""
        self._check_messages()
        self._check_tools()
        if self.mcp_servers:
            raise UnsupportedParamError(
                "The parameter 'mcp_servers' is not supported: call MCP servers from your side, "
                "and offer their tools as custom tools.",
                param="mcp_servers",
            )

    def _check_messages(self) -> None:
        for position, message in enumerate(self.messages):
            allowed = BLOCKS_BY_ROLE[message.role]
            for number, block in enumerate(message.blocks()):
                if not isinstance(block, allowed):
                    param = f"messages[{position}].content[{number}]"
                    raise InvalidRequestError(
                        f"Invalid value for '{param}': a message with the role "
                        f"'{message.role}' cannot hold a '{block.type}' block.",
                        param=param,
                        code="invalid_value",
                    )

    def _check_tools(self) -> None:
        for position, tool in enumerate(self.tools or []):
            if not tool.is_custom:
                raise UnsupportedParamError(
                    f"Tools of the type '{tool.type}' are Anthropic's own and not supported "
                    "here. Define a custom tool: a name and an input_schema.",
                    param=f"tools[{position}].type",
                )
            if tool.input_schema is None:
                raise _missing(f"tools[{position}].input_schema")
        choice = self.tool_choice
        if choice is None or choice.type in ("auto", "none"):
            return
        if not self.tools:
            raise InvalidRequestError(
                "'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice"
            )
        if choice.type == "tool" and choice.name is None:
            raise _missing("tool_choice.name")
        if choice.type == "tool" and choice.name not in {tool.name for tool in self.tools}:
            raise InvalidRequestError(
                f"Tool '{choice.name}' of 'tool_choice' not found in 'tools'.",
                param="tool_choice.name",
            )


class MessageParams(PromptParams):
    """Null counts as absent for all but `max_tokens`."""

    max_tokens: Cap
    stream: bool | None = None
    stop_sequences: Annotated[list[str], Field(max_length=MAX_STOP_SEQUENCES)] | None = None
    # Newer versions of Anthropic's SDK send these in `extra_body` alone.
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0), WHOLE] | None = None

    # user_id is what makes calls one conversation.
    metadata: Metadata | None = None

    # Nothing is held here, so none can be continued. Anthropic's tool runner always asks for
    # one, and sends the whole conversation when it hears that the thread is lost.
    thread: Thread | None = None

    # Accepted, and without meaning here.
    diagnostics: Any = None
    service_tier: str | None = None

    # We cannot tell where upstream computes.
    inference_geo: None = None

    def check(self) -> None:
        if self.thread and self.thread.type == "continue":
            raise ThreadNotFoundError
        super().check()
        if self.messages[-1].role == "assistant":
            raise InvalidRequestError(
                "The last message must not be the assistant's: beginning the answer for the "
                "model (prefill) is not supported.",
                param="messages",
            )

    @property
    def user_id(self) -> str:
        return (self.metadata and self.metadata.user_id) or ""


def _missing(param: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"Missing required parameter: '{param}'.",
        param=param,
        code="missing_required_parameter",
    )
