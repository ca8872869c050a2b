"""python -m sandbox run | exec [--] COMMAND…"""

import argparse
import os
import sys
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.services import execute
from sandbox.supervisor import run
from sandbox.supervisor.choices import PROJECT, read_choices


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    try:
        if options.action == "exec":
            return execute(options.command)
        return run(read_choices(os.environ, options.project))
    except SandboxError as exc:
        print(f"make run: {exc}", file=sys.stderr)
        return 1


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)

    run_parser = actions.add_parser("run", help="start everything and stay in the foreground")
    run_parser.add_argument(
        "--project", type=Path, default=PROJECT, help="where manage.py is (for tests)"
    )

    exec_parser = actions.add_parser(
        "exec", help="run a command beside a PostgreSQL and a Valkey made for it alone"
    )
    exec_parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
