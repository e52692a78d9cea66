"""What is quoted from outside cannot spoil a message."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from segkit.base.errors import InputError, brief
from tests.tiny import many


@many
@given(st.text())
def test_a_message_is_one_printable_line(text):
    error = InputError(f"a.txt: the name {text} is listed twice")
    assert str(error).isprintable() and str(error).startswith("a.txt: the name ")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # as a worker's comes back


@many
@given(st.text(), st.integers(3, 20))
def test_what_is_quoted_is_short(text, limit):
    assert len(brief(text, limit)) <= limit


def test_words_are_kept():
    assert str(InputError("déjà  vu\n\x1b[2J\ufeff")) == "déjà vu ?[2J?"
