"""The sandbox itself: what starts after what."""

import errno
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from sandbox.embedded import Postgres, Server, Valkey, children
from sandbox.embedded.ports import HOST, is_free
from sandbox.embedded.postgres import the_tests_template
from sandbox.errors import SandboxError
from sandbox.install import models
from sandbox.supervisor import product
from sandbox.supervisor.choices import Choices, check_answers
from sandbox.supervisor.console import Console
from sandbox.supervisor.folder import DataFolder, free_space_mb, write_private
from sandbox.supervisor.household import Household
from sandbox.supervisor.outcomes import Outcomes
from sandbox.supervisor.processes import Program, complaint
from sandbox.supervisor.ready import demo_env, missed_models, ready_block, status_of
from sandbox.supervisor.requests import StopRequested

READY_TIMEOUT_S = 90.0
IDLE_S = 1.0
LOOK_AT_MODELS_S = 5.0

# Below this the stores begin to refuse what they cannot write.
LOW_SPACE_MB = 100

# Before it has served once, a program that ends this often will not come up.
HOPELESS_DEATHS = 3

# Faults of the machine, not ours: told in a line, without a traceback. ENOENT: somebody
# has removed the data folder under our feet.
DISK_TROUBLES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.ENOENT, errno.EIO)


def run(choices: Choices) -> int:
    """Run until Ctrl-C or SIGTERM. Returns the exit status: 0, or 1 after a complaint."""
    console = Console()
    sandbox = Sandbox(choices, console)
    try:
        sandbox.start()
        sandbox.keep_running()
    except StopRequested:
        console.say("\nStopping.")
    except SandboxError as exc:
        return fail(console, str(exc))
    except OSError as exc:
        if exc.errno not in DISK_TROUBLES:
            raise
        return fail(console, f"{exc.strerror}: {exc.filename or choices.folder}")
    finally:
        sandbox.household.stop()
    return 0


def is_healthy(port: int) -> bool:
    """Whether the stand-in at that port answers."""
    return status_of(port, "/health") == 200


def fail(console: Console, message: str) -> int:
    console.close_line()
    print(f"make run: {message}", file=sys.stderr, flush=True)
    return 1


