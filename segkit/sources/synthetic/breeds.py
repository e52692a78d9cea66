"""Six invented breeds: their proportions and the coats they may wear."""

from dataclasses import dataclass

from segkit.sources.synthetic.shapes import Colour

COAT_COLOURS: tuple[Colour, ...] = (
    (46, 43, 46),  # black
    (88, 86, 90),  # charcoal
    (134, 134, 140),  # blue-grey
    (182, 178, 174),  # silver
    (236, 230, 220),  # white
    (224, 200, 164),  # cream
    (204, 164, 118),  # fawn
    (214, 140, 70),  # orange
    (170, 96, 54),  # rust
    (122, 82, 56),  # brown
    (82, 56, 44),  # chocolate
    (212, 172, 104),  # gold
)
"""What animals, and most things behind and in front of them, are coloured with."""

WHITE: Colour = (238, 233, 225)

EYE_COLOURS = {
    "cat": ((206, 196, 70), (150, 190, 90), (226, 160, 60), (110, 170, 206)),
    "dog": ((74, 46, 30), (96, 60, 34), (50, 36, 30)),
}


@dataclass(frozen=True)
class Breed:
    """A breed's name, identifiers and looks; proportions are relative to the head's half-width.

    ``patterns`` are the markings it may have and ``coats`` the indices of its main colours in COAT_COLOURS.
    """

    name: str
    species: str
    class_id: int
    breed_id: int
    patterns: tuple[str, ...]
    coats: tuple[int, ...]
    ears: str
    ear_size: float
    snout: float
    face: float
    body: float
    girth: float
    legs: float
    tail: str
    fluff: float
    eye: float

    @property
    def species_id(self) -> int:
        """1 for a cat, 2 for a dog."""
        return 1 if self.species == "cat" else 2


BREEDS: tuple[Breed, ...] = (
    Breed(
        "Tabby",
        "cat",
        4,
        2,
        ("tabby", "tabby_white", "spots"),
        (7, 2, 9, 11, 3, 6),
        ears="cat",
        ear_size=1.0,
        snout=0.16,
        face=1.0,
        body=3.3,
        girth=0.86,
        legs=1.35,
        tail="cat",
        fluff=0.06,
        eye=0.2,
    ),
    Breed(
        "terrier",
        "dog",
        5,
        3,
        ("patches", "eye_patch", "bicolour"),
        (4, 5, 6, 9, 0, 8),
        ears="folded",
        ear_size=0.9,
        snout=0.62,
        face=0.84,
        body=3.2,
        girth=0.84,
        legs=1.45,
        tail="short",
        fluff=0.13,
        eye=0.15,
    ),
    Breed(
        "Tuxedo",
        "cat",
        6,
        3,
        ("bicolour", "bicolour", "patches"),
        (0, 1, 2, 7, 10),
        ears="cat",
        ear_size=1.08,
        snout=0.18,
        face=0.94,
        body=3.4,
        girth=0.78,
        legs=1.5,
        tail="cat",
        fluff=0.05,
        eye=0.19,
    ),
    Breed(
        "hound",
        "dog",
        2,
        1,
        ("saddle", "patches", "bicolour", "solid"),
        (6, 7, 8, 9, 11),
        ears="floppy",
        ear_size=1.15,
        snout=0.85,
        face=0.86,
        body=3.7,
        girth=0.92,
        legs=1.75,
        tail="whip",
        fluff=0.03,
        eye=0.15,
    ),
    Breed(
        "Cloudfur",
        "cat",
        1,
        1,
        ("solid", "points", "bicolour", "tabby_white"),
        (4, 5, 3, 2, 1, 7),
        ears="cat",
        ear_size=0.78,
        snout=0.12,
        face=1.1,
        body=3.1,
        girth=1.02,
        legs=1.1,
        tail="plume",
        fluff=0.2,
        eye=0.22,
    ),
    Breed(
        "spitz",
        "dog",
        3,
        2,
        ("solid", "urajiro", "urajiro", "saddle"),
        (7, 5, 4, 0, 11, 3, 8),
        ears="prick",
        ear_size=0.9,
        snout=0.6,
        face=0.95,
        body=3.0,
        girth=0.98,
        legs=1.3,
        tail="curl",
        fluff=0.18,
        eye=0.15,
    ),
)
"""In the order in which images take turns. Class ids run through the names without regard to case."""
