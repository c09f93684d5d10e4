"""Digits to draw in the playground: by hand, and after scans that training never saw."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from tests.browser.playground_driver import Stroke

# Two ways to write each digit, as strokes between places from (0, 0), top left, to (1, 1).
BY_HAND: list[tuple[int, list[Stroke]]] = [
    (0, [[(0.5, 0.08), (0.32, 0.25), (0.28, 0.6), (0.45, 0.92), (0.62, 0.8), (0.7, 0.45), (0.62, 0.18), (0.5, 0.08)]]),
    (0, [[(0.48, 0.1), (0.3, 0.4), (0.35, 0.8), (0.52, 0.9), (0.68, 0.65), (0.66, 0.3), (0.48, 0.1)]]),
    (1, [[(0.35, 0.3), (0.55, 0.08), (0.55, 0.92)]]),
    (1, [[(0.5, 0.08), (0.5, 0.92)], [(0.3, 0.92), (0.7, 0.92)], [(0.5, 0.08), (0.35, 0.25)]]),
    (2, [[(0.3, 0.25), (0.45, 0.1), (0.65, 0.18), (0.65, 0.4), (0.32, 0.88), (0.72, 0.88)]]),
    (2, [[(0.28, 0.2), (0.5, 0.08), (0.68, 0.25), (0.5, 0.6), (0.28, 0.9), (0.7, 0.9)]]),
    (3, [[(0.3, 0.1), (0.65, 0.12), (0.65, 0.4), (0.42, 0.48), (0.66, 0.6), (0.62, 0.86), (0.3, 0.9)]]),
    (3, [[(0.3, 0.15), (0.5, 0.08), (0.66, 0.28), (0.45, 0.47), (0.68, 0.7), (0.5, 0.9), (0.28, 0.85)]]),
    (4, [[(0.5, 0.08), (0.25, 0.6), (0.75, 0.6)], [(0.62, 0.35), (0.58, 0.92)]]),
    (4, [[(0.35, 0.1), (0.28, 0.5), (0.7, 0.52)], [(0.65, 0.15), (0.62, 0.92)]]),
    (5, [[(0.7, 0.1), (0.35, 0.1), (0.32, 0.45), (0.6, 0.45), (0.68, 0.7), (0.5, 0.9), (0.28, 0.86)]]),
    (5, [[(0.66, 0.08), (0.34, 0.12), (0.32, 0.42), (0.62, 0.5), (0.6, 0.85), (0.3, 0.9)]]),
    (6, [[(0.6, 0.08), (0.38, 0.35), (0.32, 0.7), (0.48, 0.92), (0.66, 0.75), (0.56, 0.55), (0.36, 0.65)]]),
    (6, [[(0.45, 0.08), (0.3, 0.5), (0.36, 0.85), (0.58, 0.9), (0.66, 0.65), (0.45, 0.55), (0.32, 0.7)]]),
    (7, [[(0.28, 0.1), (0.7, 0.1), (0.45, 0.92)]]),
    (7, [[(0.28, 0.12), (0.68, 0.1), (0.48, 0.9)], [(0.36, 0.5), (0.68, 0.5)]]),
    (8, [[(0.5, 0.48), (0.34, 0.28), (0.5, 0.08), (0.66, 0.28), (0.34, 0.7), (0.5, 0.92), (0.66, 0.7), (0.5, 0.48)]]),
    (8, [[(0.62, 0.15), (0.38, 0.2), (0.6, 0.55), (0.58, 0.88), (0.38, 0.85), (0.42, 0.55), (0.64, 0.25)]]),
    (9, [[(0.64, 0.3), (0.45, 0.45), (0.32, 0.28), (0.48, 0.08), (0.64, 0.2), (0.62, 0.6), (0.5, 0.92)]]),
    (9, [[(0.65, 0.15), (0.4, 0.12), (0.35, 0.4), (0.62, 0.42), (0.65, 0.15), (0.64, 0.7), (0.4, 0.92)]]),
]


def after_scan(scan: Float[ndarray, "8 8"]) -> list[Stroke]:
    """The strokes that join the dark cells of a scan to their dark neighbours; a dark cell alone is a dot."""
    dark = {(row, column) for row, column in np.argwhere(scan > 0.5).tolist()}

    def middle(row: int, column: int) -> tuple[float, float]:
        return (column + 0.5) / 8, (row + 0.5) / 8

    strokes: list[Stroke] = []
    for row, column in sorted(dark):
        near = [(row, column + 1), (row + 1, column)]
        near += [
            c
            for c in ((row + 1, column - 1), (row + 1, column + 1))
            if {(row, c[1]), (row + 1, column)}.isdisjoint(dark)
        ]
        strokes += [[middle(row, column), middle(*other)] for other in near if other in dark]
        if all(abs(row - r) > 1 or abs(column - c) > 1 for r, c in dark - {(row, column)}):
            strokes.append([middle(row, column), middle(row, column)])
    return strokes
