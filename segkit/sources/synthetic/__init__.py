"""Procedural cats and dogs in the layout of Oxford-IIIT Pet, for a first run without any download.

Every image is a pure function of (seed, index), independent of the number of images and workers. ``difficulty``
holds the constants that make images harder or easier to segment.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from segkit.base import progress
from segkit.base.params import Synthetic
from segkit.base.workspace import cores
from segkit.sources.synthetic.layout import lists, name
from segkit.sources.synthetic.picture import paint

__all__ = ["bring", "write"]

_CHUNK = 64


def bring(target: Path, options: Synthetic, seed: int, workers: int) -> str:
    """Draw the whole set."""
    write(target, options, seed, workers)
    return "drawn"


def write(target: Path, options: Synthetic, seed: int, workers: int = 0) -> None:
    """Fill the folder ``target`` (made if missing) with ``options.samples`` images, trimaps and the lists.

    ``images/NAME.jpg`` is RGB, ``annotations/trimaps/NAME.png`` 8-bit grey of the same size with 1 pet,
    2 background, 3 border; ``annotations/{list,trainval,test}.txt`` have lines ``NAME CLASS-ID SPECIES
    BREED-ID``. ``workers`` processes share the work; 0 means one for each core. Files are not synced one by
    one: write into ``segkit.base.files.atomic_folder`` where a crash must not leave half a set.

    Raises OSError when the folder cannot be written.
    """
    (target / "images").mkdir(parents=True, exist_ok=True)
    (target / "annotations" / "trimaps").mkdir(parents=True, exist_ok=True)
    for file, text in lists(options.samples, options.test_share, seed).items():
        (target / "annotations" / file).write_text(text, encoding="utf-8", newline="\n")
    chunks = [range(k, min(k + _CHUNK, options.samples)) for k in range(0, options.samples, _CHUNK)]
    workers = min(workers or cores(), len(chunks))
    with progress.bar(label="drawing pets", total=options.samples, unit="pictures") as bar:
        if workers <= 1:
            for chunk in chunks:
                bar.update(_write_chunk(target, options, seed, chunk))
            return
        # Forking a process whose libraries run threads may hang; a spawned worker starts clean.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            running = [pool.submit(_write_chunk, target, options, seed, chunk) for chunk in chunks]
            try:
                for done in as_completed(running):
                    bar.update(done.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _write_chunk(target: Path, options: Synthetic, seed: int, indices: range) -> int:
    """Write the images of ``indices``; returns how many."""
    for index in indices:
        picture = paint(seed, index, options.min_side, options.max_side)
        picture.image.save(target / "images" / f"{name(index)}.jpg", quality=92)
        picture.trimap.save(target / "annotations" / "trimaps" / f"{name(index)}.png", compress_level=3)
    return len(indices)
