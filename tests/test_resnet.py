"""ResNet stages: transformers' own states of each picture alone, whatever the padding, in training too; in several
processes the normalisation of all."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from clcrkit import CLCR, Batch, CLCRConfig, ConfigError, DataError, Modality
from clcrkit.baselines import OGMGE
from clcrkit.pretrained import with_stages
from clcrkit.resnet import RESNET_18, ResNet, SharedBatchNorm
from clcrkit.training import TrainConfig, fit, load, save
from clcrkit.training.config import make_optimizer
from tests.test_pretrained import tiny_text
from tests.training.test_launchers import finish

transformers = pytest.importorskip("transformers")

TINY = {**RESNET_18, "embedding_size": 4, "hidden_sizes": (4, 6, 8, 10), "depths": (1, 1, 1, 1)}
SHAPE = (2, 32, 40)


def tiny_resnet(channels: int = 2):
    torch.manual_seed(0)
    return transformers.ResNetModel(transformers.ResNetConfig(num_channels=channels, **TINY))


def made(**options) -> ResNet:
    return ResNet(SHAPE, encoder=tiny_resnet(), **options)


def pictures(counts: list[int], length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples of so many pictures each, in the first places."""
    draw = torch.Generator().manual_seed(sum(counts) + 1)
    mask = torch.arange(length) < torch.tensor(counts)[:, None]
    return torch.rand(len(counts), length, 2 * 32 * 40, generator=draw) * mask[..., None], mask


def test_states_are_those_of_each_picture_alone():
    read, encoder = made().eval(), tiny_resnet().eval()
    tokens, mask = pictures([3, 1, 0, 2], 3)
    levels = read(tokens, mask)
    assert levels.shape == (4, 3, 3, 10)
    for row, token in mask.nonzero().tolist():
        with torch.no_grad():
            hidden = encoder(tokens[row, token].reshape(1, *SHAPE), output_hidden_states=True).hidden_states
        for level, depth in enumerate((1, 2, 4)):
            expected = hidden[depth][0].mean((1, 2))
            torch.testing.assert_close(levels[row, level, token, : len(expected)], expected, atol=1e-5, rtol=1e-5)
            assert not levels[row, level, token, len(expected) :].any()
    assert not levels[~mask[:, None].expand(-1, 3, -1)].any()


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=3).filter(any), st.integers(0, 3), st.booleans())
def test_padding_changes_nothing_in_training_either(counts: list[int], more: int, in_front: bool):
    """Values, gradients and the running means that evaluation uses later; garbage lies under the mask."""
    tokens, mask = pictures(counts, 3)
    wide = torch.full((len(counts), 3 + more, tokens.shape[2]), 7.0)
    wide_mask = torch.zeros(wide.shape[:2], dtype=torch.bool)
    place = slice(more, None) if in_front else slice(3)
    wide[:, place], wide_mask[:, place] = torch.where(mask[..., None], tokens, 9.0), mask
    one, other = made().train(), made().train()
    levels, padded = one(tokens, mask), other(wide, wide_mask)[:, :, place]
    torch.testing.assert_close(padded, levels)
    for x in (levels, padded):
        x.square().sum().backward()
    for (name, p), q in zip(one.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad, msg=name)
    torch.testing.assert_close(other.state_dict(), one.state_dict())


def test_training_normalises_over_the_real_pictures_as_transformers_does():
    read, encoder = made().train(), tiny_resnet().train()
    tokens, mask = pictures([2, 3], 4)
    levels = read(tokens, mask)
    hidden = encoder(tokens[mask].unflatten(1, SHAPE), output_hidden_states=True).hidden_states
    torch.testing.assert_close(levels[:, 2].flatten(0, 1)[mask.flatten()], hidden[4].mean((2, 3)))
    theirs = dict(encoder.named_buffers())
    assert any("running_mean" in name for name in theirs)
    for name, buffer in read.encoder.named_buffers():
        torch.testing.assert_close(buffer, theirs[name])


def test_one_picture_of_one_place_and_none_at_all():
    """torch's own normalisation refuses the one; the other teaches nothing."""
    norm = SharedBatchNorm(3).train()
    assert norm(torch.rand(1, 3, 1, 1)).isfinite().all()
    read = made().train()
    before = {name: x.clone() for name, x in read.state_dict().items()}
    tokens, mask = pictures([0, 0], 2)
    assert not read(tokens, mask).any()
    torch.testing.assert_close(read.state_dict(), before)


def test_the_default_is_a_resnet_18_and_colours_are_centred():
    """11,176,512: torchvision's 11,689,512 without its last layer of 512 x 1,000 weights and 1,000 biases."""
    read = ResNet((3, 32, 32)).eval()
    assert sum(p.numel() for p in read.parameters()) == 11_689_512 - 513_000
    assert (read.depths, read.width, read.pixels) == ([1, 2, 4], 512, 3 * 32 * 32)
    grey = torch.tensor([0.485, 0.456, 0.406]).repeat_interleave(32 * 32)[None, None]
    with torch.no_grad():
        hidden = read.encoder(torch.zeros(1, 3, 32, 32), output_hidden_states=True).hidden_states
        levels = read(grey, torch.ones(1, 1, dtype=torch.bool))
    torch.testing.assert_close(levels[0, 2, 0], hidden[4].mean((2, 3))[0], atol=1e-4, rtol=1e-4)


