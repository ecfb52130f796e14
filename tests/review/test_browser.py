"""The page in a real browser, worked by keyboard alone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Route, expect, sync_playwright
from reviewing import HOSTILE, MANY, OFFICER, STAND_IN, Review, Scanned

from mantlet.demo.pictures import jpeg
from mantlet.demo.scenes import scene

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"there is none of {', '.join(BROWSERS)} on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    yield context
    context.close()


class Tab:
    """The page as an officer has it before them; `said` is what the browser complained of."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page = context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(url)
        expect(self.selected).to_have_count(1)

    @property
    def tiles(self) -> Locator:
        return self.page.locator(".tile")

    @property
    def selected(self) -> Locator:
        return self.page.locator(".tile[aria-selected=true]")

    def at(self, name: str) -> Locator:
        return self.page.locator(f"#{name}")

    def press(self, *keys: str) -> None:
        """As a person would: not while the page says that it is busy."""
        for key in keys:
            expect(self.page.locator("#grid[aria-busy=true]")).to_have_count(0)
            self.page.keyboard.press(key)

    def answered(self, path: str, *keys: str) -> None:
        """Presses keys, and waits until the server has answered what they cause."""
        with self.page.expect_response(re.compile(path)):
            self.press(*keys)

    def go_to(self, words: str) -> Locator:
        """Moves the selection, by arrow keys, to the tile of which these words are told."""
        labels = [tile.get_attribute("aria-label") or "" for tile in self.tiles.all()]
        [index] = [index for index, label in enumerate(labels) if words in label]
        self.press("Home")
        expect(self.tiles.first).to_have_attribute("aria-selected", "true")
        self.press(*["ArrowRight"] * index)
        expect(self.tiles.nth(index)).to_have_attribute("aria-selected", "true")
        return self.tiles.nth(index)


@pytest.fixture
def tab(scanned: Scanned, review: Review, context: BrowserContext) -> Iterator[Tab]:
    """The small case; at the end the browser must have had nothing to complain of."""
    tab = Tab(context, review(scanned.case, *STAND_IN).url)
    yield tab
    assert tab.said == []


def label(text: str) -> re.Pattern[str]:
    return re.compile(rf"^{re.escape(text)}\. ")


def test_the_token_lets_one_browser_in_and_leaves_the_address_bar(
    scanned: Scanned, review: Review, context: BrowserContext, browser: Browser
) -> None:
    url = review(scanned.case).url
    tab = Tab(context, url)
    expect(tab.page).to_have_url(url.partition("?")[0])
    [cookie] = context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    with browser.new_context() as stranger:
        page = stranger.new_page()
        page.goto(url)
        expect(page.get_by_text("works once and in one browser")).to_be_visible()


def test_grade_by_keys_undo_reload_and_the_grade_is_still_there(tab: Tab, scanned: Scanned) -> None:
    camera = tab.go_to("2 copies")
    tab.answered("/api/grade", "1")
    expect(camera).to_have_attribute("aria-label", label("Boat"))
    expect(camera.locator(".badge")).to_have_text("1 Boat")
    expect(camera).to_have_attribute("aria-selected", "false"), "it has gone on to the next ungraded one"
    expect(tab.at("counts")).to_have_text("Graded 1 of 8 distinct")
    tab.answered("/api/undo", "u")
    expect(camera).to_have_attribute("aria-label", label("ungraded"))
    expect(camera).to_have_attribute("aria-selected", "true")
    tab.answered("/api/grade", "2")
    expect(tab.at("saved")).to_have_attribute("data-state", "saved")
    expect(tab.at("saved")).to_have_text("All saved")
    tab.page.reload()
    camera = tab.page.get_by_role("option", name="2 copies")
    expect(camera).to_have_attribute("aria-label", label("Camera"))
    assert [(actor, said["grade"]) for actor, said in scanned.ledger("case", "decision")] == [
        (OFFICER, "boat"), (OFFICER, None), (OFFICER, "camera"),
    ]  # fmt: skip
    seen = scanned.ledger("case", "decision")[2][1]["seen"]
    assert not seen["clear"]
    assert 100 < seen["side"] < 200
    tab.answered("/api/undo", "Control+z")
    expect(camera).to_have_attribute("aria-label", label("ungraded"))
    tab.answered("/api/undo", "u")
    expect(tab.at("notice")).to_have_text("Nothing of yours is left to undo.")


