"""Values of params.yaml in the grammar of ``dvc exp run -S``."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segkit.reporting.studies.queueing import hydra
from tests.tiny import few

texts = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=12)
scalars = (
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | texts
)


@pytest.mark.slow  # Hydra's parser takes a second to load
@few
@given(scalars | st.lists(scalars, max_size=3))
def test_dvc_reads_every_value_as_it_was(value):
    dvc = pytest.importorskip("dvc.utils.hydra")
    (override,) = dvc.to_hydra_overrides([f"++a.b={hydra(value)}"])
    read = override.value()
    assert read == value and type(read) is type(value)
