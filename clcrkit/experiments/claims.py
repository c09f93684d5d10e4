"""The paper's claims, each as differences between trials of one seed, and a verdict for each data set by rule.

A claim states that each of its differences is above 0; `compare.verdict` decides by their 95 % intervals. Where a claim
has several differences, its row shows the decisive one: the lowest lower end of an interval (where there is no
difference, of those that show it), or where the claim does not hold, the lowest upper end. The published notes allow
several readings of some models; a verdict holds for one reading. The claims are the paper's, their form as differences
and the readings are [ours].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from clcrkit.analysis.stats import Difference, difference, pairs_needed
from clcrkit.baselines import BASELINES
from clcrkit.experiments.compare import FAILS, OPEN, SAME, by_seed, is_none, verdict
from clcrkit.experiments.trials import PLAIN

NOISE = "noise 1"  # its standard deviation is the feature's own
NEAR = 0.68  # [paper] the best participation
NEEDED = 0.1  # a mechanism must be worth this much of the score in the world made for it
MECHANISMS = {  # by world: the ablation of the mechanism that is needed there
    "exchange": "no IntraCED",
    "budget": "dense exchange",
    "level gates": "no InterCAD",
    "modality gates": "no InterCAD",
    "no leak": "no regularisers",
    "narrow modality gates": "no InterCAD",
    "narrow private gates": "no InterCAD",
}
Differences = dict[str, tuple[Float[ndarray, "seed"], Float[ndarray, "seed"]]]  # by what is compared: first, second


@dataclass(frozen=True)
class Claim:
    """A claim in words, and as pairs of values for a table and a data set's name. It states that in each pair the first
    is above the second. No pairs: the table cannot decide. readings: a model of the claim, and others that may stand
    for it."""

    text: str
    differences: Callable[[pd.DataFrame, str], Differences]
    readings: tuple[str, tuple[str, ...]] = ("", ())


def judge(table: pd.DataFrame) -> pd.DataFrame:
    """Every claim on every data set of the table, under every reading: columns claim, reading ('' the kit's own),
    data, compared, `Difference`'s, verdict, and seeds (how many would decide with a power of 0.8, if the mean and the
    deviation seen were the true ones; NaN where the verdict is not open).

    The table is that of `trials.run`, of one or several data sets; a claim without trials in it has no row."""
    rows = []
    for name, claim in CLAIMS.items():
        model, others = claim.readings
        for data, reading in product(table["data"].unique(), ("", *others)):
            part = table[table["data"] == data]
            if reading:
                if reading not in set(part["model"]):
                    continue
                part = part[part["model"] != model].replace({"model": {reading: model}})
            pairs = {what: pair for what, pair in claim.differences(part, data).items() if len(pair[0])}
            if not pairs:
                continue
            differences = {what: difference(*pair) for what, pair in pairs.items()}
            decision = verdict(list(differences.values()))
            end = "high" if decision == FAILS else "low"
            those = {what: d for what, d in differences.items() if decision != SAME or is_none(d)}
            compared = min(those, key=lambda what: getattr(those[what], end))
            first, second = pairs[compared]
            seeds = (pairs_needed(first - second) or np.nan) if decision == OPEN else np.nan
            decisive = {"compared": compared, **differences[compared]._asdict()}
            rows.append(
                {"claim": name, "reading": reading, "data": data, **decisive, "verdict": decision, "seeds": seeds}
            )
    columns = ["claim", "reading", "data", "compared", *Difference._fields, "verdict", "seeds"]
    return pd.DataFrame(rows, columns=columns)


def markdown(judged: pd.DataFrame) -> str:
    """`judge`'s table for a README: one row for each claim, data set and reading."""
    lines = ["| claim | data | what is compared | mean difference [95 %] | verdict |", "|---|---|---|---|---|"]
    previous = ""
    for row in judged.to_dict("records"):
        text = CLAIMS[row["claim"]].text if row["claim"] != previous else ""
        previous = row["claim"]
        compared = f"{row['compared']} (reading: {row['reading']})" if row["reading"] else row["compared"]
        interval = f"{row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
        decision = row["verdict"] + ("" if pd.isna(row["seeds"]) else f" ({row['seeds']:.0f} seeds would)")
        lines.append(f"| {text} | {row['data']} | {compared} | {interval} | {decision} |")
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
    mean score of every modality alone. A table without these cannot decide."""
    held_out = by_seed(table, data, "valid_score").mean()
    alone = max((value for name, value in held_out.items() if str(name).endswith(" alone")), default=None)
    if NOISE not in table or alone is None:
        return {}
    rivals = [name for name in BASELINES if name in held_out and held_out[name] >= alone]
    falls = _pairs(table.assign(fall=table["score"] - table[NOISE]), data, rivals, ["CLCR"], "fall")
    return {f"fall of {what}": values for what, values in falls.items()}


def _rivals(table: pd.DataFrame, data: str) -> Differences:
    """CLCR minus every baseline; a table without some of them cannot decide."""
    return _pairs(table, data, ["CLCR"], list(BASELINES)) if set(BASELINES) <= set(table["model"]) else {}


def _world(table: pd.DataFrame, data: str) -> Differences:
    """CLCR minus the ablation of the mechanism that the world was made for, minus NEEDED."""
    ablation = MECHANISMS.get(data.removeprefix("world: "))
    if ablation is None or ablation not in set(table["model"]):
        return {}
    asked = table.assign(score=table["score"] + NEEDED * (table["model"] == ablation))
    return {f"{what} − {NEEDED}": pair for what, pair in _pairs(asked, data, ["CLCR"], [ablation]).items()}


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
_UNSPLIT = ("no IntraCED", ("no IntraCED, no split",))
_BUDGETED = ("CLCR", ("speakers budgeted", "both budgeted"))
CLAIMS: Mapping[str, Claim] = {
    "hierarchy": Claim(
        "The hierarchy matters most: without it the score is lower than without IntraCED or InterCAD",
        lambda table, data: _pairs(table, data, _PARTS, ["no hierarchy"]),
        _UNSPLIT,
    ),
    "intraced": Claim(
        "IntraCED matters more than InterCAD",
        lambda table, data: _pairs(table, data, ["no InterCAD"], ["no IntraCED"]),
        _UNSPLIT,
    ),
    "full mix": Claim(
        "Mixing the levels up is worse than leaving any part out",
        lambda table, data: _pairs(
            table, data, ["no hierarchy", *_PARTS, "no regularisers", "dense exchange"], ["full mix"]
        ),
        ("full mix", ("full mix, shuffled", "full mix, pooled")),
    ),
    "sparse": Claim(
        "A learned sparse budget beats dense exchange",
        lambda table, data: _pairs(table, data, ["CLCR"], ["dense exchange"]),
        _BUDGETED,
    ),
    "participation": Claim("A participation near 0.68 beats sparser and denser ones", _near),
    "noise": Claim("CLCR loses least under Gaussian noise (standard deviation 1)", _noise),
    "leading": Claim("The modality gate follows the modality that does best alone", _leading),
    "baselines": Claim("CLCR beats every baseline", _rivals, ("CLCR", (PLAIN, *_BUDGETED[1], "private sum"))),
    "worlds": Claim(f"In the world made for it, a mechanism is worth at least {NEEDED} of the score", _world),
}
"""By a short name. [paper] all but the last two; 'leading' is stated for MOSI (language) and Kinetics-Sounds (vision).

'hierarchy' is what the paper's text says; in its own table the row without both regularisers (0.725, 71.2) is below the
one without the hierarchy (0.720, 71.9). 'worlds' is ours: can our data show the mechanism at work?"""