class Sandbox:
    def __init__(self, choices: Choices, console: Console) -> None:
        self.choices = choices
        self.console = console
        self.folder = DataFolder(choices.folder)
        self.household = Household(self.folder, console)
        # Addresses of the parts started here, by environment variable.
        self.urls: dict[str, str] = {}
        self.workers_ai_port: int | None = None
        self.stripe_port: int | None = None
        self.environment: dict[str, str] = {}
        self.disk_is_low = False
        self.models_are_offered = False
        self.next_look_at_models = 0.0

    def start(self) -> None:
        """Everything, up to the ready block. Raises SandboxError or StopRequested."""
        self.check_port()
        self.folder.open(pause=self.household.requests.pause)
        # Its presence says that the sandbox is ready.
        self.folder.demo_env.unlink(missing_ok=True)
        self.console.say(f"Starting AgentFlare; data and logs are in {self.folder.path}")

        self.start_workers_ai()
        self.start_stripe()
        self.start_mail()
        self.start_valkey()
        self.start_postgres()
        self.environment = product.product_environment(self.choices, self.folder.state, self.urls)
        first = [] if self.folder.state.api_key else product.provisioning(self.folder.state)
        steps = self.run_steps([product.UPGRADE, *first])
        next(steps)
        self.start_program("web", product.web(self.choices.port), self.environment)
        self.keep_key(steps)
        with self.console.step("Web server"):
            self.wait_until_ready()
        if not self.key_stands():
            self.keep_key(self.run_steps(product.provisioning(self.folder.state)))
        # Last: nobody waits for them, and on two cores they would slow the others down.
        self.start_program("worker", product.worker(), self.environment)
        self.start_program("beat", product.beat(), self.environment)

        write_private(self.folder.demo_env, demo_env(self.choices, self.folder, self.environment))
        self.console.say(ready_block(self.choices, self.folder, self.environment))

    def check_port(self) -> None:
        port = self.choices.port
        try:
            free = is_free(port)
        except PermissionError:
            raise SandboxError(
                f"port {port} is for root only. Choose another: PORT=8000 make run"
            ) from None
        if not free:
            raise SandboxError(f"port {port} is in use. Choose another: PORT={port + 1} make run")

    def keep_running(self) -> None:
        """Until we are asked to stop; raises StopRequested then."""
        self.household.wait(self.look_around, every_s=IDLE_S)

    def look_around(self) -> bool:
        """What the person at the terminal should know; always False."""
        self.look_at_the_disk()
        self.look_for_missed_models()
        return False

    def look_for_missed_models(self) -> None:
        """Offer the small models when a call has asked for one that is not installed, once."""
        port, now = self.workers_ai_port, time.monotonic()
        if port is None or self.models_are_offered or now < self.next_look_at_models:
            return
        self.next_look_at_models = now + LOOK_AT_MODELS_S
        if missed := missed_models(port):
            self.models_are_offered = True
            self.console.say(
                f"{time.strftime('%H:%M:%S')} a call asked for a small model that is not installed "
                f"({', '.join(missed)}). To have them: `make models` in another terminal "
                f"({models.SIZES}); no restart is needed"
            )

    def look_at_the_disk(self) -> None:
        """Tell when it fills up, once."""
        free_mb = free_space_mb(self.folder.path)
        if free_mb < LOW_SPACE_MB and not self.disk_is_low:
            self.console.say(
                f"{time.strftime('%H:%M:%S')} the disk is nearly full: {free_mb} MB left for "
                f"{self.folder.path}. Calls may fail until there is room again"
            )
        self.disk_is_low = free_mb < LOW_SPACE_MB

    # --- The parts --------------------------------------------------------------

    def start_workers_ai(self) -> None:
        if not self.choices.starts_workers_ai:
            return
        port = self.workers_ai_port = self.folder.port_for("workers_ai")
        self.urls["CLOUDFLARE_BASE_URL"] = f"http://{HOST}:{port}/client/v4"
        command = product.workers_ai(
            port,
            scripted=self.choices.scripted,
            books=self.folder.path / "workers_ai_books.jsonl",
        )
        # Needed only once there is something to answer: not waited for here.
        self.start_program("workers_ai", command, dict(self.choices.environment))

    def start_stripe(self) -> None:
        if not self.choices.starts_stripe:
            return
        port = self.stripe_port = self.folder.port_for("stripe")
        variables = product.stripe_environment(self.folder.state, port)
        self.urls |= variables
        command = product.stripe(
            port,
            web_port=self.choices.port,
            journal=self.folder.path / "stripe.jsonl",
        )
        self.start_program("stripe", command, {**self.choices.environment, **variables})

    def start_mail(self) -> None:
        if not self.choices.starts_mail:
            return
        smtp, http = self.folder.port_for("mail"), self.folder.port_for("mailbox")
        self.urls["EMAIL_URL"] = f"smtp://{HOST}:{smtp}"
        self.urls["MAILBOX_URL"] = f"http://localhost:{http}/"
        command = product.mail(smtp, http, self.folder.path / "mail")
        self.start_program("mail", command, dict(self.choices.environment))

    def start_valkey(self) -> None:
        if not self.choices.starts_valkey:
            check_answers(self.choices.environment, "REDIS_URL", 6379)
            return
        valkey = Valkey(
            self.folder.path / "valkey",
            password=self.folder.state.valkey_password,
            port=self.folder.port_for("valkey"),
            log=self.folder.log("valkey"),
        )
        self.start_server(valkey, "REDIS_URL")

    def start_postgres(self) -> None:
        if not self.choices.starts_postgres:
            check_answers(self.choices.environment, "DATABASE_URL", 5432)
            return
        postgres = Postgres(
            self.folder.path / "postgres",
            password=self.folder.state.postgres_password,
            port=self.folder.port_for("postgres"),
            log=self.folder.log("postgres"),
            template=the_tests_template(),
        )
        self.start_server(postgres, "DATABASE_URL")

    def start_server(self, server: Server, variable: str) -> None:
        server.keep_fds = [self.folder.children_fd]
        with self.console.step(server.title):
            self.household.start_server(server)
        self.urls[variable] = server.url

    def start_program(self, name: str, argv: Sequence[str], env: dict[str, str]) -> None:
        self.household.add_program(
            Program(
                name=name,
                argv=argv,
                cwd=self.choices.project,
                env=env,
                log=self.folder.log(name),
                keep_fds=[self.folder.children_fd],
            )
        )

    # --- Provisioning -----------------------------------------------------------

    def keep_key(self, steps: Iterator[str]) -> None:
        """Go through the steps; the last one tells the demo tenant's key, if there is any."""
        *_, printed = ["", *steps]
        if printed:
            self.folder.state.api_key = json.loads(printed.splitlines()[-1])["key"]
            self.folder.save_state()

    def key_stands(self) -> bool:
        """Ask the product itself: the database may be a new one."""
        key = self.folder.state.api_key
        return status_of(self.choices.port, "/v1/models", api_key=key) != 401

    def run_steps(self, steps: Sequence[product.Step]) -> Iterator[str]:
        """Run commands of manage.py; yields what each printed. Raises SandboxError."""
        log = self.folder.log("steps")
        with tempfile.TemporaryFile() as output:
            with log.open("ab") as errors:
                process = children.spawn(
                    product.manage([step.command for step in steps]),
                    cwd=self.choices.project,
                    env=self.environment,
                    output=output,
                    errors=errors,
                    keep_fds=[self.folder.children_fd],
                )

            outcomes = Outcomes(output)
            for step in steps:
                with self.console.step(step.title):
                    self.household.run(process, until=outcomes.has_next)
                    succeeded, printed = outcomes.take()
                    if not succeeded:
                        self.household.run(process)  # until it has said why
                        reason = f"{complaint(log)} (log: {log})"
                        raise SandboxError(f"`manage.py {step.command[0]}` failed: {reason}")
                yield printed
            self.household.run(process)

    # --- Being ready ------------------------------------------------------------

    def wait_until_ready(self) -> None:
        """Raises SandboxError when it will not come up."""
        self.wait_for("web", lambda: status_of(self.choices.port, "/health/ready") == 200)
        for name, port in (("workers_ai", self.workers_ai_port), ("stripe", self.stripe_port)):
            if port is not None:
                self.wait_for(name, partial(is_healthy, port))

    def wait_for(self, name: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S

        def is_over() -> bool:
            if self.household.deaths(name) >= HOPELESS_DEATHS or time.monotonic() > deadline:
                log = self.folder.log(name)
                raise SandboxError(f"{name} does not start: {complaint(log)} (log: {log})")
            return condition()

        self.household.wait(is_over)
