"""A user's own files: whatever the settings say and however the pipeline is started, none of them is ever lost."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.pipeline.declarations import read_yaml
from tests.pipeline.workspace import Workspace, stages_run

pytestmark = pytest.mark.slow

PAIRS = 20
WAYS = {
    "repro": ("repro", "download"),
    "exp run": ("exp", "run", "download"),
    "exp run --temp": ("exp", "run", "--temp", "download"),
}
each_way = pytest.mark.parametrize("way", [*WAYS, "by hand"])


def start(workspace: Workspace, way: str, **options) -> subprocess.CompletedProcess[str]:
    """Run ``download``; it may fail."""
    return workspace.stage("download", **options) if way == "by hand" else workspace.dvc(*WAYS[way], check=False)


def add_pairs(folder: Path) -> None:
    """Images and masks as a user has them."""
    rng = np.random.default_rng(0)
    for number in range(PAIRS):
        mask = np.zeros((40, 50), np.uint8)
        mask[5 + number % 5 : 30, 10:40] = 255
        image = rng.integers(0, 255, (40, 50, 3), np.uint8) // np.uint8(2)
        for kind, array in (("images", image), ("masks", mask)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(folder / kind / f"p{number:02}.png")


def mend(mask: Path) -> None:
    array = np.array(Image.open(mask))
    array[2:38, 3:47] = 255
    Image.fromarray(array).save(mask)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def drawn(_tree: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Synthetic pets are in data/raw/download, and all is committed."""
    workspace = _tree.copy(tmp_path_factory.mktemp("own") / "drawn")
    workspace.git("init", "--quiet", "--initial-branch", "main")
    workspace.commit()
    workspace.dvc("repro", "download")
    workspace.commit()
    return workspace


@pytest.fixture
def lab(drawn: Workspace, tmp_path: Path) -> Workspace:
    return drawn.copy(tmp_path / "lab")


@each_way
@pytest.mark.parametrize("through", ["path", "link"])
def test_a_source_inside_data_raw_is_refused_and_keeps_its_files(
    lab: Workspace, tmp_path: Path, way: str, through: str
):
    raw = lab.root / "data/raw"
    add_pairs(raw)
    (tmp_path / "link").symlink_to(raw)
    folder = {"path": "data/raw", "link": tmp_path / "link"}[through]
    own = {f"data.folder.{kind}": f"{folder}/{kind}" for kind in ("images", "masks")}
    lab.edit({"data.source": "folder"} | own)
    before = content(raw)
    done = start(lab, way)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    lacking = way == "exp run --temp" and through == "path"  # git ignores the folder, so DVC's copy lacks it
    assert ("No such file or directory" if lacking else "is in data/raw, where the pipeline writes") in done.stderr
    assert content(raw) == before


@each_way
def test_files_beside_the_downloaded_ones_are_left_alone(lab: Workspace, way: str):
    add_pairs(lab.root / "data/raw")
    before = {name: body for name, body in content(lab.root / "data/raw").items() if "download" not in name}
    lab.edit({"seed": 5})
    assert start(lab, way).returncode == 0
    after = content(lab.root / "data/raw")
    assert {name: body for name, body in after.items() if "download" not in name} == before


@pytest.mark.parametrize("way", ["repro", "by hand"])
def test_files_among_the_downloaded_ones_make_the_stage_refuse_until_they_are_moved(lab: Workspace, way: str):
    own = lab.root / "data/raw/download"
    add_pairs(own)
    edited = own / "annotations/trainval.txt"
    text = edited.read_text()
    edited.unlink()  # a link into DVC's cache
    edited.write_text(text + "mine\n")
    lab.edit({"seed": 5})
    before = content(own)
    done = start(lab, way)
    assert done.returncode != 0 and "'annotations/trainval.txt', 'images/p00.png'" in done.stderr
    assert "and 38 more; nothing was changed; move them out of data/raw/download" in done.stderr
    assert content(own) == before and {path.name for path in own.parent.iterdir()} == {"download"}

    edited.rename(lab.root / "trainval.txt")
    for path in own.rglob("p[0-9][0-9].png"):
        path.rename(lab.root / f"{path.parent.name}-{path.name}")
    assert start(lab, way).returncode == 0


def test_what_dvc_checked_out_is_known_as_the_stage_s_own(lab: Workspace):
    lab.run("rm", "-rf", "data/raw")
    lab.dvc("checkout", "download")
    lab.edit({"seed": 5})
    assert lab.stage("download").returncode == 0


def test_a_mended_mask_is_used_by_the_same_command_and_in_temporary_runs(lab: Workspace):
    """A temporary copy lacks files that git ignores, and its dvc.lock must still tell what was read."""
    own, raw = lab.root / "data/own", lab.root / "data/raw/download"
    lab.edit({"data.source": "folder"})
    add_pairs(own)
    lab.dvc("repro", "download")
    lab.commit()
    mend(own / "masks/p03.png")
    assert stages_run(lab.dvc("repro", "download").stdout) == ["download"]
    assert (own / "masks/p03.png").read_bytes() in content(raw).values()
    assert stages_run(lab.dvc("repro", "download").stdout) == []

    before = content(raw)
    for number in (4, 5):
        mend(own / f"masks/p{number:02}.png")
        lab.dvc("exp", "run", "--temp", "--name", f"mended-{number}", "download")
        assert content(raw) == before
        (reference,) = lab.git("for-each-ref", "--format=%(refname)", f"refs/exps/*/*/mended-{number}").split()
        (lab.root / "dvc.lock").write_text(lab.git("show", f"{reference}:dvc.lock"))
        deps = {
            dep["path"]: dep["nfiles"] for dep in read_yaml(lab.root / "dvc.lock")["stages"]["download"]["deps"][:2]
        }
        assert deps == {"data/own/images": PAIRS + 1, "data/own/masks": PAIRS + 1}
        lab.commit()  # the next run starts from what this one recorded
        known = ["data/own/exclude.csv", "data/own/images/.gitkeep", "data/own/masks/.gitkeep"]
        assert lab.git("ls-files", "data/own").split() == known
    lab.dvc("checkout", "download")
    assert (own / "masks/p05.png").read_bytes() in content(raw).values()
    assert stages_run(lab.dvc("repro", "download").stdout) == []


def test_a_path_with_blanks_works_and_a_tilde_works_where_dvc_does_not_look(lab: Workspace, tmp_path: Path):
    home = tmp_path / "home, with blanks"
    add_pairs(home / "own")
    folders = [f"data.folder.{kind}='{home}/own/{kind}'" for kind in ("images", "masks")]
    lab.dvc("exp", "run", "-S", "data.source=folder", "-S", folders[0], "-S", folders[1], "download")
    lab.edit({"data.folder.images": "~/own/images", "data.folder.masks": "~/own/masks"})
    assert lab.stage("download", HOME=str(home)).returncode == 0
    refused = lab.dvc("repro", "download", check=False, HOME=str(home))
    assert refused.returncode != 0 and f"No such file or directory: '{lab.root}/~/own/images'" in refused.stderr
    assert len(content(home)) == 2 * PAIRS and not (lab.root / "~").exists()
