"""The colours of all pictures: figures, the explorer (which gets them with its data) and its still picture.

Okabe and Ito's set, told apart also by the colour-blind. On a dark page the same hues are lighter.
"""

from __future__ import annotations

from typing import TypedDict

BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, GREY, OLIVE = "#E69F00", "#56B4E9", "#6E6E6E", "#B8A200"

LINES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, GREY, OLIVE)
"""One after the other for the lines of a figure."""

UNKNOWN = "#999999"  # a sample whose group is not known
PALE = "#d3d7dd"  # what a token asks for and does not get
AXIS = "#8a919c"


class Shades(TypedDict):
    """The explorer's colours on a light or on a dark page."""

    categories: list[str]  # groups of samples
    modalities: list[str]  # deep enough to be read as text
    right: str  # samples without an error, beside the vermillion ones
    ink: str
    warning: str  # the cut-off, muted tokens, errors
    heat: str  # the strongest cell of a heat map; the weakest has the page's colour


class Palette(TypedDict):
    """All that the browser draws with; `ramp` (Cividis) runs from low to high numbers, as red, green, blue."""

    light: Shades
    dark: Shades
    ramp: list[list[int]]


EXPLORER: Palette = {
    "light": {
        "categories": [ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE, OLIVE, GREY],
        "modalities": [BLUE, "#C2500A", "#00845F", "#A8558A", "#8A7A00", "#3A8FC4"],
        "right": "#A4ABB5",
        "ink": "#181c24",
        "warning": "#c43e00",
        "heat": "#003C82",
    },
    "dark": {
        "categories": ["#F0AE1E", "#7CC7F2", "#22B78C", "#4A96E0", "#F0763A", "#DD93BC", "#E8DC55", "#A8A8A8"],
        "modalities": ["#5AA9EE", "#F08A4B", "#35C499", "#DD93BC", "#E0D04A", "#9AD4F7"],
        "right": "#7A828E",
        "ink": "#eceff4",
        "warning": "#ff8a65",
        "heat": "#FFD66E",
    },
    "ramp": [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 183, 106], [254, 232, 56]],
}
