"""The pages of agents in a real Chromium, against the running product."""

from typing import Any

from playwright.sync_api import Page, expect

from agents.agent_conversations.tests.test_turns import WEATHER
from agents.tests.talker import Talker, script


def start(gateway: Any, visit: Any, path: str = "") -> tuple[Any, Page]:
    cast = gateway.cast()
    visit.sign_in(cast.owner)
    return cast, visit.goto(f"/t/{cast.tenant.slug}/agents/{path}")


def said(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_label("Message", exact=True).press("Enter")


def test_an_agent_is_made_talked_to_and_looked_at(gateway: Any, any_visit: Any) -> None:
    cast, page = start(gateway, any_visit)
    any_visit.expect_good_page()
    page.get_by_role("link", name="Make an agent").click()
    page.get_by_label("Name").fill("Ana")
    page.get_by_label("Instructions").fill("You are brief.")
    page.get_by_label("Monthly budget").fill("nonsense")
    page.get_by_role("button", name="Make the agent").click()
    expect(page.get_by_text("is not an amount in dollars")).to_be_visible()
    any_visit.complaints.clear()
    page.get_by_label("Monthly budget").fill("5")
    page.get_by_role("button", name="Put in an example").click()
    any_visit.expect_good_page()
    page.get_by_role("button", name="Make the agent").click()
    expect(page.get_by_role("heading", name="Ana is made")).to_be_visible()
    any_visit.expect_good_page()

    page.get_by_role("link", name="Talk to Ana").click()
    any_visit.expect_good_page()
    said(page, script(text="Good *morning*."))
    expect(page.locator(".message-assistant")).to_contain_text("Good morning.")
    expect(page.locator(".turn-facts")).to_contain_text("tokens in")
    any_visit.expect_good_page()
    page.reload()
    expect(page.locator(".message-assistant")).to_contain_text("Good morning.")
    said(page, script(text="Again."))
    expect(page.locator(".message-assistant").last).to_contain_text("Again.")

    page.get_by_role("link", name="Cost and trace").click()
    expect(page.locator(".turn-facts")).to_have_count(2)
    expect(page.locator(".turn-facts").first).to_contain_text("completed")
    any_visit.expect_good_page()
    page.get_by_role("link", name="Conversations", exact=True).last.click()
    page.get_by_label("Search").fill("Again")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("table")).to_contain_text("sandbox")
    any_visit.expect_good_page()
    page.get_by_label("Search").fill("nobody says this")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("Nothing has these words")).to_be_visible()
    page.get_by_role("link", name="Connect", exact=True).click()
    any_visit.expect_good_page()
    page.goto(f"{gateway.url}/t/{cast.tenant.slug}/agents/")
    expect(page.get_by_role("table")).to_contain_text("Ana")
    any_visit.expect_good_page()


def agent_of(gateway: Any, visit: Any, **params: Any) -> tuple[Page, str, Talker]:
    cast = gateway.cast()
    talker = Talker(gateway.base_url, cast.key)
    agent = talker.agent(**params)
    visit.sign_in(cast.owner)
    return visit.goto(f"/t/{cast.tenant.slug}/agents/{agent['id']}/"), agent["id"], talker


def test_tools_are_shown_and_answered(gateway: Any, visit: Any) -> None:
    page, _, _ = agent_of(gateway, visit, tools=[WEATHER])
    call = {"name": "weather", "arguments": {"city": "Lima"}}
    said(page, script(tool_calls=[call], after_tools={"text": "It is warm."}))
    field = page.get_by_label("would have answered")
    expect(field).to_be_visible()
    expect(page.locator(".tool-call")).to_contain_text("Lima")
    visit.expect_good_page()
    page.reload()
    field.fill("31 C")
    page.get_by_role("button", name="Send the results").click()
    expect(page.locator(".message-assistant").last).to_contain_text("It is warm.")
    expect(page.locator(".turn-facts")).to_contain_text("2 calls of the model")


def test_a_turn_goes_on_over_a_reload_and_is_stopped(gateway: Any, visit: Any) -> None:
    page, agent, talker = agent_of(gateway, visit)
    slow = script(text=" ".join(f"w{n}" for n in range(400)), chunk_ms=40)
    said(page, slow)
    expect(page.locator(".message-assistant")).to_contain_text("w5 ")
    page.reload()
    expect(page.locator(".message-assistant")).to_contain_text("w0 w1 w2")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".turn-facts")).to_contain_text("Stopped.")
    page.get_by_role("button", name="Make it again").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    (conversation,) = talker.get(f"agents/{agent}/conversations")["data"]
    turns = talker.get(f"agents/{agent}/conversations/{conversation['id']}/turns")["data"]
    assert len(turns) == 2


def test_what_a_model_says_is_text(gateway: Any, visit: Any) -> None:
    page, _, _ = agent_of(gateway, visit, name="<b>Ana</b>")
    said(page, script(text="<img src=x onerror=alert(1)> **bold**"))
    expect(page.locator(".message-assistant")).to_contain_text("<img src=x onerror=alert(1)>")
    page.get_by_role("link", name="Cost and trace").click()
    expect(page.get_by_text("<img src=x onerror=alert(1)>").last).to_be_visible()
    visit.expect_good_page()


def test_an_agent_is_changed_and_deleted(gateway: Any, visit: Any) -> None:
    page, agent, talker = agent_of(gateway, visit)
    page.get_by_role("link", name="Settings", exact=True).last.click()
    page.get_by_label("Name").fill("Bea")
    page.get_by_label("Tools").fill("[{]")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("This is no JSON")).to_be_visible()
    visit.complaints.clear()
    page.get_by_label("Tools").fill('[{"type": "dance"}]')
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("a tool must be an object")).to_be_visible()
    visit.complaints.clear()
    page.get_by_label("Tools").fill("")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Turns under way go on as they began")).to_be_visible()
    assert talker.get(f"agents/{agent}")["name"] == "Bea"
    page.get_by_role("button", name="Replace the tool secret").click()
    page.get_by_role("button", name="Replace it").click()
    expect(page.get_by_text("whsec_")).to_be_visible()
    page.get_by_role("link", name="I have it").click()
    page.get_by_role("link", name="Settings", exact=True).last.click()
    page.get_by_role("button", name="Delete the agent").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_text("is deleted, with its conversations")).to_be_visible()
    assert talker.ask("GET", f"agents/{agent}").status_code == 404
