"""docs/ as pages of the dashboard."""

import re
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import expect

from billing.dashboard.tests.builders import as_member, page_of
from inference.guides.guides import GUIDES, read_guide
from inference.reference.refusals import WHEN, name_of
from tenants.members.permissions import Permission, roles_with
from tenants.users.models import Role


@pytest.mark.parametrize("name", GUIDES)
def test_every_guide_is_there_for_every_role_and_no_stranger(
    acme: Any, globex: Any, name: str
) -> None:
    path = f"/t/{acme.tenant.slug}/docs/{name}/"

    for role in (Role.VIEWER, Role.BILLING, Role.OWNER):
        assert as_member(acme, role).get(path).status_code == 200
    assert as_member(globex, Role.OWNER).get(path).status_code == 404


@pytest.mark.parametrize("name", GUIDES)
def test_links_of_a_guide_lead_somewhere(acme: Any, name: str) -> None:
    page = page_of(acme, f"docs/{name}/")
    ids = set(re.findall(r'id="([^"]+)"', page))

    for href in re.findall(r'href="([^"]+)"', page):
        assert not href.endswith(".md")
        if href.startswith("#"):
            assert href[1:] in ids, href
        if href.startswith(f"/t/{acme.tenant.slug}/docs/"):
            page_of(acme, href.removeprefix(f"/t/{acme.tenant.slug}/"))


@pytest.mark.parametrize("name", GUIDES)
def test_what_is_the_operators_is_left_out_and_addresses_are_real(acme: Any, name: str) -> None:
    page = page_of(acme, f"docs/{name}/")

    assert "manage.py" not in page
    assert "dashboard: leave out" not in page
    assert "AGENTFLARE_BASE_URL" not in page
    assert "YOUR-HOST" not in page


def test_the_base_url_is_filled_in(acme: Any) -> None:
    assert f"curl {settings.AGENTFLARE_URL}/v1/keys" in page_of(acme, "docs/limits/")


def test_every_code_that_a_refusal_has_is_told() -> None:
    """Kept beside the reference, which knows them all."""
    told = (settings.BASE_DIR / "docs" / "errors.md").read_text()

    plain = {"invalid_value", "missing_required_parameter"}
    missing = {name_of(error) for error in WHEN} - plain
    assert {code for code in missing if f"`{code}`" not in told} == set()


def test_cells_of_tables_name_their_columns() -> None:
    body = read_guide("errors", link=lambda name: "").body

    assert '<table role="table" class="stack">' in body
    assert 'data-label="what to do"' in body
    assert body.count("<th ") - body.count('scope="col"') == body.count('scope="row"')


def test_a_document_that_is_no_guide_is_not_there(acme: Any) -> None:
    for name in ("deploy", "performance", "nonsense"):
        page_of(acme, f"docs/{name}/", status=404)


def test_guides_read_well(gateway: Any, any_visit: Any) -> None:
    cast = gateway.cast()
    any_visit.sign_in(cast.owner)

    page = any_visit.goto(f"/t/{cast.tenant.slug}/docs/")
    any_visit.expect_good_page()
    page.get_by_role("link", name="Errors, and what to do").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Errors, and what to do")
    any_visit.expect_good_page()
    page.get_by_role("link", name="What a call costs").last.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What a call costs")
    any_visit.expect_good_page()


def test_the_table_of_roles_is_true() -> None:
    told = (settings.BASE_DIR / "docs" / "dashboard.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in told.splitlines()]
    names = next(row[1:] for row in rows if row[0] == "may")
    table = {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows if len(row) == 6}

    for permission in Permission:
        granted = {name for name, cell in table[permission].items() if cell == "yes"}
        assert granted == {role.value for role in roles_with(permission)}, permission