def test_holding_space_shows_it_clearly_and_letting_go_hides_it(tab: Tab, scanned: Scanned) -> None:
    tab.go_to("2 copies")
    expect(tab.page.locator("canvas[data-drawn]")).to_have_count(8)
    assert not [url for url in tab.asked if "/api/look" in url], "nothing clear comes unasked"
    look, canvas = tab.at("look"), tab.at("clear")
    expect(look).to_be_hidden()
    tab.page.keyboard.down(" ")
    expect(canvas).to_be_visible()
    expect(canvas).to_have_attribute("width", "640")
    assert scanned.ledger("exposure", "shown")[0][1]["sha256"] == scanned.sha256["camera.jpg"]
    with tab.page.expect_response(re.compile("/api/shown")):
        tab.page.keyboard.up(" ")
    expect(look).to_be_hidden()
    expect(canvas).to_have_attribute("width", "0")
    [(actor, hidden)] = scanned.ledger("exposure", "hidden")
    assert (actor, hidden["sha256"], hidden["clear"]) == (OFFICER, scanned.sha256["camera.jpg"], True)
    tab.answered("/api/grade", "2")
    seen = scanned.ledger("case", "decision")[0][1]["seen"]
    assert seen == {"side": hidden["side"], "clear": True, "milliseconds": hidden["milliseconds"]}


@pytest.mark.parametrize("how", ["blur", "blank", "move", "grade"])
def test_a_clear_picture_goes_when_attention_does(tab: Tab, scanned: Scanned, how: str) -> None:
    tab.page.keyboard.down(" ")
    expect(tab.at("clear")).to_be_visible()
    with tab.page.expect_response(re.compile("/api/shown")):
        if how == "blur":
            tab.page.evaluate("window.dispatchEvent(new Event('blur'))")
        else:
            tab.press({"blank": "p", "move": "ArrowRight", "grade": "0"}[how])
    expect(tab.at("look")).to_be_hidden()
    tab.page.keyboard.down(" ")  # repeats while it is held: shows nothing
    expect(tab.at("look")).to_be_hidden()
    tab.page.keyboard.up(" ")
    assert len(scanned.ledger("exposure", "shown")) == 1


def test_a_grade_given_while_looking_says_that_it_was_seen_clearly(tab: Tab, scanned: Scanned) -> None:
    tab.page.keyboard.down(" ")
    expect(tab.at("clear")).to_be_visible()
    tab.answered("/api/grade", "2")
    [(_, hidden)] = scanned.ledger("exposure", "hidden")
    [(_, decision)] = scanned.ledger("case", "decision")
    assert decision["seen"] == {"side": hidden["side"], "clear": True, "milliseconds": hidden["milliseconds"]}
    assert hidden["side"] == 640


@pytest.mark.parametrize("key", ["p", "Escape"])
def test_the_panic_key_blanks_everything_until_it_is_pressed_again(tab: Tab, scanned: Scanned, key: str) -> None:
    tab.press(key)
    expect(tab.at("page")).to_be_hidden()
    expect(tab.page.locator("body")).to_have_text(re.compile(r"^\s*Blanked"), use_inner_text=True)
    tab.press("1", "n", "u", " ")
    tab.press(key)
    expect(tab.selected).to_be_focused()
    expect(tab.page.locator(".graded")).to_have_count(0)
    assert scanned.ledger("case", "decision") == []


def test_help_lists_every_key(tab: Tab) -> None:
    tab.press("?")
    expect(tab.at("help")).to_be_visible()
    for text in ("Camera, and on", "take back your last grade", "Ctrl+Z", "Space", "blank the whole page"):
        expect(tab.at("help").get_by_text(text).first).to_be_visible()
    tab.press("1", " ")
    tab.press("?")
    expect(tab.at("help")).to_be_hidden()
    expect(tab.page.locator(".graded")).to_have_count(0), "nothing is graded that is covered"
    assert not [url for url in tab.asked if "/api/look" in url]


def test_a_hostile_name_is_text(tab: Tab) -> None:
    tab.go_to(HOSTILE)
    expect(tab.at("name")).to_have_text(HOSTILE)
    expect(tab.page.locator("img, [onerror]")).to_have_count(0)


def test_every_action_can_be_reached_by_tab_and_enter(tab: Tab) -> None:
    tab.page.locator("[data-action='grade:other']").focus()
    tab.answered("/api/grade", "Enter")
    expect(tab.tiles.first).to_have_attribute("aria-label", label("Other object"))
    expect(tab.selected).to_be_focused()


