"""Babble of real voices: several people at once, in a room."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.signal import fftconvolve

from corpus.audio import read, write
from corpus.files import in_threads
from corpus.layout import SAMPLE_RATE
from corpus.levels import rms
from corpus.recordings import find_speech
from corpus.resampling import resample

SAMPLES = 20 * SAMPLE_RATE
LEVEL = 0.1  # RMS of the noises; full scale is 1
KINDS = {
    "crowd_near": (3, 6, 0.03),
    "crowd_far": (6, 12, 0.12),
}  # people, least and most; decay of the room, s


def mix_crowds(
    folder: str | Path, speech: str | Path, without: Sequence[str] = (), seed: int = 1234
) -> list[str]:
    """Write 40 noises of 20 s of each kind; returns a line for each that could not be made.

    ``without`` leaves out speakers and recordings, as in ``find_speech``.
    """
    people = {}
    for item in find_speech(Path(speech), without):
        people.setdefault(item.speaker, []).append(item.path)
    plan = [(kind, index) for kind in KINDS for index in range(40)]

    def make(item):
        kind, index = item
        least, most, decay = KINDS[kind]
        rng = np.random.default_rng([seed, *kind.encode(), index])
        crowd = np.zeros(SAMPLES)
        for person in rng.choice(sorted(people), rng.integers(least, most + 1)):
            crowd += rng.uniform(0.4, 1) * _voice(people[person], rng)
        time = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
        room = rng.normal(size=time.size) * np.exp(-time / (decay * rng.uniform(0.5, 1.5)))
        room[0] += rng.uniform(1, 5)  # the direct sound
        crowd = fftconvolve(crowd, room)[:SAMPLES]
        write(Path(folder) / kind / f"{index:02d}.wav", LEVEL * crowd / rms(crowd), SAMPLE_RATE)

    problems = zip(plan, in_threads(make, plan, "Crowds"), strict=True)
    return [f"{kind} {index}: {problem}" for (kind, index), problem in problems if problem]


def _voice(files, rng):
    """Some of one person's recordings, from a random place on: [samples], RMS 1."""
    signal = np.zeros(0)
    for index in rng.permutation(len(files)):
        if signal.size < SAMPLES:
            signal = np.append(signal, resample(*read(files[index]), SAMPLE_RATE))
    signal = np.resize(signal, max(SAMPLES, signal.size))
    signal = np.roll(signal, rng.integers(signal.size))[:SAMPLES]
    return signal / max(rms(signal), 1e-6)
