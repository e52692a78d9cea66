"""Data-parallel training: which slice of the global batch each rank takes, and what the ranks exchange.

A single process is rank 0 of world size 1 and needs no communication.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class World:
    """This process's rank and the world size of ``torch.distributed``'s default group."""

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> "World":
        """The group that ``segkit.training.launch`` has initialised, or a single process."""
        return cls(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else cls()

    @property
    def is_main(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    def slice(self, rows: np.ndarray) -> np.ndarray:
        """This rank's rows of a global batch; those of all ranks together are the batch, in order. May be empty."""
        return np.array_split(rows, self.size)[self.rank]

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all ranks."""
        return _all_reduce(tensor) if self.size > 1 else tensor

    def max(self, number: int) -> int:
        """The largest of all ranks' numbers; does not wait for the GPU."""
        if self.size == 1:
            return number
        tensor = torch.tensor(number)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return int(tensor)

    def broadcast(self, content: bytes | None) -> bytes | None:
        """Rank 0's ``content`` on all ranks."""
        if self.size == 1:
            return content
        size = self.max(-1 if content is None else len(content))
        if size < 0:
            return None
        shared = torch.frombuffer(bytearray(content or size), dtype=torch.uint8)
        dist.broadcast(shared, src=0)
        return shared.numpy().tobytes()

    def parallel(self, model: nn.Module) -> nn.Module:
        """``model`` as training calls it: gradients are averaged over the ranks while they are computed."""
        if self.size == 1:
            return model
        # Strides along sides of length 1, as of a 1×1 kernel's gradient, may differ; the memory is the same.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        network = DistributedDataParallel(model, gradient_as_bucket_view=True)
        network.broadcast_buffers = False  # running statistics come from the same sums on every rank
        return network

    def sync_batch_norm(self, model: nn.Module, device: torch.device) -> nn.Module:
        """``model`` with batch normalisation over the global batch instead of this rank's slice: torch's own on CUDA,
        ``CpuSyncBatchNorm`` on the CPU, which torch's refuses."""
        if self.size == 1:
            return model
        if device.type == "cuda":
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        for module in model.modules():
            if isinstance(module, nn.SyncBatchNorm):
                module.register_forward_pre_hook(_empty_as_fp32)
            elif type(module) is nn.BatchNorm2d:
                module.__class__ = CpuSyncBatchNorm
        return model


ALONE = World()


class CpuSyncBatchNorm(nn.BatchNorm2d):
    """``nn.SyncBatchNorm`` for the CPU. Slices may differ in size, and one may be empty."""

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same shape and dtype, computed in fp32 at least."""
        if not self.training:
            return super().forward(x)
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        total = _AllReduce.apply(torch.cat([values.sum((0, 2, 3)), values.new_tensor([x[:, 0].numel()])]))
        count = total[-1].detach()
        mean = total[:-1] / count
        centred = values - mean.view(1, -1, 1, 1)
        variance = _AllReduce.apply(centred.square().sum((0, 2, 3))) / count
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean.detach(), self.momentum)
        self.running_var.lerp_(variance.detach() * count / (count - 1), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)).to(x.dtype)


def _empty_as_fp32(module: nn.SyncBatchNorm, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """Under autocast torch's own sends statistics of an empty slice as bf16, of others as fp32, which do not match."""
    return inputs if len(inputs[0]) else (inputs[0].float(),)


class _AllReduce(torch.autograd.Function):
    """The sum over all ranks. Each rank's result depends on every rank's input, so gradients are summed, too."""

    @staticmethod
    def forward(context, tensor: Tensor) -> Tensor:
        return _all_reduce(tensor)

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        return _all_reduce(gradient)


def _all_reduce(tensor: Tensor) -> Tensor:
    tensor = tensor.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(tensor)
    return tensor
