"""The cost report's page in headless Chromium: it adds up, filters, sorts, and is usable by keys."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from cost.money import to_cents
from cost.report import Options, ReportResult, main_report, sample

pytestmark = pytest.mark.browser
_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium")
    if found is None:
        pytest.fail("no chromium on PATH. Fix: apt-get install --no-install-recommends chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=list(_ARGUMENTS))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> ReportResult:
    folder = tmp_path_factory.mktemp("page")
    sample.main(["--out", str(folder), "--through", "24"])
    return main_report(
        "2026-10",
        folder / "out",
        sources=[folder / "bills"],
        estimate=folder / "estimate.json",
        budget=folder / "budget.json",
        rates=folder / "rates.json",
        options=Options(rules=folder / "rules.json", units=folder / "units.json"),
    )


@pytest.fixture
def page(browser: Browser, result: ReportResult) -> Iterator[Page]:
    """The page, with the promise that nothing is said on the console and nothing is fetched."""
    yield from _opened(browser, result, 1280, "light")


def _opened(browser: Browser, result: ReportResult, width: int, scheme: str) -> Iterator[Page]:
    said: list[str] = []
    fetched: list[str] = []
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    opened = context.new_page()
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: fetched.append(request.url))
    opened.goto(result.files["report.html"].as_uri())
    yield opened
    assert said == []
    assert [url for url in fetched if not url.startswith(("file:", "data:"))] == []
    context.close()


def amount(text: str | None) -> Decimal:
    assert text is not None
    return Decimal(re.sub(r"[^\d.-]", "", text.replace("−", "-")))


def visible_sum(page: Page) -> Decimal:
    cells = page.locator("#lines tbody tr:not([hidden]) td:last-child").all_inner_texts()
    return sum(map(amount, cells), Decimal(0))


def test_what_is_shown_adds_up_to_the_total(page: Page, result: ReportResult) -> None:
    total = to_cents(result.report.total)
    assert amount(page.text_content("#total")) == total
    assert visible_sum(page) == total
    assert amount(page.text_content("#sum")) == total
    for card in page.locator(".card").all():
        cells = card.locator("tbody td:nth-child(2)").all_inner_texts()
        assert sum(map(amount, cells), Decimal(0)) == total


def test_a_filter_narrows_the_rows_and_their_sum(page: Page, result: ReportResult) -> None:
    page.select_option("[data-filter=team]", "vision")
    wanted = dict(result.report.breakdowns["team"])["vision"]
    assert amount(page.text_content("#sum")) == to_cents(wanted)
    assert abs(visible_sum(page) - wanted) < Decimal("0.05")
    assert set(page.locator("#lines tbody tr:not([hidden]) td:first-child").all_inner_texts()) == {
        "vision"
    }
    page.fill("#q", "SPOT nothing")
    assert page.locator("#lines tbody tr:not([hidden])").count() == 0
    assert amount(page.text_content("#sum")) == 0
    page.click("button[type=reset]")
    page.wait_for_function("!document.querySelector('#lines tbody tr[hidden]')")
    assert amount(page.text_content("#sum")) == to_cents(result.report.total)


def test_headings_sort_and_say_so(page: Page) -> None:
    heading = page.locator("#lines thead th").last
    assert heading.get_attribute("aria-sort") == "descending"
    heading.locator("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    costs = [amount(t) for t in page.locator("#lines tbody td:last-child").all_inner_texts()]
    assert costs == sorted(costs)
    service = page.locator("#lines thead th").nth(4)
    service.locator("button").click()
    names = page.locator("#lines tbody td:nth-child(5)").all_inner_texts()
    assert [n.lower() for n in names] == sorted(n.lower() for n in names)
    assert heading.get_attribute("aria-sort") == "none"
    assert service.get_attribute("aria-sort") == "ascending"


def focused(page: Page, attribute: str, value: str) -> None:
    """Wait until the focus is there: following a link to a part of the page takes a moment."""
    page.wait_for_function(
        "([name, value]) => document.activeElement[name] === value", arg=[attribute, value]
    )


def test_keys_alone_reach_everything(page: Page) -> None:
    page.bring_to_front()
    page.keyboard.press("Tab")
    focused(page, "className", "skip")
    page.keyboard.press("Enter")
    focused(page, "id", "charges")
    page.keyboard.press("Tab")
    focused(page, "id", "q")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    reached = set()
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.textContent.trim()"))
    assert {"Team", "Cost", "Clear"} <= reached


def test_every_figure_and_control_has_a_name(page: Page) -> None:
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('svg[role=img]')].filter(svg =>
        svg.getAttribute('aria-labelledby').split(' ').some(id =>
        !document.getElementById(id)?.textContent)).length"""
    )
    assert unnamed == 0
    assert page.locator("svg[role=img]").count() >= 6
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    for control in page.locator("input, select").all():
        assert control.evaluate("e => e.labels.length") == 1
    assert page.locator("main h2").count() >= 7
    assert page.get_attribute("html", "lang") == "en"


def test_the_theme_follows_the_system_and_can_be_set(page: Page) -> None:
    def background() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = background()
    page.click("#theme")
    dark = background()
    assert dark != light
    assert page.get_attribute("#theme", "aria-label") == "Use the light theme"
    page.reload()
    assert background() == dark
    page.click("#theme")
    page.emulate_media(color_scheme="dark")
    assert background() == light


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_it_fits_the_screen_and_is_legible(
    browser: Browser, result: ReportResult, width: int, scheme: str
) -> None:
    for page in _opened(browser, result, width, scheme):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#total").is_visible()
        change = page.locator(".movers tbody tr:first-child td:last-child").bounding_box()
        assert change is not None and change["x"] + change["width"] <= width, "is cut off"
        for selector in ("body", ".muted", ".badge.warn", ".badge.ok", ".up, .down", "a, summary"):
            contrast = page.locator(selector).first.evaluate(_CONTRAST)
            assert contrast >= 4.5, (selector, contrast)


# WCAG 2.1 contrast of an element's text with the nearest opaque background.
_CONTRAST = """e => {
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const lum = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  let at = e, back = [0, 0, 0, 0];
  while (at && (back.length > 3 && back[3] === 0)) {
    back = parse(getComputedStyle(at).backgroundColor); at = at.parentElement; }
  const pair = [lum(parse(getComputedStyle(e).color)), lum(back)].sort((a, b) => b - a);
  return (pair[0] + 0.05) / (pair[1] + 0.05); }"""


def test_it_prints_on_a4(page: Page, tmp_path: Path) -> None:
    page.emulate_media(media="print")
    assert not page.locator(".filters").is_visible()
    assert not page.locator("#theme").is_visible()
    pdf = page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    boxes = set(re.findall(rb"/MediaBox \[([\d. ]+)\]", pdf))
    (box,) = boxes
    width, height = (float(number) for number in box.split()[2:])
    assert (round(width), round(height)) == (595, 842)
    pages = len(re.findall(rb"/Type /Page\b", pdf))
    assert 2 <= pages <= 5


def test_without_scripts_all_is_there(browser: Browser, result: ReportResult) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(result.files["report.html"].as_uri())
    assert visible_sum(page) == to_cents(result.report.total)
    context.close()
