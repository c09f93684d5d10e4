"""Tiny folders in the exact layouts that are published: what the loaders' tests, and the fuzzing, read.

Every writer has the signature write_xxx(folder, seed); sound and pictures tell the class."""

from __future__ import annotations

import pickle
import wave
from pathlib import Path

import numpy as np

from clcrkit.datasets import asynchrony, convert

CREMAD_CLASSES = ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")


def write_wav(path: Path, label: int, random: np.random.Generator, seconds: float = 0.2) -> None:
    """A tone with noise, its pitch set by the class."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(16_000 * seconds)) / 16_000
    sound = 0.5 * np.sin(2 * np.pi * 300 * 1.4**label * time) + 0.05 * random.normal(size=len(time))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((sound.clip(-1, 1) * 32767).astype("<i2").tobytes())


def write_frames(folder: Path, names: list[str], label: int, random: np.random.Generator, grey: bool = False) -> None:
    """Small pictures, their brightness set by the class."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        pixels = (20 + 7 * label + random.integers(0, 30, (24, 32, 3))).astype(np.uint8)
        Image.fromarray(pixels[..., 0] if grey else pixels).save(folder / name)


def write_cremad(folder: Path, seed: int) -> None:
    """10 actors of 3 clips each, 24 in train.csv and 6 in test.csv."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    clips = [(f"{1001 + i // 3}_IEO_{CREMAD_CLASSES[i % 6]}_XX", i % 6) for i in range(30)]
    for clip, label in clips:
        write_wav(folder / "AudioWAV" / f"{clip}.wav", label, random, random.uniform(0.1, 0.3))
        frames = [f"{i + 1:05d}.jpg" for i in range(random.integers(1, 4))]
        write_frames(folder / "Image-01-FPS" / clip, frames, label, random)
    order = random.permutation(30)
    for part, chosen in (("train", order[:24]), ("test", order[24:])):
        (folder / f"{part}.csv").write_text("".join(f"{clips[i][0]},{CREMAD_CLASSES[clips[i][1]]}\n" for i in chosen))


def write_kinetics_sounds(folder: Path, seed: int) -> None:
    """40 clips of 20 videos, 31 of them in my_train.txt; every third spectrogram is pickled, as some copies are."""
    random = np.random.default_rng(seed)
    (folder / "audio_spec").mkdir(parents=True, exist_ok=True)
    ends = [f"{10 * (i % 2):06d}_{10 * (i % 2) + 10:06d}" if i < 31 else str(i % 2) for i in range(40)]
    clips = [(f"-video{i // 2:02d}_x_{end}", i % 31) for i, end in enumerate(ends)]
    for i, (clip, label) in enumerate(clips):
        spectrogram = random.normal(size=(65, random.integers(17, 40))).astype(np.float32)
        spectrogram[label] += 4
        if i % 3:
            np.save(folder / "audio_spec" / f"{clip}.npy", spectrogram)
        else:
            (folder / "audio_spec" / f"{clip}.pkl").write_bytes(pickle.dumps(spectrogram, protocol=i % 5))
        frames = [f"frame_{i + 1:05d}.jpg" for i in range(random.integers(1, 5))]
        write_frames(folder / "visual" / clip, frames, label, random)
    for part, chosen in (("train", clips[:31]), ("test", clips[31:])):
        (folder / f"my_{part}.txt").write_text("".join(f"{clip},10,{label}\n" for clip, label in chosen))


def write_ucf101(folder: Path, seed: int) -> None:
    """3 classes of 8 groups of one or two clips; groups 1 to 2 are the test part of list 1, 3 to 4 of list 2."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    classes = ("ApplyEyeMakeup", "ApplyLipstick", "YoYo")
    (folder / "classInd.txt").write_text("".join(f"{i + 1} {name}\n" for i, name in enumerate(classes)))
    lines: dict[int, list[tuple[str, int]]] = {group: [] for group in range(1, 9)}
    for label, name in enumerate(classes):
        for group in lines:
            for clip in range(1, 2 + group % 2):
                video = f"v_{name}_g{group:02d}_c{clip:02d}"
                lines[group].append((f"{name}/{video}.avi", label))
                rgb = [f"frame_{i + 1:05d}.jpg" for i in range(random.integers(1, 5))]
                write_frames(folder / "visual" / video, rgb, label, random)
                flow = [f"frame{i + 1:06d}.jpg" for i in range(random.integers(2, 6))]
                for direction in ("flow_u", "flow_v"):
                    write_frames(folder / direction / video, flow, label, random, grey=True)
    for number, held_out in ((1, (1, 2)), (2, (3, 4)), (3, (5, 6))):
        train = [f"{line} {label + 1}\n" for group in lines if group not in held_out for line, label in lines[group]]
        test = [f"{line}\n" for group in held_out for line, _ in lines[group]]
        (folder / f"trainlist0{number}.txt").write_text("".join(train))
        (folder / f"testlist0{number}.txt").write_text("".join(test))


