"""What tests of the console's pages share."""

import contextlib
import html
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

EMAIL = "Beacon Freight needs 4 welders in Toledo, OH starting at 06:00, night shift. They should hold OSHA-30.\n"
NAUGHTY = Path(__file__).parents[2] / "shared" / "data" / "blns" / "blns.json"
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking".split()
)
REFUSED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
HOSTILE_CSV = b"id,note\n1,<script>alert(1)</script>\n2,=cmd()\n"


def text_of(page: str) -> str:
    """Return the text of a page without its tags."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def token_of(page: httpx.Response) -> str:
    """Return what the forms of a page carry."""
    return re.search(r'name="csrf" value="([0-9a-f]{64})"', page.text)[1]


class Browser(httpx.Client):
    """A browser without scripts: what it posts carries the token of the page that has the form."""

    def post(self, url: str, *, headers: Mapping[str, str] | None = None, **options: Any) -> httpx.Response:  # type: ignore[override]
        page = self.get("/login" if url == "/login" else "/", headers={"Origin": ""}, follow_redirects=True)
        return super().post(url, headers={"X-CSRF-Token": token_of(page), **(headers or {})}, **options)


def chromium() -> str:
    """Return where the browser is; skip without one, but never in continuous integration."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found:
        return found
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail("no Chromium on the path: install the package `chromium`")
    return pytest.skip("no Chromium on the path: install the package `chromium` to test the console")


@contextlib.contextmanager
def launched() -> Iterator[Any]:
    """Give a browser."""
    from playwright.sync_api import expect, sync_playwright

    executable = chromium()
    # A busy machine may take long, and what never comes is waited for in vain only where a test fails.
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


@contextlib.contextmanager
def visiting(browser: Any, home: str, coordinator: str = "") -> Iterator[Callable[..., Any]]:
    """Give what opens a page in a context of its own; at the end nothing may have been said by a script."""
    contexts, seen = [], []

    def open(path: str, **options: Any) -> Any:
        context = browser.new_context(**options)
        context.set_default_timeout(30_000)
        if coordinator:
            context.add_cookies([{"name": "coordinator", "value": coordinator, "url": home}])
        contexts.append(context)
        page = context.new_page()
        page.on("dialog", lambda dialog: (seen.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: seen.append(str(error)))
        page.on(
            "console",
            lambda said: seen.append(said.text) if said.type == "error" and not REFUSED.match(said.text) else None,
        )
        page.goto(home + path)
        return page

    yield open
    for context in contexts:
        context.close()
    assert seen == []


def faults(page: Any) -> list:
    """Return what axe-core finds wrong with a page."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"runOnly": RULES}).response["violations"]
    return [(fault["id"], [node["html"][:200] for node in fault["nodes"][:3]]) for fault in found]
