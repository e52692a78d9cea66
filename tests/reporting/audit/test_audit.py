"""``segkit audit`` from end to end, with a tiny network."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from segkit.base.errors import InputError
from segkit.base.interrupts import Interrupted
from segkit.base.packed import read_samples
from segkit.base.workspace import Paths
from segkit.dataset.excluded import read_verdicts
from segkit.dataset.preprocess import preprocess
from segkit.reporting.audit import audit, held_out
from segkit.reporting.audit.audit import Targets
from segkit.training.fit import Fit
from tests.tiny import make_project, options, small_params


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A packed project, with names that HTML must not take for elements."""
    make_project(tmp_path, trainval=14)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder, **changes) -> Targets:
    targets = Targets(folder / "audit.html", 3, folder / "audit.csv")
    audit.run("unet", small_params(**changes), 2, targets, Paths(processed=folder / "data/processed"))
    return targets


def test_it_lists_all_samples_and_draws_the_worst(project, capsys):
    targets = run(project)
    said = capsys.readouterr().out
    assert len(read_verdicts(targets.list)) == 14
    page = targets.page.read_text(encoding="utf-8")
    pictures = re.findall(r'src="data:image/webp;base64,([^"]+)"', page)
    assert len(pictures) == 6
    assert all(max(Image.open(io.BytesIO(base64.b64decode(picture))).size) == 256 for picture in pictures)
    assert "http" not in page.replace("http-equiv", "") and "<script" not in page
    assert said.count(": epoch") == 4  # two folds of two epochs
    assert f"dvc exp run -S data.exclude={targets.list}" in said


def test_a_second_audit_trains_nothing_and_keeps_verdicts(project, monkeypatch):
    targets = run(project)
    first = targets.list.read_text(encoding="utf-8")
    targets.list.write_text(first.replace("keep", "fix"), encoding="utf-8")
    monkeypatch.setattr(held_out, "build_engine", None)
    run(project)
    assert targets.list.read_text(encoding="utf-8") == first.replace("keep", "fix").replace(",no,no,", ",no,yes,")


def test_an_interrupted_audit_resumes_to_the_same_list(project, monkeypatch):
    whole = run(project).list.read_text(encoding="utf-8")
    for path in (project / ".segkit/audit").rglob("*.npy"):
        path.unlink()
    (project / "audit.csv").unlink()
    epoch, done = Fit._record, []

    def killed(self, *arguments):
        if len(done) == 3:  # in the second fold
            done.append(self)
            raise Interrupted(15, "")
        done.append(self)
        return epoch(self, *arguments)

    monkeypatch.setattr(Fit, "_record", killed)
    with pytest.raises(Interrupted):
        run(project)
    assert run(project).list.read_text(encoding="utf-8") == whole
    assert len(done) == 5  # the fourth epoch was repeated, the three before it were not


def test_other_settings_start_anew(project):
    run(project)
    before = {path.parent for path in (project / ".segkit/audit").rglob("*.npy")}
    run(project, train__lr=0.002)
    after = {path.parent for path in (project / ".segkit/audit").rglob("*.npy")}
    assert len(before) == len(after) == 1 and before != after


def test_a_faulty_list_is_refused_before_anything_is_trained(project, monkeypatch):
    monkeypatch.setattr(held_out, "build_engine", None)
    (project / "audit.csv").write_text("name\n", encoding="utf-8")
    with pytest.raises(InputError, match="must name the columns"):
        run(project)


def test_a_list_of_another_data_set_is_refused(project, monkeypatch):
    monkeypatch.setattr(held_out, "build_engine", None)
    (project / "audit.csv").write_text("name,verdict\nTabby_1,drop\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"--list: .* lists Tabby_1, which this data set does not have"):
        run(project)


def test_a_list_may_hold_any_sample_of_the_data_set(project):
    tested = read_samples(project / "data/processed", "test")[0]["name"]
    (project / "audit.csv").write_text(f"name,verdict\n{tested},keep\n", encoding="utf-8")
    assert read_verdicts(run(project).list)[tested] == "keep"


def test_missing_data_are_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"summary\.json is missing"):
        run(tmp_path)


def test_a_batch_that_batch_normalisation_cannot_train_on_is_refused(tmp_path, monkeypatch):
    make_project(tmp_path, size=(16, 16))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"train\.batch_size: a batch of 1 sample at 16x16 px"):
        run(tmp_path, train__batch_size=1, preprocess__size=16)


def test_a_held_out_mask_has_no_influence_on_its_own_prediction(project):
    """Two data sets differ in one mask; the probabilities of that sample are the same."""
    found = {}
    for kind in ("right", "wrong"):
        folder = project / kind
        raw = make_project(folder, trainval=14)
        if kind == "wrong":
            name = raw.lists["trainval"][3]
            trimap = np.asarray(Image.open(raw.mask(name)))
            Image.fromarray(np.where(trimap == 2, 1, 2).astype(np.uint8)).save(raw.mask(name))
            preprocess(raw.folder, folder / "data/processed", options(on_suspect="report"), workers=1)
        each = held_out.HeldOut("unet", small_params(), folder / "data/processed", 2)
        found[kind] = {image.name: probabilities for image, probabilities in each}
    assert name in found["right"]
    assert found["right"][name].equal(found["wrong"][name])
    assert sum(not found["right"][other].equal(found["wrong"][other]) for other in found["right"]) >= 6
