"""The whole way in a real browser: from the sign-up page to what the first call cost."""

import json
import re
import shlex
from typing import Any

import requests
from playwright.sync_api import expect

from tenants.users.tests.test_account_pages import sign_up


def test_from_sign_up_to_the_first_call(gateway: Any, any_visit: Any) -> None:
    address = sign_up(gateway, any_visit)
    page = any_visit.page
    any_visit.expect_good_page()

    # The address is proposed from the name, refused when it is ours, and kept once it is typed.
    mine = address.partition("@")[0]
    name, slug = page.get_by_label("Name"), page.get_by_label("Address")
    name.press_sequentially(f"Zoë’s {mine}")
    expect(slug).to_have_value(f"zoes-{mine}")
    slug.fill("admin")
    expect(page.get_by_text("kept for ourselves")).to_be_visible()
    slug.fill(mine)
    expect(page.get_by_text(f"{mine} is free")).to_be_visible()
    name.fill("Zoë’s shop")
    any_visit.expect_good_page()
    page.get_by_role("button", name="Create the workspace").click()

    # The key comes by itself, once, and stands in the code.
    key = page.locator("#first-key").inner_text().strip()
    expect(page.get_by_role("heading", name="Zoë’s shop is ready")).to_be_visible()
    expect(page.get_by_text("$1.00 of credit")).to_be_visible()
    expect(page.get_by_role("heading", name="Waiting for the call")).to_be_visible()
    any_visit.expect_good_page()
    run(page.locator("#snippet-curl").inner_text())

    # The page notices the call by itself.
    expect(page.get_by_role("heading", name="Your call has arrived")).to_be_visible()
    expect(page.locator("#first-call")).to_contain_text("llama-3.3-70b-fast")
    cost = re.search(r"\$0\.0\d+", page.locator("#first-call").inner_text())
    assert cost, "the card says what it cost"
    any_visit.expect_good_page()
    page.get_by_role("link", name="To the overview").click()
    expect(page.get_by_text(cost[0]).first).to_be_visible()

    # Later there is everything but the key.
    any_visit.goto(f"/t/{mine}/quickstart/")
    assert key not in page.content()
    expect(page.get_by_text("A key is shown once")).to_be_visible()
    any_visit.expect_good_page()


def run(curl: str) -> None:
    """What a person pastes into a terminal."""
    words = shlex.split(curl.replace("\\\n", " "))
    assert words[0] == "curl"
    options = dict(zip(words[2::2], words[3::2], strict=True))
    assert set(options) == {"-H", "-d"}
    headers = dict(word.split(": ", 1) for word in words if ": " in word and word[0] != "{")
    answer = requests.post(words[1], json=json.loads(options["-d"]), headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
