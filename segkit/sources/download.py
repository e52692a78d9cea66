"""Fill ``data/raw`` from the source that ``data.source`` names, always in the layout of Oxford-IIIT Pet.

A source is a module of that name in this folder, with a function

    ``bring(target, options, seed, workers) -> str``

which fills the empty folder ``target`` with ``images/NAME.jpg`` and ``annotations/`` (see ``segkit.dataset.catalog``),
takes its section of params.yaml as ``options``, draws random numbers from ``seed``, uses ``workers`` processes (0: as
many as cores), and returns where the images come from. It raises InputError if the data cannot be obtained.
"""

from importlib import import_module
from pathlib import Path

from segkit.base.files import atomic_folder
from segkit.base.params import Params


def download(params: Params, target: Path) -> str:
    """Write ``images/*.jpg`` and ``annotations/`` (masks, lists) into ``target``; return one line about them.

    Raises InputError if the source cannot be read or is damaged; ``target`` then stays as it was.
    """
    source = import_module(f"segkit.sources.{params.data.source}")
    with atomic_folder(target) as folder:
        options = getattr(params.data, params.data.source)
        origin = source.bring(folder, options, params.seed, params.runtime.workers)
        images = sum(1 for path in (folder / "images").rglob("*") if path.is_file() and path.suffix != ".mat")
    return f"{images:,} images, {origin}"
