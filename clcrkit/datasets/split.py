"""Split: what every data set of the kit returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from clcrkit.batch import Batch


@dataclass(frozen=True)
class Split:
    """Training, validation and test part of one data set.

    label_names      what each class (or each label of a multi-label set) is called; empty for regression
    attribute_names  for an attribute whose values have names: attribute -> one name for each value
    vocabulary       for a modality of token ids: how each id reads
    describe         for a modality: a function from one sample's tokens, (token, feature) or (token,), to one
                     short text for each token; what pictures write beside a token
    """

    train: Batch
    valid: Batch
    test: Batch
    label_names: tuple[str, ...] = ()
    attribute_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    vocabulary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    describe: Mapping[str, Callable[[Tensor], list[str]]] = field(default_factory=dict)

    def __repr__(self) -> str:
        sizes = f"train {len(self.train)}, valid {len(self.valid)}, test {len(self.test)}"
        return f"Split({sizes}; {', '.join(self.train.modalities)})"
