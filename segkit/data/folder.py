"""A user's own pictures and masks, brought into the layout of Oxford-IIIT Pet, so that one reader serves all.

Pictures and masks match by their names without the ending. In a mask 0 is background, anything else foreground.
"""

import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from segkit.data.pictures import BACKGROUND, PET, UnusableFile, open_image, to_values
from segkit.errors import InputError
from segkit.files import atomic_write
from segkit.params import Folder
from segkit.progress import bar

TEST_SHARE = 0.2


def import_folder(target: Path, options: Folder) -> int:
    """Copy the pairs of ``options.images`` and ``options.masks`` into ``target``; returns how many.

    A sample is in the test set where the SHA-256 of its name, as a share of its range, is below 0.2; the others
    stand in ``trainval.txt`` in the order of that hash. Raises InputError for a missing folder, for names that do not
    match (all of them), and for masks that cannot be read.
    """
    pictures, masks = _by_name(Path(options.images), "images"), _by_name(Path(options.masks), "masks")
    lonely = [f"{name} (no mask)" for name in pictures.keys() - masks.keys()]
    lonely += [f"{name} (no picture)" for name in masks.keys() - pictures.keys()]
    if lonely or not pictures:
        raise InputError(
            f"data.folder: {len(lonely)} files without a partner of the same name: {', '.join(sorted(lonely)[:20])}"
            if pictures
            else f"data.folder.images: no file in {options.images}"
        )
    (target / "images").mkdir(parents=True)
    (target / "annotations" / "trimaps").mkdir(parents=True)
    faults = []
    for name in bar(sorted(pictures), label="download", unit="img"):
        shutil.copyfile(pictures[name], target / "images" / f"{name}.jpg")
        try:
            values = np.asarray(to_values(open_image(masks[name])))
        except UnusableFile as fault:
            faults.append(f"{masks[name]} ({fault})")
            continue
        trimap = np.where(values > 0, PET, BACKGROUND).astype(np.uint8)
        Image.fromarray(trimap).save(target / "annotations" / "trimaps" / f"{name}.png")
    if faults:
        raise InputError(f"data.folder.masks: {len(faults)} masks cannot be used: {', '.join(faults)}")
    shares = {name: int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 16**8 for name in pictures}
    ordered = sorted(pictures, key=shares.__getitem__)
    lists = {
        "list.txt": ordered,
        "test.txt": [name for name in ordered if shares[name] < TEST_SHARE],
        "trainval.txt": [name for name in ordered if shares[name] >= TEST_SHARE],
    }
    for file_name, names in lists.items():
        with atomic_write(target / "annotations" / file_name, "w", encoding="utf-8") as file:
            file.writelines(f"{name} 1 1 1\n" for name in names)
    return len(ordered)


def _by_name(folder: Path, key: str) -> dict[str, Path]:
    """Files by their name without the ending, white space replaced; hidden files left out."""
    if not folder.is_dir():
        raise InputError(f"data.folder.{key}: {folder} is not a folder")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            name = re.sub(r"\s+", "_", path.stem)
            if name in files:
                same = f"{files[name].name} and {path.name}"
                raise InputError(f"data.folder.{key}: {same} have the same name; rename one")
            files[name] = path
    return files
