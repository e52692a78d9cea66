"""Training on several devices, started by the stage itself, by torchrun, and by torchrun on two machines."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import torch
import yaml

from segkit.base import params
from segkit.base.errors import InputError
from segkit.base.files import digest
from segkit.base.params import Runtime
from segkit.training import launch
from segkit.training.distributed import World
from segkit.training.run import refuse_batch_size
from tests.tiny import PLAIN, ROOT, changed, make_project, small_params

pytestmark = pytest.mark.slow

EPOCHS = 4
TRACKED = ("models/unet.safetensors", "metrics/training/unet.json", "metrics/curves/unet.csv")
TINY = PLAIN | {
    "preprocess.size": 32,
    "unet.width": 4,
    "unet.norm": "none",
    "train.epochs": EPOCHS,
    "train.batch_size": 6,
    "train.lr": 1e-4,
    "train.precision": "fp32",
    "runtime.device": "cpu",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    make_project(folder, trainval=23, size=(64, 64))
    return folder / "data"


@pytest.fixture
def project(data, tmp_path, monkeypatch):
    (tmp_path / "data").symlink_to(data)
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_ROOT", "DVC_EXP_NAME", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def curves(folder: Path, name: str = "unet") -> list[list[float]]:
    with open(folder / f"metrics/curves/{name}.csv", newline="") as file:
        return [[float(value) for value in row] for row in list(csv.reader(file))[1:]]


def trained(data: Path, folder: Path, devices: int) -> Path:
    """A folder in which the U-Net was trained by so many processes, each on one thread."""
    (folder / "data").symlink_to(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(launch, "cores", lambda: 1)
        line = launch.train("unet", params.parse(changed(TINY | {"runtime.devices": devices})))
    assert line.startswith("models/unet.safetensors: valid Dice")
    return folder


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    """What one process writes."""
    return trained(data, tmp_path_factory.mktemp("alone"), 1)


def assert_same_up_to_rounding(folder: Path, other: Path) -> None:
    assert len(curves(folder)) == len(curves(other)) == EPOCHS
    for one, two in zip(curves(folder), curves(other), strict=True):
        assert two[:3] == pytest.approx(one[:3], rel=1e-4)  # epoch and losses
        assert two[3:] == pytest.approx(one[3:], abs=0.01)  # a pixel may flip


def test_two_processes_train_as_one_does_up_to_rounding_and_also_where_a_worker_is_killed(data, alone, tmp_path, capfd):
    """Started by the stage, and by torchrun, which starts the job again after one of its workers was killed."""
    (tmp_path / "together").mkdir()
    together = trained(data, tmp_path / "together", 2)
    captured = capfd.readouterr()
    assert captured.out.count("\nepoch ") == EPOCHS and ", 2 processes, fp32" in captured.out
    assert captured.err == ""
    assert_same_up_to_rounding(alone, together)
    if not Path(f"/proc/{os.getpid()}/task").exists():
        pytest.skip("finds the worker in /proc")
    folder = stage_project(tmp_path / "killed", data)
    process = torchrun(folder, "--standalone", "--nproc-per-node=2", "--max-restarts=1")
    wait_for_log(folder)
    os.kill(children(process.pid)[1], signal.SIGKILL)
    output = finish(process)
    assert output.count("train_unet: models/unet.safetensors") == 1
    assert "SIGKILL" in output or "exitcode: -9" in output or "Signal 9" in output, output
    assert [digest(folder / name) for name in TRACKED] == [digest(together / name) for name in TRACKED]


def test_bad_input_of_several_processes_is_one_line(project, tmp_path_factory, capfd, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(project / "data", elsewhere / "data")
    (elsewhere / "data/augmented/plan.csv").unlink()
    monkeypatch.chdir(elsewhere)
    with pytest.raises(SystemExit) as caught:
        launch.train("unet", small_params(runtime__devices=2))
    assert caught.value.code == 2
    errors = capfd.readouterr().err
    assert errors.startswith("train_unet: data/augmented/plan.csv is missing") and errors.count("\n") == 1
    assert not (elsewhere / "models").exists()


def test_more_processes_than_samples_a_step_are_refused():
    refuse_batch_size(2, 10, World(0, 2))
    with pytest.raises(
        InputError, match=r"train\.batch_size: a batch of 1 samples is too small for 2 processes; raise"
    ):
        refuse_batch_size(1, 10, World(0, 2))


def test_more_processes_than_samples_in_a_batch_are_refused_before_any_starts(project):
    """1,024 of them took 24 GB."""
    with pytest.raises(InputError, match=r"train\.batch_size: .* 1024 processes; raise it, or lower runtime\.devices"):
        launch.train("unet", small_params(runtime__devices=1024))


def test_a_rank_whose_parent_is_gone_does_not_train():
    """Else it would train to the end without the lock of the stage."""
    with pytest.raises(SystemExit):
        launch._rank(0, os.getppid() + 1, 2, "file:///nowhere", "unet", small_params(), None)


def runtime(device: str, devices: int | str) -> Runtime:
    return small_params(runtime__device=device, runtime__devices=devices).runtime


@pytest.mark.parametrize(
    ("device", "devices", "gpus", "count"),
    [
        ("cpu", "auto", 0, 1),
        ("cpu", 3, 0, 3),
        ("auto", "auto", 0, 1),
        ("auto", "auto", 4, 4),
        ("auto", 2, 4, 2),
        ("cuda", "auto", 2, 2),
    ],
)
def test_auto_takes_every_gpu_and_one_process_without_any(monkeypatch, device, devices, gpus, count):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    chosen = torch.device("cuda" if gpus else "cpu")
    assert launch.how_many(runtime(device, devices), chosen, 15) == count


def test_auto_leaves_gpus_idle_that_would_have_no_sample(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    assert launch.how_many(runtime("auto", "auto"), torch.device("cuda"), batch_size=3) == 3


def test_one_gpu_for_several_processes_is_refused(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(
        InputError, match=r"runtime\.device: cuda:1 is one GPU, but there are several processes; set it to auto"
    ):
        launch.train("unet", small_params(runtime__device="cuda:1"))


def test_variables_of_a_cluster_alone_do_not_make_a_member_of_a_group(project, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert launch.train("unet", small_params(train__epochs=1)).startswith("models/unet.safetensors")


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_more_gpus_than_there_are_is_refused(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(
        InputError, match=rf"runtime\.devices: 3 requested, [12] available with {device}; set it to auto"
    ):
        launch.how_many(runtime(device, 3), torch.device(device), 15)


def stage_project(folder: Path, data: Path, **changes) -> Path:
    """A folder in which ``python -m stages.train_unet`` runs on ``data``."""
    folder.mkdir()
    (folder / "data").symlink_to(data)
    tiny = TINY | {path.replace("__", "."): value for path, value in changes.items()}
    (folder / "params.yaml").write_text(yaml.safe_dump(changed(tiny)), encoding="utf-8")
    return folder


def torchrun(folder: Path, *options: str, prefix: tuple[str, ...] = (), **environment: str) -> subprocess.Popen:
    command = [*prefix, sys.executable, "-m", "torch.distributed.run", *options, "-m", "stages.train_unet"]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("DVC_")}
    return subprocess.Popen(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=clean | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment,
    )  # fmt: skip


def finish(process: subprocess.Popen, seconds: int = 240) -> str:
    try:
        output = process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0, output
    return output


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for_log(folder: Path) -> None:
    """Until the training in ``folder`` has begun its TensorBoard log."""
    deadline = time.monotonic() + 120
    while not list((folder / "runs/workspace/unet").glob("events*")) and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.mark.skipif(not Path(f"/proc/{os.getpid()}/task").exists(), reason="finds the process in /proc")
@pytest.mark.parametrize("member", [0, 1])
def test_a_process_that_is_killed_ends_the_training_with_one_line(data, tmp_path, member):
    folder = stage_project(tmp_path / "x", data, train__epochs=1000, train__patience=1000, runtime__devices=2)
    process = subprocess.Popen(
        [sys.executable, "-m", "stages.train_unet"], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    wait_for_log(folder)
    spawned = [pid for pid in children(process.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(spawned[member], signal.SIGKILL)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert errors.startswith(f"train_unet: unet: process {member} of 2 was ended by SIGKILL; if memory"), errors
    assert errors.count("\n") == 1, errors


@pytest.fixture
def two_hosts():
    """Two network namespaces joined by a cable, each with an address of its own."""
    names, tag = [], uuid.uuid4().hex[:6]

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    if shutil.which("ip") is None:
        pytest.skip("network namespaces need the command ip")
    try:
        for host in "ab":
            ip("netns", "add", f"segkit-{tag}-{host}")
            names.append(f"segkit-{tag}-{host}")
        ends = [["name", f"sk{tag}{end}", "netns", name] for name, end in zip(names, "ab", strict=True)]
        ip("link", "add", *ends[0], "type", "veth", "peer", *ends[1])
        for number, (name, end) in enumerate(zip(names, "ab", strict=True), start=1):
            ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", f"sk{tag}{end}")
            for device in ("lo", f"sk{tag}{end}"):
                ip("-n", name, "link", "set", device, "up")
    except subprocess.CalledProcessError as error:
        for name in names:
            ip("netns", "del", name)
        pytest.skip(f"network namespaces are not permitted here: {error.stderr.decode().strip()}")
    yield [(name, f"sk{tag}{end}") for name, end in zip(names, "ab", strict=True)]
    for name in names:
        ip("netns", "del", name)


def test_two_hosts_train_as_one_does(two_hosts, data, alone, tmp_path):
    jobs = []
    for rank, (name, cable) in enumerate(two_hosts):
        jobs.append(torchrun(
            stage_project(tmp_path / f"host{rank}", data),
            "--nnodes=2", f"--node-rank={rank}", "--nproc-per-node=1", "--master-addr=10.77.0.1", "--master-port=29500",
            prefix=("ip", "netns", "exec", name), GLOO_SOCKET_IFNAME=cable,
        ))  # fmt: skip
    outputs = [finish(job) for job in jobs]
    assert [output.count("\nepoch ") for output in outputs] == [EPOCHS, 0]
    assert "2 processes" in outputs[0]
    assert not (tmp_path / "host1/models").exists() and not (tmp_path / "host1/metrics").exists()
    assert_same_up_to_rounding(alone, tmp_path / "host0")
