"""The form of an agent: its fields are the API's, and are checked by the API's rules."""

from typing import Any

import orjson
from django import forms

from agentflare.api import check_numbers, validated
from agentflare.errors import GatewayError
from agents.definitions.models import MAX_MESSAGES, MAX_STEPS, TURN_TIMEOUT_S, Agent
from agents.definitions.objects import agent_object
from agents.definitions.params import AgentParams
from tenants.users.forms import NameField, PlainForm

EFFORTS = ("", "low", "medium", "high")
_EXAMPLE = """[
  {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city now.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}
  }
]"""
# Fields of the form by where the API would find a fault.
_FIELDS = {
    "params.temperature": "temperature",
    "params.top_p": "top_p",
    "params.max_output_tokens": "max_output_tokens",
    "params.reasoning_effort": "reasoning_effort",
    "limits.max_messages": "max_messages",
    "limits.max_steps": "max_steps",
    "limits.turn_timeout_s": "turn_timeout_s",
    "summary.model": "summary_model",
}


class AgentForm(PlainForm):
    name = NameField(max_length=100, error_messages={"required": "What is it called?"})
    description = forms.CharField(
        max_length=500, required=False, help_text="for yourselves, and for your users"
    )
    model = forms.ChoiceField(error_messages={"required": "Choose a model."})
    instructions = forms.CharField(
        required=False,
        max_length=256_000,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text="what the model reads before the conversation",
    )
    temperature = forms.FloatField(required=False, min_value=0, max_value=2)
    top_p = forms.FloatField(label="Top p", required=False, min_value=0, max_value=1)
    max_output_tokens = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=2**31,
        help_text="of one answer of the model",
    )
    reasoning_effort = forms.ChoiceField(
        required=False, choices=[(name, name or "model’s own") for name in EFFORTS]
    )
    tools = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false", "class": "code-field"}),
        help_text="JSON: a list of tools of the types function (your program runs it), http (we "
        "call your server, signed) and mcp (tools of an MCP server)",
    )
    max_messages = forms.IntegerField(
        label="Messages that are sent",
        min_value=1,
        max_value=1_000,
        initial=MAX_MESSAGES,
        help_text="the newest; older ones stay stored",
    )
    max_steps = forms.IntegerField(
        label="Steps of a turn",
        min_value=1,
        max_value=50,
        initial=MAX_STEPS,
        help_text="calls of the model, at most",
    )
    turn_timeout_s = forms.IntegerField(
        label="Seconds of a turn", min_value=5, max_value=3_600, initial=TURN_TIMEOUT_S
    )
    summary_model = forms.ChoiceField(
        label="Summary of older messages",
        required=False,
        help_text="a model sums up what is not sent any more; paid like all calls",
    )
    monthly_budget = forms.CharField(
        required=False,
        max_length=30,
        help_text="in dollars, for each month (UTC); empty: no limit of its own",
        widget=forms.TextInput(attrs={"inputmode": "decimal"}),
    )

    def __init__(self, *args: Any, models: list[str], **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["model"].choices = [(name, name) for name in models]  # type: ignore[attr-defined]
        choices = [("", "none: they are left out"), *((name, name) for name in models)]
        self.fields["summary_model"].choices = choices  # type: ignore[attr-defined]
        self.fields["tools"].widget.attrs["data-example"] = _EXAMPLE
        self.params: AgentParams | None = None

    def clean(self) -> dict[str, Any]:
        """`params` are what the API would be sent."""
        given = dict(self.cleaned_data)
        if self.errors:
            return given
        try:
            self.params = validated(AgentParams, orjson.dumps(_body(given)))
        except orjson.JSONEncodeError:
            self.add_error("tools", "Their JSON is nested too deeply.")
        except GatewayError as error:
            param = error.param or ""
            field = _FIELDS.get(param, param.partition("[")[0].partition(".")[0])
            self.add_error(field if field in self.fields else None, error.message)
        return given

    def clean_tools(self) -> str:
        text = str(self.cleaned_data["tools"]).strip()
        if not text:
            return "[]"
        try:
            check_numbers(text.encode())
            told = orjson.loads(text)
        except GatewayError as error:
            raise forms.ValidationError(error.message) from None
        except orjson.JSONDecodeError as exc:
            raise forms.ValidationError(f"This is no JSON: {exc}.") from None
        if not isinstance(told, list):
            raise forms.ValidationError("Tools are a JSON array: [ … ].")
        return text


def initial_of(agent: Agent) -> dict[str, Any]:
    told = agent_object(agent)
    tools = told["tools"]
    return {
        **{name: told[name] for name in ("name", "description", "model", "instructions")},
        **told["params"],
        **told["limits"],
        "tools": orjson.dumps(tools, option=orjson.OPT_INDENT_2).decode() if tools else "",
        "summary_model": agent.summary_model,
        "monthly_budget": (told["monthly_budget"] or "").rstrip("0").rstrip("."),
    }


def _body(given: dict[str, Any]) -> dict[str, Any]:
    names = ("temperature", "top_p", "max_output_tokens", "reasoning_effort")
    params = {name: given[name] for name in names if given.get(name) not in (None, "")}
    limits = {name: given[name] for name in ("max_messages", "max_steps", "turn_timeout_s")}
    summary = given["summary_model"]
    return {
        "name": given["name"],
        "description": given["description"],
        "model": given["model"],
        "instructions": given["instructions"],
        "params": params,
        "tools": orjson.loads(given["tools"]),
        "limits": limits,
        "summary": {"model": summary} if summary else None,
        "monthly_budget": given["monthly_budget"].strip() or None,
    }
