"""Which device and which precision: chosen, or refused in words."""

import pytest
import torch

from segkit.base.errors import InputError
from segkit.models import device as devices
from segkit.models.device import autocast, choose_device, choose_precision, make_deterministic

CPU = torch.device("cpu")


def test_the_cpu_is_always_there():
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize(
    ("cuda", "mps", "chosen"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_prefers_cuda_then_mps(monkeypatch, cuda, mps, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device("auto").type == chosen


@pytest.mark.parametrize("name", ["cuda:999", "mps:9", "banana"])
def test_an_unavailable_device_is_refused_in_one_line(name):
    with pytest.raises(
        InputError, match=rf"^runtime\.device: {name} is not available on this machine .*; set it to auto$"
    ) as caught:
        choose_device(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["fp32", "bf16"])
def test_a_named_precision_is_taken(name):
    assert choose_precision(name, CPU) == name


@pytest.mark.parametrize(
    ("capabilities", "chosen"),
    [({}, "fp32"), ({"avx512_f": True}, "fp32"), ({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16")],
)
def test_auto_takes_bf16_only_where_the_cpu_multiplies_it(monkeypatch, capabilities, chosen):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert choose_precision("auto", CPU) == chosen


@pytest.mark.parametrize(("capability", "chosen"), [((7, 5), "fp32"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_auto_takes_bf16_from_ampere_on(monkeypatch, capability, chosen):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision("auto", torch.device("cuda")) == chosen


def test_auto_stays_with_fp32_on_mps():
    assert choose_precision("auto", torch.device("mps")) == "fp32"


@pytest.mark.parametrize("name", ["mps", "cuda"])
def test_bf16_on_a_gpu_without_it_is_refused(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(InputError, match=rf"train\.precision: {name} does not support bf16; set it to auto or fp32"):
        choose_precision("bf16", torch.device(name))


def test_autocast_computes_in_the_precision_it_is_given():
    layer, pixels = torch.nn.Conv2d(1, 1, 1), torch.ones(1, 1, 2, 2)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with autocast(CPU, precision):
            assert layer(pixels).dtype == dtype


def test_the_seed_decides_the_weights(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")  # a user's own choice stays
    drawn = []
    for seed in (3, 3, 4):
        make_deterministic(seed)
        drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.are_deterministic_algorithms_enabled()
    assert devices.os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
