"""Spoken digits: real recordings of six people, each with a handwritten scan of the same digit.

The recordings are the Free Spoken Digit Dataset (CC BY-SA 4.0), the scans scikit-learn's. Nobody wrote and spoke the
same digit: which scan goes with which recording is drawn here.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from clcrkit.arguments import public
from clcrkit.batch import collate
from clcrkit.datasets.digits import describe_rows, describe_times, load_scans
from clcrkit.datasets.readers.array_files import open_member
from clcrkit.datasets.readers.paths import VARIABLE, locate
from clcrkit.datasets.readers.sound import BANDS, HOP_S, log_mel, read_wav
from clcrkit.datasets.split import PARTS, Split
from clcrkit.errors import DataError, check_choice, require

FILE = "fsdd.zip"
URL = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/26eb9aa.zip"
# of the recordings themselves: GitHub may pack the same files differently at any time
DIGEST = "e0fb762c9bab2821a71965f6a9ac29ac25698541430c8a8b7c54ea3e49cc7afe"
HOW = f"put {URL} there under that name, or give no folder to have it downloaded"
RECORDING = re.compile(r"(?:.*/)?recordings/(?P<digit>\d)_(?P<speaker>[a-z]+)_(?P<take>\d{1,3})\.wav")
LARGEST_BYTES = 2**20  # of one recording; the longest has 36 kB
VALID_SPEAKERS, TEST_SPEAKERS = 1, 2
OFFICIAL_TEST, VALID_TAKES = range(5), range(5, 10)


@public
def spoken_digits(folder: str | os.PathLike[str] | None = None, split: str = "official", seed: int = 0) -> Split:
    """3,000 recordings of ten digits by six speakers, each with a scan of the same digit.

    acoustic (batch, token, 40): log-mel frames, one for each 20 ms, from 0 (80 dB below the recording's loudest
    cell, or less) to 1. vision (batch, 8, 8): the rows of the scan, from 0 to 1. Attributes: group (the speaker), take
    (the number of the recording), scan (its number in scikit-learn's data). A scan is in one part only and is used at
    most twice. `sound["acoustic"]` gives a sample's recording.

    split: 'official' (takes 0 to 4 for testing; of the others we hold out 5 to 9 for validation; all speakers in all
    parts) or 'speakers' (three speakers train, one validates, two test: nobody is in two parts). seed: draws the
    scans, and the speakers of each part.
    folder: where fsdd.zip lies, default what the environment's CLCRKIT_DATA names; where neither is set, the
    archive (16 MB) is downloaded once, its recordings checked by their digest, and kept in the user's cache folder.
    Raises ConfigError for other settings, DataError where the file is not there, cannot be had, or is damaged.
    """
    check_choice("split", split, ("official", "speakers"))
    path = _download() if folder is None and VARIABLE not in os.environ else locate(FILE, folder, HOW)
    recordings = _read(path)
    facts = [fact for name in recordings if (fact := RECORDING.fullmatch(name))]
    digit, take = (np.array([int(fact[key]) for fact in facts]) for key in ("digit", "take"))
    names, speaker = np.unique([fact["speaker"] for fact in facts], return_inverse=True)
    random = np.random.default_rng(seed)
    if split == "official":
        part = np.where(np.isin(take, OFFICIAL_TEST), "test", np.where(np.isin(take, VALID_TAKES), "valid", "train"))
    else:
        if len(names) <= VALID_SPEAKERS + TEST_SPEAKERS:
            raise DataError(f"{path}: {len(names)} speakers, but {VALID_SPEAKERS + TEST_SPEAKERS + 1} are needed")
        roles = np.full(len(names), "train")
        order = random.permutation(len(names))
        roles[order[:TEST_SPEAKERS]] = "test"
        roles[order[TEST_SPEAKERS : TEST_SPEAKERS + VALID_SPEAKERS]] = "valid"
        part = roles[speaker]

    scans, scan_digits = load_scans()
    scan = _paired(digit, part, scan_digits, random)
    if (scan < 0).any():
        raise DataError(f"{path}: more recordings of a digit than twice its scans; it is not the published set")
    waves = list(recordings.items())

    def heard(sample: int) -> tuple[Float[ndarray, "sample"], int]:
        name, content = waves[sample]
        file = io.BytesIO(content)
        file.name = f"{path}, {name}"  # for messages
        return read_wav(file)

    tokens = [
        {"acoustic": log_mel(*heard(sample), BANDS, HOP_S), "vision": scans[i].astype(np.float32)}
        for sample, i in enumerate(scan)
    ]
    batch = collate(tokens, labels=digit, attributes={"group": speaker, "take": take, "scan": scan}, classes=10)
    parts: dict[str, Any] = {}
    for name in PARTS:
        rows = random.permutation(np.flatnonzero(part == name))
        if not len(rows):
            raise DataError(f"{path}: no recording for the {name} part; it is not the published set")
        parts[name] = batch.select(rows)
    return Split(
        **parts,
        label_names=tuple(map(str, range(10))),
        attribute_names={"group": tuple(map(str, names))},
        describe={"acoustic": describe_times, "vision": describe_rows},
        sound={"acoustic": heard},
    )


def _paired(digit: ndarray, part: ndarray, scan_digits: ndarray, random: np.random.Generator) -> ndarray:
    """For each recording a scan of its digit, each in one part and used at most twice; -1 where they do not suffice."""
    scan = np.full(len(digit), -1)
    for value in range(10):
        unused = random.permutation(np.flatnonzero(scan_digits == value))
        for name in ("test", "valid", "train"):
            wanted = random.permutation(np.flatnonzero((digit == value) & (part == name)))
            scans, unused = np.split(unused, [-(-len(wanted) // 2)])
            scan[wanted[: 2 * len(scans)]] = np.tile(scans, 2)[: len(wanted)]
    return scan


def _read(path: Path) -> dict[str, bytes]:
    """The recordings by name, in order of their names, read from the archive without unpacking it to the disk."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted(filter(lambda m: RECORDING.fullmatch(m.filename), archive.infolist()), key=_file_name)
            if not members:
                raise ValueError("no recordings/<digit>_<speaker>_<take>.wav in it")
            large = [m.filename for m in members if m.file_size > LARGEST_BYTES]
            if large or len({_file_name(m) for m in members}) < len(members):
                raise ValueError(f"{large[0]} takes more than 1 MiB" if large else "a recording comes twice")
            return {m.filename: open_member(archive, m).read() for m in members}
    except Exception as error:  # a damaged archive makes zipfile raise a dozen different kinds
        raise DataError(f"{path}: not an archive of the recordings, or damaged ({error})") from error


def _file_name(member: zipfile.ZipInfo) -> str:
    return member.filename.rpartition("/")[2]


def _digest(recordings: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in recordings.items():
        digest.update(name.rpartition("/")[2].encode() + b"\0" + len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def _download() -> Path:
    """The archive in the user's cache, fetched where it is not there yet. A wrong one is not kept."""
    pooch = require("pooch", "data")
    try:
        path = Path(pooch.retrieve(URL, known_hash=None, fname=FILE, path=pooch.os_cache("clcrkit"), progressbar=True))
    except Exception as error:  # no network, a proxy, a full disk: requests and pooch raise a dozen different kinds
        raise DataError(
            f"{FILE}: cannot be downloaded from {URL} ({error}); fetch it elsewhere and give its folder"
        ) from error
    try:
        if (digest := _digest(_read(path))) != DIGEST:
            raise DataError(f"{path}: recordings with digest {digest}, but {DIGEST} is expected; it was deleted")
    except DataError:
        path.unlink()
        raise
    return path
