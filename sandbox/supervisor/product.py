"""The product's processes and commands, as seen from outside: command lines, environment."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.embedded.ports import HOST
from sandbox.embedded.programs import find_postgres
from sandbox.stripe import variables
from sandbox.supervisor.choices import Choices
from sandbox.supervisor.folder import State

TENANT = "acme"
OWNER_EMAIL = "owner@acme.test"
OPERATOR_EMAIL = "operator@agentflare.test"
GRANT_USD = "25"

MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"

# Streams still running get this long when we stop; then the web server ends them
# itself, which books what was delivered.
WEB_GRACE_S = 2

RUN_COMMANDS = Path(__file__).with_name("run_commands.py")

Command = list[str]


def product_environment(choices: Choices, state: State, urls: Mapping[str, str]) -> dict[str, str]:
    """What all of the product's processes get.

    urls: of the parts started here, by variable.
    """
    defaults = {
        "SECRET_KEY": state.secret_key,
        "AGENTFLARE_URL": choices.url,
        "AGENTFLARE_SANDBOX": "1",
        # Webhooks of the person at this machine end at this machine.
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "WEB_CONCURRENCY": "2",
        "WEB_GRACEFUL_TIMEOUT_S": str(WEB_GRACE_S),
        # Two sandboxes would take in each other's captures, which are lost to both then.
        "SPOOL_DIR": str(choices.folder / "spool"),
        "EXPORT_DIR": str(choices.folder / "exports"),
        "PYTHONUNBUFFERED": "1",
    }
    if "DATABASE_URL" in urls:
        # Those of the server that runs here: `manage.py backup` needs them.
        defaults["POSTGRESQL_BIN"] = str(find_postgres().bin)
    if "CLOUDFLARE_ACCOUNT_ID" not in choices.environment:
        defaults |= {
            "CLOUDFLARE_ACCOUNT_ID": "sandbox",
            "CLOUDFLARE_API_TOKEN": "sandbox",
            "CLOUDFLARE_GATEWAY_ID": "sandbox",
        }
    return {**defaults, **choices.environment, **urls}


def python(*arguments: str) -> Command:
    return [sys.executable, "-m", *arguments]


def web(port: int) -> Command:
    application = ["agentflare.wsgi:application", "-c", "agentflare/gunicorn.py"]
    # Its control socket lies in the home folder: two sandboxes would share it.
    application += ["--no-control-socket"]
    return python("gunicorn", *application, "--bind", f"{HOST}:{port}")


def worker() -> Command:
    # Alone on its broker: nobody to gossip or mingle with, and a second saved.
    alone = ["--without-gossip", "--without-mingle"]
    options = ["--concurrency", "2", "--loglevel", "WARNING", *alone]
    return python("celery", "-A", "agentflare", "worker", *options)


def beat() -> Command:
    # The plain scheduler keeps its state in memory and writes no file.
    scheduler = ["-S", "celery.beat.Scheduler", "--pidfile="]
    return python("celery", "-A", "agentflare", "beat", *scheduler, "--loglevel", "WARNING")


def workers_ai(port: int, *, scripted: bool, books: Path) -> Command:
    model = Path(sys.prefix) / "models" / MODEL_FILE
    options = ["--scripted-only"] if scripted else []
    if not scripted and model.exists():
        options = ["--model-file", str(model)]
    # As at Cloudflare, what was billed outlives whoever has told it.
    options += ["--books", str(books)]
    return python("sandbox.workers_ai", "--port", str(port), *options)


def stripe(port: int, *, web_port: int, journal: Path) -> Command:
    # Straight to the web server: the address people use may be a tunnel's.
    webhooks = f"http://{HOST}:{web_port}{variables.WEBHOOK_PATH}"
    options = ["--webhook-url", webhooks, "--file", str(journal)]
    return python("sandbox.stripe", "--port", str(port), *options)


def stripe_environment(state: State, port: int) -> dict[str, str]:
    """What leads the product to the stand-in; its own secrets too."""
    return {
        variables.SECRET_KEY: state.stripe_secret_key,
        variables.WEBHOOK_SECRET: state.stripe_webhook_secret,
        variables.API_BASE: f"http://{HOST}:{port}",
    }


def mail(smtp_port: int, http_port: int, folder: Path) -> Command:
    ports = ["--smtp-port", str(smtp_port), "--http-port", str(http_port)]
    return python("sandbox.mail", *ports, "--folder", str(folder))


@dataclass(frozen=True)
class Step:
    """A command of manage.py, and what the terminal says meanwhile."""

    title: str
    command: Command


UPGRADE = Step("Tables, template schema, catalogue", ["upgrade"])


def provisioning(state: State) -> list[Step]:
    """The demo tenant with credit, logins and a key, which the last one prints: {"key": "oi_…"}.

    Harmless to repeat, but for another key.
    """
    # One word: a password may begin with a dash.
    owner = ["--owner-email", OWNER_EMAIL, f"--owner-password={state.owner_password}"]
    operator = [OPERATOR_EMAIL, f"--password={state.operator_password}"]
    return [
        Step("Demo tenant", ["create_tenant", TENANT, "--name", "Acme", *owner, "--if-missing"]),
        # Booked once, however often it is asked for.
        Step("Credit", ["grant_credit", TENANT, GRANT_USD, "--reference", "sandbox:welcome"]),
        Step("Operator", ["create_operator", *operator, "--if-missing"]),
        Step("API key", ["create_api_key", TENANT, "--name", "demo", "--json"]),
    ]


def manage(commands: Sequence[Command]) -> Command:
    """Commands of manage.py, all in one process; see run_commands.py."""
    return [sys.executable, str(RUN_COMMANDS), json.dumps(commands)]
