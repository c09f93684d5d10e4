"""Judges the claims on every stored table of this folder: prints Markdown, and writes claims.csv.

python data/results/judge_claims.py
"""

from __future__ import annotations

from pathlib import Path

from clcrkit.experiments.claims import judge, markdown
from clcrkit.experiments.stored import evidence
from clcrkit.files import write_text

RESULTS = Path(__file__).parent

if __name__ == "__main__":
    judged = judge(evidence(RESULTS))
    write_text(RESULTS / "claims.csv", judged.to_csv(index=False, float_format="%.6g"))
    print(markdown(judged))
