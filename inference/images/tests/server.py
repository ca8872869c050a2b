"""A web server that misbehaves as it is told, one thread for each connection."""

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
# For images.test, signed by itself.
CERTIFICATE = Path(__file__).parent / "data" / "images.test.pem"

Behaviour = Callable[[socket.socket], None]


def answer(
    body: bytes = PNG, *, status: int = 200, media_type: str = "image/png", **headers: str
) -> Behaviour:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {media_type}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if "Content_Length" not in headers and "Transfer_Encoding" not in headers:
        lines.append(f"Content-Length: {len(body)}")
    return send("\r\n".join([*lines, "", ""]).encode() + body)


def redirect(url: str, status: int = 302) -> Behaviour:
    return answer(b"", status=status, media_type="text/html", Location=url)


def send(data: bytes) -> Behaviour:
    return lambda connection: connection.sendall(data)


class Server:
    """`pages` tells what happens to a path; `seen` are the heads of all requests."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, tls: bool = False) -> None:
        self.pages: dict[str, Behaviour] = {"/a.png": answer()}
        self.seen: list[str] = []
        self._context: ssl.SSLContext | None = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(CERTIFICATE)
            self._context.sni_callback = self._note_name
        self.names: list[str | None] = []
        self._listener = socket.create_server((host, port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path: str = "/a.png", host: str = "127.0.0.1") -> str:
        return f"{'https' if self._context else 'http'}://{host}:{self.port}{path}"

    def stop(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _note_name(self, _socket: ssl.SSLObject, name: str | None, _context: object) -> None:
        self.names.append(name)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(4096)
                if not piece:
                    return
                head += piece
            self.seen.append(head.decode())
            self.pages[head.split(b" ")[1].decode()](connection)
        except OSError:
            pass
        finally:
            connection.close()
