"""Make a corpus in VoiceBank's layout from one's own speech and noise."""

import json
import random
import re
import zlib
from collections import Counter, namedtuple
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from corpus.audio import opened, read
from corpus.files import in_threads
from corpus.layout import MADE, SAMPLE_RATE, claim, write_logs, write_utterance
from corpus.levels import mix_at_snr
from corpus.recordings import find_noises, find_speech, safe_name
from corpus.resampling import resample
from errors import RecipeError, listed

DRAWS = 50  # stretches of a noise to try for one that is not silent
VERSION = 2  # raise it when the same settings would give other bytes
Planned = namedtuple("Planned", "name part speech kind snr")  # a mixture to make


@dataclass(frozen=True)
class MixSettings:
    """Who goes where. Speakers and noise kinds are names, or one fraction (0 to 1) to be drawn."""

    snrs_train: tuple = (0.0, 5.0, 10.0, 15.0)  # dB, as in VoiceBank-DEMAND
    snrs_test: tuple = (2.5, 7.5, 12.5, 17.5)  # dB
    valid_speakers: tuple = ("0.1",)
    test_speakers: tuple = ("0.1",)
    test_noises: tuple = ("0.3",)
    seed: int = 1234
    without: tuple = ()
    colour: bool = False  # change the frequency balance of each noise at random


def mix_corpus(
    speech: str | Path,
    noise: str | Path | Sequence[str | Path],
    data_folder: str | Path,
    settings=MixSettings(),
) -> dict:
    """Write the corpus; returns the split and ``problems``, a line for each recording left out.

    ``noise``: one folder or several, with a sub-folder for each kind. The same folders and settings
    give the same bytes. An interrupted run goes on when repeated.
    """
    data_folder = Path(data_folder)
    for name in ("snrs_train", "snrs_test"):
        values = getattr(settings, name)
        if not values or not all(-100 <= value <= 100 for value in values):
            raise RecipeError(f"--{name} is {values}; accepted: numbers from -100 to 100 dB")
    if settings.seed < 0:
        raise RecipeError(f"--seed is {settings.seed}; accepted: whole numbers from 0 on")
    found = find_speech(Path(speech), settings.without, leave_out=data_folder)
    noises = [Path(noise)] if isinstance(noise, (str, Path)) else [Path(folder) for folder in noise]
    kinds, problems = find_noises(noises, settings.without, leave_out=data_folder)
    speakers, draw = {item.speaker for item in found}, random.Random(settings.seed)
    test = _chosen("test_speakers", settings, speakers, draw, spare=2)
    split = {
        "valid_speakers": _chosen("valid_speakers", settings, speakers - {*test}, draw, spare=1),
        "test_speakers": test,
        "test_noises": _chosen("test_noises", settings, set(kinds), draw, spare=1),
    }
    record = {**split, "settings": asdict(settings), "utterances": len(found), "version": VERSION}
    claim(data_folder / "split.json", json.dumps(record, indent=1) + "\n")

    def mix(item):
        rng = np.random.default_rng([settings.seed, zlib.crc32(item.name.encode())])
        signal = resample(*read(item.speech.path), SAMPLE_RATE)
        stretch = _stretch(kinds[item.kind], len(signal), rng)
        stretch = _coloured(stretch, rng) if settings.colour else stretch
        noisy, clean = mix_at_snr(signal, stretch, item.snr)
        files = item.part.files(data_folder, item.name)
        write_utterance(files, clean, noisy, item.speech.words)

    plan, made = _plan(found, sorted(kinds), split, settings), []
    for item, problem in zip(plan, in_threads(mix, plan, "Mixing"), strict=True):
        if problem:
            problems.append(f"{item.speech.path} with noise {item.kind}: {problem}")
        else:
            made.append(item)
    for part in MADE:
        if not any(item.part is part for item in made):
            raise RecipeError(f"Nothing could be mixed for {part.name}:\n{listed(problems)}")
    write_logs(data_folder, made)
    return {**split, "problems": problems}


def _chosen(option, settings, there, draw, spare):
    """The sorted names that an option asks for; ``spare`` of those there must be left."""
    wanted, available = getattr(settings, option), sorted(there)
    chosen = {safe_name(name) for name in wanted}
    if len(wanted) == 1 and re.fullmatch(r"0?\.\d+", wanted[0]):
        count = max(1, round(float(wanted[0]) * len(available)))
        chosen = set(draw.sample(available, min(count, len(available))))
    if unknown := sorted(chosen - there):
        raise RecipeError(f"--{option}: no {', '.join(unknown)}; available: {', '.join(available)}")
    if not 0 < len(chosen) <= len(available) - spare:
        raise RecipeError(
            f"--{option} takes {len(chosen)} of {len(available)} ({', '.join(available)}); "
            f"accepted: 1 to {max(0, len(available) - spare)}, since the other parts need some."
        )
    return sorted(chosen)


def _plan(found, kinds, split, settings):
    """Name the utterances ``<speaker>_<nnn>`` and draw each one's noise and SNR."""
    counts, plan = Counter(), []
    rest = [kind for kind in kinds if kind not in split["test_noises"]]
    for item in found:
        counts[item.speaker] += 1
        name = f"{item.speaker}_{counts[item.speaker]:03d}"
        draw = random.Random(f"{settings.seed} {name}")  # by name: no mixture depends on another
        part, noises, snrs = MADE[0], rest, settings.snrs_train
        if item.speaker in split["test_speakers"]:
            part, noises, snrs = MADE[1], split["test_noises"], settings.snrs_test
        plan.append(Planned(name, part, item, draw.choice(noises), float(draw.choice(snrs))))
    return plan


def _stretch(files, samples, rng):
    """At most ``samples`` at 16 kHz from a random place of a file; only these are read."""
    for _ in range(DRAWS):
        path = files[rng.integers(len(files))]
        with opened(path) as file:
            frames, rate = file.frames, file.samplerate
        wanted = -(-samples * rate // SAMPLE_RATE)
        start = rng.integers(frames - wanted) if frames > wanted else 0
        stretch = resample(*read(path, start, min(wanted, frames)), SAMPLE_RATE)
        stretch = np.trim_zeros(stretch)  # some collections pad with digital silence
        if stretch.any():
            return stretch
    raise RecipeError(f"only silence in {DRAWS} stretches of {path.parent}")


def _coloured(noise, rng):
    """A noise with a random spectral tilt and a random level of each octave."""
    octaves = np.arange(8)  # 62.5 Hz to 8 kHz
    levels = rng.uniform(-6, 3) * octaves + rng.normal(0, 3, size=8)  # dB
    spectrum = np.fft.rfft(noise)
    place = np.log2(np.maximum(np.arange(len(spectrum)) * SAMPLE_RATE / len(noise), 1) / 62.5)
    return np.fft.irfft(spectrum * 10 ** (np.interp(place, octaves, levels) / 20), len(noise))
