"""`make pictures`: this folder's pictures, taken anew from a sandbox of its own.

Starts a sandbox in a temporary folder, makes some calls with the openai package so that pages
have something to show, and photographs them with Chromium.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from openai import OpenAI
from playwright.sync_api import Browser, Page, sync_playwright

FOLDER = Path(__file__).resolve().parent
PROJECT = FOLDER.parent.parent
sys.path.insert(0, str(PROJECT))

from agentflare.tests.browser import ARGUMENTS, DESK, chromium  # noqa: E402
from sandbox.testing import RunningSandbox, start_sandbox  # noqa: E402

QUESTIONS = (
    "What does a reservation of credit protect against?",
    "Write a limerick about a ledger.",
    "Explain idempotency to a colleague.",
    "Name three uses of embeddings.",
)
MODELS = ("llama-3.1-8b", "gpt-oss-20b", "qwen-3-30b", "mistral-small-3.1", "llama-3.2-3b")


@dataclass(frozen=True)
class Picture:
    """path: {workspace} is put in. who: of demo.env's logins; empty: nobody."""

    name: str
    path: str
    who: str = "OWNER"
    height: int = 900


PICTURES = (
    Picture("front", "/", who=""),
    Picture("reference", "/docs/api", who=""),
    Picture("overview", "{workspace}", height=1240),
    Picture("usage", "{workspace}usage/"),
    Picture("playground", "{workspace}playground/"),
    Picture("agents", "{workspace}agents/"),
    Picture("operator", "/admin/", who="OPERATOR", height=1290),
    Picture("models", "/admin/catalog/aimodel/", who="OPERATOR"),
)


def main() -> int:
    found = chromium()
    if found is None:
        print("pictures: no Chromium is installed", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="agentflare-pictures-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL may run as someone else
        sandbox = start_sandbox(Path(folder) / "sandbox")
        try:
            sandbox.wait_until_ready()
            use(sandbox)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
                for who in dict.fromkeys(picture.who for picture in PICTURES):
                    take(browser, sandbox, who)
        finally:
            sandbox.stop()
    return 0


def use(sandbox: RunningSandbox) -> None:
    """Something for the pages to show."""
    client = OpenAI(base_url=f"{sandbox.url}/v1", api_key=sandbox.env["OPENAI_API_KEY"])
    for round_, model in enumerate(MODELS):
        for question in QUESTIONS[: 4 - round_ % 3]:
            messages = [{"role": "user", "content": question}]
            client.chat.completions.create(model=model, messages=messages, max_tokens=200)  # type: ignore[call-overload]
    for name, model in (("Librarian", MODELS[0]), ("Clerk", MODELS[1])):
        agent = {"name": name, "model": model, "instructions": "Answer in one sentence."}
        client.post("/agents", body=agent, cast_to=object)
    client.embeddings.create(model="bge-m3", input=list(QUESTIONS))
    client.images.generate(model="flux-1-schnell", prompt="A lighthouse made of ledgers")


def take(browser: Browser, sandbox: RunningSandbox, who: str) -> None:
    with browser.new_context(viewport=DESK, base_url=sandbox.url) as context:
        page = context.new_page()
        workspace = log_in(page, sandbox, who) if who else ""
        for picture in PICTURES:
            if picture.who != who:
                continue
            page.set_viewport_size({"width": DESK["width"], "height": picture.height})
            for _ in range(30):
                page.goto(picture.path.format(workspace=workspace), wait_until="networkidle")
                if "No sums yet" not in page.content():
                    break
                page.wait_for_timeout(3000)  # the worker makes them every minute
            page.wait_for_timeout(500)  # charts grow into place
            page.screenshot(path=FOLDER / f"{picture.name}.png")
            print(picture.name)


def log_in(page: Page, sandbox: RunningSandbox, who: str) -> str:
    """Returns the address it leads to: of a tenant's person, the workspace."""
    page.goto("/accounts/login/")
    page.fill("[name=login]", sandbox.env[f"AGENTFLARE_{who}_EMAIL"])
    page.fill("[name=password]", sandbox.env[f"AGENTFLARE_{who}_PASSWORD"])
    page.press("[name=password]", "Enter")
    page.wait_for_url(lambda url: "/accounts/login" not in url)
    return page.url.removeprefix(sandbox.url)


if __name__ == "__main__":
    sys.exit(main())
