"""`python -m sandbox.workers_ai`: run the stand-in until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import logging
import resource
import signal
from pathlib import Path

from aiohttp import web

from sandbox.workers_ai.server import make_app
from sandbox.workers_ai.settings import DEFAULT_CATALOGUE, DEFAULT_MODEL_FILE, Settings

LISTEN_BACKLOG = 2048
# Streams under way when we are told to stop are broken off after this.
SHUTDOWN_TIMEOUT_S = 0.2


def parse_arguments() -> Settings:
    parser = argparse.ArgumentParser(prog="python -m sandbox.workers_ai", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="0: any free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--model-file", type=Path, default=DEFAULT_MODEL_FILE, help="GGUF of the local model"
    )
    parser.add_argument(
        "--catalogue", type=Path, default=DEFAULT_CATALOGUE, help="JSON list of AI models"
    )
    parser.add_argument(
        "--scripted-only",
        action="store_true",
        help="no local model: a call without a directive is answered with its own message",
    )
    parser.add_argument(
        "--reject-token", action="append", default=[], help="answer 401 to it; may be repeated"
    )
    parser.add_argument(
        "--require-licences",
        action="store_true",
        help="refuse models with a licence until the account has sent the prompt 'agree'",
    )
    parser.add_argument(
        "--books", type=Path, help="file to keep in what accounts were billed; none: in memory"
    )
    arguments = vars(parser.parse_args())
    rejected = frozenset(arguments.pop("reject_token"))
    return Settings(reject_tokens=rejected, **arguments)


def allow_many_connections() -> None:
    """Raise the limit on open files as far as it goes: a stream is a file."""
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))


async def serve(settings: Settings) -> None:
    runner = web.AppRunner(
        make_app(settings),
        # A client that leaves ends its call at once, also while the call waits for something.
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=SHUTDOWN_TIMEOUT_S,
    )
    await runner.setup()
    await web.TCPSite(runner, settings.host, settings.port, backlog=LISTEN_BACKLOG).start()
    host, port = runner.addresses[0][:2]
    print(f"Workers AI stand-in on http://{host}:{port}", flush=True)

    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    await told_to_stop.wait()
    await runner.cleanup()


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    allow_many_connections()
    asyncio.run(serve(parse_arguments()))


if __name__ == "__main__":
    main()
