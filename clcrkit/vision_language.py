"""A pretrained vision-language model in the explorer: a transformer over the tokens of text and picture. All [ours].

An example of `naming.trace_of` for a model from elsewhere. Needs clcrkit[pretrained]; a model is loaded by its own
library, `transformers.VisualBertForQuestionAnswering.from_pretrained(folder, attn_implementation="eager")`.
"""

from __future__ import annotations

from typing import Any

import torch

from clcrkit.arguments import public
from clcrkit.errors import ConfigError, DataError
from clcrkit.naming import trace_of
from clcrkit.ops import masked_mean
from clcrkit.trace import Trace


class JointTransformer:
    """Traces of a model with VisualBERT's arguments, (input_ids, visual_embeds) and their masks, that gives logits.

    Each layer is a level: its tokens, their means as shared summaries, and attention from each modality to the other,
    whose rest is on the own tokens. text, vision: what the two modalities are called in a Batch, of token ids
    and of features.
    """

    def __init__(self, model: Any, text: str = "text", vision: str = "vision") -> None:
        self.model, self.names = model.eval(), (text, vision)

    @public
    @torch.no_grad()
    def trace(self, data: Any) -> Trace:
        """data: a Batch, or a Split, of which it is the test part. Raises DataError where a modality is not there, and
        ConfigError for a model that keeps no attention."""
        batch = getattr(data, "test", data)
        batch = batch.only(*self.names)
        (text, vision), masks = batch.tokens.values(), list(batch.masks.values())
        if text.is_floating_point() or not vision.is_floating_point():
            raise DataError(f"{self.names[0]}, {self.names[1]}: token ids and features, in this order, are needed")
        about = {"attention_mask": masks[0].long(), "visual_attention_mask": masks[1].long()}
        result = self.model(
            input_ids=text, visual_embeds=vision, output_attentions=True, output_hidden_states=True, **about
        )
        if not result.attentions or result.attentions[0] is None:
            raise ConfigError("model: it keeps no attention; load it with attn_implementation='eager'")
        split = [mask.shape[1] for mask in masks]
        parts = torch.stack(result.hidden_states[1:], 1).split(split, 2)  # (batch, layer, token, width)
        tokens = {m: x * mask[:, None, :, None] for m, x, mask in zip(self.names, parts, masks, strict=True)}
        rows = torch.stack(result.attentions, 1).split(split, 3)  # (batch, layer, head, token, all tokens)
        others = (rows[0].split(split, 4)[1], rows[1].split(split, 4)[0])
        heard = {m: x * mask[:, None, None, :, None] for m, x, mask in zip(self.names, others, masks, strict=True)}
        means = {m: masked_mean(x, batch.masks[m][:, None]) for m, x in tokens.items()}
        return trace_of(batch, "classification", result.logits, tokens=tokens, attention=heard, shared_summary=means)
