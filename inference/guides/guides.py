"""What docs/ tells the tenants, as pages of the dashboard: one text, read in two places."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from django.conf import settings
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from markdown_it import MarkdownIt
from markdown_it.token import Token

_FOLDER = settings.BASE_DIR / "docs"
# What only the operator needs stands between these.
_LEFT_OUT = re.compile(r"<!-- dashboard: leave out -->.*?<!-- dashboard: go on -->", re.DOTALL)
_BASE_URLS = ("$AGENTFLARE_BASE_URL", "${AGENTFLARE_BASE_URL}")
# Another document's link leads to its page, where it has one.
Link = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class About:
    """name: of its file, without .md, and in its address. icon: a name of heroicons."""

    name: str
    title: str
    summary: str
    icon: str


GUIDES = {
    about.name: about
    for about in (
        About(
            "errors",
            "Errors, and what to do",
            "Every code that a refusal can have, what it means, and the way out.",
            "exclamation-triangle",
        ),
        About(
            "billing",
            "What a call costs",
            "What is held and what is taken, for every way in which a call can end.",
            "banknotes",
        ),
        About(
            "limits",
            "Limits, budgets, keys",
            "How requests, tokens and calls at once are counted; what a key may spend.",
            "scale",
        ),
        About(
            "dashboard",
            "The dashboard, and roles",
            "What is where, who may do what, and what closing a workspace does.",
            "user-group",
        ),
        About(
            "webhooks",
            "Webhooks",
            "What your own servers are told, and how they check that it is true.",
            "bell-alert",
        ),
        About(
            "idempotency",
            "Repeating a request",
            "How to send a call again and never pay twice.",
            "arrow-path",
        ),
        About(
            "agents",
            "Agents that remember",
            "Conversations, turns, tools, WebSockets, and OpenAI’s Responses.",
            "sparkles",
        ),
        About(
            "anthropic",
            "Anthropic’s Messages API",
            "Anthropic’s own clients work too: what is mapped how.",
            "arrows-right-left",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Heading:
    id: str
    title: str


@dataclass(frozen=True, slots=True)
class Guide:
    """headings: of its parts, for a list of contents."""

    about: About
    title: str
    body: SafeString
    headings: list[Heading]


@cache
def _source(name: str) -> str:
    return _LEFT_OUT.sub("", (_FOLDER / f"{name}.md").read_text())


def read_guide(name: str, *, link: Link) -> Guide:
    """The document, rendered. link: the address for another document's name; empty: it has none.

    Raises KeyError for a document that is no guide.
    """
    about = GUIDES[name]
    source = _source(name)
    for placeholder in _BASE_URLS:
        source = source.replace(placeholder, f"{settings.AGENTFLARE_URL}/v1")
    source = source.replace("https://YOUR-HOST", settings.AGENTFLARE_URL)
    # Only our own files are rendered; they may hold no HTML all the same.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(source)
    title, tokens = _without_title(tokens)
    headings = _mark_headings(tokens)
    _mark_tables(tokens)
    tokens = _with_links(tokens, link)
    _mark_code(tokens)
    html = markdown.renderer.render(tokens, markdown.options, {})
    return Guide(about, title, mark_safe(html), headings)  # noqa: S308  # our own file, no HTML in it


def _without_title(tokens: list[Token]) -> tuple[str, list[Token]]:
    """The page has it as its own heading."""
    assert tokens[0].tag == "h1"
    return _text(tokens[1]), tokens[3:]


def _text(inline: Token) -> str:
    return "".join(child.content for child in inline.children or [])


def _mark_headings(tokens: list[Token]) -> list[Heading]:
    headings: list[Heading] = []
    for token, inline in pairwise(tokens):
        if token.type == "heading_open":
            title = _text(inline)
            token.attrSet("id", slugify(title))
            # A part of a part before any part would leave a step out.
            if token.tag == "h2" or not headings:
                headings.append(Heading(slugify(title), title))
    return headings


def _mark_tables(tokens: list[Token]) -> None:
    """On a phone each row becomes a card (site.css, .stack): its cells name their columns, and
    the roles keep it a table."""
    labels: list[str] = []
    column = 0
    for position, token in enumerate(tokens):
        match token.type:
            case "table_open":
                labels = []
                _set(token, role="table", **{"class": "stack"})
            case "thead_open" | "tbody_open":
                _set(token, role="rowgroup")
            case "tr_open":
                column = 0
                _set(token, role="row")
            case "th_open":
                labels.append(_text(tokens[position + 1]))
                _set(token, role="columnheader", scope="col")
            case "td_open":
                _mark_cell(tokens, position, labels[column], is_first=column == 0)
                column += 1


def _mark_cell(tokens: list[Token], position: int, label: str, *, is_first: bool) -> None:
    token = tokens[position]
    if is_first:
        token.tag = "th"
        tokens[position + 2].tag = "th"
        _set(token, role="rowheader", scope="row", **{"class": "whole"})
        return
    _set(token, role="cell", **{"class": "whole"})
    if label:
        _set(token, **{"data-label": label})


def _mark_code(tokens: list[Token]) -> None:
    """What can be scrolled sideways can be reached by the keyboard."""
    for token in tokens:
        if token.type == "fence":
            token.type, token.tag = "html_block", ""
            token.content = (
                '<div class="snippet"><pre tabindex="0" role="region" aria-label="Example">'
                f"<code>{escape(token.content.rstrip())}</code></pre></div>\n"
            )


def _with_links(tokens: list[Token], link: Link) -> list[Token]:
    """Links to documents that are no pages here become their text."""
    for token in tokens:
        if not token.children:
            continue
        kept: list[Token] = []
        is_dropped = False
        for child in token.children:
            if child.type == "link_open":
                href = _address(str(child.attrGet("href")), link)
                is_dropped = not href
                child.attrSet("href", href)
            if is_dropped and child.type in ("link_open", "link_close"):
                continue
            kept.append(child)
        token.children = kept
    return tokens


def _address(href: str, link: Link) -> str:
    if href.startswith(("#", "https://", "http://")):
        return href
    path, mark, part = href.partition("#")
    found = link(path.removesuffix(".md"))
    return f"{found}{mark}{part}" if found else ""


def _set(token: Token, **attributes: str) -> None:
    for name, value in attributes.items():
        token.attrSet(name, value)
