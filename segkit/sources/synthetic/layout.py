"""Names, lists and splits in the layout of Oxford-IIIT Pet."""

import numpy as np

from segkit.sources.synthetic.breeds import BREEDS

_HEADER = (
    "#Image CLASS-ID SPECIES BREED-ID",
    f"#CLASS-ID: 1 to {len(BREEDS)}, one for each breed",
    "#SPECIES: 1 cat, 2 dog",
    "#BREED-ID: counts the breeds of each species from 1",
    "#The names of cats begin with a capital letter",
    "#The names of dogs begin with a small letter",
)


def name(index: int) -> str:
    """``Breed_N`` of an image; breeds take turns and N counts each breed's images from 1."""
    return f"{BREEDS[index % len(BREEDS)].name}_{index // len(BREEDS) + 1}"


def line(index: int) -> str:
    """The image's line in the lists: ``NAME CLASS-ID SPECIES BREED-ID``."""
    breed = BREEDS[index % len(BREEDS)]
    return f"{name(index)} {breed.class_id} {breed.species_id} {breed.breed_id}"


def split(samples: int, test_share: float, seed: int) -> tuple[list[int], list[int]]:
    """(trainval, test): the indices of the images in each list, in the lists' order.

    Whole rounds of all breeds, drawn by ``seed``, go to test, so that both lists hold the breeds evenly; only
    the last of these rounds may be divided. Within trainval each round starts with another breed, so that
    taking every n-th entry, for any n, does not favour one.
    """
    breeds = len(BREEDS)
    rounds = -(-samples // breeds)
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 2**32 + 1])))
    order = [
        int(index)
        for which in rng.permutation(rounds)
        for index in which * breeds + rng.permutation(breeds)
        if index < samples
    ]
    wanted = min(max(round(samples * test_share), 1), samples - 1)
    test, rest = sorted(order[:wanted]), set(order[wanted:])
    left = sorted({index // breeds for index in rest})
    trainval = [
        index
        for position, which in enumerate(left)
        for turn in range(breeds)
        if (index := which * breeds + (turn - position) % breeds) in rest
    ]
    return trainval, test


def lists(samples: int, test_share: float, seed: int) -> dict[str, str]:
    """The contents of ``list.txt``, ``trainval.txt`` and ``test.txt`` by file name."""
    trainval, test = split(samples, test_share, seed)
    everything = sorted(range(samples), key=lambda index: (BREEDS[index % len(BREEDS)].class_id, index))
    return {
        "list.txt": _text([*_HEADER, *map(line, everything)]),
        "trainval.txt": _text(map(line, trainval)),
        "test.txt": _text(map(line, test)),
    }


def _text(lines) -> str:
    return "".join(f"{entry}\n" for entry in lines)
