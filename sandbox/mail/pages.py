"""The mailbox as a page, and as JSON."""

import html
import re
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from sandbox.mail.store import Mail, Store

LINK = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)\]]")

STYLE = (Path(__file__).parent / "mailbox.css").read_text()
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

store_key = web.AppKey("store", Store)


def make_app(store: Store) -> web.Application:
    app = web.Application()
    app[store_key] = store
    app.router.add_get("/", mailbox)
    app.router.add_get("/mails/{number:[0-9]{1,9}}", one_mail)
    app.router.add_get("/mails.json", mails_json)
    app.router.add_delete("/mails.json", clear)
    app.router.add_get("/mailbox.css", style)
    app.router.add_get("/health", health)
    app.on_response_prepare.append(add_headers)
    return app


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


async def health(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def style(request: web.Request) -> web.Response:
    return web.Response(text=STYLE, content_type="text/css")


async def mails_json(request: web.Request) -> web.Response:
    """GET /mails.json?to=address: newest first."""
    found = wanted(request)
    return web.json_response({"mails": [mail.as_json() for mail in found]})


async def clear(request: web.Request) -> web.Response:
    request.app[store_key].clear()
    return web.json_response({"mails": []})


async def mailbox(request: web.Request) -> web.Response:
    """GET /?to=address"""
    return page("Mailbox", list_of(wanted(request), request.query.get("to", "")))


async def one_mail(request: web.Request) -> web.Response:
    mail = request.app[store_key].mail(int(request.match_info["number"]))
    if mail is None:
        gone = '<p>This mail is not here any more.</p><p><a href="/">All mails</a></p>'
        return page("No such mail", f"<h1>No such mail</h1>{gone}", status=404)
    return page(mail.subject, shown(mail))


def wanted(request: web.Request) -> list[Mail]:
    to = request.query.get("to", "").strip().lower()
    mails = request.app[store_key].mails()
    return [m for m in mails if not to or to in (address.lower() for address in m.recipients)]


def list_of(mails: Sequence[Mail], to: str) -> str:
    of = f" of {escaped(to)}" if to else ""
    title = f"<h1>Mailbox{of}</h1><p class=muted>Mails of this sandbox. None is ever sent.</p>"
    everyone = '<p><a href="/">Mails to everyone</a></p>' if to else ""
    if not mails:
        return f"{title}{everyone}<p class=empty>Nothing has been mailed yet. Reload this page.</p>"
    rows = "".join(row(mail) for mail in mails)
    return f"{title}{everyone}<ol class=mails>{rows}</ol>"


def row(mail: Mail) -> str:
    return (
        f'<li><a href="/mails/{mail.number}"><strong>{escaped(mail.subject)}</strong>'
        f"<span>{escaped(', '.join(mail.recipients))}</span>{moment(mail)}</a></li>"
    )


def shown(mail: Mail) -> str:
    source = ""
    if mail.html:
        # As text: what a mail's markup would fetch or run is nobody's business here.
        source = f"<h2>Its HTML</h2><pre>{linked(mail.html)}</pre>"
    return (
        f'<p><a href="/">All mails</a></p><h1>{escaped(mail.subject)}</h1>'
        f"<dl><dt>To</dt><dd>{escaped(', '.join(mail.recipients))}</dd>"
        f"<dt>From</dt><dd>{escaped(mail.sender)}</dd><dt>At</dt><dd>{moment(mail)}</dd></dl>"
        f"<pre>{linked(mail.text)}</pre>{source}"
    )


def moment(mail: Mail) -> str:
    return f'<time datetime="{mail.at.isoformat()}">{mail.at:%Y-%m-%d %H:%M:%S} UTC</time>'


def escaped(text: str) -> str:
    return html.escape(text)


def linked(text: str) -> str:
    """Escaped, with its addresses as links."""
    parts, end = [], 0
    for match in LINK.finditer(text):
        url = escaped(match[0])
        parts += [escaped(text[end : match.start()]), f'<a href="{url}">{url}</a>']
        end = match.end()
    return "".join(parts) + escaped(text[end:])


def page(title: str, body: str, status: int = 200) -> web.Response:
    text = (
        '<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content="'
        'width=device-width, initial-scale=1"><meta name=color-scheme content="light dark">'
        f"<title>{escaped(title)} · Sandbox mailbox</title><link rel=stylesheet "
        f"href=/mailbox.css></head><body><main>{body}</main></body></html>"
    )
    return web.Response(text=text, content_type="text/html", status=status)
