"""Enough of SMTP (RFC 5321) for Python's smtplib and its like."""

import asyncio
import re
from collections.abc import Callable

MAX_LINE_BYTES = 64 * 1024
MAX_MAIL_BYTES = 10 * 2**20
SILENCE_S = 60.0

ADDRESS = re.compile(r"<([^<>]*)>")

# Takes sender, recipients and the mail as it came.
Deliver = Callable[[str, list[str], bytes], int]


async def serve(host: str, port: int, deliver: Deliver) -> asyncio.Server:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await Conversation(reader, writer, deliver).run()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            pass  # the client is gone, or speaks something else
        finally:
            writer.close()

    return await asyncio.start_server(converse, host, port, limit=MAX_LINE_BYTES)


class Conversation:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, deliver: Deliver
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.deliver = deliver
        self.sender: str | None = None
        self.recipients: list[str] = []

    async def run(self) -> None:
        await self.say("220 sandbox: nothing is delivered from here")
        while True:
            line = await self.line()
            if not line:
                return
            verb, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
            if verb.upper() == "QUIT":
                await self.say("221 bye")
                return
            await self.obey(verb.upper(), rest)

    async def obey(self, verb: str, rest: str) -> None:
        if verb == "EHLO":
            await self.say(
                "250-sandbox", "250-8BITMIME", "250-SMTPUTF8", f"250 SIZE {MAX_MAIL_BYTES}"
            )
        elif verb in ("HELO", "NOOP"):
            await self.say("250 ok")
        elif verb == "RSET":
            self.forget()
            await self.say("250 ok")
        elif verb == "MAIL":
            self.forget()
            self.sender = address(rest)
            await self.say("250 ok")
        elif verb == "RCPT":
            await self.add_recipient(address(rest))
        elif verb == "DATA":
            await self.take_mail()
        else:
            await self.say("502 not here")

    async def add_recipient(self, recipient: str) -> None:
        if self.sender is None:
            await self.say("503 MAIL first")
        elif not recipient:
            await self.say("501 an address in angle brackets")
        else:
            self.recipients.append(recipient)
            await self.say("250 ok")

    async def take_mail(self) -> None:
        if not self.recipients or self.sender is None:
            await self.say("503 MAIL and RCPT first")
            return
        await self.say("354 end it with a dot on a line of its own")
        lines: list[bytes] = []
        size = 0
        while (line := await self.line()) not in (b".\r\n", b".\n"):
            if not line:
                raise asyncio.IncompleteReadError(b"", None)
            size += len(line)
            if size <= MAX_MAIL_BYTES:
                # A dot in front of a dot is the protocol's.
                lines.append(line[1:] if line.startswith(b".") else line)
        if size > MAX_MAIL_BYTES:
            await self.say("552 too large")
        else:
            number = self.deliver(self.sender, self.recipients, b"".join(lines))
            await self.say(f"250 kept as {number}")
        self.forget()

    def forget(self) -> None:
        self.sender = None
        self.recipients = []

    async def line(self) -> bytes:
        return await asyncio.wait_for(self.reader.readline(), SILENCE_S)

    async def say(self, *lines: str) -> None:
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())
        await self.writer.drain()


def address(rest: str) -> str:
    """Out of `FROM:<somebody@example.com> SIZE=…`."""
    match = ADDRESS.search(rest)
    return match[1] if match else ""
