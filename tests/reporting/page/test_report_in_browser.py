"""The page, as a person in front of a browser sees it, from a file and without a network."""

from contextlib import contextmanager

import pytest

from segkit.cli import main
from tests.reporting.page.conftest import ODD

pytestmark = pytest.mark.slow
WIDTHS = {"screen": (1280, 900), "phone": (390, 844)}
CONTRAST = """
() => {
  const light = colour => {
    const parts = colour.match(/[\\d.]+/g).slice(0, 3).map(part => part / 255);
    const linear = parts.map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const ground = light(getComputedStyle(document.body).backgroundColor);
  const ratio = colour => (Math.max(ground, light(colour)) + 0.05) / (Math.min(ground, light(colour)) + 0.05);
  const texts = document.querySelectorAll("p, a, h1, h2, h3, td, th, caption, figcaption, dd, dt, small, summary");
  const drawn = document.querySelectorAll("svg text");
  return Math.min(...[...texts].map(each => ratio(getComputedStyle(each).color)),
    ...[...drawn].map(each => ratio(getComputedStyle(each).fill)));
}
"""


@pytest.fixture(scope="module")
def address(project) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        assert main(["report", "--no-timing", "--out", "reports/seen.html"]) == 0
    return (project / "reports/seen.html").as_uri()


@contextmanager
def opened(browser, address, kind="screen", **options):
    """The page in a new session; it may ask for nothing, and have nothing to complain about."""
    width, height = WIDTHS[kind]
    with browser.new_context(viewport={"width": width, "height": height}, offline=True, **options) as context:
        page = context.new_page()
        page.set_default_timeout(10_000)
        asked, faults = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address)
        yield page
        assert [url for url in asked if not url.startswith("data:")] == [address]
        assert not faults


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", list(WIDTHS))
def test_it_fits_and_can_be_read(browser, address, tmp_path, kind, scheme):
    with opened(browser, address, kind, color_scheme=scheme) as page:
        assert page.title() == "U-Net and ResNet34-UNet – segkit report"
        assert page.evaluate("document.documentElement.scrollWidth") == WIDTHS[kind][0]
        page.eval_on_selector_all("details", "all => all.forEach(each => each.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") == WIDTHS[kind][0]
        assert page.evaluate(CONTRAST) >= 4.5
        assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 27)"
        assert dark == (scheme == "dark")
        assert len(page.screenshot(path=tmp_path / "page.png", full_page=True)) > 100_000


def test_without_a_script_everything_is_there(browser, address):
    with opened(browser, address, java_script_enabled=False) as page:
        assert not page.is_visible("#controls")
        assert page.locator("section").count() == 13
        assert page.locator("#cards li").count() == 31
        assert page.locator(".layer").first.is_visible()


def test_the_gallery_is_sorted_and_its_overlay_faded(browser, address):
    with opened(browser, address) as page:
        values = "all => all.map(each => Number(each.dataset.{}))"
        dice = page.eval_on_selector_all("#cards li", values.format("dice"))
        assert dice == sorted(dice)
        page.select_option("#order", label="best first")
        assert page.eval_on_selector_all("#cards li", values.format("dice")) == sorted(dice, reverse=True)
        page.select_option("#order", label="networks differ most")
        gaps = page.eval_on_selector_all("#cards li", values.format("gap"))
        assert gaps == sorted(gaps, reverse=True)
        page.select_option("#order", label="name")
        assert page.locator("#cards h3").last.inner_text().startswith(ODD)
        page.focus("#opacity")
        page.keyboard.press("Home")
        assert page.inner_text("#shown") == "0 %"
        assert page.eval_on_selector(".layer", "layer => getComputedStyle(layer).opacity") == "0"


def test_the_contents_lead_to_the_panels_by_keyboard(browser, address):
    with opened(browser, address) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        assert page.locator(".skip").bounding_box()["y"] >= 0
        page.click("nav a[href='#slices']")
        page.wait_for_selector("nav a[href='#slices'][aria-current]")
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_it_can_be_printed(browser, address):
    with opened(browser, address, color_scheme="dark") as page:
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not page.is_visible("nav") and not page.is_visible("#controls")
        assert page.pdf(format="A4").startswith(b"%PDF")