def test_only_ungraded_ones_are_shown_where_the_address_says_so(tab: Tab) -> None:
    tab.answered("/api/grade", "1")
    tab.page.get_by_text("Ungraded only").focus()
    tab.press("Enter")
    expect(tab.page).to_have_url(re.compile(r"/\?ungraded=1$"))
    expect(tab.tiles).to_have_count(7)
    tab.answered("/api/grade", "1")
    tab.page.reload()
    expect(tab.tiles).to_have_count(6)
    tab.answered("/api/undo", "u")
    expect(tab.tiles).to_have_count(7)
    expect(tab.tiles.first).to_have_attribute("aria-selected", "true")


def test_what_is_not_saved_is_seen_and_sent_again(scanned: Scanned, review: Review, context: BrowserContext) -> None:
    tab = Tab(context, review(scanned.case, *STAND_IN).url)
    tab.page.route("**/api/grade", lambda route: route.abort())
    tab.press("1", "1")
    expect(tab.at("saved")).to_have_text(re.compile(r"^Not saved yet \(2\): the page's server does not answer"))
    tab.page.unroute("**/api/grade")
    expect(tab.at("saved")).to_have_attribute("data-state", "saved")
    assert len(scanned.ledger("case", "decision")) == 2

    def refuse(route: Route) -> None:
        route.fulfill(status=400, json={"error": "Not today."})

    tab.page.route("**/api/grade", refuse)
    tab.press("1")
    expect(tab.at("saved")).to_have_text("Not saved (1): Not today.")
    expect(tab.tiles.nth(2)).to_have_attribute("aria-label", label("ungraded"))
    expect(tab.tiles.nth(2).locator(".badge")).to_have_text("Not saved")


def test_the_last_one_graded_stays_selected_and_says_so(tab: Tab) -> None:
    for _ in range(8):
        tab.answered("/api/grade", "3")
    expect(tab.at("notice")).to_have_text("Every one that has been found is graded.")
    expect(tab.at("counts")).to_have_text("Graded 8 of 8 distinct")
    expect(tab.at("graded")).to_have_text(f"Other object, by {OFFICER}")


def test_a_grade_key_that_is_held_down_grades_one(tab: Tab, scanned: Scanned) -> None:
    for _ in range(4):
        tab.page.keyboard.down("1")
    tab.page.keyboard.up("1")
    tab.press("1")
    expect(tab.at("saved")).to_have_attribute("data-state", "saved")
    assert len(scanned.ledger("case", "decision")) == 2


def test_a_long_queue_is_walked_page_by_page(many: Scanned, review: Review, context: BrowserContext) -> None:
    tab = Tab(context, review(many.case, *STAND_IN).url)
    order = [row["sha256"] for row in many.queue()]
    assert len(order) == MANY

    def graded_here(index: int, *keys: str) -> None:
        tab.answered("/api/grade", *keys)
        assert many.ledger("case", "decision")[-1][1]["sha256"] == order[index]

    expect(tab.tiles).to_have_count(60)
    tab.press("PageDown")
    graded_here(60, "1")
    tab.press("Home")
    expect(tab.tiles.first).not_to_have_class(re.compile("graded"))
    graded_here(0, "1")
    tab.press("End")
    expect(tab.selected).to_have_count(1)
    graded_here(MANY - 1, "2")
    expect(tab.tiles.nth(1)).to_have_attribute("aria-selected", "true"), "on from the last to the first ungraded one"
    graded_here(1, "1")
    for _ in range(4):
        tab.answered("/api/undo", "u")
    expect(tab.tiles).to_have_count(60)
    graded_here(60, "1")
    assert tab.said == []


def test_what_a_running_scan_finds_appears_by_itself(
    own: Scanned, review: Review, context: BrowserContext, run: Callable[..., Any]
) -> None:
    tab = Tab(context, review(own.case, *STAND_IN).url)
    expect(tab.tiles).to_have_count(8)
    (own.evidence.parent / "more").mkdir()
    (own.evidence.parent / "more" / "new.jpg").write_bytes(jpeg(scene("balloon", 2)))
    scan = run("scan", own.evidence.parent / "more", "--case", own.case, "--workers", 1, code=None)
    assert scan.code in (0, 1), scan.err
    expect(tab.at("counts")).to_have_text("Graded 0 of 9 distinct", timeout=15_000)
    tab.page.reload()
    expect(tab.tiles).to_have_count(9)
    assert tab.said == []
