"""`python -m sandbox.mail`: take mails and show them until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import signal
from pathlib import Path

from aiohttp import web

from sandbox.mail import smtp
from sandbox.mail.pages import make_app
from sandbox.mail.store import Store


async def serve(options: argparse.Namespace) -> None:
    store = Store(options.folder)
    server = await smtp.serve(options.host, options.smtp_port, store.add)
    runner = web.AppRunner(make_app(store), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, options.host, options.http_port).start()
    smtp_port = server.sockets[0].getsockname()[1]
    print(f"Mail: smtp on {smtp_port}, mailbox on {runner.addresses[0][1]}", flush=True)

    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    await told_to_stop.wait()
    server.close()
    await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.mail", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--smtp-port", type=int, required=True, help="0: any free one")
    parser.add_argument("--http-port", type=int, required=True, help="0: any free one")
    parser.add_argument("--folder", type=Path, required=True, help="where the mails are kept")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
