"""The page, as a person in front of a browser sees it."""

import io
import os
import signal
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

import segkit
from tests.tiny import pet

pytestmark = pytest.mark.slow
WIDTH, HEIGHT = 1200, 900  # larger than the preview


@contextmanager
def opened(browser, demo, width=1280, height=800, **options):
    """A new session with the page, once it has drawn the first example. No request may leave for another server."""
    with browser.new_context(viewport={"width": width, "height": height}, **options) as context:
        page = context.new_page()
        page.set_default_timeout(10_000)
        asked, failed = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("response", lambda response: failed.append(response.url) if response.status >= 400 else None)
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.goto(demo.url)
        shown(page, "example_0.png")
        yield page
        others = [url for url in asked if not url.startswith((f"{demo.url}/", "data:", "blob:"))]
        assert (others, failed) == ([], [])


def drop(page, name: str, content: bytes) -> None:
    page.set_input_files("#drop input[type=file]", {"name": name, "mimeType": "image/jpeg", "buffer": content})


def shown(page, name: str) -> None:
    """Wait until the results of this picture are there."""
    for kind in ("overlay", "mask", "cutout"):
        page.wait_for_selector(f'.{kind} img[alt="{kind.capitalize()} of {name}"]')


def jpeg(number: int = 7, **options) -> bytes:
    content = io.BytesIO()
    pet(number, WIDTH, HEIGHT)[0].save(content, "jpeg", **options)
    return content.getvalue()


def sources(page) -> list[str]:
    return [image.get_attribute("src") for image in page.query_selector_all(".result img")]


def download(page, kind: str) -> tuple[str, Image.Image]:
    with page.expect_download() as downloading:
        page.click(f"#download-{kind}")
    return downloading.value.suggested_filename, Image.open(downloading.value.path())


def slide(page, threshold: float) -> None:
    page.fill("#controls input[type=number]", str(threshold))
    page.press("#controls input[type=number]", "Enter")


def test_a_picture_is_shown_at_every_threshold_and_downloaded_at_its_size(demo, browser, tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg())
    probabilities = segkit.load(demo.folder / "work/models/first.safetensors", device="cpu").predict(path).probabilities
    threshold = round(float(np.quantile(probabilities, 0.3)), 2)
    with opened(browser, demo) as page:
        assert page.title() == "segkit"
        assert "gradio" not in page.inner_text("body").lower()
        height = page.evaluate("document.documentElement.scrollHeight")
        assert height <= 800
        drop(page, "photo.jpg", path.read_bytes())
        shown(page, "photo.jpg")
        note = page.inner_text("#note")
        assert note.startswith(f"photo.jpg\n{WIDTH} × {HEIGHT} px · {(probabilities >= 0.5).mean():.1%} foreground · ")
        before = sources(page)
        slide(page, threshold)
        page.wait_for_function("before => document.querySelector('.mask img').src != before", arg=before[2])
        after = sources(page)
        assert after[0] == before[0]
        assert page.inner_text("#note").split(" · ")[-1] == note.split(" · ")[-1]  # the network did not run again

        name, mask = download(page, "mask")
        assert (name, mask.size, mask.mode) == ("photo_mask.png", (WIDTH, HEIGHT), "L")
        certain = abs(probabilities - threshold) > 1e-3
        assert np.array_equal(np.asarray(mask)[certain], (probabilities >= threshold)[certain] * np.uint8(255))
        name, cutout = download(page, "cutout")
        assert (name, cutout.size, cutout.mode) == ("photo_cutout.png", (WIDTH, HEIGHT), "RGBA")
        name, overlay = download(page, "overlay")
        assert (name, overlay.size, overlay.mode) == ("photo_overlay.png", (WIDTH, HEIGHT), "RGB")


def test_another_model_looks_at_the_same_picture_with_its_own_threshold(demo, browser):
    with opened(browser, demo) as page:
        before = sources(page)
        page.click("text=second")
        page.wait_for_function("before => document.querySelector('.cutout img').src != before", arg=before[3])
        assert page.input_value("#controls input[type=number]") == "0.4"
        assert sources(page)[0] == before[0]
        page.click("#examples button:nth-child(2)")
        shown(page, "example_1.png")


def test_a_file_that_is_no_picture_gets_a_sentence(demo, browser, tmp_path):
    with open(tmp_path / "large.jpg", "wb") as file:
        file.truncate(50 * 2**20 + 1)
    with opened(browser, demo) as page:
        drop(page, "<b>no</b>.jpg", b"hello")
        page.wait_for_selector("#note [role=alert]")
        assert "cannot be used: not one of JPEG, PNG, " in page.inner_text("#note")
        assert not sources(page)
        drop(page, "half.jpg", jpeg()[:5000])
        page.wait_for_selector("text=half.jpg cannot be used: cannot be decoded: image file is truncated")
        page.set_input_files("#drop input[type=file]", tmp_path / "large.jpg")
        page.wait_for_selector('text=exceed the maximum allowed size of 50.0 Mb: "large.jpg"')
        sideways = Image.Exif()
        sideways[0x0112] = 6
        drop(page, "good.jpg", jpeg(exif=sideways))
        shown(page, "good.jpg")
        assert f"{HEIGHT} × {WIDTH} px" in page.inner_text("#note")


def test_a_phone_shows_the_page_without_scrolling_sideways(demo, browser):
    with opened(browser, demo, 390, 844, is_mobile=True, has_touch=True) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        boxes = [image.bounding_box() for image in page.query_selector_all(".result img")]
        assert len(boxes) == 4
        assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["width"] > 100 for box in boxes)


def test_ctrl_c_ends_it_and_nothing_is_left(demo):
    """The last test of this file: it looks back on all others."""
    written = [path for path in demo.log("write") if path != os.devnull]
    assert written
    assert not [path for path in written if not path.startswith(f"{demo.folder}/temporary/")]
    (own,) = (demo.folder / "temporary").iterdir()
    assert own.name.startswith("segkit-demo-")
    assert demo.log("call") == []
    assert demo.stop(signal.SIGINT) == (0, "", "")
    assert not [*(demo.folder / "temporary").iterdir(), *(demo.folder / "home").iterdir()]
    assert [path.name for path in (demo.folder / "work").iterdir()] == ["models"]
