"""The processes that train one network together: who takes which samples, and what they add up.

A process on its own is a team of one, for which nothing here costs anything.
"""

import warnings
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from segkit.training.batches import Part


@dataclass(frozen=True)
class Team:
    """This process's place in ``torch.distributed``'s default group."""

    part: Part = field(default_factory=Part)

    @classmethod
    def current(cls) -> "Team":
        """The team that ``segkit.training.launch`` has formed, or of one."""
        formed = dist.is_available() and dist.is_initialized()
        return cls(Part(dist.get_rank(), dist.get_world_size())) if formed else cls()

    @property
    def size(self) -> int:
        """How many processes there are."""
        return self.part.size

    @property
    def leads(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.part.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of all processes' tensors, the same in each."""
        if self.size > 1:
            tensor = tensor.clone()
            dist.all_reduce(tensor)
        return tensor

    def highest(self, number: int) -> int:
        """The highest of all processes' numbers, the same in each; no device is waited for."""
        if self.size == 1:
            return number
        tensor = torch.tensor(number)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return int(tensor)

    def share(self, content: bytes | None) -> bytes | None:
        """The leading process's bytes, in all."""
        if self.size == 1:
            return content
        size = self.highest(-1 if content is None else len(content))
        if size < 0:
            return None
        shared = torch.frombuffer(bytearray(content or size), dtype=torch.uint8)
        dist.broadcast(shared, src=0)
        return shared.numpy().tobytes()

    def network(self, model: nn.Module, device: torch.device) -> nn.Module:
        """``model`` as training calls it: with gradients averaged over the team while they are computed."""
        if self.size == 1:
            return model
        # Of a 1×1 kernel's gradient the strides of the sides of length 1 may differ; the memory is the same.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        ids = [device.index] if device.type == "cuda" else None
        network = DistributedDataParallel(model, device_ids=ids, gradient_as_bucket_view=True)
        network.broadcast_buffers = False  # running means come from the same sums in every process
        return network

    def synchronise(self, model: nn.Module) -> nn.Module:
        """``model`` with batch normalisation over the whole batch and not only this process's part."""
        if self.size == 1:
            return model
        for module in list(model.modules()):
            for name, child in module.named_children():
                if type(child) is nn.BatchNorm2d:
                    setattr(module, name, SyncedBatchNorm.like(child))
        return model


class SyncedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the parts of all processes, on any device; the parts may differ in size, and one may be
    empty.

    torch's own knows only GPUs, waits for the device in every layer, and sends an empty part in another precision
    than the others under autocast.
    """

    @classmethod
    def like(cls, layer: nn.BatchNorm2d) -> "SyncedBatchNorm":
        """The same layer, with the same weights and running means."""
        copy = cls(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        copy = copy.to(layer.weight)
        copy.load_state_dict(layer.state_dict())
        return copy

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same shape and dtype, computed in fp32 at least."""
        if not self.training:
            return super().forward(x)
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        count = values.new_full((1,), x.numel() / x.shape[1])
        total = _AllReduce.apply(torch.cat([values.sum(dim=(0, 2, 3)), count]))
        count = total[-1].detach()
        mean = (total[:-1] / count).view(1, -1, 1, 1)
        centred = values - mean
        variance = _AllReduce.apply(centred.square().sum(dim=(0, 2, 3))) / count
        self._remember(mean.detach().flatten(), variance.detach() * count / (count - 1))
        scale = (self.weight * torch.rsqrt(variance + self.eps)).view(1, -1, 1, 1)
        return (centred * scale + self.bias.view(1, -1, 1, 1)).to(x.dtype)

    def _remember(self, mean: Tensor, unbiased_variance: Tensor) -> None:
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(unbiased_variance, self.momentum)


class _AllReduce(torch.autograd.Function):
    """Sum over all processes. Each process's result depends on each one's input, so the gradients are summed too."""

    @staticmethod
    def forward(context, tensor: Tensor) -> Tensor:
        tensor = tensor.clone()
        dist.all_reduce(tensor)
        return tensor

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        dist.all_reduce(gradient)
        return gradient
