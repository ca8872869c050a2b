"""What the image holds, made by its own script and started as its containers are: there is no
container engine where the tests run.

What Docker itself does (the files' syntax, users, networks) is not tried here; docs/install.md says
so.
"""

import json
import os
import re
import secrets
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sandbox.embedded import start_postgres, start_valkey
from sandbox.embedded.children import ended_within, kill_group, spawn
from sandbox.embedded.ports import HOST, free_port

PROJECT = Path(__file__).resolve().parent.parent.parent
DOCKER = PROJECT / "docker"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    environment = {
        name: os.environ[name]
        for name in os.environ
        if name in {"PATH", "HOME"} or name.startswith(("PIP_", "SSL_"))
    }
    for what in ("packages", "app"):
        done = subprocess.run(
            [DOCKER / "build.sh", what, folder],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory, image: Path) -> Iterator[dict[str, str]]:
    """A production's: secrets by file, another host name than the one we ask by."""
    folder = tmp_path_factory.mktemp("production")
    folder.chmod(0o711)
    with ExitStack() as exits:
        valkey = start_valkey(folder)
        exits.callback(valkey.kill)
        postgres = start_postgres(folder)
        exits.callback(postgres.stop_quickly)
        told = {
            "SECRET_KEY": secrets.token_hex(32),
            "DATABASE_URL": postgres.url,
            "REDIS_URL": valkey.url,
            "CLOUDFLARE_API_TOKEN": "none",
        }
        for name, value in told.items():
            (folder / name.lower()).write_text(value)
        yield {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            **{f"{name}_FILE": str(folder / name.lower()) for name in told},
            "CLOUDFLARE_ACCOUNT_ID": "none",
            "AGENTFLARE_URL": "https://ai.example.com",
            "ALLOWED_HOSTS": "ai.example.com",
            "TRUSTED_PROXIES": "1",
            "WEB_CONCURRENCY": "1",
            "PORT": str(free_port()),
            "SPOOL_DIR": str(folder / "spool"),
            "EXPORT_DIR": str(folder / "exports"),
            "ARCHIVE_DIR": str(folder / "archive"),
        }


