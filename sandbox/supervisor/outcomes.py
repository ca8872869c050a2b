"""What run_commands.py tells of its commands, read while it goes on writing."""

import json
import os
from dataclasses import dataclass
from typing import IO

# Of all commands together; they print a few lines each.
LONGEST_BYTES = 1_000_000


@dataclass
class Outcomes:
    file: IO[bytes]
    taken: int = 0

    def has_next(self) -> bool:
        return len(self._lines()) > self.taken

    def take(self) -> tuple[bool, str]:
        """Whether the next command succeeded, and what it printed. One that did not live to tell
        has failed."""
        if not self.has_next():
            return False, ""
        succeeded, printed = json.loads(self._lines()[self.taken])
        self.taken += 1
        return succeeded, printed

    def _lines(self) -> list[bytes]:
        # Our position in the file is the one at which the process writes: it stays.
        return os.pread(self.file.fileno(), LONGEST_BYTES, 0).split(b"\n")[:-1]
