"""Mix clean speech and noises of one's own to a corpus in VoiceBank's layout: new speakers and noises in the test."""

import json
import os
import random
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from corpus.audio import read, write, write_text
from corpus.inspection import QUIET_SECONDS
from corpus.layout import SAMPLE_RATE, TEST, TRAIN, at_16k
from corpus.mixing import mix_at_snr
from corpus.noise_sources import find_noises, make_noises
from corpus.resampling import to_16k
from corpus.speech_sources import find_speech, safe_name
from errors import RecipeError


@dataclass(frozen=True)
class MixSettings:
    """Who and what goes where. Speakers and noise kinds are names, or one fraction (0 to 1) to be drawn."""

    snrs_train: tuple = (0.0, 5.0, 10.0, 15.0)  # dB, as in VoiceBank-DEMAND
    snrs_test: tuple = (2.5, 7.5, 12.5, 17.5)  # dB
    valid_speakers: tuple = ("0.1",)
    test_speakers: tuple = ("0.1",)
    test_noises: tuple = ("0.3",)
    made_noises: tuple = ()  # of noise_sources.MADE; training and validation hear them beside the recorded ones
    made_share: float = (
        0.5  # of the utterances of training and validation, where there are made noises
    )
    seed: int = 1234
    only: tuple = ()
    without: tuple = ()

    def record(self):
        """What ``split.json`` keeps; without the made noises where there are none, as before these could be asked for."""
        return {
            key: value
            for key, value in asdict(self).items()
            if self.made_noises or not key.startswith("made_")
        }


@dataclass(frozen=True)
class Planned:
    """One mixture to make: where it goes, the recording, and the kind and level of its noise."""

    name: str
    part: object
    speech: object
    noise: str
    snr: float  # dB


def mix_corpus(speech, noise, data_folder, settings=MixSettings()):
    """Write the corpus into ``data_folder`` and return the split: valid_speakers, test_speakers, test_noises.

    The same folders and settings give the same bytes. ``split.json`` in the data folder records the split for
    people to read; ``prepare`` does not read it, the validation speakers are always said on the command line.
    An interrupted run is repeated with the same command; a folder made with other settings is refused.
    """
    found = find_speech(speech, settings.only, settings.without)
    recorded = find_noises(noise)
    split = _split(found, recorded, settings)
    made = _made(found, split, settings)
    data_folder = Path(data_folder)
    _claim(data_folder, {**split, "settings": settings.record(), "utterances": len(found)})
    plan = _plan(found, list(recorded), list(made), split, settings)
    kinds = {**recorded, **made}
    _make_folders(data_folder)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        work = pool.map(
            lambda item: _make(item, kinds[item.noise], data_folder, settings.seed), plan
        )
        for _ in tqdm(work, total=len(plan), desc="Mixing", unit="utt", delay=QUIET_SECONDS):
            pass
    _write_logs(data_folder, plan)
    return split


def _split(found, kinds, settings):
    speakers = sorted({item.speaker for item in found})
    draw = random.Random(settings.seed)
    test = _chosen("test_speakers", settings.test_speakers, speakers, draw, spare=2)
    rest = [speaker for speaker in speakers if speaker not in test]
    valid = _chosen("valid_speakers", settings.valid_speakers, rest, draw, spare=1)
    noises = _chosen("test_noises", settings.test_noises, sorted(kinds), draw, spare=1)
    return {"valid_speakers": valid, "test_speakers": test, "test_noises": noises}


def _chosen(option, wanted, available, draw, spare):
    """Return the sorted names that an option asks for, leaving at least ``spare`` of the available ones."""
    names = [safe_name(name) for name in wanted]
    if len(wanted) == 1 and _is_fraction(wanted[0]):
        count = max(1, round(float(wanted[0]) * len(available)))
        names = draw.sample(available, min(count, len(available)))
    unknown = sorted(set(names) - set(available))
    if unknown:
        raise RecipeError(f"--{option}: no {', '.join(unknown)}; available: {', '.join(available)}")
    if not names or len(set(names)) > len(available) - spare:
        raise RecipeError(
            f"--{option} takes {len(set(names))} of {len(available)} ({', '.join(available)}); accepted: 1 to "
            f"{max(0, len(available) - spare)}, for something must be left to the other parts."
        )
    return sorted(set(names))


def _is_fraction(text):
    try:
        return 0 < float(text) < 1
    except ValueError:
        return False


def _made(found, split, settings):
    """Made noises of the voices to train on: whom validation and test hear is in no crowd."""
    if not 0 <= settings.made_share <= 1:
        raise RecipeError(
            f"--made_share is {settings.made_share:g}; accepted: 0 to 1, a share of the utterances."
        )
    withheld = {*split["valid_speakers"], *split["test_speakers"]}
    return make_noises(
        settings.made_noises, [item.path for item in found if item.speaker not in withheld]
    )


def _plan(found, recorded, made, split, settings):
    """Name the utterances ``<speaker>_<nnn>`` and draw each one's noise and SNR."""
    counts, plan = Counter(), []
    noises = {
        TEST: split["test_noises"],
        TRAIN: [kind for kind in recorded if kind not in split["test_noises"]],
    }
    for item in found:
        counts[item.speaker] += 1
        name = f"{item.speaker}_{counts[item.speaker]:03d}"
        part = TEST if item.speaker in split["test_speakers"] else TRAIN
        draw = random.Random(f"{settings.seed} {name}")  # by name: no mixture depends on another
        snrs = settings.snrs_test if part is TEST else settings.snrs_train
        from_made = made and part is TRAIN and draw.random() < settings.made_share
        kind = draw.choice(made if from_made else noises[part])
        plan.append(Planned(name, part, item, kind, float(draw.choice(snrs))))
    return plan


def _make(item, noise, data_folder, seed):
    """Mix one utterance and write its three files, the text last."""
    try:
        speech = to_16k(*read(item.speech.path))
        stretch = noise(speech.size, np.random.default_rng([seed, zlib.crc32(item.name.encode())]))
        noisy, clean = mix_at_snr(speech, stretch, item.snr, SAMPLE_RATE)
    except RecipeError as problem:
        raise RecipeError(f"{item.speech.path} with noise {item.noise}: {problem}") from problem
    write(data_folder / at_16k(item.part.clean) / f"{item.name}.wav", clean, SAMPLE_RATE)
    write(data_folder / at_16k(item.part.noisy) / f"{item.name}.wav", noisy, SAMPLE_RATE)
    write_text(data_folder / item.part.text / f"{item.name}.txt", item.speech.words + "\n")


def _claim(data_folder, record):
    """Write ``split.json``, or compare with the one that is there, so that two corpora never mingle."""
    path = data_folder / "split.json"
    text = json.dumps(record, indent=1) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise RecipeError(
            f"--data_folder: {data_folder} was mixed from other speech or settings. Name an empty folder."
        )
    if not path.exists() and data_folder.is_dir() and any(data_folder.iterdir()):
        raise RecipeError(f"--data_folder: {data_folder} holds other files. Name an empty folder.")
    data_folder.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def _make_folders(data_folder):
    for part in (TRAIN, TEST):
        for folder in (at_16k(part.clean), at_16k(part.noisy), part.text):
            (data_folder / folder).mkdir(parents=True, exist_ok=True)


def _write_logs(data_folder, plan):
    for part in (TRAIN, TEST):
        lines = [f"{item.name} {item.noise} {item.snr:g}\n" for item in plan if item.part is part]
        write_text(data_folder / part.log, "".join(lines))
