"""Would catch traces that a person cannot use: not found by what they say, or without the attempts in a real trace UI.

A browser opens the UI of `make trace-ui` as a person would. What it sees are the pictures of the docs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil
import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser.conftest import LARGEST_PICTURE, Shown

pytestmark = pytest.mark.timeout(300)  # the first of them starts everything

SECONDS: Final = 60.0
DEGRADED: Final = "attributes['tandem']['keep'] == 'degraded'"
SEAM: Final = "Pro out of memory, R1 takes over at a seam"
STREAMED: Final = "tandem.v1.OrchestratorService/StreamGenerate"


def until(browser: webdriver.Chrome, true: Callable[[], bool]) -> None:
    """Wait for what the page will show; what it draws anew meanwhile is looked up again."""
    waiting = WebDriverWait(browser, SECONDS, ignored_exceptions=[StaleElementReferenceException])
    waiting.until(lambda _: true())


def open_spans(browser: webdriver.Chrome, shown: Shown) -> None:
    """Open the list of requests."""
    browser.set_window_size(1440, 1100)
    browser.get(f"{shown.url}/projects")
    until(browser, lambda: bool(browser.find_elements(By.PARTIAL_LINK_TEXT, "default")))
    browser.find_element(By.PARTIAL_LINK_TEXT, "default").click()
    until(browser, lambda: len(rows(browser)) == len(shown.requests))


def rows(browser: webdriver.Chrome) -> list[WebElement]:
    return browser.find_elements(By.CSS_SELECTOR, "table tbody tr")


def filter_by(browser: webdriver.Chrome, condition: str) -> None:
    """Type a condition in place of the one that is there."""
    typed = browser.find_element(By.CSS_SELECTOR, "[aria-label='Filter spans']")
    typed.click()
    typed.send_keys(Keys.CONTROL, "a")
    typed.send_keys(Keys.DELETE)
    typed.send_keys(condition, Keys.ENTER)
    typed.send_keys(Keys.ESCAPE)  # what it would suggest covers the list
    until(browser, lambda: typed.text == condition)


def tree(browser: webdriver.Chrome) -> list[str]:
    """Return the names of the spans of the trace that is shown, in order."""
    (dialog,) = browser.find_elements(By.CSS_SELECTOR, "[role=dialog]")
    wraps = dialog.find_elements(By.CSS_SELECTOR, ".span-node-wrap")
    return [wrap.text.split("\n")[0] for wrap in wraps]


def own(names: list[str]) -> list[str]:
    """Return the names without those of calls between services."""
    return [name for name in names if not name.startswith(("tandem.", "inference."))]


def open_trace(browser: webdriver.Chrome, method: str) -> None:
    """Click on the one request of the list that has this method."""

    def opened() -> bool:
        found = [row for row in rows(browser) if method in row.text]
        if len(found) == 1:
            found[0].find_element(By.TAG_NAME, "a").click()
        return len(found) == 1

    until(browser, opened)


def tab(browser: webdriver.Chrome, name: str) -> None:
    found = browser.find_elements(By.CSS_SELECTOR, "[role=dialog] [role=tab]")
    next(each for each in found if each.text.startswith(name)).click()


def details(browser: webdriver.Chrome) -> str:
    return browser.find_element(By.CSS_SELECTOR, "[role=dialog]").text


def picture(browser: webdriver.Chrome, folder: Path, name: str) -> None:
    ActionChains(browser).move_by_offset(0, 0).perform()
    file = folder / name
    assert browser.save_screenshot(str(file))
    assert 20_000 < file.stat().st_size < LARGEST_PICTURE


def test_a_degraded_request_is_found_by_its_attribute_and_shows_its_attempts(
    browser: webdriver.Chrome, shown: Shown, screenshots: Path
) -> None:
    open_spans(browser, shown)
    filter_by(browser, DEGRADED)
    expected = len(shown.ended_with(degraded=True))
    assert 0 < expected < len(shown.requests)
    until(browser, lambda: len(rows(browser)) == expected)
    picture(browser, screenshots, "trace_ui_degraded.png")

    open_trace(browser, STREAMED)
    until(browser, lambda: "tandem.degradations.0" in details(browser))
    wanted = ["classify", "plan", "attempt", "chat pro", "attempt", "chat r1-int8", "record"]
    until(browser, lambda: own(tree(browser)) == wanted)
    (told,) = (each for each in shown.requests if each["title"] == SEAM)
    assert f"tandem.request_id\n{told['request_id']}" in details(browser)
    assert "tandem.degradations.0\nout_of_memory" in details(browser)
    picture(browser, screenshots, "trace_ui_attempts.png")

    tab(browser, "Events")
    until(browser, lambda: "tandem.seam" in details(browser))


def test_the_attempt_that_failed_is_a_call_to_a_model_with_an_error(
    browser: webdriver.Chrome, shown: Shown
) -> None:
    open_spans(browser, shown)
    filter_by(browser, "name == 'chat pro' and attributes['error']['type'] == 'OUT_OF_MEMORY'")
    until(browser, lambda: [row.text.startswith("llm\nchat pro") for row in rows(browser)] == [True, True])


def test_it_listens_to_this_machine_alone_and_calls_nobody(shown: Shown) -> None:
    (ui,) = (
        each
        for each in shown.program.children(recursive=True)
        if any(word.endswith("on_loopback.py") for word in each.cmdline())
    )
    sockets = [each for each in ui.net_connections("inet") if each.laddr]
    listening = {each.laddr.port for each in sockets if each.status == psutil.CONN_LISTEN}
    assert listening == {int(url.rpartition(":")[2]) for url in (shown.url, shown.otlp)}
    addresses = {each.laddr.ip for each in sockets} | {each.raddr.ip for each in sockets if each.raddr}
    assert {address.removeprefix("::ffff:") for address in addresses} == {"127.0.0.1"}
