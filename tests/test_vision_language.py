"""A vision-language model of random weights, traced: what is named is what its own library gives."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from clcrkit import Batch, ConfigError, DataError
from clcrkit.naming import Traceable
from clcrkit.vision_language import JointTransformer
from clcrkit.viz import Explorer

transformers = pytest.importorskip("transformers")


def tiny():
    torch.manual_seed(0)
    return transformers.VisualBertForQuestionAnswering(
        transformers.VisualBertConfig(
            vocab_size=30, hidden_size=16, visual_embedding_dim=5, num_hidden_layers=4, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=20, num_labels=3, attn_implementation="eager",
        )
    ).eval()  # fmt: skip


@pytest.fixture
def pairs() -> Batch:
    random = np.random.default_rng(0)
    tokens = {"text": random.integers(30, size=(5, 6)), "vision": random.normal(size=(5, 7, 5)).astype(np.float32)}
    masks = {
        "text": np.arange(6) < random.integers(3, 7, (5, 1)),
        "vision": np.arange(7) < random.integers(3, 8, (5, 1)),
    }
    return Batch.from_arrays(tokens, np.array([0, 1, 2, 0, 1]), masks)


def test_a_trace_holds_the_layers_and_attention_of_the_model(pairs):
    model = tiny()
    adapter = JointTransformer(model)
    assert isinstance(adapter, Traceable)
    trace = adapter.trace(pairs)
    for i in range(5):  # each alone, without padding
        text, vision = (pairs.tokens[m][i, pairs.masks[m][i]][None] for m in ("text", "vision"))
        with torch.no_grad():
            alone = model(
                input_ids=text, visual_embeds=vision, attention_mask=torch.ones_like(text),
                visual_attention_mask=torch.ones(vision.shape[:2]), output_attentions=True, output_hidden_states=True,
            )  # fmt: skip
        words = text.shape[1]
        torch.testing.assert_close(trace.prediction[[i]], alone.logits, atol=1e-5, rtol=0)
        for layer in range(4):
            state, weights = alone.hidden_states[layer + 1][0], alone.attentions[layer][0]
            found = trace.tokens["vision"][i, layer, pairs.masks["vision"][i]]
            torch.testing.assert_close(found, state[words:], atol=1e-5, rtol=0)
            mean = trace.shared_summary["text"][i, layer]
            torch.testing.assert_close(mean, state[:words].mean(0), atol=1e-5, rtol=0)
            heard = trace.attention["text"][i, layer][:, pairs.masks["text"][i]][..., pairs.masks["vision"][i]]
            torch.testing.assert_close(heard, weights[:, :words, words:], atol=1e-5, rtol=0)
    assert not trace.attention["vision"][~pairs.masks["vision"][:, None, None].expand(-1, 4, 2, -1)].any()


def test_the_explorer_shows_it(pairs):
    explorer = Explorer(JointTransformer(tiny()).trace(pairs))
    assert explorer.views == ["subspaces", "attention"]
    assert explorer.levels == ("level 1", "level 2", "level 3", "level 4")


class Forgetful(torch.nn.Module):
    """As a model with another implementation of attention, which gives no weights."""

    def forward(self, **inputs):
        return SimpleNamespace(attentions=(None,))


def test_what_cannot_be_traced_is_refused(pairs):
    with pytest.raises(ConfigError, match="it keeps no attention; load it with attn_implementation='eager'"):
        JointTransformer(Forgetful()).trace(pairs)
    with pytest.raises(DataError, match="vision, text: token ids and features, in this order"):
        JointTransformer(tiny(), "vision", "text").trace(pairs)
    with pytest.raises(DataError, match="modalities: sound asked for"):
        JointTransformer(tiny(), vision="sound").trace(pairs)
