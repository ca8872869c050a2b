"""Several commands of manage.py in one process: importing Django takes longer than any of them.

Run as a script, never imported:

    python run_commands.py COMMANDS

COMMANDS: a JSON list of lists of arguments. For each command that has succeeded standard output
gets a line, what it printed as a JSON string; one that fails is the last, and its exit status
ours. Standard library only.
"""

import io
import json
import os
import runpy
import sys
from contextlib import redirect_stdout


def main() -> None:
    # The product's folder instead of this one, as for a script that lies there.
    sys.path[0] = os.getcwd()
    for arguments in json.loads(sys.argv[1]):
        print(json.dumps(printed_by(arguments)), flush=True)


def printed_by(arguments: list[str]) -> str:
    """Run manage.py with these arguments. What a failure raises is for Python to report."""
    sys.argv = ["manage.py", *arguments]
    with redirect_stdout(io.StringIO()) as output:
        try:
            runpy.run_path("manage.py", run_name="__main__")
        except SystemExit as exc:
            if exc.code:
                raise
    return output.getvalue()


if __name__ == "__main__":
    main()
