"""The state of a training on the disk: exactly what was put in, or nothing."""

import io
import os
import pickle
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segkit.base.errors import InputError
from segkit.base.lock import hold
from segkit.training.state import KEEP, SavedState, Saver, parse, snapshot
from tests.tiny import few

STATE = {"model": {"w": torch.arange(6.0).view(2, 3)}, "epoch": 3, "rows": [(1, 0.1, float("inf"))], "empty": {}}


@pytest.fixture(autouse=True)
def main_checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


def saved(fingerprint: str = "a" * 64, name: str = "unet") -> SavedState:
    return SavedState(name, fingerprint)


def same(left, right) -> bool:
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right) and (left.dtype, left.stride()) == (right.dtype, right.stride())
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return left == right


def test_what_is_read_is_what_was_written_bit_for_bit_with_types_and_layout():
    state = STATE | {
        "bf16": torch.randn(3).bfloat16(),
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "count": torch.tensor(7, dtype=torch.int64),
        "nan": torch.tensor(float("-inf")),
    }
    saved().write(state)
    assert same(parse(saved().read()), state)


def test_without_a_state_there_is_none():
    assert saved().read() is None


def test_another_fingerprint_or_network_finds_nothing():
    saved().write(STATE)
    assert saved("b" * 64).read() is None
    assert saved(name="resnet34_unet").read() is None


def test_a_renamed_file_of_another_training_is_reported_and_counts_as_nothing(capsys):
    saved("b" * 64).write(STATE)
    saved("b" * 64).path.rename(saved().path)
    assert saved().read() is None
    assert capsys.readouterr().out == f"{saved().path} belongs to another training; this training starts over\n"


@few
@given(st.data())
def test_a_damaged_file_is_named_and_counts_as_none(data):
    saved().write(STATE)
    path = saved().path
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans(), "cut"):
        content = content[: data.draw(st.integers(0, len(content) - 1), "length")]
    else:
        bit = data.draw(st.integers(0, 8 * len(content) - 1), "bit")
        content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    assert saved().read() is None


def test_the_line_about_a_damaged_file_names_it(capsys):
    saved().write(STATE)
    saved().path.write_bytes(b"x" * 1000)
    assert saved().read() is None
    assert capsys.readouterr().out == f"{saved().path} is damaged; this training starts over\n"


def test_nothing_in_a_state_is_run(tmp_path):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    hostile = io.BytesIO()
    torch.save({"x": Harm()}, hostile)
    with pytest.raises(pickle.UnpicklingError):
        parse(hostile.getvalue())
    assert not (tmp_path / "harm").exists()


def test_a_second_process_with_the_same_training_is_refused():
    with saved().held(), pytest.raises(InputError, match="is already running the training of unet"), saved().held():
        pass


def test_only_the_latest_of_other_trainings_are_kept_and_running_ones_always(main_checkout):
    others = [saved(f"{number:064x}"[::-1]) for number in range(KEEP + 3)]
    for age, state in enumerate(others):
        state.write(STATE)
        os.utime(state.path, (1000 + age, 1000 + age))
    saved("c" * 64, "resnet34_unet").write(STATE)
    with hold(others[0].lock, "it"), saved().held() as own:
        own.write(STATE)
        left = sorted(path.name for path in (main_checkout / ".segkit/training").iterdir())
    expected = [saved().path, saved("c" * 64, "resnet34_unet").path, others[0].path]
    assert left == sorted(path.name for path in [*expected, *(state.path for state in others[-KEEP:])])


def test_what_a_killed_save_of_another_training_left_is_removed(main_checkout):
    saved().write(STATE)
    half, running = (saved(letter * 64) for letter in "bc")
    partials = [state.path.with_name(f".{state.path.name}.partial") for state in (half, running)]
    for partial in partials:
        partial.touch()
    with running.held(), saved().held():
        assert [partial.exists() for partial in partials] == [False, True]


def test_a_state_that_another_process_has_taken_over_is_not_removed():
    saved().write(STATE)
    with saved().held():
        saved().remove()
        assert saved().path.exists()
    saved().remove()
    assert not saved().path.exists()


def test_steps_after_a_save_do_not_change_what_is_saved():
    weights, optimizer = torch.zeros(1000, 1000), [torch.ones(3)]
    with Saver(saved(), seconds=60) as saver:
        saver.save({"weights": weights, "optimizer": optimizer})
        weights += 1
        optimizer[0] *= 5
        saver.wait()
    state = parse(saved().read())
    assert state["weights"].max() == 0
    assert state["optimizer"][0].tolist() == [1, 1, 1]


def test_a_snapshot_shares_no_memory():
    tensor = torch.ones(2)
    assert snapshot({"a": [tensor]})["a"][0].data_ptr() != tensor.data_ptr()


def test_the_next_save_is_due_after_so_many_seconds_and_never_while_one_is_written(monkeypatch):
    with Saver(saved(), seconds=0.05) as saver:
        assert not saver.due()
        time.sleep(0.06)
        assert saver.due()
        monkeypatch.setattr(SavedState, "write", lambda self, state: time.sleep(0.3))
        saver.save(STATE)
        time.sleep(0.06)
        assert not saver.due()
        saver.wait()
        assert saver.due()


def test_a_disk_that_refuses_is_told_at_the_next_save(monkeypatch):
    def refuse(self, state):
        raise OSError(28, "No space left on device", "here")

    monkeypatch.setattr(SavedState, "write", refuse)
    with Saver(saved(), seconds=60) as saver:
        saver.save(STATE)
        with pytest.raises(OSError, match="No space left"):
            saver.save(STATE)
