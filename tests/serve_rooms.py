"""What tests of the console's pages share."""

import html
import os
import re
import shutil

import pytest

EMAIL = "Beacon Freight needs 4 welders in Toledo, OH starting at 06:00, night shift. They should hold OSHA-30.\n"
HOSTILE_CSV = b"id,note\n1,<script>alert(1)</script>\n2,=cmd()\n"


def text_of(page: str) -> str:
    """Return the text of a page without its tags."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def chromium() -> str:
    """Return where the browser is; skip without one, but never in continuous integration."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found:
        return found
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail("no Chromium on the path: install the package `chromium`")
    return pytest.skip("no Chromium on the path: install the package `chromium` to test the console")
