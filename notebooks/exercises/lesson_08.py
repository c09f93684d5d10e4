"""Exercises of lesson 8: the learning rate of a step, an atomic write, one gradient of several processes."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from exercises import Exercise, expect, expect_close

Rate = Callable[[int, int], float]
Write = Callable[[Path, bytes], Path]
Mean = Callable[[list[Tensor], list[int]], Tensor]


# --- rate -------------------------------------------------------------------------------------------------------


def rate_stub(step: int, total: int) -> float:
    """The share of the peak learning rate at this step of `total`, from 0 to 1.

    It rises along a straight line from 0 to 1 over the first 30 % of the steps, then falls to 0 along half a cosine.
    """
    raise NotImplementedError


def rate_solution(step: int, total: int) -> float:
    """The share of the peak learning rate at this step of `total`, from 0 to 1.

    It rises along a straight line from 0 to 1 over the first 30 % of the steps, then falls to 0 along half a cosine.
    """
    rise = 0.3 * total
    if step < rise:
        return step / rise
    return (1 + math.cos(math.pi * (step - rise) / (total - rise))) / 2


def _rises(rate: Rate) -> None:
    """the rise"""
    expect_close(rate(0, 100), 0.0, "step 0 must have rate 0: the rise starts there")
    expect_close(rate(15, 100), 0.5, "half of the rise is not half of the peak: divide the step by 30 % of `total`")


def _peaks(rate: Rate) -> None:
    """the peak"""
    expect_close(rate(60, 200), 1.0, "the fall must start at the peak: count its steps from the end of the rise")


def _falls(rate: Rate) -> None:
    """the fall"""
    expect_close(rate(200, 200), 0.0, "the last rate is not 0: the cosine must go through half a turn, pi")
    expect_close(rate(65, 100), 0.5, "halfway down is not 0.5")
    quarter = (1 + math.cos(math.pi / 4)) / 2
    expect_close(rate(95, 200), quarter, "the fall is not a cosine: it must be flat at both of its ends")


def _rises_too_long(step: int, total: int) -> float:
    return min(step / total, 1.0)


def _from_step_zero(step: int, total: int) -> float:
    rise = 0.3 * total
    return step / rise if step < rise else (1 + math.cos(math.pi * step / total)) / 2


def _quarter_turn(step: int, total: int) -> float:
    rise = 0.3 * total
    return step / rise if step < rise else (1 + math.cos(math.pi / 2 * (step - rise) / (total - rise))) / 2


def _straight_down(step: int, total: int) -> float:
    rise = 0.3 * total
    return step / rise if step < rise else (total - step) / (total - rise)


rate = Exercise(
    title="a learning rate that rises and falls",
    difficulty=1,
    importance=3,
    minutes=8,
    stub=rate_stub,
    solution=rate_solution,
    checks=[_rises, _peaks, _falls],
    mistakes=[
        (_rises_too_long, "half of the rise is not half of the peak: divide the step by 30 % of `total`"),
        (_from_step_zero, "the fall must start at the peak: count its steps from the end of the rise"),
        (_quarter_turn, "the last rate is not 0: the cosine must go through half a turn, pi"),
        (_straight_down, "the fall is not a cosine: it must be flat at both of its ends"),
    ],
)


# --- write_whole ------------------------------------------------------------------------------------------------


def write_whole_stub(path: Path, content: bytes) -> Path:
    """Write a file so that under its name there is, at any moment, the old content or the new one, whole.

    A scratch file in the same folder takes the new content; `os.replace` then gives it the name. Returns the path.
    """
    raise NotImplementedError


def write_whole_solution(path: Path, content: bytes) -> Path:
    """Write a file so that under its name there is, at any moment, the old content or the new one, whole.

    A scratch file in the same folder takes the new content; `os.replace` then gives it the name. Returns the path.
    """
    scratch = path.with_name(path.name + ".part")
    scratch.write_bytes(content)
    os.replace(scratch, path)
    return path


class _Killed(BaseException):
    """Stands for SIGKILL: no `except Exception` sees it."""


def _watched(write_whole: Write, die: bool) -> tuple[bytes, list[str]]:
    """What lies under the name when the process is killed right before it renames (or after all), and the files."""
    replace = os.replace
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        path.write_bytes(b"old")

        def renaming(source: str | Path, target: str | Path) -> None:
            expect(Path(source).parent == path.parent, "the scratch file is in another folder, maybe on another disk")
            expect(Path(source).read_bytes() == b"new", "the file is renamed before its content is written")
            if die:
                raise _Killed
            replace(source, target)

        os.replace = renaming  # type: ignore[assignment]
        try:
            write_whole(path, b"new")
        except _Killed:
            pass
        finally:
            os.replace = replace
        return path.read_bytes() if path.exists() else b"nothing", sorted(os.listdir(folder))


def _old_until_renamed(write_whole: Write) -> None:
    """a kill before the renaming leaves the old content"""
    found, _ = _watched(write_whole, die=True)
    expect(found != b"nothing", "the old file is gone before the new one has its name: do not delete it first")
    expect(found == b"old", "the new content went straight into the named file: half of it may be there after a kill")


def _new_in_the_end(write_whole: Write) -> None:
    """the new content arrives, and nothing is left over"""
    found, names = _watched(write_whole, die=False)
    expect(found == b"new", "in the end the new content is not under the name: use `os.replace(scratch, path)`")
    expect(names == ["state"], "a scratch file is left in the folder")


def _straight(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _deletes_first(path: Path, content: bytes) -> Path:
    path.unlink()
    return write_whole_solution(path, content)


def _renames_first(path: Path, content: bytes) -> Path:
    scratch = path.with_name("part")
    scratch.touch()
    os.replace(scratch, path)
    path.write_bytes(content)
    return path


def _forgets_to_rename(path: Path, content: bytes) -> Path:
    path.with_name("part").write_bytes(content)
    return path


def _elsewhere(path: Path, content: bytes) -> Path:
    handle, scratch = tempfile.mkstemp()
    try:
        os.write(handle, content)
        os.replace(scratch, path)
    finally:
        os.close(handle)
        Path(scratch).unlink(missing_ok=True)
    return path


write_whole = Exercise(
    title="all of a file, or nothing",
    difficulty=2,
    importance=5,
    minutes=10,
    stub=write_whole_stub,
    solution=write_whole_solution,
    checks=[_old_until_renamed, _new_in_the_end],
    mistakes=[
        (_straight, "the new content went straight into the named file: half of it may be there after a kill"),
        (_deletes_first, "the old file is gone before the new one has its name: do not delete it first"),
        (_renames_first, "the file is renamed before its content is written"),
        (_elsewhere, "the scratch file is in another folder, maybe on another disk"),
        (_forgets_to_rename, "in the end the new content is not under the name: use `os.replace(scratch, path)`"),
    ],
)


# --- joined_gradient --------------------------------------------------------------------------------------------


def joined_gradient_stub(gradients: list[Tensor], sizes: list[int]) -> Tensor:
    """The gradient of the mean loss of a batch, from its parts.

    gradients: for each part, that of the part's own mean loss. sizes: how many samples each part has.
    """
    raise NotImplementedError


def joined_gradient_solution(gradients: list[Tensor], sizes: list[int]) -> Tensor:
    """The gradient of the mean loss of a batch, from its parts.

    gradients: for each part, that of the part's own mean loss. sizes: how many samples each part has.
    """
    weights = torch.tensor(sizes) / sum(sizes)
    return (weights[:, None] * torch.stack(gradients)).sum(0)


EQUAL = [torch.tensor([2.0, 0.0]), torch.tensor([4.0, 6.0])]


def _equal_parts(joined_gradient: Mean) -> None:
    """equal parts: the plain mean"""
    got = joined_gradient(EQUAL, [4, 4])
    message = "you added the parts: the loss is a mean, so the gradient would grow with the number of processes"
    expect(not torch.allclose(got, torch.tensor([6.0, 6.0])), message)
    expect_close(got, torch.tensor([3.0, 3.0]), "two parts of equal size have equal say")


def _unequal_parts(joined_gradient: Mean) -> None:
    """unequal parts: by their size"""
    got = joined_gradient(EQUAL, [3, 1])
    message = "a part of 1 sample has as much say as one of 3: weigh each part by its share of the samples"
    expect(not torch.allclose(got, torch.tensor([3.0, 3.0])), message)
    expect_close(got, torch.tensor([2.5, 1.5]), "the weights of the parts are not their shares of the samples")


def _added(gradients: list[Tensor], sizes: list[int]) -> Tensor:
    return torch.stack(gradients).sum(0)


def _plain_mean(gradients: list[Tensor], sizes: list[int]) -> Tensor:
    return torch.stack(gradients).mean(0)


def _by_largest(gradients: list[Tensor], sizes: list[int]) -> Tensor:
    return (torch.tensor(sizes)[:, None] / max(sizes) * torch.stack(gradients)).sum(0) / len(sizes)


joined_gradient = Exercise(
    title="one gradient of several parts",
    difficulty=2,
    importance=4,
    minutes=8,
    stub=joined_gradient_stub,
    solution=joined_gradient_solution,
    checks=[_equal_parts, _unequal_parts],
    mistakes=[
        (_added, "you added the parts: the loss is a mean, so the gradient would grow with the number of processes"),
        (_plain_mean, "a part of 1 sample has as much say as one of 3: weigh each part by its share of the samples"),
        (_by_largest, "the weights of the parts are not their shares of the samples"),
    ],
)
