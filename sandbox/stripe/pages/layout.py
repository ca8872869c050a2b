"""The frame of every page: plain HTML and CSS, no script, nothing from elsewhere."""

from html import escape

from aiohttp import web

STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --soft: #57606a; --page: #f6f8fa;
  --card: #fff; --line: #8c959f; --accent: #4338ca; --on-accent: #fff; --bad: #b42318;
  --banner: #fff3c4; --on-banner: #4d3800; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --soft: #a5afb9; --page: #0d1117;
  --card: #161b22; --line: #6e7681; --accent: #a5b4fc; --on-accent: #14142b; --bad: #ff9b92;
  --banner: #4d3800; --on-banner: #fff3c4; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
.banner { background: var(--banner); color: var(--on-banner); padding: .5rem 1rem;
  text-align: center; font-size: .875rem; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
.columns { display: grid; gap: 1.5rem; }
@media (min-width: 48rem) { .columns { grid-template-columns: 1fr 1fr; align-items: start; } }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: 1.25rem; }
h1 { font-size: 1.25rem; margin: 0 0 .5rem; } h2 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
.total { font-size: 2rem; font-weight: 600; margin: 0 0 1rem; }
.soft { color: var(--soft); font-size: .875rem; }
ul.plain { list-style: none; margin: 0; padding: 0; }
.row { display: flex; justify-content: space-between; gap: 1rem; padding: .5rem 0;
  border-top: 1px solid var(--line); }
label, legend { display: block; font-weight: 600; font-size: .875rem; margin: .75rem 0 .25rem; }
fieldset { border: 0; margin: 0; padding: 0; } legend { padding: 0; }
details { margin-top: 1rem; } ::placeholder { color: var(--soft); opacity: 1; }
form:has([name=paymentMethod][value=new]:not(:checked)) .new-card { display: none; }
input, select { width: 100%; min-height: 2.75rem; padding: .5rem .75rem; font: inherit;
  color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: .375rem; }
input[type=checkbox], input[type=radio] { width: 1.25rem; min-height: 1.25rem; margin: 0; }
.choice { display: flex; gap: .5rem; align-items: center; font-weight: 400; min-height: 2.75rem; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .75rem; }
[aria-invalid=true] { border: 2px solid var(--bad); }
.problem { color: var(--bad); font-size: .875rem; margin: .25rem 0 0; }
.alert { border: 2px solid var(--bad); border-radius: .375rem; padding: .75rem; margin: 0 0 1rem; }
button, .button { display: block; width: 100%; min-height: 2.75rem; padding: .5rem 1rem;
  margin-top: 1rem; font: inherit; font-weight: 600; text-align: center; text-decoration: none;
  border-radius: .375rem; border: 1px solid var(--accent); cursor: pointer; }
.primary { background: var(--accent); color: var(--on-accent); }
.secondary { background: transparent; color: var(--accent); }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; }
th, td { text-align: left; padding: .25rem .5rem .25rem 0; vertical-align: top; }
"""

# The empty icon is data: without it browsers ask for /favicon.ico.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "frame-ancestors 'none'"
)


def html_page(title: str, body: str, *, status: int = 200) -> web.Response:
    """body: HTML, with everything from outside already escaped."""
    text = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)} – Stripe sandbox</title>\n<style>{STYLE}</style>\n</head>\n"
        '<body>\n<div class="banner" role="note"><strong>Sandbox.</strong> A stand-in for Stripe '
        "on this machine: no money moves, and real card numbers are refused.</div>\n"
        f"<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
    headers = {
        "Content-Security-Policy": POLICY,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)


def message_page(title: str, text: str, *, link: str = "", status: int = 200) -> web.Response:
    """link: HTML."""
    body = f'<div class="card"><h1>{escape(title)}</h1><p>{escape(text)}</p>{link}</div>'
    return html_page(title, body, status=status)


def link_button(url: str, text: str, kind: str = "secondary") -> str:
    return f'<a class="button {kind}" href="{escape(url)}">{escape(text)}</a>'


def not_found() -> web.Response:
    return message_page("Not found", "There is no such page in this sandbox.", status=404)


def see_other(url: str) -> web.Response:
    return web.Response(status=303, headers={"Location": url, "Cache-Control": "no-store"})
