"""Several processes that train one model: which one this is, and the ways in which they exchange values.

`torchrun`, `accelerate launch` and accelerate's `notebook_launcher` start the processes and tell each its place by the
environment variables RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT. Without them there is one process.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn

T = TypeVar("T")


def grouped() -> bool:
    """Whether this process has joined a process group."""
    return dist.is_available() and dist.is_initialized()


def is_main() -> bool:
    """Whether this process is alone, or the one of its group that writes."""
    return not grouped() or dist.get_rank() == 0


def several_processes() -> bool:
    """Whether that group has more than this process."""
    return grouped() and dist.get_world_size() > 1


def _leave() -> None:
    if grouped():
        dist.destroy_process_group()


@dataclass(frozen=True)
class Processes:
    """This process among all. `device` is the one it must use; None where it is alone and may choose."""

    rank: int = 0
    count: int = 1
    device: torch.device | None = None

    @classmethod
    def connect(cls, device: str | None) -> Processes:
        """Join the others. The process group stays, so that a script may call `fit` again."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1 and not grouped():
            return cls()
        cuda = device != "cpu" and torch.cuda.is_available()
        own = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
        if cuda:
            torch.cuda.set_device(own)
        if not grouped():
            dist.init_process_group("nccl" if cuda else "gloo")
            if not cuda:
                atexit.register(_leave)  # a thread of gloo's that outlives Python now and then aborts the process
        return cls(dist.get_rank(), dist.get_world_size(), own)

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def from_main(self, make: Callable[[], T]) -> T:
        """What `make` returns in the main process, or raises there, in all of them."""
        if self.count == 1:
            return make()
        answer: list[T | Exception | None] = [None, None]
        if self.main:
            try:
                answer[0] = make()
            except Exception as error:  # without an answer the others would wait for ever
                answer[1] = error
        dist.broadcast_object_list(answer, src=0)
        if isinstance(answer[1], Exception):
            raise answer[1]
        return answer[0]  # type: ignore[return-value]

    def average_gradients(self, model: nn.Module, values: Float[Tensor, "value"]) -> Float[Tensor, "value"]:
        """Replace the model's gradients by their mean over all processes; returns the mean of `values`.

        One all-reduce of everything. (DistributedDataParallel knows the backward pass of `forward`, not of `losses`.)
        A weight that this process's samples did not use counts as 0 where others' did; one that nobody's used has none.
        """
        if self.count == 1:
            return values
        trained = [p for p in model.parameters() if p.requires_grad]
        used = values.new_tensor([p.grad is not None for p in trained])
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        joined = torch.cat([values, used, *(gradient.flatten() for gradient in gradients)])
        dist.all_reduce(joined)
        sizes = [len(values), len(used), *(gradient.numel() for gradient in gradients)]
        mean, used, *pieces = (joined / self.count).split(sizes)
        for parameter, anywhere, piece in zip(trained, (used > 0).tolist(), pieces, strict=True):
            parameter.grad = piece.view_as(parameter).to(parameter.dtype) if anywhere else None
        return mean


def all_gather(x: Float[Tensor, "axis sample *rest"]) -> Float[Tensor, "axis all *rest"]:
    """The samples of all processes, joined along axis 1 in the order of the processes; each must have as many.

    A sample's gradient is the sum of its gradients in all processes. Where every process computes the same loss of the
    joined samples, the mean of the weights' gradients is the one that one process would compute from all samples.
    """
    return _Gathered.apply(x)


def all_sum(x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """The sum over all processes; x itself where there is one. Its gradient is the sum of the processes' gradients."""
    return _Summed.apply(x) if several_processes() else x


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


class _Gathered(torch.autograd.Function):
    """torch's own differentiable gather is deprecated, and says so in every reader's notebook."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        own = own.contiguous()
        pieces = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(pieces, own)
        return torch.cat(pieces, dim=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(dist.get_world_size(), dim=1)[dist.get_rank()]
