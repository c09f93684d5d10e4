"""Where does the evidence sit? What each level of each modality tells of the factors of the data. All [ours].

A probe reads what is there, not what is used (`analysis.interventions`). How alike the levels of two modalities are is
`similarity.cka_matrix(similarity.level_spaces(trace))`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Shaped
from torch import Tensor

from clcrkit.analysis.probes import linear_probe
from clcrkit.analysis.similarity import level_spaces
from clcrkit.arguments import public
from clcrkit.trace import Trace


@public
def by_level(trace: Trace, factors: Mapping[str, Shaped[Tensor, "sample"]], kind: str = "shared") -> pd.DataFrame:
    """A linear probe of each factor on each modality's 'shared' or 'private' (`kind`) summaries at each level.

    Samples without the modality are left out. Columns: modality, level (from 1), factor, accuracy, shuffled, chance, as
    `probes.linear_probe` gives them."""
    rows = []
    for name, space in level_spaces(trace, kind).items():
        modality, _, level = name.rpartition(" ")
        here = trace.batch.masks[modality].any(1).cpu()
        for factor, values in factors.items():
            probe = linear_probe(space[here], values.cpu()[here])
            rows.append({"modality": modality, "level": int(level), "factor": factor, **probe._asdict()})
    return pd.DataFrame(rows)


@public
def depths(table: pd.DataFrame) -> pd.DataFrame:
    """Of `by_level`: how deep each factor lies in each modality, the mean level (from 1), weighted by how far the probe
    is above its control. Columns: modality, factor, depth (NaN where no level is above), best (the best level)."""
    rows = []
    for (modality, factor), part in table.groupby(["modality", "factor"], sort=False):
        above = (part["accuracy"] - part["shuffled"]).clip(lower=0)
        depth = float((above * part["level"]).sum() / above.sum()) if above.sum() > 0 else np.nan
        rows.append((modality, factor, depth, int(part["level"].iloc[int(part["accuracy"].argmax())])))
    return pd.DataFrame(rows, columns=["modality", "factor", "depth", "best"])
