"""`python -m sandbox.stripe`: run the stand-in until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import logging
import os
import signal
import socket
from pathlib import Path

from aiohttp import web

from sandbox.stripe import variables
from sandbox.stripe.server import make_app
from sandbox.stripe.settings import Settings

SHUTDOWN_TIMEOUT_S = 0.2


def parse_arguments() -> Settings:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.stripe",
        description=__doc__,
        epilog=f"{variables.SECRET_KEY} and {variables.WEBHOOK_SECRET} come from the environment.",
    )
    parser.add_argument("--port", type=int, required=True, help="0: any free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--webhook-url", default="", help="where events go")
    parser.add_argument("--file", type=Path, help="journal, read at the next start")
    parser.add_argument("--retry-first-s", type=float, default=1.0, help="of webhooks")
    parser.add_argument("--dispute-delay-s", type=float, default=20.0)
    arguments = vars(parser.parse_args())
    return Settings(
        secret_key=os.environ.get(variables.SECRET_KEY) or "sk_test_sandbox",
        webhook_secret=os.environ.get(variables.WEBHOOK_SECRET) or "whsec_sandbox",
        **arguments,
    )


async def serve(settings: Settings) -> None:
    # Bound before anything is answered: objects hold our own address.
    server = socket.create_server((settings.host, settings.port))
    host, port = server.getsockname()[:2]
    url = f"http://{host}:{port}"
    runner = web.AppRunner(
        make_app(settings, url),
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=SHUTDOWN_TIMEOUT_S,
    )
    await runner.setup()
    await web.SockSite(runner, server).start()
    print(f"Stripe stand-in on {url}", flush=True)

    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    await told_to_stop.wait()
    await runner.cleanup()


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(serve(parse_arguments()))


if __name__ == "__main__":
    main()
