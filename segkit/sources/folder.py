"""A user's own images and masks, copied into the layout of Oxford-IIIT Pet, so that one reader serves all sources.

Images and masks match by their names without the extension. The files are copied unchanged: ``segkit.dataset`` decides
what the values of a mask mean.
"""

import hashlib
import os
import shutil
from pathlib import Path

from segkit.base.errors import InputError, brief
from segkit.base.files import atomic_write
from segkit.base.names import name_fault
from segkit.base.params import Folder
from segkit.base.progress import bar
from segkit.base.workspace import main_checkout


def bring(target: Path, options: Folder, seed: int, workers: int) -> str:
    """Copy the pairs of ``options.images`` and ``options.masks`` into ``target``; returns where they are from.

    A sample is in the test set if the SHA-256 of its name, scaled to [0, 1), is below ``options.test_share``; the
    others are listed in ``trainval.txt`` in the order of that hash. Files without a partner or that cannot be read are
    listed too, so that preprocessing reports them. Raises InputError for a missing folder, one folder for both, JPEG
    masks, or names that a list cannot hold.
    """
    pictures = _by_name(main_checkout() / options.images, "images")
    masks = _by_name(main_checkout() / options.masks, "masks")
    if (main_checkout() / options.images).samefile(main_checkout() / options.masks):
        raise InputError("data.folder: images and masks are the same folder; set masks to that of the masks")
    lossy = [path.name for path in masks.values() if path.suffix.lower() in (".jpg", ".jpeg")]
    if lossy:
        raise InputError(
            f"data.folder.masks: {len(lossy)} masks are JPEG, which changes values ({lossy[0]}, ...); save them as PNG"
        )
    names = sorted(pictures.keys() | masks.keys())
    for files, folder, ending in ((pictures, "images", "jpg"), (masks, "annotations/masks", "png")):
        (target / folder).mkdir(parents=True)
        for name in bar(names, label=f"copying {folder}", unit="img"):
            if name in files and files[name].is_file():
                shutil.copyfile(files[name], target / folder / f"{name}.{ending}")
    _write_lists(target / "annotations", names, options.test_share)
    return f"from {options.images}"


def _write_lists(annotations: Path, names: list[str], test_share: float) -> None:
    """Write ``trainval.txt`` and ``test.txt``, one name per line; a ``list.txt`` would mean names with breeds."""
    shares = {name: int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 16**8 for name in names}
    ordered = sorted(names, key=shares.__getitem__)
    test = [name for name in ordered if shares[name] < test_share]
    trainval = ordered[len(test) :]
    for file_name, chosen in (("trainval.txt", trainval), ("test.txt", test)):
        with atomic_write(annotations / file_name, "w", encoding="utf-8") as file:
            file.writelines(f"{name}\n" for name in chosen)


def _by_name(folder: Path, key: str) -> dict[str, Path]:
    """Files by their name without the extension, without hidden files and folders. Pipes and broken links are included,
    so that preprocessing reports them."""
    if not os.path.isdir(folder):  # False for a name too long, at which Path.is_dir raises
        raise InputError(f"data.folder.{key}: {brief(folder, 300)} is not a folder")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_dir() and not path.name.startswith("."):
            name = path.stem
            if fault := name_fault(name):
                raise InputError(f"data.folder.{key}: the name {name[:40]!r} {fault}; rename it")
            if name in files:
                same = f"{files[name].name} and {path.name}"
                raise InputError(f"data.folder.{key}: {same} have the same name; rename one")
            files[name] = path
    return files
