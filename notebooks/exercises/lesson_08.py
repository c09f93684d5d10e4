"""Exercises of lesson 8: the learning rate of a step, an atomic write, one gradient of several processes."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from exercises import Exercise, expect, expect_close

Rate = Callable[[int, int], float]
Write = Callable[[Path, bytes], Path]
Mean = Callable[[list[Tensor], list[int]], Tensor]


@partial(Exercise, "a learning rate that rises and falls", difficulty=1, importance=3, minutes=8)
def rate(step: int, total: int) -> float:
    """The share of the peak learning rate at this step of `total`, from 0 to 1.

    It rises along a straight line from 0 to 1 over the first 30 % of the steps, then falls to 0 along half a cosine.
    """
    rise = 0.3 * total
    if step < rise:
        return step / rise
    return (1 + math.cos(math.pi * (step - rise) / (total - rise))) / 2


_RISES_TOO_LONG = "half of the rise is not half of the peak: divide the step by 30 % of `total`"
_FROM_STEP_ZERO = "the fall must start at the peak: count its steps from the end of the rise"
_QUARTER_TURN = "the last rate is not 0: the cosine must go through half a turn, pi"
_STRAIGHT_DOWN = "the fall is not a cosine: it must be flat at both of its ends"


@rate.case("the rise")
def _rises(answer: Rate) -> None:
    expect_close(answer(0, 100), 0.0, "step 0 must have rate 0: the rise starts there")
    expect_close(answer(15, 100), 0.5, _RISES_TOO_LONG)


@rate.case("the peak")
def _peaks(answer: Rate) -> None:
    expect_close(answer(60, 200), 1.0, _FROM_STEP_ZERO)


@rate.case("the fall")
def _falls(answer: Rate) -> None:
    expect_close(answer(200, 200), 0.0, _QUARTER_TURN)
    expect_close(answer(65, 100), 0.5, "halfway down is not 0.5")
    quarter = (1 + math.cos(math.pi / 4)) / 2
    expect_close(answer(95, 200), quarter, _STRAIGHT_DOWN)


def _from_step_zero(step: int, total: int) -> float:
    rise = 0.3 * total
    return step / rise if step < rise else (1 + math.cos(math.pi * step / total)) / 2


def _quarter_turn(step: int, total: int) -> float:
    rise = 0.3 * total
    return step / rise if step < rise else (1 + math.cos(math.pi / 2 * (step - rise) / (total - rise))) / 2


def _straight_down(step: int, total: int) -> float:
    rise = 0.3 * total
    return step / rise if step < rise else (total - step) / (total - rise)


rate.mistakes = [
    (lambda step, total: min(step / total, 1.0), _RISES_TOO_LONG),
    (_from_step_zero, _FROM_STEP_ZERO),
    (_quarter_turn, _QUARTER_TURN),
    (_straight_down, _STRAIGHT_DOWN),
]


@partial(Exercise, "all of a file, or nothing", difficulty=2, importance=5, minutes=10)
def write_whole(path: Path, content: bytes) -> Path:
    """Write a file so that under its name there is, at any moment, the old content or the new one, whole.

    A scratch file in the same folder takes the new content; `os.replace` then gives it the name. Returns the path.
    """
    scratch = path.with_name(path.name + ".part")
    scratch.write_bytes(content)
    os.replace(scratch, path)
    return path


_STRAIGHT = "the new content went straight into the named file: half of it may be there after a kill"
_DELETES_FIRST = "the old file is gone before the new one has its name: do not delete it first"
_RENAMES_FIRST = "the file is renamed before its content is written"
_SWAPPED = "the named file was renamed: `os.replace` takes the scratch file first, then the name that it gets"
_ELSEWHERE = "the scratch file is in another folder, maybe on another disk"
_FORGETS_TO_RENAME = "in the end the new content is not under the name: use `os.replace(scratch, path)`"


class _Killed(BaseException):
    """Stands for SIGKILL: no `except Exception` sees it."""


def _watched(write_whole: Write, die: bool) -> tuple[bytes, list[str]]:
    """What lies under the name when the process is killed right before it renames (or after all), and the files."""
    replace, rename = os.replace, os.rename
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        path.write_bytes(b"old")

        def renaming(source: str | Path, target: str | Path) -> None:
            expect(Path(source).parent == path.parent, _ELSEWHERE)
            content = Path(source).read_bytes()
            expect(Path(source) != path, _SWAPPED)
            expect(
                len(content) == 0 or content == b"new", f"at the renaming the scratch file holds {content!r}, not all"
            )
            expect(content == b"new", _RENAMES_FIRST)
            if die:
                raise _Killed
            replace(source, target)

        os.replace = os.rename = renaming  # type: ignore[assignment]
        try:
            expect(write_whole(path, b"new") == path, "return the path under which the content lies now")
        except _Killed:
            pass
        finally:
            os.replace, os.rename = replace, rename
        return path.read_bytes() if path.exists() else b"nothing", sorted(os.listdir(folder))


@write_whole.case("a kill before the renaming leaves the old content")
def _old_until_renamed(answer: Write) -> None:
    content, _ = _watched(answer, die=True)
    expect(content != b"nothing", _DELETES_FIRST)
    expect(content == b"old", _STRAIGHT)


@write_whole.case("the new content arrives, and nothing is left over")
def _new_in_the_end(answer: Write) -> None:
    content, names = _watched(answer, die=False)
    expect(content == b"new", _FORGETS_TO_RENAME)
    expect(names == ["state"], "the scratch file is still in the folder")


def _straight(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _deletes_first(path: Path, content: bytes) -> Path:
    path.unlink()
    return write_whole.solution(path, content)


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


write_whole.mistakes = [
    (_straight, _STRAIGHT),
    (_deletes_first, _DELETES_FIRST),
    (_renames_first, _RENAMES_FIRST),
    (_elsewhere, _ELSEWHERE),
    (_forgets_to_rename, _FORGETS_TO_RENAME),
]


@partial(Exercise, "one gradient of several parts", difficulty=2, importance=4, minutes=8)
def joined_gradient(gradients: list[Tensor], sizes: list[int]) -> Tensor:
    """The gradient of the mean loss of a batch, from its parts.

    gradients: for each part, that of the part's own mean loss. sizes: how many samples each part has.
    """
    weights = torch.tensor(sizes) / sum(sizes)
    return (weights[:, None] * torch.stack(gradients)).sum(0)


_ADDED = "you added the parts: the loss is a mean, so the gradient would grow with the number of processes"
_PLAIN_MEAN = "a part of 1 sample counts as much as one of 3: weight each part by its share of the samples"
_BY_LARGEST = "the weights of the parts are not their shares of the samples"
EQUAL = [torch.tensor([2.0, 0.0]), torch.tensor([4.0, 6.0])]


@joined_gradient.case("equal parts: the plain mean")
def _equal_parts(answer: Mean) -> None:
    result = answer(EQUAL, [4, 4])
    expect(not torch.allclose(result, torch.tensor([6.0, 6.0])), _ADDED)
    expect_close(result, torch.tensor([3.0, 3.0]), "two parts of equal size: the gradient is the plain mean of theirs")


@joined_gradient.case("unequal parts: by their size")
def _unequal_parts(answer: Mean) -> None:
    result = answer(EQUAL, [3, 1])
    expect(not torch.allclose(result, torch.tensor([3.0, 3.0])), _PLAIN_MEAN)
    expect_close(result, torch.tensor([2.5, 1.5]), _BY_LARGEST)


def _by_largest(gradients: list[Tensor], sizes: list[int]) -> Tensor:
    return (torch.tensor(sizes)[:, None] / max(sizes) * torch.stack(gradients)).sum(0) / len(sizes)


joined_gradient.mistakes = [
    (lambda gradients, sizes: torch.stack(gradients).sum(0), _ADDED),
    (lambda gradients, sizes: torch.stack(gradients).mean(0), _PLAIN_MEAN),
    (_by_largest, _BY_LARGEST),
]
