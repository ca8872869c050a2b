from pathlib import Path

import pytest

from sandbox.errors import SandboxError
from sandbox.supervisor.choices import PROJECT, check_answers, read_choices


def test_without_any_choice_everything_is_started_here() -> None:
    choices = read_choices({"PATH": "/bin"})

    assert choices.folder == PROJECT / ".sandbox"
    assert choices.url == "http://localhost:8000"
    assert choices.starts_postgres
    assert choices.starts_valkey
    assert choices.starts_workers_ai
    assert choices.starts_stripe


def test_a_given_url_replaces_that_part_alone() -> None:
    choices = read_choices({"DATABASE_URL": "postgresql://db/agentflare"})

    assert not choices.starts_postgres
    assert choices.starts_valkey
    assert choices.starts_workers_ai


@pytest.mark.parametrize(
    "variables",
    [
        {"CLOUDFLARE_ACCOUNT_ID": "a", "CLOUDFLARE_API_TOKEN": "t"},
        {"CLOUDFLARE_BASE_URL": "http://elsewhere/client/v4"},
    ],
)
def test_a_given_upstream_replaces_the_stand_in(variables: dict[str, str]) -> None:
    assert not read_choices(variables).starts_workers_ai


@pytest.mark.parametrize("given", ["CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_API_TOKEN"])
def test_half_of_the_cloudflare_login_is_refused(given: str) -> None:
    with pytest.raises(SandboxError, match=f"{given} is set and CLOUDFLARE_.* is not"):
        read_choices({given: "x"})


def test_a_given_key_means_the_real_stripe() -> None:
    choices = read_choices({"STRIPE_SECRET_KEY": "sk_test_x", "STRIPE_WEBHOOK_SECRET": "whsec_x"})

    assert not choices.starts_stripe
    assert choices.starts_workers_ai


@pytest.mark.parametrize("given", ["STRIPE_API_BASE", "STRIPE_WEBHOOK_SECRET"])
def test_stripe_without_its_key_is_refused(given: str) -> None:
    with pytest.raises(SandboxError, match=f"{given} is set and STRIPE_SECRET_KEY is not"):
        read_choices({given: "x"})


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1", "80 "])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(SandboxError, match="PORT must be a number"):
        read_choices({"PORT": port})


def test_an_empty_variable_is_no_choice() -> None:
    choices = read_choices({"DATABASE_URL": "", "PORT": "", "SANDBOX_DIR": ""})

    assert choices.starts_postgres
    assert choices.port == 8000


def test_what_came_out_of_demo_env_is_no_choice(tmp_path: Path) -> None:
    """`set -a; . demo.env`, then `make run`: those servers may not run any more."""
    demo_env = tmp_path / "demo.env"
    demo_env.write_text(
        "# comment\nDATABASE_URL='postgresql://old/agentflare'\nAGENTFLARE_URL=http://old\n"
        f"REDIS_URL=redis://old\nAGENTFLARE_DEMO_ENV={demo_env}\n"
    )
    sourced = {
        "DATABASE_URL": "postgresql://old/agentflare",
        "AGENTFLARE_URL": "http://old",
        "AGENTFLARE_DEMO_ENV": str(demo_env),
    }

    choices = read_choices(sourced | {"REDIS_URL": "redis://chosen"})

    assert choices.starts_postgres
    assert choices.url == "http://localhost:8000"
    assert choices.environment["REDIS_URL"] == "redis://chosen"


def test_a_given_server_that_does_not_answer_is_named() -> None:
    # Port 1 of this machine: nobody listens there.
    environment = {"DATABASE_URL": "postgresql://user:secret@127.0.0.1:1/x"}

    with pytest.raises(SandboxError) as refusal:
        check_answers(environment, "DATABASE_URL", 5432)

    assert str(refusal.value) == "nothing answers at 127.0.0.1:1, which DATABASE_URL names"
