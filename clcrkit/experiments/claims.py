"""The paper's claims, each as differences between trials of one seed, and a verdict for each data set by rule.

A claim states that each of its differences is above 0; `compare.verdict` decides by their 95 % intervals. Where a claim
has several differences, its row shows the decisive one: the lowest lower end of an interval, or where the claim does
not hold, the lowest upper end. The claims are the paper's, their form as differences is [ours].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from clcrkit.analysis.stats import Difference, difference
from clcrkit.baselines import BASELINES
from clcrkit.experiments.compare import FAILS, by_seed, verdict

NOISE = "noise 1"  # its standard deviation is the feature's own
NEAR = 0.68  # [paper] the best participation
Differences = dict[str, tuple[Float[ndarray, "seed"], Float[ndarray, "seed"]]]  # by what is compared: first, second


@dataclass(frozen=True)
class Claim:
    """A claim in words, and as pairs of values for a table and a data set's name. It states that in each pair the first
    is above the second. No pairs: the table cannot decide."""

    text: str
    differences: Callable[[pd.DataFrame, str], Differences]


def judge(table: pd.DataFrame) -> pd.DataFrame:
    """Every claim on every data set of the table: columns claim, data, compared, `Difference`'s, verdict.

    The table is that of `trials.run`, of one or several data sets; a claim without trials in it has no row."""
    rows = []
    for name, claim in CLAIMS.items():
        for data in table["data"].unique():
            pairs = claim.differences(table, data)
            differences = {what: difference(*values) for what, values in pairs.items() if len(values[0])}
            if differences:
                decision = verdict(list(differences.values()))
                end = "high" if decision == FAILS else "low"
                compared, decisive = min(differences.items(), key=lambda item: getattr(item[1], end))
                row = {"claim": name, "data": data, "compared": compared, **decisive._asdict(), "verdict": decision}
                rows.append(row)
    return pd.DataFrame(rows, columns=["claim", "data", "compared", *Difference._fields, "verdict"])


def markdown(judged: pd.DataFrame) -> str:
    """`judge`'s table for a README: one row for each claim and data set."""
    lines = ["| claim | data | what is compared | mean difference [95 %] | verdict |", "|---|---|---|---|---|"]
    previous = ""
    for row in judged.to_dict("records"):
        text = CLAIMS[row["claim"]].text if row["claim"] != previous else ""
        previous = row["claim"]
        interval = f"{row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
        lines.append(f"| {text} | {row['data']} | {row['compared']} | {interval} | {row['verdict']} |")
    return "\n".join(lines)


def _pairs(table: pd.DataFrame, data: str, higher: list[str], lower: list[str], value: str = "score") -> Differences:
    """Every first minus every second of these models, by the seeds that both have."""
    if value not in table:
        return {}
    wide = by_seed(table, data, value)
    both = {(a, b): wide[[a, b]].dropna() for a in higher for b in lower if a != b and {a, b} <= set(wide)}
    return {f"{a} − {b}": (pair[a].to_numpy(), pair[b].to_numpy()) for (a, b), pair in both.items()}


def _noise(table: pd.DataFrame, data: str) -> Differences:
    """What a baseline loses under noise, minus what CLCR loses.

    A baseline near chance is skipped, since noise cannot lower its score: it must reach, on the validation part, the
    mean score of every modality alone."""
    if NOISE not in table:
        return {}
    held_out = by_seed(table, data, "valid_score").mean()
    alone = max((value for name, value in held_out.items() if str(name).endswith(" alone")), default=-np.inf)
    rivals = [name for name in BASELINES if name in held_out and held_out[name] >= alone]
    falls = _pairs(table.assign(fall=table["score"] - table[NOISE]), data, rivals, ["CLCR"], "fall")
    return {f"fall of {what}": values for what, values in falls.items()}


def _leading(table: pd.DataFrame, data: str) -> Differences:
    """The gate of the modality that does best alone (on the validation part), minus the highest gate of the others."""
    alone = by_seed(table, data, "valid_score").filter(regex=" alone$").dropna().mean()
    gates = table[(table["data"] == data) & (table["model"] == "CLCR") & (table["changes"] == "")]
    gates = gates.set_index("seed").filter(regex="^gate ").dropna(axis=1).sort_index()
    if alone.empty or gates.shape[1] < 2:
        return {}
    first = str(alone.idxmax()).removesuffix(" alone")
    others = gates.drop(columns=f"gate {first}").max(axis=1)
    return {f"gate of {first} − highest other": (gates[f"gate {first}"].to_numpy(), others.to_numpy())}


def _near(table: pd.DataFrame, data: str) -> Differences:
    """The fixed budget whose participation is nearest to the paper's best, minus dense exchange and every other fixed
    budget. A budget is an upper bound, so participation counts, not rho; no pairs where none is within 0.1."""
    if "participation" not in table:
        return {}
    spent = by_seed(table, data, "participation").mean().filter(regex=r"^CLCR \(rho=")
    if spent.empty or (spent - NEAR).abs().min() > 0.1:
        return {}
    return _pairs(table, data, [str((spent - NEAR).abs().idxmin())], ["dense exchange", *map(str, spent.index)])


_PARTS = ["no IntraCED", "no InterCAD"]
CLAIMS: Mapping[str, Claim] = {
    "hierarchy": Claim(
        "The hierarchy matters most: without it the score is lower than without IntraCED or InterCAD",
        lambda table, data: _pairs(table, data, _PARTS, ["no hierarchy"]),
    ),
    "intraced": Claim(
        "IntraCED matters more than InterCAD",
        lambda table, data: _pairs(table, data, ["no InterCAD"], ["no IntraCED"]),
    ),
    "full mix": Claim(
        "Mixing the levels up is worse than leaving any part out",
        lambda table, data: _pairs(
            table, data, ["no hierarchy", *_PARTS, "no regularisers", "dense exchange"], ["full mix"]
        ),
    ),
    "sparse": Claim(
        "A learned sparse budget beats dense exchange",
        lambda table, data: _pairs(table, data, ["CLCR"], ["dense exchange"]),
    ),
    "participation": Claim("A participation near 0.68 beats sparser and denser ones", _near),
    "noise": Claim("CLCR loses least under Gaussian noise (standard deviation 1)", _noise),
    "leading": Claim("The modality gate follows the modality that does best alone", _leading),
    "baselines": Claim("CLCR beats every baseline", lambda table, data: _pairs(table, data, ["CLCR"], list(BASELINES))),
}
"""By a short name. [paper] all but the last; 'leading' is stated for MOSI (language) and Kinetics-Sounds (vision).

'hierarchy' is what the paper's text says; in its own table the row without both regularisers (0.725, 71.2) is below the
one without the hierarchy (0.720, 71.9)."""
