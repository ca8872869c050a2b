"""What the person at the terminal chose, by environment variables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.embedded.ports import answers
from sandbox.errors import SandboxError
from sandbox.stripe import variables
from sandbox.supervisor.folder import read_env_file

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Choices:
    """environment: of the product's processes, before we add the parts that we start."""

    project: Path
    folder: Path
    port: int
    scripted: bool
    environment: Mapping[str, str]

    @property
    def starts_postgres(self) -> bool:
        return "DATABASE_URL" not in self.environment

    @property
    def starts_valkey(self) -> bool:
        return "REDIS_URL" not in self.environment

    @property
    def starts_workers_ai(self) -> bool:
        return not ({"CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_BASE_URL"} & set(self.environment))

    @property
    def starts_stripe(self) -> bool:
        return variables.SECRET_KEY not in self.environment

    @property
    def starts_mail(self) -> bool:
        return "EMAIL_URL" not in self.environment

    @property
    def url(self) -> str:
        """Where people reach the sandbox."""
        return self.environment.get("AGENTFLARE_URL", f"http://localhost:{self.port}").rstrip("/")


def read_choices(variables: Mapping[str, str], project: Path = PROJECT) -> Choices:
    """Raises SandboxError for a contradiction."""
    environment = without_demo_env(variables)
    folder = Path(variables.get("SANDBOX_DIR") or project / ".sandbox").expanduser().absolute()
    check_pair(environment, "CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_API_TOKEN")
    check_stripe(environment)
    return Choices(
        project=project,
        folder=folder,
        port=port_number(variables.get("PORT") or "8000"),
        scripted=variables.get("SANDBOX_SCRIPTED", "") not in ("", "0"),
        environment=environment,
    )


def without_demo_env(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables without empty ones, and without what a sandbox's demo.env put there.

    After `set -a; . demo.env` every program sees the addresses of that sandbox's own
    parts; taken for a choice, they would lead to servers that are not running.
    """
    demo = read_env_file(Path(variables.get("AGENTFLARE_DEMO_ENV") or os.devnull))
    return {
        name: value
        for name, value in variables.items()
        if value and demo.get(name) != value and name not in ("AGENTFLARE_DEMO_ENV", "PORT")
    }


def port_number(text: str) -> int:
    if text.isdecimal() and 0 < int(text) < 65536:
        return int(text)
    raise SandboxError(f"PORT must be a number from 1 to 65535, not {text!r}")


def check_pair(environment: Mapping[str, str], one: str, other: str) -> None:
    for given, missing in ((one, other), (other, one)):
        if given in environment and missing not in environment:
            raise SandboxError(
                f"{given} is set and {missing} is not: set both to use Cloudflare, "
                "or none to use the stand-in"
            )


def check_stripe(environment: Mapping[str, str]) -> None:
    """Without its key another Stripe is of no use, nor the secret of its webhooks."""
    for name in (variables.API_BASE, variables.WEBHOOK_SECRET):
        if name in environment and variables.SECRET_KEY not in environment:
            raise SandboxError(
                f"{name} is set and {variables.SECRET_KEY} is not: set the key too to use "
                "Stripe, or neither to use the stand-in"
            )


def check_answers(environment: Mapping[str, str], name: str, default_port: int) -> None:
    """Raises SandboxError when nothing answers at the URL that was given to us."""
    url = urlsplit(environment[name])
    if "," in url.netloc:
        return  # a cluster, of which not all need be there
    # A unix socket, or something that only the client library understands.
    if not url.hostname or url.hostname.startswith("%2F"):
        return
    try:
        port = url.port or default_port
    except ValueError:
        raise SandboxError(f"{name} has no valid port") from None
    if not answers(url.hostname, port, timeout_s=5.0):
        raise SandboxError(f"nothing answers at {url.hostname}:{port}, which {name} names")
