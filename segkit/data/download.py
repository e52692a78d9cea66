"""Fill ``data/raw`` from the source that ``data.source`` names, always in the layout of Oxford-IIIT Pet."""

from pathlib import Path

from segkit.files import atomic_folder
from segkit.lock import hold
from segkit.params import Params
from segkit.workspace import kept


def download(params: Params, target: Path) -> str:
    """Write ``images/*.jpg`` and ``annotations/`` (trimaps, lists) into ``target``; return one line about them.

    Raises InputError where the source cannot be had or is damaged; ``target`` then stays as it was.
    """
    with atomic_folder(target) as folder:
        if params.data.source == "synthetic":
            from segkit.data.sources.synthetic import write

            write(folder, params.data.synthetic, params.seed, params.runtime.workers)
            origin = "drawn"
        elif params.data.source == "oxford_pet":
            from segkit.data.sources.oxford_pet import fetch_and_extract

            with hold(kept() / "locks" / "downloads", "the same downloads"):
                origin = "from " + fetch_and_extract(folder, params.data.oxford_pet.urls, kept() / "downloads")
        else:
            from segkit.data.sources.folder import import_folder

            origin = f"from {params.data.folder.images}"
            import_folder(folder, params.data.folder)
        pictures = sum(1 for path in (folder / "images").iterdir() if path.suffix == ".jpg")
    return f"{pictures:,} pictures, {origin}"
