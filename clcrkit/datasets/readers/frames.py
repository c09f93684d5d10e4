"""Frames: the pictures of a folder, each averaged to a few numbers, or as large as an image encoder needs them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from clcrkit.datasets.readers.paths import inside
from clcrkit.datasets.readers.provenance import Provenance
from clcrkit.errors import DataError, check_range, require

PIXELS = 16  # a frame becomes the means of 16 x 16 fields
MOST_FRAMES = 32  # of a clip, evenly spaced
PICTURES = 3  # frames of a clip for an image encoder, as OGM-GE takes them
PIXELS_OF_PICTURES = (32, 512)  # from one end of a frame to the other; less is less than a ResNet's stride
LARGEST_IMAGE = 64_000_000  # pixels
IMAGE_FRAMES = Provenance(f"clcrkit: {PIXELS} x {PIXELS} colour means of at most {MOST_FRAMES} frames")


def image_frames(folder: Path, *names: str, grey: bool = False) -> Float[ndarray, "frame feature"]:
    """The frames of a folder in the order of their names, each as 16 x 16 means of its colours, from 0 to 1.

    At most 32 frames are taken, evenly spaced. Raises DataError for a folder without a jpg or png and for an
    image that is damaged or has more than 64 million pixels."""
    mode = "L" if grey else "RGB"
    return np.stack([open_image(path, (PIXELS, PIXELS), mode).ravel() for path in frame_files(folder, *names)])


def frame_pictures(
    folder: Path, *names: str, size: tuple[int, int], grey: bool = False, most: int = PICTURES
) -> Float[ndarray, "frame pixel"]:
    """The frames of a folder, evenly spaced, for an image encoder: scaled to `size` (width, height) and flattened, with
    the colours as the first axis, from 0 to 1. Raises DataError as `image_frames` does."""
    frames = [open_image(path, size, "L" if grey else "RGB") for path in frame_files(folder, *names, most=most)]
    return np.stack([(frame if grey else frame.transpose(2, 0, 1)).ravel() for frame in frames])


def picture_source(pixels: int, what: str = "frames") -> Provenance:
    """What `frame_pictures` makes of square frames."""
    check_range("pixels", pixels, *PIXELS_OF_PICTURES)
    return Provenance(f"clcrkit: at most {PICTURES} {what} of {pixels} x {pixels} pixels")


def frame_files(folder: Path, *names: str, most: int = MOST_FRAMES) -> list[Path]:
    """The pictures of a folder in the order of their names, at most this many of them, evenly spaced."""
    place = inside(folder, *names)
    try:
        pictures = sorted(p.name for p in place.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    except OSError as error:
        raise DataError(f"{place}: not a folder of frames ({error})") from error
    if not pictures:
        raise DataError(f"{place}: holds no jpg or png")
    positions = np.linspace(0, len(pictures) - 1, min(len(pictures), most)).round().astype(int)
    return [inside(folder, *names, pictures[i]) for i in positions]


def open_image(path: Path, size: tuple[int, int], mode: str) -> Float[ndarray, "row column ..."]:
    """A picture scaled to `size` (width, height) by averaging, in Pillow's mode "RGB" or "L", from 0 to 1."""
    pillow = require("PIL.Image", "data")
    try:
        with pillow.open(path, formats=("JPEG", "PNG")) as image:
            if math.prod(image.size) > LARGEST_IMAGE:
                raise ValueError(f"{image.size[0]} x {image.size[1]} pixels")
            small = image.convert(mode).resize(size, pillow.Resampling.BOX)
    except Exception as error:  # a damaged image makes Pillow raise a dozen different kinds
        raise DataError(f"{path}: not a jpg or png, or damaged ({error})") from error
    return np.asarray(small, dtype=np.float32) / 255
