"""A page in a browser, and what it did there that it must not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, expect

# A page asks every two seconds; a server finds out within a few that its master is dead.
SOON = 30_000
PHONE = {"viewport": {"width": 360, "height": 740}}

# The contrast of an element's text to what is painted behind it, as WCAG 2 computes it.
_CONTRAST = """selector => {
  const rgb = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = rgb(colour).map((part) => part / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const element = document.querySelector(selector);
  let behind = element;
  while (behind && rgb(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  const two = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor].map(light).sort((a, b) => b - a);
  return (two[0] + 0.05) / (two[1] + 0.05);
}"""


class View:
    """`complaints` are what the console said, violations of the policy too; `asked` are the origins of all requests."""

    def __init__(self, browser: Browser, url: str, options: dict[str, Any]) -> None:
        self.url = url
        self.complaints: list[str] = []
        self.asked: set[str] = set()
        # Whether to leave out what Chromium itself says of a server that is down, or refuses.
        self.outage = False
        self._context = browser.new_context(**{"viewport": {"width": 960, "height": 900}} | options)
        self.page = self._context.new_page()
        self.page.set_default_timeout(SOON)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._note(request.url))
        answer = self.page.goto(url)
        assert answer is not None
        self.headers = answer.headers

    def _note(self, url: str) -> None:
        if not url.startswith("data:"):
            self.asked.add("{0.scheme}://{0.netloc}".format(urlsplit(url)))

    def shows(self, selector: str, text: str) -> Locator:
        """The element, once it holds this text."""
        found = self.page.locator(selector).filter(has_text=text).first
        expect(found).to_be_visible(timeout=SOON)
        return found

    def row(self, server: str) -> str:
        """What the table says of a server."""
        rows = self.page.locator("#servers tbody tr")
        return rows.filter(has=self.page.locator("strong", has_text=server)).inner_text()

    def acts(self) -> list[str]:
        return self.page.locator("#acts tbody tr").all_inner_texts()

    def title_begins(self, sign: str) -> None:
        self.page.wait_for_function("sign => document.title.startsWith(sign)", arg=sign)

    @property
    def scrolls_sideways(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))

    def contrast(self, selector: str) -> float:
        return float(self.page.evaluate(_CONTRAST, selector))

    def picture(self, name: str) -> None:
        """For docs, where that is asked for."""
        directory = os.environ.get("HOLDFAST_SCREENSHOTS")
        if directory:
            self.page.screenshot(path=Path(directory) / f"status-{name}.png")

    def close(self) -> None:
        self._context.close()
        complaints = [each for each in self.complaints if not (self.outage and each.startswith("Failed to load resource"))]
        assert complaints == []
        assert self.asked == {self.url.rstrip("/")}
