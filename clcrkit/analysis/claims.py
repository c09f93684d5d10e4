"""The paper's claims, each as differences between trials of one seed, and a verdict for each data set by rule.

python -m clcrkit.analysis.claims       the claims on every stored table, as Markdown, and data/results/claims.csv

A claim says that every one of its differences is above 0; `compare.verdict` decides by their 95 % intervals. Where a
claim has several differences, its row shows the one that decided: whose interval reaches lowest, or where the claim
does not hold, whose interval ends lowest. The claims are the paper's, their form as differences is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from clcrkit.analysis.compare import FAILS, Difference, by_seed, difference, verdict
from clcrkit.analysis.tables import RESULTS, TABLES, available, load
from clcrkit.baselines import BASELINES
from clcrkit.errors import DataError
from clcrkit.files import write_text

NOISE = "noise 1"  # as strong as a feature's own spread
NEAR = 0.68  # the participation that the paper found best
Differences = dict[str, tuple[Float[ndarray, "seed"], Float[ndarray, "seed"]]]  # what is compared: first - second


@dataclass(frozen=True)
class Claim:
    """text: what is claimed. differences: from a table and a data set's name to pairs of values that the claim says
    differ upwards; empty where the table cannot tell anything."""

    text: str
    differences: Callable[[pd.DataFrame, str], Differences]


def judge(table: pd.DataFrame) -> pd.DataFrame:
    """Every claim on every data set of the table: columns claim, data, compared, `Difference`'s, verdict.

    The table is `runs.run`'s, of one or several data sets; a claim that it has no trials for gets no row."""
    rows = []
    for name, claim in CLAIMS.items():
        for data in table["data"].unique():
            pairs = claim.differences(table, data)
            found = {what: difference(*values) for what, values in pairs.items() if len(values[0])}
            if found:
                decision = verdict(list(found.values()))
                end = "high" if decision == FAILS else "low"  # the end of the interval that decided
                compared, shown = min(found.items(), key=lambda item: getattr(item[1], end))
                rows.append({"claim": name, "data": data, "compared": compared, **shown._asdict(), "verdict": decision})
    return pd.DataFrame(rows, columns=["claim", "data", "compared", *Difference._fields, "verdict"])


def markdown(judged: pd.DataFrame) -> str:
    """`judge`'s table for a README: one row for each claim and data set."""
    lines = ["| claim | data | what is compared | mean difference [95 %] | verdict |", "|---|---|---|---|---|"]
    shown = ""
    for row in judged.to_dict("records"):
        text = CLAIMS[row["claim"]].text if row["claim"] != shown else ""
        shown = row["claim"]
        interval = f"{row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
        lines.append(f"| {text} | {row['data']} | {row['compared']} | {interval} | {row['verdict']} |")
    return "\n".join(lines)


def stored() -> pd.DataFrame:
    """All stored tables of comparisons and budgets that exist, joined. Raises DataError where there is none."""
    names = [name for name in available() if not name.startswith("sweep_")]
    if not names:
        raise DataError(
            f"{RESULTS}: no stored table; `python -m clcrkit.analysis.tables {next(iter(TABLES))}` makes one"
        )
    whole = pd.concat([load(name) for name in names], ignore_index=True)
    return whole.drop_duplicates("key")  # a table of budgets has CLCR again


def _pairs(table: pd.DataFrame, data: str, higher: list[str], lower: list[str], value: str = "score") -> Differences:
    """Every first minus every second of these models, by the seeds that both have."""
    if value not in table:
        return {}
    wide = by_seed(table, data, value)
    both = {(a, b): wide[[a, b]].dropna() for a in higher for b in lower if a != b and {a, b} <= set(wide)}
    return {f"{a} − {b}": (pair[a].to_numpy(), pair[b].to_numpy()) for (a, b), pair in both.items()}


def _noise(table: pd.DataFrame, data: str) -> Differences:
    """What a baseline loses under noise, minus what CLCR loses.

    Who knows nothing has nothing to lose: a baseline counts only where its mean on the validation part is no lower
    than that of every modality alone."""
    if NOISE not in table:
        return {}
    held_out = by_seed(table, data, "valid_score").mean()
    alone = max((value for name, value in held_out.items() if str(name).endswith(" alone")), default=-np.inf)
    rivals = [name for name in BASELINES if name in held_out and held_out[name] >= alone]
    fallen = _pairs(table.assign(fall=table["score"] - table[NOISE]), data, rivals, ["CLCR"], "fall")
    return {f"fall of {what}": values for what, values in fallen.items()}


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
    """The fixed budget whose participation came nearest to the paper's best, minus the dense exchange and every other
    fixed budget. A budget is an upper bound, so what was spent counts; nothing where none came within 0.1."""
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
"""By a short name. Each but the last is the paper's."""


def main() -> None:
    judged = judge(stored())
    write_text(RESULTS / "claims.csv", judged.to_csv(index=False, float_format="%.6g"))
    print(markdown(judged))


if __name__ == "__main__":
    main()
