"""The playground in a real Chromium, against the running product."""

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from inference.audio.tests.sounds import wav
from inference.images.tests.drawn import drawn

# Of a sound, in seconds, once its head has been read.
_LENGTH = """audio => new Promise(tell => audio.readyState
    ? tell(audio.duration)
    : audio.addEventListener("loadedmetadata", () => tell(audio.duration)))"""


def start(gateway: Any, visit: Any, path: str = "", **cast_options: Any) -> tuple[Any, Page]:
    cast = gateway.cast(**cast_options)
    visit.sign_in(cast.owner)
    return cast, visit.goto(f"/t/{cast.tenant.slug}/playground/{path}")


def send(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_label("Message", exact=True).press("Enter")


def answers(page: Page) -> Any:
    return page.locator(".message-assistant")


def expect_refused(visit: Any) -> None:
    """The browser writes into its console that a call was refused: that is meant here."""
    assert visit.complaints
    assert all("Failed to load resource" in complaint for complaint in visit.complaints)
    visit.complaints.clear()


def test_a_chat_is_streamed_told_and_kept(gateway: Any, any_visit: Any) -> None:
    cast, page = start(gateway, any_visit)
    any_visit.expect_good_page()
    if page.get_by_label("System prompt").is_hidden():
        page.get_by_text("Parameters", exact=True).click()
    page.get_by_label("System prompt").fill("You are brief.")
    page.get_by_label("Temperature").fill("0.5")
    text = f"# {cast.code}\\n\\nSome **bold** <img src=x onerror=alert(1)>\\n\\n```\\ncode\\n```"

    send(page, f'[[sandbox {{"text": "{text}", "chunk_ms": 10}}]]')

    answer = answers(page).first
    expect(answer).to_contain_text("Credit left")
    for fact in ("Tokens in", "Cost", "First token", "Time", "llama-3.3-70b-fast"):
        expect(answer).to_contain_text(fact)
    expect(answer.locator("strong")).to_have_text("bold")
    # What a model writes is never markup.
    expect(answer).to_contain_text("<img src=x onerror=alert(1)>")
    assert answer.locator("img").count() == 0
    any_visit.expect_good_page()
    (sent,) = gateway.upstream_calls(f"# {cast.code}")
    assert "You are brief." in str(sent)

    page.reload()
    expect(answers(page).first.locator("strong")).to_have_text("bold")
    expect(page.get_by_label("System prompt")).to_have_value("You are brief.")
    answers(page).first.get_by_role("link", name="details").click()
    expect(page).to_have_url(re.compile(f"/t/{cast.tenant.slug}/usage/calls/"))


def test_a_message_is_edited_an_answer_made_again_and_all_cleared(gateway: Any, visit: Any) -> None:
    _, page = start(gateway, visit)
    send(page, "first words")
    expect(answers(page)).to_contain_text("Credit left")
    page.get_by_role("button", name="Answer message 1 again").click()
    expect(answers(page)).to_contain_text("Credit left")
    page.get_by_role("button", name="Edit message 1").click()
    page.get_by_label("Edit: You").fill("other words")
    visit.expect_good_page()
    page.get_by_role("button", name="Save and send").click()

    expect(page.locator(".message-user")).to_contain_text("other words")
    expect(answers(page)).to_contain_text("Credit left")
    assert answers(page).count() == 1
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("dialog").get_by_role("button", name="Clear").click()
    assert page.locator(".message").count() == 0
    page.reload()
    assert page.locator(".message").count() == 0


def test_it_can_be_stopped_and_goes_on(gateway: Any, visit: Any) -> None:
    _, page = start(gateway, visit)
    send(page, '[[sandbox {"tokens": 600, "chunk_ms": 40}]] stop me')
    expect(page.locator("#writing")).not_to_be_empty()
    page.get_by_role("button", name="Stop", exact=True).click()

    expect(answers(page)).to_contain_text("Stopped")
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    send(page, "and now?")
    expect(answers(page).nth(1)).to_contain_text("Credit left")


def test_tools_are_called_and_answered_by_hand(gateway: Any, any_visit: Any) -> None:
    _, page = start(gateway, any_visit)
    page.get_by_text("Tools", exact=True).click()
    page.get_by_role("button", name="Put in an example").click()
    call = '{"name": "get_weather", "arguments": {"city": "Lima"}}'
    after = '{"text": "It is 21 degrees."}'
    send(page, f'[[sandbox {{"tool_calls": [{call}], "after_tools": {after}}}]]')

    expect(page.get_by_role("heading", name="Calls get_weather")).to_be_visible()
    page.get_by_label("What get_weather answers").fill('{"celsius": 21}')
    any_visit.expect_good_page()
    page.get_by_role("button", name="Send the results").click()

    expect(answers(page).nth(1)).to_contain_text("It is 21 degrees.")
    expect(page.get_by_role("heading", name="Result of get_weather")).to_be_visible()


def test_a_picture_is_sent_to_a_model_that_sees(gateway: Any, visit: Any) -> None:
    _, page = start(gateway, visit)
    expect(page.get_by_role("button", name="Add a picture")).to_be_hidden()
    page.get_by_label("Model", exact=True).select_option("llama-4-scout")
    file = {"name": "red.png", "mimeType": "image/png", "buffer": drawn()}
    page.locator("#picture-file").set_input_files(file)
    expect(page.get_by_role("img", name="red.png")).to_be_visible()
    visit.expect_good_page()
    send(page, "what colour is red.png")

    expect(answers(page)).to_contain_text("Credit left")
    assert any("data:image/png" in str(sent) for sent in gateway.upstream_calls("red.png"))


def test_a_wrong_parameter_is_told_beside_its_field(gateway: Any, visit: Any) -> None:
    _, page = start(gateway, visit)
    page.get_by_label("Temperature").fill("9")
    send(page, "hi")
    expect(page.locator("#temperature-fault")).to_have_text("Use a number from 0 to 2.")

    # What only the server can see is told there too.
    page.get_by_label("Temperature").fill("")
    page.get_by_text("Tools", exact=True).click()
    page.get_by_label("Functions that the model may call").fill('[{"type": "function"}]')
    send(page, "")
    expect(page.get_by_role("alert")).to_contain_text("tools[0].function")
    expect(page.locator("#tools-fault")).to_be_visible()
    visit.expect_good_page()
    expect_refused(visit)


def test_without_credit_it_says_what_to_do(gateway: Any, any_visit: Any) -> None:
    _, page = start(gateway, any_visit, credit_nusd=0)
    send(page, "hi")

    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("insufficient_quota")
    expect(alert).to_contain_text("add credit")
    expect(alert.get_by_role("link", name="balance and credit")).to_be_visible()
    any_visit.expect_good_page()
    expect_refused(any_visit)


def test_a_limit_says_when_to_try_again(gateway: Any, visit: Any) -> None:
    from tenants.limits import Limits
    from tenants.registry.services import change_limits

    cast, page = start(gateway, visit)
    limits = Limits(requests_per_minute=1)
    change_limits(tenant=cast.tenant, plan=None, limits=limits, shrink_to_fit=False, actor="test")
    send(page, "one")
    expect(answers(page)).to_contain_text("Credit left")
    send(page, "two")

    expect(page.get_by_role("alert")).to_contain_text("rate_limit_exceeded")
    expect(page.get_by_role("button", name=re.compile("Try again in"))).to_be_disabled()
    expect_refused(visit)


def test_a_call_can_be_copied_as_code_without_a_secret(gateway: Any, any_visit: Any) -> None:
    _, page = start(gateway, any_visit)
    page.get_by_label("Message", exact=True).fill("it's “quoted”")
    page.get_by_role("button", name="Copy as code").click()

    curl = page.locator("#code-curl").inner_text()
    assert re.match(r"curl http://\S+/v1/chat/completions ", curl)
    assert '"content": "it\'\\\'\'s “quoted”"' in curl
    assert "$AGENTFLARE_API_KEY" in curl
    assert "oi_" not in page.content()
    any_visit.expect_good_page()
    page.get_by_role("dialog").get_by_text("Python").click()
    python = page.locator("#code-python").inner_text()
    compile(python, "copied", "exec")
    assert "stream=True" in python


def test_pictures_are_made_and_can_be_saved(gateway: Any, any_visit: Any) -> None:
    _, page = start(gateway, any_visit, "images/")
    page.get_by_label("Prompt").fill("A lighthouse")
    page.get_by_label("How many").fill("2")
    page.get_by_role("button", name="Make").click()

    expect(page.get_by_role("img", name="A lighthouse (2)")).to_be_visible()
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download picture 1").click()
    assert saved.value.suggested_filename.startswith("picture-1.")
    expect(page.get_by_role("article")).to_contain_text("Cost")
    any_visit.expect_good_page()


def test_speech_can_be_heard(gateway: Any, any_visit: Any) -> None:
    _, page = start(gateway, any_visit, "speech/")
    page.get_by_label("Text").fill("Good morning.")
    page.get_by_label("Format").select_option("wav")
    page.get_by_role("button", name="Speak").click()

    expect(page.get_by_role("article")).to_contain_text("Cost")
    # Not wait_for_function: its second look is forbidden by the page's own policy (no eval).
    assert page.locator("audio").evaluate(_LENGTH) > 0
    any_visit.expect_good_page()


def test_a_file_is_transcribed(gateway: Any, any_visit: Any, tmp_path: Path) -> None:
    _, page = start(gateway, any_visit, "transcription/")
    page.get_by_role("button", name="Transcribe").click()
    expect(page.locator("#file-fault")).to_have_text("Choose a file, or record some speech.")
    sound = tmp_path / "sound.wav"
    sound.write_bytes(wav(2))
    page.get_by_label("Sound file").set_input_files(sound)
    page.get_by_role("button", name="Transcribe").click()

    expect(page.locator(".transcript")).not_to_be_empty()
    expect(page.get_by_role("article")).to_contain_text("Cost")
    any_visit.expect_good_page()


def test_texts_are_compared(gateway: Any, any_visit: Any) -> None:
    _, page = start(gateway, any_visit, "embeddings/")
    page.get_by_role("button", name="Compare").click()

    expect(page.get_by_role("table")).to_contain_text("1.000")
    expect(page.get_by_role("article")).to_contain_text("Dimensions")
    any_visit.expect_good_page()
