"""Several processes that train one model: who this one is, and the two ways in which they meet.

`accelerate launch`, `notebook_launcher` and `torchrun` start the processes and tell them who they are by
environment variables; accelerate connects them. Without those variables there is one process, and accelerate is
not even imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among all. `device` is the one it was given, or None where that is left to `fit`."""

    rank: int = 0
    count: int = 1
    device: torch.device | None = None

    @classmethod
    def connect(cls, device: str | None) -> Processes:
        """Meet the others. The process group stays, so that a script may call `fit` again."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1 and not (dist.is_available() and dist.is_initialized()):
            return cls()
        from accelerate import PartialState

        state = PartialState(cpu=device == "cpu")
        return cls(state.process_index, state.num_processes, state.device)

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
            except Exception as error:  # the others wait for an answer, whatever it is
                answer[1] = error
        dist.broadcast_object_list(answer, src=0)
        if isinstance(answer[1], Exception):
            raise answer[1]
        return answer[0]  # type: ignore[return-value]

    def mean(self, model: nn.Module, terms: Tensor) -> Tensor:
        """The mean of these terms over all processes; the model's gradients become their mean, too."""
        if self.count == 1:
            return terms
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        joined = torch.cat([terms, *(gradient.flatten() for gradient in gradients)])
        dist.all_reduce(joined)
        meant, *pieces = (joined / self.count).split([len(terms), *(gradient.numel() for gradient in gradients)])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))
        return meant
