"""Any bytes as the lists of a data set's names, as the list of a user's own data, or as SHA256SUMS.

The first byte of an input says which of the three; the byte FF, which occurs in no UTF-8 text, separates two lists.
"""

import json
from pathlib import Path

from segkit.base.errors import InputError
from segkit.base.names import LONGEST_NAME
from segkit.dataset.catalog import SPLITS, read_catalog
from segkit.sources.mirrors import SUMS as SUMS_NAME
from segkit.sources.mirrors import Mirror
from tests.fuzz.target import Target

SUMS, LISTS, BREEDS, OWN = b"\0", b"\1", b"\3", b"\5"


def _seeds() -> list[bytes]:
    sums = "# comment\n\n" + "0a" * 32 + "  images.tar.gz\n" + "1B" * 32 + " *./annotations.tar.gz\r\n"
    own = [
        {"name": "a", "split": "test", "group": "", "image": "images/a.png", "masks": ["masks/a.png"]},
        {"name": "b/ç", "split": "train", "group": "p1", "image": "images/b.png", "masks": ["masks/b/1", "masks/b/2"]},
    ]
    return [
        OWN + json.dumps({"samples": own}).encode(),
        OWN + json.dumps({"samples": own[:1]}, ensure_ascii=False).encode(),
        SUMS + sums.encode(),
        LISTS + b"a\nb 2 1\xfft\n",
        BREEDS + "\ufeff#Image CLASS-ID\na_1 1 1 1\n\nbig_dog_2\t2\r\nç_3\n".encode() + b"\xfft_1 1 1 1\n",
    ]


def _run(content: bytes, folder: Path) -> None:
    kind, text = content[:1], content[1:]
    if not kind or not kind[0] % 2:
        (folder / SUMS_NAME).write_bytes(text)
        for name, checksum in Mirror(str(folder), folder / "cache").sums().items():
            assert name.strip() and len(checksum) == len("sha256 ") + 64 and checksum == checksum.lower()
        return
    if kind[0] & 4:
        (folder / "samples.json").write_bytes(text)
        samples = read_catalog(folder, valid_every=10)
        assert len({sample.name for sample in samples}) == len(samples)
        for path in [path for sample in samples for path in (sample.picture, *sample.masks)]:
            assert path.relative_to(folder).parts and ".." not in path.parts
        return
    trainval, _, test = text.partition(b"\xff")
    annotations = folder / "annotations"
    annotations.mkdir()
    (annotations / "trainval.txt").write_bytes(trainval)
    (annotations / "test.txt").write_bytes(test)
    if kind[0] & 2:
        (annotations / "list.txt").touch()
    samples = read_catalog(folder, valid_every=10)
    assert {sample.split for sample in samples} == set(SPLITS)
    assert len({sample.name for sample in samples}) == len(samples)
    for sample in samples:
        assert sample.picture == folder / "images" / f"{sample.name}.jpg"
        assert sample.picture.parent == folder / "images" and {mask.parent for mask in sample.masks} == {
            annotations / "trimaps"
        }
        assert sample.name.split() == [sample.name] and len(sample.name.encode()) <= LONGEST_NAME


WORDS = (
    "\n",
    "\r\n",
    "\u2028",
    "\ufeff",
    "#",
    " ",
    "\t",
    "../",
    "\\",
    ".",
    "_1 1 1 1\n",
    "  ",
    " *",
    '"masks": [',
    '"}',
    "./",
    "0a" * 32,
)
TARGET = Target(_seeds, _run, InputError, longest=1000, max_len=2000, memory=1024, words=WORDS)