def write_ave(folder: Path, seed: int) -> None:
    """12 clips: 8, 2 and 2. The visual features are constant over the 7 x 7 places but for the place's own number."""
    import h5py

    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    clips, seconds = 12, 10
    events = np.arange(clips) % 28
    begun, ended = random.integers(0, 4, clips), random.integers(6, 11, clips)
    shown = (np.arange(seconds) >= begun[:, None]) & (np.arange(seconds) < ended[:, None])
    labels = np.zeros((clips, seconds, 29), np.float32)
    labels[np.arange(clips)[:, None], np.arange(seconds), np.where(shown, events[:, None], 28)] = 1
    places = np.arange(49, dtype=np.float32).reshape(1, 1, 7, 7, 1)
    arrays = {
        "audio_feature": random.normal(size=(clips, seconds, 128)).astype(np.float32),
        "visual_feature": np.broadcast_to(
            random.integers(0, 5, (clips, seconds, 1, 1, 1)) + places, (clips, seconds, 7, 7, 512)
        ),
        "labels": labels,
        "mil_labels": labels.max(1),
    }
    for name, array in arrays.items():
        with h5py.File(folder / f"{name}.h5", "w") as file:
            chunks = (1, *array.shape[1:])
            file.create_dataset("avadataset", data=array, chunks=chunks, compression="gzip", compression_opts=1)
    with open(folder / "Annotations.txt", "w") as file:
        file.write("Category&VideoID&Quality&StartTime&EndTime\n")
        for clip in range(clips):  # two clips of each video
            file.write(f"Kind {events[clip]}&video{clip // 2}&good&{begun[clip]}&{ended[clip]}\n")
    order = random.permutation(clips)
    for part, chosen in (("train", order[:8]), ("val", order[8:10]), ("test", order[10:])):
        with h5py.File(folder / f"{part}_order.h5", "w") as file:
            file.create_dataset("order", data=chosen)


def write_ave_clips(folder: Path, seed: int) -> None:
    """18 lines of 16 videos in three lists; one video has two events in the training list, one is also in the test."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    videos = [f"-vid_{i:02d}" for i in range(16)]
    for i, video in enumerate(videos):
        write_wav(folder / "AudioWAV" / f"{video}.wav", i % 3, random, 0.5)
        frames = [f"{j:05d}.jpg" for j in range(random.integers(1, 6))]
        write_frames(folder / "Image-01-FPS" / video, frames, i % 3, random)
    chosen = {"train": [*range(10), 0], "val": [10, 11], "test": [12, 13, 14, 15, 3]}
    for part, places in chosen.items():
        lines = [f"Kind {(i + n // 10) % 3}, spoken&{videos[i]}&good&0&{n}\n" for n, i in enumerate(places)]
        (folder / f"{part}Set.txt").write_text("".join(lines))


def write_shards(folder: Path, seed: int) -> None:
    """A converted asynchrony set, in several shards."""
    convert(asynchrony((20, 4, 4), seed=seed), folder, shard_bytes=20_000, progress=False)
