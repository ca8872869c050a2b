"""The bodies of /v1/agents."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, Tag

from agents.conversations.items import NO_NUL, Metadata, Part
from inference.chat.params import Cap, Effort
from inference.inputs import one_of
from inference.numbers import WHOLE

MAX_TOOLS = 64
NO_PARAMETERS = {"type": "object", "properties": {}}
ToolName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
Label = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,32}$")]
Url = Annotated[str, StringConstraints(min_length=8, max_length=2000)]
Headers = Annotated[
    dict[
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")],
        Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00\r\n]*$")],
    ],
    Field(max_length=16),
]
Seconds = Annotated[int, Field(ge=1, le=60), WHOLE]


class AgentFunctionTool(Part):
    """Run by your program: the turn waits for its result (`requires_action`)."""

    type: Literal["function"]
    name: ToolName
    description: Annotated[str, StringConstraints(max_length=2000)] = ""
    parameters: dict[str, Any] = Field(default_factory=lambda: dict(NO_PARAMETERS))


class AgentHttpTool(Part):
    """Run by us: a POST with the arguments as JSON, signed with the agent's tool secret."""

    type: Literal["http"]
    name: ToolName
    description: Annotated[str, StringConstraints(max_length=2000)] = ""
    parameters: dict[str, Any] = Field(default_factory=lambda: dict(NO_PARAMETERS))
    url: Url
    headers: Headers = Field(default_factory=dict)
    """Sent with it; kept encrypted, and never shown again."""
    timeout_s: Seconds = 15


class AgentMcpTool(Part):
    """A server that speaks the Model Context Protocol over streamable HTTP: its tools are run
    there, by us."""

    type: Literal["mcp"]
    server_label: Label
    server_url: Url
    headers: Headers = Field(default_factory=dict)
    """Sent with it; kept encrypted, and never shown again."""
    allowed_tools: Annotated[list[str], Field(max_length=MAX_TOOLS)] | None = None
    """Those of its tools that the model may call; all, where it is left out."""
    timeout_s: Seconds = 15


AgentTool = Annotated[
    Annotated[AgentFunctionTool, Tag(":function")]
    | Annotated[AgentHttpTool, Tag(":http")]
    | Annotated[AgentMcpTool, Tag(":mcp")],
    one_of("function", "http", "mcp", what="a tool"),
]


class AgentModelParams(Part):
    """Of each call of the model; what is left out is the model's default."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_output_tokens: Cap | None = None
    reasoning_effort: Effort | None = None
    tool_choice: Literal["auto", "none", "required"] | None = None
    parallel_tool_calls: bool | None = None


class AgentLimits(Part):
    max_messages: Annotated[int, Field(ge=1, le=1_000), WHOLE] | None = None
    """How many messages of its history a model reads at most: 100, unless you say otherwise."""
    max_steps: Annotated[int, Field(ge=1, le=50), WHOLE] | None = None
    """How often a model is called in one turn at most: 10, unless you say otherwise."""
    turn_timeout_s: Annotated[int, Field(ge=5, le=3_600), WHOLE] | None = None
    """How long a turn may take: 300 seconds, unless you say otherwise."""


class AgentSummary(Part):
    model: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """What sums up the messages that are not sent any more. Its calls are paid like all others."""


_AgentName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=NO_NUL)]
_Description = Annotated[str, StringConstraints(max_length=500, pattern=NO_NUL)]
_Model = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]
_Instructions = Annotated[str, StringConstraints(max_length=256_000, pattern=NO_NUL)]
_Tools = Annotated[list[AgentTool], Field(max_length=MAX_TOOLS)]
_Budget = Annotated[str, StringConstraints(max_length=30)]


class AgentParams(Part):
    name: _AgentName
    model: _Model
    """A model for chats, or a route."""
    description: _Description | None = None
    """For people."""
    instructions: _Instructions | None = None
    """What the model reads before the history."""
    params: AgentModelParams | None = None
    tools: _Tools | None = None
    limits: AgentLimits | None = None
    summary: AgentSummary | None = None
    """null: what is not sent any more is not summed up."""
    monthly_budget: _Budget | None = None
    """What all its turns may cost in a calendar month (UTC), in dollars, as "5.00"; null: no
    limit but the key's and your credit."""
    metadata: Metadata | None = None


class AgentUpdateParams(Part):
    """What is left out stays; what is given takes the place of what was there."""

    name: _AgentName | None = None
    model: _Model | None = None
    description: _Description | None = None
    instructions: _Instructions | None = None
    params: AgentModelParams | None = None
    tools: _Tools | None = None
    """A header that reads `********` stays as it is."""
    limits: AgentLimits | None = None
    summary: AgentSummary | None = None
    monthly_budget: _Budget | None = None
    metadata: Metadata | None = None
