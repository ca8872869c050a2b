"""Several commands of manage.py in one process: importing Django takes longer than any of them.

Run as a script, never imported:

    python run_commands.py COMMANDS

COMMANDS: a JSON list of lists of arguments. For each command that has ended standard output gets
a line of JSON: whether it succeeded, and what it printed. One that fails is the last, and its
exit status ours. Standard library only.
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
        run(arguments)


def run(arguments: list[str]) -> None:
    """Run manage.py with these arguments. What a failure raises is for Python to report."""
    sys.argv = ["manage.py", *arguments]
    output = io.StringIO()
    succeeded = False
    try:
        with redirect_stdout(output):
            runpy.run_path("manage.py", run_name="__main__")
        succeeded = True
    except SystemExit as exc:
        succeeded = not exc.code
        if not succeeded:
            raise
    finally:
        print(json.dumps([succeeded, output.getvalue()]), flush=True)


if __name__ == "__main__":
    main()
