"""From an address to an account: sign-up, confirmation, and those who abuse them."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.mail import EmailMessage
from django.db import connection
from django.utils import timezone

from tenants.users.checks import check_mail
from tenants.users.models import User
from tenants.users.services import add_member
from tenants.users.tasks import clear_people_task
from tenants.users.tests.people import PASSWORD, Browser, a_person, link_in, new_address

Outbox = list[EmailMessage]


@pytest.fixture(autouse=True)
def _open(settings: Any, _database: None) -> None:
    settings.SIGNUP_OPEN = True


def test_a_person_signs_up_confirms_and_is_asked_to_name_a_workspace(mailoutbox: Outbox) -> None:
    browser, address = Browser(), new_address()

    waiting = browser.sign_up(address, follow=True)
    assert "Check your mail" in browser.get("/accounts/confirm-email/").content.decode()
    assert waiting.status_code == 302
    assert not browser.is_signed_in
    [mail] = mailoutbox
    assert mail.to == [address]

    question = browser.get(link_in(mail)).content.decode()
    assert address in question
    assert not browser.is_signed_in  # programs that look at links in mails confirm nothing
    landing = browser.post(link_in(mail), follow=True)

    assert browser.is_signed_in
    assert landing.redirect_chain[-1][0] == "/new/"


def test_the_link_opened_elsewhere_confirms_but_signs_nobody_in(mailoutbox: Outbox) -> None:
    address = new_address()
    Browser().sign_up(address)
    elsewhere = Browser()

    elsewhere.post(link_in(mailoutbox[0]))

    assert not elsewhere.is_signed_in
    elsewhere.sign_in(address)
    assert elsewhere.is_signed_in


def test_without_the_link_nobody_comes_in(mailoutbox: Outbox) -> None:
    browser, address = Browser(), new_address()
    browser.sign_up(address)

    answer = Browser().sign_in(address)

    assert answer.headers["Location"] == "/accounts/confirm-email/"
    assert not browser.is_signed_in


def test_a_link_works_once(mailoutbox: Outbox) -> None:
    browser, _ = a_person(mailoutbox)
    link = link_in(mailoutbox[0])

    page = Browser().get(link).content.decode()
    again = Browser().post(link)

    assert "This link has been used" in page
    assert again.status_code == 404
    assert browser.is_signed_in


def test_a_link_of_four_days_ago_says_that_it_is_too_old(
    mailoutbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = new_address()
    Browser().sign_up(address)
    later = timezone.now() + timedelta(days=4)
    monkeypatch.setattr("django.core.signing.time.time", later.timestamp)

    page = Browser().get(link_in(mailoutbox[0])).content.decode()

    assert "This link is too old" in page
    assert not EmailAddress.objects.get(email=address).verified


def test_a_broken_link_says_what_may_have_happened() -> None:
    page = Browser().get("/accounts/confirm-email/MTI:broken:link/").content.decode()

    assert "This link does not work" in page


def test_an_address_that_is_known_looks_like_a_new_one_and_its_owner_is_told(
    mailoutbox: Outbox, acme: Any
) -> None:
    new, known = Browser(), Browser()

    answers = [new.sign_up(new_address()), known.sign_up(acme.owner.email)]

    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    pages = [browser.get("/accounts/confirm-email/").content for browser in (new, known)]
    assert len(pages[0]) == len(pages[1])
    assert mailoutbox[1].to == [acme.owner.email]
    assert "There is an account" in str(mailoutbox[1].body)
    acme.owner.refresh_from_db()
    assert acme.owner.check_password(acme.password)


def test_asking_for_another_mail_tells_nothing_either(mailoutbox: Outbox, acme: Any) -> None:
    pages = []
    for address in (new_address(), acme.owner.email):
        browser = Browser()
        browser.sign_up(address)
        pages.append(browser.post("/accounts/confirm-email/again/", follow=True).content)

    assert len(pages[0]) == len(pages[1])
    assert b"another one is on its way" in pages[0]
    assert len(mailoutbox) == 2  # within a minute there is no other


def test_two_sign_ups_with_one_address_at_once_make_one_account(mailoutbox: Outbox) -> None:
    address = new_address()
    start = threading.Barrier(4)
    statuses = []

    def sign_up() -> None:
        browser = Browser()
        start.wait()
        statuses.append(browser.sign_up(address).status_code)
        connection.close()

    threads = [threading.Thread(target=sign_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [302] * 4
    assert User.objects.filter(email=address).count() == 1


def test_who_proves_an_address_gets_it_from_whoever_only_typed_it(
    mailoutbox: Outbox, settings: Any
) -> None:
    squatted = new_address()
    Browser().sign_up(squatted, "the-squatters-own")
    owner, _ = a_person(mailoutbox)
    owner.again()
    settings.ACCOUNT_RATE_LIMITS = {"confirm_email": None}  # the minute that passes

    owner.post("/accounts/email/", {"email": squatted, "action_add": ""})
    owner.post(link_in(mailoutbox[-1]))

    assert User.objects.get(email=squatted).check_password(PASSWORD)
    Browser().sign_in(squatted, "the-squatters-own")
    assert User.objects.filter(email=squatted).count() == 1


def test_who_wishes_for_an_address_keeps_it_from_nobody(mailoutbox: Outbox, settings: Any) -> None:
    settings.ACCOUNT_RATE_LIMITS = {"confirm_email": None}
    wished = new_address()
    squatter, squatters = a_person(mailoutbox)
    squatter.again()
    squatter.post("/accounts/email/", {"email": wished, "action_add": ""})
    wish = link_in(mailoutbox[-1])

    # No link to the squatter's account is mailed there, and signing up goes on as ever.
    Browser().post("/accounts/password/reset/", {"email": wished})
    assert "There is no account" in str(mailoutbox[-1].body)
    _, address = a_person(mailoutbox, wished)

    assert address == wished
    squatter.post(wish)
    assert User.objects.filter(email=squatters).exists()
    owner = Browser()
    owner.sign_in(wished)
    assert owner.is_signed_in


def test_an_address_that_an_operator_holds_is_not_confirmed_for_another(
    mailoutbox: Outbox,
) -> None:
    held = new_address()
    User.objects.create_superuser(held)
    browser, address = a_person(mailoutbox)
    browser.again()
    browser.post("/accounts/email/", {"email": held, "action_add": ""})

    page = browser.post(link_in(mailoutbox[-1]), follow=True).content.decode()

    assert "belongs to another account" in page
    assert User.objects.filter(email=held).exists()
    assert User.objects.filter(email=address).exists()


def test_accounts_that_nobody_confirms_are_forgotten_after_a_month(mailoutbox: Outbox) -> None:
    never, soon = new_address(), new_address()
    Browser().sign_up(never)
    Browser().sign_up(soon)
    _, confirmed = a_person(mailoutbox)
    long_ago = timezone.now() - timedelta(days=31)
    User.objects.filter(email__in=[never, confirmed]).update(date_joined=long_ago)

    clear_people_task()

    left = User.objects.filter(email__in=[never, soon, confirmed]).values_list("email", flat=True)
    assert set(left) == {soon, confirmed}


def test_an_owner_named_by_the_operator_does_not_get_a_squatters_password(acme: Any) -> None:
    squatted = new_address()
    Browser().sign_up(squatted, "the-squatters-own")

    add_member(tenant=acme.tenant, email=squatted, role="owner", password="the-operators-choice")

    browser = Browser()
    browser.sign_in(squatted, "the-squatters-own")
    assert not browser.is_signed_in
    browser.sign_in(squatted, "the-operators-choice")
    assert browser.is_signed_in


def test_the_links_in_mails_do_not_follow_the_host_header(
    mailoutbox: Outbox, settings: Any
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    browser = Browser(HTTP_HOST="evil.example")
    address = new_address()

    browser.sign_up(address)
    browser.post("/accounts/password/reset/", {"email": address})
    browser.post("/accounts/password/reset/", {"email": new_address()})
    browser.sign_up(address)

    assert len(mailoutbox) >= 3
    for mail in mailoutbox:
        assert "evil.example" not in str(mail.body) + str(mail.subject)


def test_sign_up_never_leads_to_another_site(mailoutbox: Outbox) -> None:
    for where in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
        browser = Browser()
        browser.sign_up(new_address(), next=where)

        landing = browser.post(link_in(mailoutbox[-1]))

        assert landing.headers["Location"] == "/"


def test_the_page_that_was_asked_for_comes_after_the_confirmation(mailoutbox: Outbox) -> None:
    browser = Browser()
    browser.sign_up(new_address(), next="/accounts/sessions/")

    landing = browser.post(link_in(mailoutbox[-1]))

    assert landing.headers["Location"] == "/accounts/sessions/"


def test_when_the_mail_server_is_away_the_page_says_so_and_a_later_try_works(
    mailoutbox: Outbox, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    browser, address = Browser(), new_address()
    with monkeypatch.context() as patch:
        patch.setattr(
            "django.core.mail.EmailMessage.send",
            lambda self: (_ for _ in ()).throw(ConnectionRefusedError),
        )
        answer = browser.sign_up(address)
    assert answer.status_code == 503
    assert "The mail could not be sent" in answer.content.decode()

    settings.ACCOUNT_RATE_LIMITS = {"confirm_email": None}  # the minute that passes
    browser.sign_in(address)

    browser.post(link_in(mailoutbox[-1]))
    assert browser.is_signed_in


def test_too_many_sign_ups_get_a_page_that_says_what_to_do(mailoutbox: Outbox) -> None:
    browser = Browser()
    for _ in range(10):
        browser.sign_up(new_address())

    answer = browser.sign_up(new_address())

    assert answer.status_code == 429
    assert "wait five minutes" in answer.content.decode()


def test_a_closed_sign_up_makes_nobody(settings: Any) -> None:
    settings.SIGNUP_OPEN = False
    address = new_address()

    page = Browser().sign_up(address).content.decode()

    assert "Sign-up is closed" in page
    assert not User.objects.filter(email=address).exists()


def test_an_open_sign_up_without_a_mail_server_is_warned_of(settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

    assert [warning.id for warning in check_mail()] == ["users.W001"]
    settings.SIGNUP_OPEN = False
    assert check_mail() == []
