"""Receipts and invoices, as pages and as a file."""

from datetime import UTC, datetime
from html import escape

from aiohttp import web

from sandbox.stripe.api import Services
from sandbox.stripe.money import shown
from sandbox.stripe.pages.layout import html_page, link_button, not_found
from sandbox.stripe.pages.pdf import text_pdf
from sandbox.stripe.store import Object

Rows = list[tuple[str, str]]


def day(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%d %B %Y")


def document(title: str, total: str, rows: Rows, more: str = "") -> web.Response:
    listed = "".join(
        f'<li class="row"><span>{escape(name)}</span><span>{escape(value)}</span></li>'
        for name, value in rows
    )
    return html_page(
        title,
        f'<div class="card"><h1>{escape(title)}</h1><p class="total">{escape(total)}</p>'
        f'<ul class="plain">{listed}</ul>{more}</div>',
    )


async def receipt(request: web.Request, services: Services) -> web.Response:
    charge = services.store.find("charge", request.match_info["id"])
    if charge is None or not (charge["receipt_url"] or "").endswith(request.path):
        return not_found()
    card = charge["payment_method_details"]["card"]
    currency = charge["currency"]
    rows = [
        ("Receipt number", charge["receipt_number"]),
        ("Date paid", day(charge["created"])),
        ("Paid with", f"{card['brand'].capitalize()} ending in {card['last4']}"),
        ("For", charge["description"] or "AgentFlare"),
        ("Amount paid", shown(charge["amount"], currency)),
    ]
    if charge["amount_refunded"]:
        rows.append(("Refunded", shown(-charge["amount_refunded"], currency)))
    return document("Receipt from AgentFlare", shown(charge["amount"], currency), rows)


def find_invoice(request: web.Request, services: Services) -> Object | None:
    found = services.store.find("invoice", request.match_info["id"])
    secret = request.match_info["secret"]
    url = (found or {}).get("hosted_invoice_url") or ""
    return found if url.endswith(f"/{secret}") else None


def invoice_rows(found: Object) -> Rows:
    rows = [
        ("Invoice number", found["number"]),
        paid_row(found),
        ("Bill to", found["customer_name"] or found["customer_email"] or ""),
        *address_rows(found),
        *(("Tax id", one["value"]) for one in found["customer_tax_ids"]),
        *((one["name"], one["value"]) for one in found["custom_fields"] or []),
        *(
            (f"{one['description']} × {one['quantity']}", shown(one["amount"], one["currency"]))
            for one in found["lines"]["data"]
        ),
        ("Total", shown(found["total"], found["currency"])),
        ("Amount paid", shown(found["amount_paid"], found["currency"])),
    ]
    rows += [("Note", found[name]) for name in ("description", "footer") if found[name]]
    return rows


def paid_row(found: Object) -> tuple[str, str]:
    moments = found["status_transitions"]
    if moments["paid_at"]:
        return "Date paid", day(moments["paid_at"])
    return "Date of issue", f"{day(moments['finalized_at'])}, not paid yet"


def address_rows(found: Object) -> Rows:
    address = found["customer_address"] or {}
    parts = ("line1", "line2", "postal_code", "city", "state", "country")
    text = ", ".join(address[part] for part in parts if address.get(part))
    return [("Address", text)] if text else []


async def invoice(request: web.Request, services: Services) -> web.Response:
    found = find_invoice(request, services)
    if found is None:
        return not_found()
    total = shown(found["total"], found["currency"])
    download = link_button(found["invoice_pdf"], "Download invoice")
    return document(f"Invoice {found['number']}", total, invoice_rows(found), download)


async def invoice_pdf(request: web.Request, services: Services) -> web.Response:
    found = find_invoice(request, services)
    if found is None:
        return not_found()
    lines = ["AgentFlare (Stripe sandbox)", f"Invoice {found['number']}", ""]
    lines += [f"{name}: {value}" for name, value in invoice_rows(found)]
    name = f"Invoice-{found['number']}.pdf"
    return web.Response(
        body=text_pdf(lines),
        content_type="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
