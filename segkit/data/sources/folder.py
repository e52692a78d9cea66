"""A user's own pictures and masks, brought into the layout of Oxford-IIIT Pet, so that one reader serves all.

Pictures and masks match by their names without the ending. In a mask 0 is background, anything else foreground.
"""

import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from segkit.data.catalog import name_fault
from segkit.data.decode import UnusableFile
from segkit.data.pictures import BACKGROUND, PET, read_mask
from segkit.errors import InputError
from segkit.files import atomic_write
from segkit.params import Folder
from segkit.progress import bar
from segkit.workspace import main_checkout

TEST_SHARE = 0.2


def import_folder(target: Path, options: Folder) -> int:
    """Copy the pairs of ``options.images`` and ``options.masks`` into ``target``; returns how many names there are.

    A sample is in the test set where the SHA-256 of its name, as a share of its range, is below 0.2; the others
    stand in ``trainval.txt`` in the order of that hash. What has no partner or cannot be read is listed too, so that
    preprocessing reports it. Raises InputError for a missing folder, the same one twice, JPEG masks, masks none of
    which has a background, or names that cannot stand in a list.
    """
    pictures = _by_name(main_checkout() / options.images, "images")
    masks = _by_name(main_checkout() / options.masks, "masks")
    if (main_checkout() / options.images).samefile(main_checkout() / options.masks):
        raise InputError("data.folder: images and masks are the same folder; set masks to that of the masks")
    lossy = [path.name for path in masks.values() if path.suffix.lower() in (".jpg", ".jpeg")]
    if lossy:
        raise InputError(
            f"data.folder.masks: {len(lossy)} masks are JPEG, which changes values ({lossy[0]}, …); save them as PNG"
        )
    (target / "images").mkdir(parents=True)
    (target / "annotations" / "trimaps").mkdir(parents=True)
    backgrounds = set()
    names = sorted(pictures.keys() | masks.keys())
    for name in bar(names, label="download", unit="img"):
        if name in pictures and pictures[name].is_file():
            shutil.copyfile(pictures[name], target / "images" / f"{name}.jpg")
        if name in masks and masks[name].is_file():
            backgrounds.add(_write_trimap(masks[name], target / "annotations" / "trimaps" / f"{name}.png"))
    if False in backgrounds and True not in backgrounds:
        raise InputError(
            "data.folder.masks: no pixel of any mask is 0, which means background; save them with 0 for background"
        )
    _write_lists(target / "annotations", names)
    return len(names)


def _write_trimap(mask: Path, target: Path) -> bool | None:
    """1 where the mask is not 0, 2 elsewhere; upright, for the new file has no EXIF tag. An unreadable one as it is.

    Returns whether it has background; None for an unreadable one.
    """
    try:
        values = np.asarray(read_mask(mask))
    except UnusableFile:
        shutil.copyfile(mask, target)
        return None
    Image.fromarray(np.where(values > 0, PET, BACKGROUND).astype(np.uint8)).save(target)
    return not values.all()


def _write_lists(annotations: Path, names: list[str]) -> None:
    """``trainval.txt`` and ``test.txt``; no ``list.txt``, which would say that the names are breeds."""
    shares = {name: int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 16**8 for name in names}
    ordered = sorted(names, key=shares.__getitem__)
    test = [name for name in ordered if shares[name] < TEST_SHARE]
    trainval = ordered[len(test) :]
    for file_name, chosen in (("trainval.txt", trainval), ("test.txt", test)):
        with atomic_write(annotations / file_name, "w", encoding="utf-8") as file:
            file.writelines(f"{name}\n" for name in chosen)


def _by_name(folder: Path, key: str) -> dict[str, Path]:
    """Files by their name without the ending, without what ends or hides it in a list; hidden files and folders left
    out. Pipes and links to nothing are named, too, so that they are reported and not lost."""
    if not folder.is_dir():
        raise InputError(f"data.folder.{key}: {folder} is not a folder")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_dir() and not path.name.startswith("."):
            name = re.sub(r"\s+|^#", "_", path.stem)
            if fault := name_fault(name):
                raise InputError(f"data.folder.{key}: the name {name[:40]!r} {fault}; rename it")
            if name in files:
                same = f"{files[name].name} and {path.name}"
                raise InputError(f"data.folder.{key}: {same} have the same name; rename one")
            files[name] = path
    return files