def test_what_does_not_fit_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="levels: 5, but it must be from 1 to 4"):
        made(levels=5)
    with pytest.raises(ConfigError, match="shape: 3 channels, but this ResNet reads 2"):
        ResNet((3, 32, 32), encoder=tiny_resnet())
    with pytest.raises(DataError, match="7 numbers each, but this encoder needs"):
        made()(torch.zeros(1, 1, 7), torch.ones(1, 1, dtype=torch.bool))
    tiny_text().save_pretrained(tmp_path)
    with pytest.raises(DataError, match="holds a bert, but a resnet is needed"):
        ResNet(SHAPE, encoder=str(tmp_path))
    with pytest.raises(DataError, match="no encoder with weights in safetensors"):
        ResNet(SHAPE, encoder=str(tmp_path / "gone"))


def data(samples: int = 10) -> tuple[Batch, CLCRConfig]:
    tokens, mask = pictures([1 + i % 3 for i in range(samples)], 3)
    other = torch.randn(samples, 4, 3, generator=torch.Generator().manual_seed(2))
    labels = [i % 2 for i in range(samples)]
    batch = Batch.from_arrays({"it": tokens, "other": other}, labels=labels, masks={"it": mask})
    modalities = {"it": Modality(2 * 32 * 40), "other": Modality(3)}
    return batch, CLCRConfig.of(batch, modalities=modalities, width=8, rank=4, private_rank=4, heads=2)


@pytest.mark.parametrize("kind", [CLCR, OGMGE])
def test_it_trains_is_saved_and_goes_on_after_a_stop(kind, tmp_path: Path):
    batch, config = data()

    def model():
        torch.manual_seed(1)
        return with_stages(kind(config), {"it": made()})

    training = TrainConfig(epochs=3, batch_size=4, device="cpu")
    whole = model()
    before = [p.clone() for p in whole.encoders["it"].stages.parameters()]
    fit(whole, batch, batch, training, progress=False)
    assert not any(torch.equal(a, b) for a, b in zip(before, whole.encoders["it"].stages.parameters(), strict=True))
    stopped = model()

    def stop(history) -> None:
        if len(history) == 2:
            raise KeyboardInterrupt

    fit(stopped, batch, batch, training, tmp_path / "run", progress=False, on_epoch=stop)
    again = model()
    fit(again, batch, batch, training, tmp_path / "run", progress=False)
    torch.testing.assert_close(again.state_dict(), whole.state_dict(), rtol=0, atol=0)
    save(again, tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors", {"it": made()})
    torch.testing.assert_close(loaded(batch), whole.eval()(batch), rtol=0, atol=0)
    torch.testing.assert_close(loaded.trace(batch).prediction, whole(batch).detach(), atol=1e-5, rtol=1e-5)


def test_pretrained_weights_get_their_share_of_the_rate_and_random_ones_the_whole():
    _, config = data()
    fresh = nn.Module()
    fresh.encoder = ResNet(SHAPE)  # random weights
    for model in (with_stages(CLCR(config), {"it": made()}), fresh):
        groups = make_optimizer(model, TrainConfig()).param_groups
        given = {id(p): group["lr"] for group in groups for p in group["params"]}
        for name, p in model.named_parameters():
            slow = "stages.encoder" in name
            assert slow == (model is not fresh and name.startswith("encoders.it.stages."))
            assert given[id(p)] == pytest.approx(6e-5 if slow else 3e-3), name
    with pytest.raises(ConfigError, match=r"pretrained_rate: 0\.0, but it must be above 0 and up to 1"):
        TrainConfig(pretrained_rate=0.0)


SCRIPT = """
import os, sys
import torch
import torch.distributed as dist
from clcrkit.resnet import SharedBatchNorm
dist.init_process_group("gloo")
rank = dist.get_rank()
x, target = (torch.load(sys.argv[1], weights_only=True)[name] for name in ("x", "target"))
norm = SharedBatchNorm(3).double().train()
for pieces in ((slice(5), slice(5, 8)), (slice(8), slice(8, 8)), (slice(0), slice(0))):
    own = x[pieces[rank]].clone().requires_grad_()
    norm.zero_grad()
    (norm(own) * target[pieces[rank]]).sum().backward()
    for p in norm.parameters():
        dist.all_reduce(p.grad)
    found = {"grad": own.grad, "of weight": norm.weight.grad, **norm.state_dict()}
    torch.save(found, f"{sys.argv[1]}-{pieces[rank].start or 0}-{pieces[rank].stop}-{rank}")
dist.destroy_process_group()
"""


def test_processes_with_unequal_numbers_of_pictures_normalise_as_one(tmp_path: Path):
    """Against torch's own function on all samples: gradients of the inputs and weights, and the running values; a
    process without any picture does not make the other wait, and no picture at all teaches nothing."""
    draw = torch.Generator().manual_seed(0)
    x, target = (torch.randn(8, 3, 4, 5, generator=draw, dtype=torch.float64) for _ in range(2))
    file = tmp_path / "x"
    torch.save({"x": x, "target": target}, file)
    (tmp_path / "run.py").write_text(SCRIPT)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    finish(tmp_path, [sys.executable, *launcher, str(tmp_path / "run.py"), str(file)])
    norm = nn.BatchNorm2d(3).double().train()
    for first, second in (("0-5-0", "5-8-1"), ("0-8-0", "8-8-1")):
        both = [torch.load(f"{file}-{name}", weights_only=True) for name in (first, second)]
        own = x.clone().requires_grad_()
        norm.zero_grad()
        (norm(own) * target).sum().backward()
        torch.testing.assert_close(torch.cat([each["grad"] for each in both]), own.grad)
        for each in both:
            torch.testing.assert_close(each["of weight"], norm.weight.grad)
            for name in ("running_mean", "running_var"):
                torch.testing.assert_close(each[name], norm.state_dict()[name])
    for rank in (0, 1):
        last = torch.load(f"{file}-0-0-{rank}", weights_only=True)
        torch.testing.assert_close(last["running_var"], norm.running_var)
        assert not last["of weight"].any()
