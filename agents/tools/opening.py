"""From an agent's tools, as they are kept, to those that a turn has."""

from collections.abc import Mapping, Sequence
from typing import Any

from agentflare import secrets
from agentflare.errors import GatewayError
from agents.definitions.models import Agent
from agents.definitions.services import PURPOSE, open_headers
from agents.tools.http_tool import HttpTool
from agents.tools.mcp import McpError, McpServer
from agents.tools.toolbox import ServerTool, Toolbox, declared


class ToolServerError(GatewayError):
    """424 as in WebDAV: what the request depends on has failed."""

    status = 424
    type = "invalid_request_error"
    code = "tool_server_failed"

    def __init__(self, label: str, why: str) -> None:
        super().__init__(
            f"The tools of the MCP server '{label}' cannot be read: {why}", param="tools"
        )


def open_tools(agent: Agent, tools: Sequence[Mapping[str, Any]]) -> Toolbox:
    """MCP servers are asked for their tools. Raises ToolServerError."""
    clients: list[dict[str, Any]] = []
    ours: list[ServerTool] = []
    secret = secrets.decrypt(agent.tool_secret, purpose=PURPOSE)
    for tool in tools:
        if tool["type"] == "function":
            clients.append(declared(tool["name"], tool["description"], tool["parameters"]))
        elif tool["type"] == "http":
            ours.append(
                HttpTool(
                    name=tool["name"],
                    description=tool["description"],
                    parameters=tool["parameters"],
                    url=tool["url"],
                    headers=open_headers(tool),
                    timeout_s=tool["timeout_s"],
                    secret=secret,
                )
            )
        else:
            ours += _tools_of_server(tool)
    return Toolbox(clients, _each_name_once(clients, ours))


def _each_name_once(
    clients: Sequence[Mapping[str, Any]], ours: Sequence[ServerTool]
) -> list[ServerTool]:
    """Names that MCP servers have chosen may be others' already, once they are cleaned."""
    taken = {tool["function"]["name"] for tool in clients}
    found = []
    for tool in ours:
        if tool.name not in taken:
            taken.add(tool.name)
            found.append(tool)
    return found


def _tools_of_server(tool: Mapping[str, Any]) -> Sequence[ServerTool]:
    label = tool["server_label"]
    server = McpServer(label, tool["server_url"], open_headers(tool), tool["timeout_s"])
    try:
        return server.tools(tool.get("allowed_tools"))
    except McpError as exc:
        raise ToolServerError(label, str(exc)) from None
