"""Team, settings, webhooks and the audit trail, as people use them, in a real Chromium."""

import re
from typing import Any

from playwright.sync_api import expect

from tenants.members import invitations, mails
from tenants.members.models import Invitation
from tenants.members.tests.builders import PASSWORD, actor, member, person, role_of
from tenants.users.models import Role
from tenants.webhooks.tests.receiver import receiving


def test_every_page_is_good_by_day_by_night_and_on_a_phone(gateway: Any, visit: Any) -> None:
    cast = gateway.cast()
    other = member(cast, Role.DEVELOPER)
    visit.sign_in(cast.owner)
    root = f"/t/{cast.tenant.slug}/"

    for path in (
        "team/",
        f"team/{other.pk}/",
        "settings/",
        "settings/limits/",
        "settings/alerts/",
        "settings/webhooks/",
        "settings/webhooks/new/",
        "settings/data/",
        "settings/close/",
        "audit/",
    ):
        page = visit.goto(root + path)
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        visit.expect_good_page_everywhere()


def test_somebody_is_invited_and_joins(gateway: Any, any_visit: Any, monkeypatch: Any) -> None:
    cast = gateway.cast()
    guest = person(cast, "guest")
    any_visit.sign_in(cast.owner)
    page = any_visit.goto(f"/t/{cast.tenant.slug}/team/")

    page.get_by_label("E-mail address").fill(guest.email)
    page.get_by_label("Role").select_option("billing")
    page.get_by_role("button", name="Send the invitation").click()
    expect(page.get_by_text(f"{guest.email} is invited as billing")).to_be_visible()
    expect(page.get_by_role("heading", name="Invited, not here yet")).to_be_visible()
    any_visit.expect_good_page()

    # The mail's link, as it is made once more: the gateway's own mail is not ours to read.
    links: list[str] = []
    monkeypatch.setattr(mails, "send", lambda *parts: links.append(parts[2]))
    row = Invitation.objects.get(tenant=cast.tenant)
    Invitation.objects.filter(pk=row.pk).update(sent_at=row.created_at.replace(year=2020))
    invitations.resend(
        tenant=cast.tenant, invitation_id=row.pk, by=cast.owner, actor=actor(cast.owner)
    )
    found = re.search(r"/invitations/\S+", links[0])
    assert found

    any_visit.context.clear_cookies()
    page = any_visit.goto(found[0])
    any_visit.expect_good_page()
    page.get_by_role("link", name=f"Sign in as {guest.email}").click()
    page.get_by_label("E-mail address").fill(guest.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("button", name="Join as billing").click()

    expect(page.get_by_text("Welcome to Acme")).to_be_visible()
    assert role_of(cast, guest) == Role.BILLING


def test_a_member_is_removed_after_a_question(gateway: Any, visit: Any) -> None:
    cast = gateway.cast()
    other = member(cast, Role.DEVELOPER)
    visit.sign_in(cast.owner)
    page = visit.goto(f"/t/{cast.tenant.slug}/team/")

    page.get_by_role("link", name=f"Change {other.email}").click()
    page.get_by_role("button", name=f"Remove {other.email}").click()
    page.get_by_role("button", name="Cancel").click()
    assert role_of(cast, other) == Role.DEVELOPER
    page.get_by_role("button", name=f"Remove {other.email}").press("Enter")
    visit.expect_good_page()
    page.get_by_role("button", name="Remove", exact=True).click()

    expect(page.get_by_text(f"{other.email} is no longer a member")).to_be_visible()
    assert role_of(cast, other) is None


def test_the_workspace_is_handed_over(gateway: Any, visit: Any) -> None:
    cast = gateway.cast()
    other = member(cast, Role.ADMIN)
    visit.sign_in(cast.owner)
    page = visit.goto(f"/t/{cast.tenant.slug}/team/{other.pk}/")

    page.get_by_role("button", name="Hand over").click()
    page.get_by_label("Your password").fill("wrong-horse-1")
    page.get_by_role("dialog").get_by_role("button", name="Hand over").click()
    # The dialog is open again, with what was wrong. Its page answers 422, and Chromium says so.
    expect(page.get_by_text("This is not your password.")).to_be_visible()
    visit.complaints.clear()
    page.get_by_label("Your password").fill(cast.password)
    page.get_by_role("dialog").get_by_role("button", name="Hand over").click()

    expect(page.get_by_text(f"{other.email} is the owner now")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("Team")
    assert role_of(cast, other) == Role.OWNER


def test_a_webhook_is_made_tested_and_logged(gateway: Any, visit: Any) -> None:
    cast = gateway.cast()
    visit.sign_in(cast.owner)
    with receiving() as server:
        page = visit.goto(f"/t/{cast.tenant.slug}/settings/webhooks/new/")
        page.get_by_label("URL").fill(server.url)
        page.get_by_label("key.created").check()
        page.get_by_role("button", name="Create the webhook").click()
        expect(page.get_by_text("whsec_")).to_be_visible()
        visit.expect_good_page()
        page.get_by_role("link", name="I have it").click()
        page.get_by_role("button", name="Send a test").click()
        # The log looks by itself: beat and worker of the gateway send it within seconds.
        expect(page.locator("#log").get_by_text("Delivered")).to_be_visible(timeout=20_000)
        visit.expect_good_page()
        page.get_by_role("link", name="ping").click()
        expect(page.get_by_text("thanks")).to_be_visible()
        visit.expect_good_page()
    assert len(server.got) == 1


def test_an_export_is_made_and_fetched(gateway: Any, visit: Any) -> None:
    cast = gateway.cast()
    visit.sign_in(cast.owner)
    page = visit.goto(f"/t/{cast.tenant.slug}/settings/data/")

    page.get_by_role("button", name="Make an export").click()
    link = page.get_by_role("link", name="Download")
    expect(link).to_be_visible(timeout=20_000)
    visit.expect_good_page()
    with page.expect_download() as download:
        link.click()

    assert download.value.suggested_filename.startswith(cast.tenant.slug)


def test_the_address_changes_and_the_old_one_leads_there(gateway: Any, visit: Any) -> None:
    cast = gateway.cast()
    old, new = cast.tenant.slug, f"new-{cast.tenant.slug}"
    visit.sign_in(cast.owner)
    page = visit.goto(f"/t/{old}/settings/")

    page.get_by_label("Address").fill(new)
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_url(f"{gateway.url}/t/{new}/settings/")
    page = visit.goto(f"/t/{old}/team/")

    expect(page).to_have_url(f"{gateway.url}/t/{new}/team/")


def test_the_workspace_is_closed_and_opened_again(gateway: Any, visit: Any) -> None:
    cast = gateway.cast()
    visit.sign_in(cast.owner)
    page = visit.goto(f"/t/{cast.tenant.slug}/settings/close/")

    page.get_by_label("The workspace’s address").fill(cast.tenant.slug)
    page.get_by_label("I know what happens to the credit").check()
    page.get_by_label("Your password").fill(cast.password)
    page.get_by_role("button", name="Close the workspace").click()
    expect(page.get_by_text("This workspace is closed: all calls are refused.")).to_be_visible()
    visit.expect_good_page()
    assert gateway.chat(cast, "hello").status_code == 403
    page.get_by_role("button", name="Open it again").click()

    expect(page.get_by_text("The workspace is open again.")).to_be_visible()
    assert gateway.chat(cast, "hello").status_code == 200


def test_the_audit_trail_is_filtered_by_a_choice(gateway: Any, visit: Any) -> None:
    cast = gateway.cast()
    visit.sign_in(cast.owner)
    page = visit.goto(f"/t/{cast.tenant.slug}/audit/")

    page.get_by_label("Action").select_option("credit.granted")

    expect(page).to_have_url(re.compile("action=credit.granted"))
    expect(page.get_by_role("row")).to_have_count(2)
    visit.expect_good_page()
