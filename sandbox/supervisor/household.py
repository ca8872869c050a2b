"""All children together: looked after while they live, stopped in order."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

from sandbox.embedded import Server, children
from sandbox.supervisor.console import Console
from sandbox.supervisor.folder import DataFolder
from sandbox.supervisor.processes import Program, Startable, Supervised
from sandbox.supervisor.requests import StopRequests

POLL_S = 0.1

# Together well below the 5 s in which everything must be gone.
PROGRAMS_STOP_S = 3.0
SERVERS_STOP_S = 1.0
QUICK_STOP_S = 0.3


class Household:
    def __init__(self, folder: DataFolder, console: Console) -> None:
        self.folder = folder
        self.console = console
        self.requests = StopRequests()
        self.servers: list[Supervised] = []
        self.programs: list[Supervised] = []
        # A command of manage.py, while it runs.
        self.command: subprocess.Popen[bytes] | None = None

    def add_program(self, program: Program) -> None:
        self.programs.append(self.supervised(program))
        self.programs[-1].start()

    def start_server(self, server: Server) -> None:
        """Raises SandboxError when it does not start, StopRequested when we are to stop."""
        server.prepare()
        try:
            server.start(pause=self.requests.pause)
        finally:
            if server.process is not None:
                self.servers.append(self.supervised(server))
                self.write_pids()

    def supervised(self, program: Startable) -> Supervised:
        return Supervised(program, say=self.console.say, on_start=self.write_pids)

    def run(
        self, command: subprocess.Popen[bytes], *, until: Callable[[], bool] = lambda: False
    ) -> None:
        """Wait until a command ends, or has come so far, while the others are looked after."""
        self.command = command
        self.wait(lambda: command.poll() is not None or until())
        if command.returncode is not None:
            self.command = None

    def wait(self, condition: Callable[[], bool], every_s: float = POLL_S) -> None:
        """Until the condition holds, keep all children running. Raises StopRequested."""
        while not condition():
            now = time.monotonic()
            tries = []
            for child in self.servers + self.programs:
                child.look(now)
                tries.append(child.next_try_at or now + every_s)
            self.requests.pause(min([now + every_s, *tries]) - now)

    def deaths(self, name: str) -> int:
        """How often a program has died lately; 0 when there is no such program."""
        return sum(child.deaths for child in self.programs if child.name == name)

    def write_pids(self) -> None:
        everyone = {child.name: child.process.pid for child in self.servers + self.programs}
        self.folder.write_pids({"supervisor": os.getpid(), **everyone})

    # --- Stopping ---------------------------------------------------------------

    def stop(self) -> None:
        """The product first, since it still writes to its stores; then those.

        At once when it is urgent (a second Ctrl-C); even then nothing committed is lost.
        """
        if self.command is not None:
            children.kill_group(self.command)
        signal_all(self.programs)
        self.let_end(self.programs, PROGRAMS_STOP_S)
        for child in self.programs:
            # Also when it has ended in good order: its own children may not have.
            children.kill_group(child.process)

        signal_all(self.servers)
        self.let_end(self.servers, SERVERS_STOP_S)
        for child in self.servers:
            assert isinstance(child.program, Server)
            child.process.send_signal(child.program.quick_stop_signal)
        self.let_end(self.servers, QUICK_STOP_S)
        for child in self.servers:
            children.kill_group(child.process)

    def let_end(self, family: Sequence[Supervised], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while any(child.is_alive for child in family):
            left_s = deadline - time.monotonic()
            if left_s <= 0 or self.requests.is_urgent:
                return
            self.requests.sleep(min(left_s, POLL_S))


def signal_all(family: Sequence[Supervised]) -> None:
    for child in family:
        child.process.send_signal(child.program.stop_signal)
        # Someone who stopped it by hand (kill -STOP) must not keep us waiting.
        child.process.send_signal(signal.SIGCONT)