def run(image: Path, environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [image / "bin" / "start", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_it_serves_calls_as_its_containers_do(image: Path, environment: dict[str, str]) -> None:
    assert "no issues" in run(image, environment, "check", "--deploy", "--fail-level", "WARNING")
    run(image, environment, "upgrade")
    run(image, environment, "upgrade")
    run(image, environment, "create_tenant", "acme")
    run(image, environment, "grant_credit", "acme", "5")
    key = json.loads(run(image, environment, "create_api_key", "acme", "--json"))["key"]
    with ExitStack() as exits:
        for role in ("web", "worker", "beat"):
            exits.callback(stop, started(image, environment, role))
        wait_until(lambda: healthy(image, environment))
        models = ask(environment, "/v1/models", key)
        assert len(models["data"]) > 40
        # Static files and the tokenizer's are inside; upstream cannot be reached from here.
        refused = ask(environment, "/v1/chat/completions", key, model="llama-3.3-70b-fast")
        assert refused["error"]["code"] != "internal_error"
        assert b"font" in fetch(environment, "/static/site.css")


def test_nothing_of_the_tests_and_no_installer_is_in_it(image: Path) -> None:
    names = {path.name for path in (image / "app").rglob("*") if path.is_dir()}
    assert "tests" not in names
    assert not (image / "venv" / "bin" / "pip").exists()
    size = sum(path.stat().st_size for path in image.rglob("*") if path.is_file())
    assert size < 500 * 2**20


def test_the_lock_has_what_the_requirements_say() -> None:
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", read("requirements.lock"), re.MULTILINE))
    for line in read("requirements.txt").splitlines():
        if wanted := re.match(r"([A-Za-z0-9_.-]+)(?:\[.*\])?==(\S+)", line):
            name = re.sub(r"[-_.]+", "-", wanted[1]).lower()
            assert locked[name] == wanted[2], line
    # Whatever it installs, and what that needs, by its hash alone.
    packages = re.split(r"^(?=[a-z0-9-]+==)", read("requirements.lock"), flags=re.MULTILINE)[1:]
    assert len(packages) == len(locked) > len(read("requirements.txt").splitlines()) / 2
    for package in packages:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", package), package.splitlines()[0]
    assert "--require-hashes" in read("docker/build.sh")


def test_what_is_installed_is_locked_with_all_that_it_needs() -> None:
    """The lock lacks nothing that a package of requirements.txt asks for, at a version it takes."""
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", read("requirements.lock"), re.MULTILINE))
    lines = [line for line in read("requirements.txt").splitlines() if line[:1].isalpha()]
    waiting = [(canonicalize_name(r.name), frozenset(r.extras)) for r in map(Requirement, lines)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        assert name in locked, name
        for needed in map(Requirement, metadata.requires(name) or []):
            marks = [{"extra": extra} for extra in {"", *extras}]
            if needed.marker is None or any(needed.marker.evaluate(each) for each in marks):
                wanted = canonicalize_name(needed.name)
                assert needed.specifier.contains(locked.get(wanted, "0"), prereleases=True), needed
                waiting.append((wanted, frozenset(needed.extras)))
    assert len(seen) > 50


def test_backups_are_made_by_programs_of_the_servers_version() -> None:
    compose = yaml.safe_load(read("docker/compose.yaml"))
    server = re.match(r"postgres:(\d+)", compose["services"]["postgres"]["image"])
    assert server
    dockerfile = read("docker/Dockerfile")
    assert f"postgresql-client-{server[1]}" in dockerfile
    assert f"POSTGRESQL_BIN=/usr/lib/postgresql/{server[1]}/bin" in dockerfile
    # A restore goes into an empty database: nothing may migrate it before.
    assert set(compose["services"]["tools"]["depends_on"]) == {"postgres", "valkey"}


def test_compose_and_kubernetes_name_what_there_is() -> None:
    compose = yaml.safe_load(read("docker/compose.yaml"))
    made = set(re.findall(r"^make (\w+)", read("docker/secrets.sh"), re.MULTILINE))
    made |= set(re.search(r"for given in (.*); do", read("docker/secrets.sh"))[1].split())  # type: ignore[index]
    assert set(compose["secrets"]) == made
    settings = read("agentflare/settings.py") + read("agentflare/gunicorn.py")
    files = list(yaml.safe_load_all(read("docker/kubernetes/agentflare.yaml")))
    (config,) = (each["data"] for each in files if each["kind"] == "ConfigMap")
    for name in {*compose["x-product"]["environment"], *config}:
        assert name.removesuffix("_FILE") in settings, name
    for name, service in compose["services"].items():
        assert service["restart"] in {"unless-stopped", "no"}, name
        if name != "upgrade":
            assert service["deploy"]["resources"]["limits"]["memory"], name


# --- asking -------------------------------------------------------------------------


def read(name: str) -> str:
    return (PROJECT / name).read_text()


def started(image: Path, environment: dict[str, str], role: str) -> Any:
    log = Path(environment["HOME"]) / f"{role}.log"
    with log.open("ab") as output:
        return spawn(
            [str(image / "bin" / "start"), role],
            cwd=image,
            env=environment,
            output=output,
            death_signal=signal.SIGTERM,
        )


def stop(process: Any) -> None:
    process.terminate()
    if not ended_within(process, 20):
        kill_group(process)
        raise AssertionError("it does not end by SIGTERM")


def healthy(image: Path, environment: dict[str, str]) -> bool:
    done = subprocess.run(
        [image / "bin" / "healthy"], env=environment, capture_output=True, check=False
    )
    return done.returncode == 0


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def fetch(environment: dict[str, str], path: str, **options: Any) -> bytes:
    request = urllib.request.Request(f"http://{HOST}:{environment['PORT']}{path}", **options)
    request.add_header("Host", "ai.example.com")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as exc:
        return exc.read()


def ask(environment: dict[str, str], path: str, key: str, **body: Any) -> Any:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    data = None
    if body:
        data = json.dumps({**body, "messages": [{"role": "user", "content": "Hi"}]}).encode()
    return json.loads(fetch(environment, path, headers=headers, data=data))
