"""Losses of two processes with half a batch each, and losses that are compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import torch
import torch.distributed as dist
from torch import Tensor, nn

from clcrkit import Batch
from clcrkit.distributed import Processes
from clcrkit.objective import Losses


def in_double(batch: Batch) -> Batch:
    return replace(batch, tokens={m: x.double() if x.is_floating_point() else x for m, x in batch.tokens.items()})


def joined(losses: Losses, gradients: list[Tensor]) -> Tensor:
    values = torch.stack(list(losses.by_name().values())).detach()
    return torch.cat([values, *(gradient.flatten() for gradient in gradients)])


def one_of_two(rank: int, folder: str) -> None:
    """What a process of a training with two does: the losses of its half, and gradients averaged over both."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    model, batch = torch.load(f"{folder}/task.pt", weights_only=False)
    losses = model.losses(batch.select(slice(rank * 6, rank * 6 + 6)))
    losses.total.backward()
    everything = joined(losses, [p.grad for p in model.parameters()])
    dist.all_reduce(everything)
    if rank == 0:
        torch.save(everything / 2, f"{folder}/found.pt")
    dist.barrier()
    os._exit(0)  # gloo's threads now and then abort a process that ends in the ordinary way


def test_two_processes_equal_one_with_the_whole_batch(make_batch, make_model, tmp_path):
    batch = in_double(make_batch(samples=12, seed=3))
    model = make_model(batch, levels=2).double()
    torch.save((model, batch), tmp_path / "task.pt")
    torch.multiprocessing.spawn(one_of_two, (str(tmp_path),), nprocs=2)
    found = torch.load(tmp_path / "found.pt")
    losses = model.losses(batch)
    gradients = torch.autograd.grad(losses.total, list(model.parameters()))
    torch.testing.assert_close(found, joined(losses, gradients))
    # and the control: whitened apart, the halves would show something else
    halves = [model.losses(batch.select(slice(start, start + 6))).terms["intra"] for start in (0, 6)]
    assert (sum(halves) / 2 - losses.terms["intra"]).abs() > 1e-3


def unlike(rank: int, folder: str) -> None:
    """Each process's samples use other weights: both `all`, the second also `some`, and none `never`."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    model = nn.ParameterDict({name: torch.ones(3, 2) for name in ("all", "some", "never", "fixed")})
    model["fixed"].requires_grad_(False)
    (2.0 * (rank + 1) * model["all"].sum() + rank * 5.0 * (model["some"].sum() if rank else 0.0)).backward()
    mean = Processes(rank, 2).average_gradients(model, torch.tensor([float(rank), 1.0]))
    assert mean.tolist() == [0.5, 1.0]
    found = {name: weight.grad for name, weight in model.items()}
    torch.save(found, f"{folder}/{rank}.pt")
    dist.barrier()
    os._exit(0)


def test_weights_that_only_some_processes_used_are_averaged_over_all(tmp_path):
    torch.multiprocessing.spawn(unlike, (str(tmp_path),), nprocs=2)
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert torch.equal(found["all"], torch.full((3, 2), 3.0))
        assert torch.equal(found["some"], torch.full((3, 2), 2.5))
        assert found["never"] is None  # so that an optimizer's weight decay leaves it alone
        assert found["fixed"] is None


COMPILE = """
import torch
from clcrkit import ABLATIONS, CLCR, Batch, CLCRConfig
torch.manual_seed(0)
def batch(n):
    mask = torch.arange(6) < torch.randint(1, 7, (n, 1))
    return Batch.from_arrays({"a": torch.randn(n, 6, 3), "t": torch.randint(1, 8, (n, 5)), "b": torch.randn(n, 4, 2)},
                             labels=torch.arange(n) % 3, masks={"a": mask})
data = batch(6)
for change in ({}, {"joined_levels": False}, ABLATIONS["no IntraCED"]):
    small = dict(width=16, rank=4, private_rank=6, heads=2, levels=2, dropout=0.0)
    model = CLCR(CLCRConfig.of(data, **small, **change))
    plain = model.losses(data)
    compiled = torch.compile(model.losses, fullgraph=True, backend="eager")(data)
    torch.testing.assert_close(compiled.by_name(), plain.by_name(), atol=1e-5, rtol=1e-4)
    compiled.total.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
print("one graph")
"""


def test_losses_compile_to_one_graph():
    # in a process of its own: the shape checks of the test run are not there to be compiled
    done = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.strip() == "one graph", done.stderr[-2000:]
