"""Whether it serves, and what to tell the person who waits for that."""

import http.client
import json
import shlex
from collections.abc import Mapping
from pathlib import Path

from sandbox.embedded.ports import HOST
from sandbox.install import models
from sandbox.stripe import variables
from sandbox.supervisor.choices import Choices
from sandbox.supervisor.folder import DataFolder
from sandbox.supervisor.product import OPERATOR_EMAIL, OWNER_EMAIL, TENANT

MODEL = "llama-3.3-70b-fast"


def status_of(port: int, path: str, *, api_key: str = "", timeout_s: float = 5.0) -> int:
    """The HTTP status of a GET; 0 when nothing answers."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout_s)
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def missed_models(port: int) -> list[str]:
    """Small models that calls have asked the stand-in for, and that are not installed."""
    connection = http.client.HTTPConnection(HOST, port, timeout=0.5)
    try:
        connection.request("GET", "/health")
        missed: list[str] = json.loads(connection.getresponse().read())["missed_models"]
        return missed
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return []
    finally:
        connection.close()


_ACCOUNT = ("CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_API_TOKEN", "CLOUDFLARE_GATEWAY_ID")


def demo_env(choices: Choices, folder: DataFolder, environment: Mapping[str, str]) -> str:
    """The text of demo.env: one KEY=value a line and nothing else, for any shell or parser.

    With what manage.py needs to work on this sandbox; a token of a real account is not in it.
    """
    base_url = f"{choices.url}/v1"
    state = folder.state
    values = {
        "AGENTFLARE_URL": choices.url,
        "AGENTFLARE_BASE_URL": base_url,
        "AGENTFLARE_API_KEY": state.api_key,
        "AGENTFLARE_TENANT": TENANT,
        "AGENTFLARE_DASHBOARD_URL": f"{choices.url}/t/{TENANT}/",
        "AGENTFLARE_ADMIN_URL": f"{choices.url}/admin/",
        "AGENTFLARE_OWNER_EMAIL": OWNER_EMAIL,
        "AGENTFLARE_OWNER_PASSWORD": state.owner_password,
        "AGENTFLARE_OPERATOR_EMAIL": OPERATOR_EMAIL,
        "AGENTFLARE_OPERATOR_PASSWORD": state.operator_password,
        "OPENAI_BASE_URL": base_url,
        "OPENAI_API_KEY": state.api_key,
        "DATABASE_URL": environment["DATABASE_URL"],
        "REDIS_URL": environment["REDIS_URL"],
        "CELERY_BROKER_URL": environment.get("CELERY_BROKER_URL", ""),
        "CLOUDFLARE_BASE_URL": environment.get("CLOUDFLARE_BASE_URL", ""),
        **{name: environment.get(name, "") for name in _ACCOUNT if name not in choices.environment},
        "EMAIL_URL": environment.get("EMAIL_URL", ""),
        "MAILBOX_URL": environment.get("MAILBOX_URL", ""),
        "SECRET_KEY": environment["SECRET_KEY"],
        "SPOOL_DIR": environment["SPOOL_DIR"],
        "POSTGRESQL_BIN": environment.get("POSTGRESQL_BIN", ""),
        **{name: environment.get(name, "") for name in variables.ALL},
        "AGENTFLARE_SANDBOX": "1",
        "SANDBOX_DIR": str(folder.path),
        # Tells a later `make run` which variables come from here, and are no choice.
        "AGENTFLARE_DEMO_ENV": str(folder.demo_env),
    }
    lines = (f"{name}={shlex.quote(value)}\n" for name, value in values.items() if value)
    return "".join(lines)


def ready_block(choices: Choices, folder: DataFolder, environment: Mapping[str, str]) -> str:
    state = folder.state
    mailbox = environment.get("MAILBOX_URL")
    mails = f"  Mailbox     {mailbox}\n\n" if mailbox else ""
    return f"""
AgentFlare is ready.

  Dashboard   {choices.url}/t/{TENANT}/
              {OWNER_EMAIL}   {state.owner_password}
  Admin       {choices.url}/admin/
              {OPERATOR_EMAIL}   {state.operator_password}

{mails}  Base URL    {choices.url}/v1
  API key     {state.api_key}

  Try it:

curl -N {choices.url}/v1/chat/completions \\
  -H "Authorization: Bearer {state.api_key}" -H "Content-Type: application/json" \\
  -d '{{"model": "{MODEL}", "stream": true, "messages": [{{"role": "user", "content": "Hello!"}}]}}'

  Answers     {source(choices)}{models_hint(choices)}
  Payments    {payments(choices)}
  Data, logs  {shorten(folder.path)}   for scripts: demo.env there

Ctrl-C stops it; the next `make run` goes on with the same data."""


def source(choices: Choices) -> str:
    if choices.starts_workers_ai:
        return "from a stand-in for Cloudflare Workers AI on this machine"
    base_url = choices.environment.get("CLOUDFLARE_BASE_URL")
    return f"from {base_url}" if base_url else "from Cloudflare Workers AI"


def payments(choices: Choices) -> str:
    if choices.starts_stripe:
        return "through a stand-in for Stripe on this machine; card 4242 4242 4242 4242 pays"
    return "through Stripe, with your key"


def models_hint(choices: Choices) -> str:
    """A line on what the stand-in lacks; empty when it lacks nothing, or is not wanted."""
    if not choices.starts_workers_ai or choices.scripted or models.are_installed():
        return ""
    return (
        f"\n              embeddings and speech need small models: `make models` ({models.SIZES})"
    )


def shorten(path: Path) -> str:
    """Relative to where we are, if it lies below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
