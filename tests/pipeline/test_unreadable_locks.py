"""``make repro`` recovers where a killed DVC or a full disk left DVC's own record of readers and writers unreadable."""

import sys
from pathlib import Path

import pytest
import zc.lockfile

from tests.pipeline.workspace import Workspace, stages_run
from tools.repro import remove_unreadable_locks

READABLE = '{"write": {}, "read": {}}'


@pytest.mark.parametrize("content", ["", '{"read": {"/a": [{"pid": 1', "\0" * 40, "[]"])
@pytest.mark.parametrize("name", ["rwlock", "exps/rwlock"])
def test_an_unreadable_record_is_removed_with_one_line(
    tmp_path: Path, name: str, content: str, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "exps").mkdir()
    (tmp_path / name).write_text(content)
    remove_unreadable_locks(tmp_path)
    assert not (tmp_path / name).exists()
    said = capsys.readouterr().out
    assert str(tmp_path / name) in said and said.count("\n") == 1


def test_a_readable_record_stays_and_nothing_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    remove_unreadable_locks(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "rwlock").write_text(READABLE)
    remove_unreadable_locks(tmp_path)
    assert (tmp_path / "rwlock").read_text() == READABLE
    assert capsys.readouterr().out == ""


def test_a_record_that_a_dvc_is_writing_is_left_alone(tmp_path: Path):
    (tmp_path / "rwlock").write_text("")
    dvc = zc.lockfile.LockFile(tmp_path / "rwlock.lock")
    remove_unreadable_locks(tmp_path)
    assert (tmp_path / "rwlock").exists()
    dvc.close()
    remove_unreadable_locks(tmp_path)
    assert not (tmp_path / "rwlock").exists()


def test_dvc_refuses_an_unreadable_record_and_make_repro_does_not(private: Workspace):
    record = private.root / ".dvc/tmp/rwlock"
    record.write_text("")
    refused = private.dvc("status", check=False)
    assert refused.returncode and "Unable to read RWLock-file" in refused.stderr
    done = private.run(sys.executable, "tools/repro.py")
    assert done.stdout.startswith("Removed .dvc/tmp/rwlock, which a killed DVC or a full disk left unreadable\n")
    assert stages_run(done.stdout) == []
    assert "Data and pipelines are up to date" in done.stdout
