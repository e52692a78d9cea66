"""Fill ``data/raw/download`` from the source that ``data.source`` names.

A source is a module of that name in this folder, with a function

    ``bring(target, options, seed, workers) -> str``

which fills the empty folder ``target`` with ``images/`` and whatever else ``segkit.dataset.catalog`` reads, takes its
section of params.yaml as ``options``, draws random numbers from ``seed``, uses ``workers`` processes (0: as many as
cores), and returns where the images come from. It raises InputError if the data cannot be obtained.
"""

import os
from importlib import import_module
from pathlib import Path

from segkit.base.files import atomic_folder
from segkit.base.params import Data, Params
from segkit.base.workspace import main_checkout, refuse_output, user_path
from segkit.sources.mirrors import local_folder
from segkit.sources.ownership import NothingOfOthers, write_record


def download(params: Params, target: Path) -> str:
    """Replace ``target`` by the images and masks of the source, with their checksums; return one line about them.

    Raises InputError if ``target`` holds a file that this stage did not write, if the settings of any source point into
    or above an output of the pipeline, or if the source cannot be read or is damaged; ``target`` then stays as it was.
    """
    refuse_outputs(params.data)
    source = import_module(f"segkit.sources.{params.data.source}")
    with atomic_folder(target, NothingOfOthers(target)) as folder:
        options = getattr(params.data, params.data.source)
        origin = source.bring(folder, options, params.seed, params.runtime.workers)
        # The archive of Oxford-IIIT Pet has three MATLAB files among its images.
        images = sum(1 for path in (folder / "images").rglob("*") if path.is_file() and path.suffix != ".mat")
        write_record(folder)
    for text in (params.data.folder.images, params.data.folder.masks):
        _complete_copy(text)
    return f"{images:,} images, {origin}"


def refuse_outputs(data: Data) -> None:
    """Raise InputError for settings that point into or above an output of the pipeline.

    Also those of sources that are not in use: ``data.folder`` is a dependency in dvc.yaml for all of them.
    """
    for key in ("images", "masks"):
        if text := getattr(data.folder, key):
            refuse_output(user_path(text), f"data.folder.{key}")
    for address in data.oxford_pet.urls:
        if folder := local_folder(address):
            refuse_output(folder, "data.oxford_pet.urls")


def _complete_copy(text: str) -> None:
    """In DVC's temporary copy of the main checkout, link the files of a relative folder that git ignores.

    The copy lacks them. Without the links dvc.lock would record an empty folder, and the next temporary run would not
    notice that an image or a mask was edited.
    """
    elsewhere = os.path.normpath(text).startswith(("/", "..", "~"))
    if not text or elsewhere or main_checkout().samefile("."):
        return
    folder = user_path(text)
    for path in folder.rglob("*"):
        link = Path(text, path.relative_to(folder))
        if path.is_file() and not os.path.lexists(link):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
