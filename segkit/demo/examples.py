"""The pictures that the page offers, and its icon."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

from segkit.base.errors import InputError, brief
from segkit.dataset.decode import UnusableFile
from segkit.dataset.pictures import read_image
from segkit.inference.drawing import TINT
from segkit.inference.finding import find

PIPELINE = Path("data/raw/download/images")
FEW, MANY = 8, 40
SIDE = 160  # px, of a thumbnail


def thumbnails(examples: str | None, folder: Path) -> dict[Path, Path]:
    """Files of square thumbnails in ``folder``, by picture: of the first 40 images of the folder ``examples``; without
    one, of 8 from all over the pipeline's data, if it is there. Raises InputError for a folder without images."""
    if examples is None:
        pictures = sorted(path for path in PIPELINE.glob("*") if path.suffix == ".jpg")
        pictures = pictures[:: max(1, len(pictures) // FEW)][:FEW]
    else:
        pictures = [found.path for found in find([examples], folder)[:MANY]]
    files = {}
    for number, picture in enumerate(pictures):
        try:
            image = ImageOps.fit(read_image(picture, (SIDE, SIDE))[0], (SIDE, SIDE))
        except UnusableFile as fault:
            raise InputError(f"example {brief(picture, 300)}: {fault}; remove it, or name another folder") from None
        files[picture] = folder / f"{number}.jpg"
        image.save(files[picture], quality=90)
    return files


def icon(folder: Path) -> Path:
    """A disc on a checkerboard, as a file in ``folder``."""
    image = Image.new("RGB", (64, 64), "white")
    draw = ImageDraw.Draw(image)
    for x in range(0, 64, 16):
        for y in range(x % 32, 64, 32):
            draw.rectangle((x, y, x + 15, y + 15), fill="#d4d4d8")
    draw.ellipse((10, 10, 53, 53), fill=TINT)
    path = folder / "icon.png"
    image.save(path)
    return path
