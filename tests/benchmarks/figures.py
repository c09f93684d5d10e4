"""The kit's own promises, measured: what three modalities add on digits, and what CLCR finds on asynchrony.

python -m tests.benchmarks.figures            both tables, printed and written to build/figures.json
python -m tests.benchmarks.figures digits     one of them
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import torch

from clcrkit import CLCR, CLCRConfig, Trace
from clcrkit.analysis.funding import credit, lift, muting
from clcrkit.analysis.probes import evidence_auroc, level_weighted, linear_probe, spaces_of
from clcrkit.baselines import LateFusion
from clcrkit.budget import participation
from clcrkit.datasets import asynchrony, digits
from clcrkit.training import TrainConfig, evaluate, fit

SEEDS = (0, 1, 2)


def digits_row(seed: int) -> dict[str, float]:
    """Test accuracy of CLCR, of late fusion and of each modality alone: same encoders, head, order and budget."""
    split, training = digits(seed=seed), TrainConfig(epochs=15, seed=seed)
    config = CLCRConfig.of(split.train)
    row = {}
    for name, kind, chosen in (
        ("CLCR", CLCR, ()),
        ("late fusion", LateFusion, (tuple(config.modalities),)),
        *((m, LateFusion, ((m,),)) for m in config.modalities),
    ):
        torch.manual_seed(seed)
        model = kind(config, *chosen)
        fit(model, split.train, split.valid, training, progress=False)
        row[name] = evaluate(model, split.test)["score"]
    row["gain over the best alone"] = row["CLCR"] - max(row[m] for m in config.modalities)
    return row


def asynchrony_row(seed: int) -> dict[str, float]:
    """Redundant evidence, noise at its default. Probes are linear and cross-validated, on the test part."""
    split = asynchrony(seed=seed, relation="redundant")
    torch.manual_seed(seed)
    model = CLCR(CLCRConfig.of(split.train, width=32, rank=16, private_rank=16, heads=2))
    fit(model, split.train, split.valid, TrainConfig(epochs=14, seed=seed), progress=False)
    trace, known = model.trace(split.test), split.test.attributes
    spaces = spaces_of(trace)
    row = {"accuracy": evaluate(model, split.test)["score"]}
    for factor in ("shallow", "mid", "deep"):
        row[f"{factor} from the shared code"] = linear_probe(spaces["shared code"], known[factor]).accuracy
    for m in trace.modalities:
        private = known[f"private_{m}"]
        row[f"private of {m} from its private summary"] = linear_probe(spaces[f"private {m}"], private).accuracy
        row[f"private of {m} from the shared code"] = linear_probe(spaces["shared code"], private).accuracy
    for m in trace.modalities:
        evidence, mask = split.test.evidence[m], split.test.masks[m]
        by_level = evidence_auroc(trace.allocation[m], evidence, mask)
        row |= {f"AUROC {m} {name}": value for name, value in zip(("shallow", "mid", "deep"), by_level, strict=True)}
        whole = level_weighted(trace, m)[:, None]
        row[f"AUROC {m} levels weighted"] = evidence_auroc(whole, evidence.any(1, keepdim=True), mask)[0]
    return row | _funding(model, trace)


def _funding(model: CLCR, trace: Trace) -> dict[str, float]:
    """What muting the planted tokens costs, and how far shares and credit lie on them; means over modalities."""
    batch = trace.batch
    bits = torch.arange(8)  # the class of 8 is three bits, the shallow factor first
    factors = {name: bits >> (2 - i) & 1 for i, name in enumerate(("shallow", "mid", "deep"))}
    muted = muting(model, batch, factors)
    row = {f"{factor}, {what} muted": accuracy for factor, what, accuracy in muted.itertuples(index=False)}
    row["participation"] = float(torch.stack(list(trace.participation.values())).mean())
    funded = [participation((a > 0).float(), batch.masks[m]).mean() for m, a in trace.allocation.items()]
    row["funded"] = float(torch.stack(funded).mean())
    weights = {"lift of the shares": trace.allocation, "lift of the credit": credit(model, batch)}
    for name, weight in weights.items():
        by_level = [lift(weight[m].abs(), batch.evidence[m], batch.masks[m]) for m in trace.modalities]
        means = torch.tensor(by_level).nanmean(0).tolist()
        row |= {f"{name}, {level}": x for level, x in zip(("shallow", "mid", "deep"), means, strict=True)}
    return row


def main(names: list[str]) -> None:
    tables = {"digits": digits_row, "asynchrony": asynchrony_row}
    found = {}
    for name in names or tables:
        table = pd.DataFrame({f"seed {seed}": tables[name](seed) for seed in SEEDS})
        table["mean"] = table.mean(axis=1)
        print(f"\n{name}\n{table.round(3).to_string()}", flush=True)
        found[name] = table.to_dict()
    Path("build").mkdir(exist_ok=True)
    Path("build/figures.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
