"""Choice of device and precision, and determinism."""

import ctypes
import os

import torch

from segkit.base.errors import InputError


def choose_device(name: str, key: str = "runtime.device") -> torch.device:
    """``auto``: CUDA, else Apple's MPS, else the CPU. Raises InputError for a device that is not available; ``key``:
    what asked for it.

    With several processes per machine, each uses GPU ``LOCAL_RANK``, which ``torchrun`` sets.
    """
    rank = os.environ.get("LOCAL_RANK")
    if name == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        if kind != "cuda" or rank is None:
            return torch.device(kind)
        name = kind
    if name == "cuda" and rank is not None:
        name = f"cuda:{rank}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise InputError(
            f"{key}: {name} is not available on this machine or with this build of torch; set it to auto"
        ) from None
    return device


def choose_precision(name: str, device: torch.device, key: str = "train.precision") -> str:
    """``auto``: bf16 if the device supports it natively, else fp32. Raises InputError for bf16 on a GPU without it;
    ``key``: what asked for it."""
    if name == "bf16" and device.type != "cpu" and not _native_bf16(device):
        raise InputError(f"{key}: {device} does not support bf16; set it to auto or fp32")
    if name != "auto":
        return name
    return "bf16" if _native_bf16(device) else "fp32"


def _native_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        # torch.cpu.get_capabilities is newer than the oldest torch that is supported
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()
        return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return False


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Mixed precision for ``bf16``; nothing for ``fp32``."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def keep_freed_memory() -> None:
    """Keep freed memory in the process for the next step (glibc only).

    Otherwise glibc returns large blocks to the system at once and gets them again, page by page, at every step.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # malloc.h
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(top_pad, 64 * 2**20)


def make_deterministic(seed: int) -> None:
    """The same seed gives bit-for-bit the same weights on the same kind of machine."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms, without importing the compiler
    # would fill every new tensor before it is written: 2 to 5 % of a step, and nothing here reads before it writes
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False
    # else CUDA would compute fp32 convolutions with 10 bits of mantissa
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.manual_seed(seed)
