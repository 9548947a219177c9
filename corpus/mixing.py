"""Mix speech with noise: one pair at a stated SNR, or a corpus in VoiceBank's layout."""

import json
import os
import random
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
from tqdm.contrib.concurrent import thread_map

from corpus.audio import read, write
from corpus.files import is_junk, read_text, write_text
from corpus.layout import SAMPLE_RATE, TEST, TRAIN, Part, at_16k
from corpus.levels import active_level, rms
from corpus.recordings import Speech, find_noises, find_speech, safe_name
from corpus.resampling import resample
from errors import RecipeError, listed

PEAK = 0.98  # of full scale; a louder mixture is turned down
DRAWS = 50  # stretches of a noise to try for one that is not silent
VERSION = 2  # raise it when the same settings would give other bytes


def mix_at_snr(
    speech: np.ndarray, noise: np.ndarray, snr_db: float, sample_rate: int = SAMPLE_RATE
) -> tuple[np.ndarray, np.ndarray]:
    """Add noise to speech: ``(noisy, clean)``, float32 [samples], as long as ``speech``.

    The SNR (dB) is the active speech level (ITU-T P.56, pauses left out) over the RMS of the
    noise stretch used, as VoiceBank-DEMAND was mixed. A short noise is repeated, a long one cut.
    If the mixture would clip, both are turned down by one gain.
    """
    speech, noise = _checked(speech, "speech"), _checked(noise, "noise")
    noise = np.resize(noise, speech.size)
    noise_level = rms(noise)
    if noise_level == 0.0:
        raise RecipeError("the noise is silent over the length of the speech")
    noise_gain = active_level(speech, sample_rate) / noise_level / 10 ** (snr_db / 20)
    noisy = speech + noise_gain * noise
    gain = min(1.0, PEAK / max(np.abs(noisy).max(), np.abs(speech).max()))
    return (gain * noisy).astype(np.float32), (gain * speech).astype(np.float32)


def _checked(signal: np.ndarray, name: str) -> np.ndarray:
    """``signal`` as float64 [samples]; RecipeError if it cannot be mixed."""
    signal = np.asarray(signal, dtype=np.float64)
    if signal.ndim != 1:
        raise RecipeError(f"the {name} has shape {signal.shape}; accepted: [samples]")
    if not np.isfinite(signal).all():
        raise RecipeError(f"the {name} holds values that are not finite numbers")
    if not signal.any():
        raise RecipeError(f"the {name} is empty or silent; no signal-to-noise ratio can be set")
    return signal


@dataclass(frozen=True)
class MixSettings:
    """Who goes where. Speakers and noise kinds are names, or one fraction (0 to 1) to be drawn."""

    snrs_train: tuple = (0.0, 5.0, 10.0, 15.0)  # dB, as in VoiceBank-DEMAND
    snrs_test: tuple = (2.5, 7.5, 12.5, 17.5)  # dB
    valid_speakers: tuple = ("0.1",)
    test_speakers: tuple = ("0.1",)
    test_noises: tuple = ("0.3",)
    seed: int = 1234
    only: tuple = ()
    without: tuple = ()


@dataclass(frozen=True)
class Planned:
    """One mixture to make: where it goes, the recording, and the kind and SNR of its noise."""

    name: str
    part: Part
    speech: Speech
    kind: str
    snr: float  # dB


def mix_corpus(
    speech: str | Path, noise: str | Path, data_folder: str | Path, settings=MixSettings()
) -> dict:
    """Write the corpus; returns the split and ``problems``, a line for each recording left out.

    The same folders and settings give the same bytes. ``split.json`` records the split for people
    to read. An interrupted run goes on with the same command; a folder made with other settings
    is refused.
    """
    data_folder = Path(data_folder)
    _check(settings)
    found = find_speech(Path(speech), settings.only, settings.without, leave_out=data_folder)
    kinds = find_noises(Path(noise), leave_out=data_folder)
    split = _split({item.speaker for item in found}, set(kinds), settings)
    record = {**split, "settings": asdict(settings), "utterances": len(found), "version": VERSION}
    _claim(data_folder, json.dumps(record, indent=1) + "\n")
    plan = _plan(found, sorted(kinds), split, settings)
    problems = thread_map(
        lambda item: _mix(item, kinds[item.kind], data_folder, settings.seed), plan,
        max_workers=os.cpu_count(), desc="Mixing", unit="utt", delay=5, disable=None,
    )  # fmt: skip
    made = [item for item, problem in zip(plan, problems, strict=True) if not problem]
    problems = [problem for problem in problems if problem]
    for part in (TRAIN[28], TEST):
        lines = [f"{item.name} {item.kind} {item.snr:g}\n" for item in made if item.part is part]
        if not lines:
            raise RecipeError(f"Nothing could be mixed for {part.name}:\n{listed(problems)}")
        write_text(data_folder / part.log, "".join(lines))
    return {**split, "problems": problems}


def _check(settings: MixSettings) -> None:
    for name in ("snrs_train", "snrs_test"):
        if not getattr(settings, name) or not np.isfinite(getattr(settings, name)).all():
            raise RecipeError(f"--{name} is {getattr(settings, name)}; accepted: numbers in dB")
    if settings.seed < 0:
        raise RecipeError(f"--seed is {settings.seed}; accepted: whole numbers from 0 on")


def _split(speakers: set[str], kinds: set[str], settings: MixSettings) -> dict[str, list[str]]:
    draw = random.Random(settings.seed)
    test = _chosen("test_speakers", settings.test_speakers, speakers, draw, spare=2)
    valid = _chosen("valid_speakers", settings.valid_speakers, speakers - {*test}, draw, spare=1)
    noises = _chosen("test_noises", settings.test_noises, kinds, draw, spare=1)
    return {"valid_speakers": valid, "test_speakers": test, "test_noises": noises}


def _chosen(
    option: str, wanted: Sequence[str], there: set[str], draw: random.Random, spare: int
) -> list[str]:
    """The sorted names that an option asks for; ``spare`` of those there must be left."""
    available = sorted(there)
    chosen = {safe_name(name) for name in wanted}
    if len(wanted) == 1 and _is_fraction(wanted[0]) and not chosen & there:
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


def _is_fraction(text: str) -> bool:
    try:
        return 0 < float(text) < 1
    except ValueError:
        return False


def _plan(
    found: list[Speech], kinds: list[str], split: dict, settings: MixSettings
) -> list[Planned]:
    """Name the utterances ``<speaker>_<nnn>`` and draw each one's noise and SNR."""
    counts, plan = Counter(), []
    rest = [kind for kind in kinds if kind not in split["test_noises"]]
    for item in found:
        counts[item.speaker] += 1
        name = f"{item.speaker}_{counts[item.speaker]:03d}"
        draw = random.Random(f"{settings.seed} {name}")  # by name: no mixture depends on another
        if item.speaker in split["test_speakers"]:
            part, noises, snrs = TEST, split["test_noises"], settings.snrs_test
        else:
            part, noises, snrs = TRAIN[28], rest, settings.snrs_train
        plan.append(Planned(name, part, item, draw.choice(noises), float(draw.choice(snrs))))
    return plan


def _mix(item: Planned, noises: list[Path], data_folder: Path, seed: int) -> str | None:
    """Write the three files of an utterance; what was wrong, or None."""
    rng = np.random.default_rng([seed, zlib.crc32(item.name.encode())])
    try:
        signal, rate = read(item.speech.path)
        signal = resample(signal, rate, SAMPLE_RATE)
        stretch = _stretch(noises, len(signal), rng)
        noisy, clean = mix_at_snr(signal, stretch, item.snr)
    except RecipeError as problem:
        return f"{item.speech.path} with noise {item.kind}: {problem}"
    write(data_folder / at_16k(item.part.clean) / f"{item.name}.wav", clean, SAMPLE_RATE)
    write(data_folder / at_16k(item.part.noisy) / f"{item.name}.wav", noisy, SAMPLE_RATE)
    write_text(data_folder / item.part.text / f"{item.name}.txt", item.speech.words + "\n")
    return None


def _stretch(files: list[Path], samples: int, rng: np.random.Generator) -> np.ndarray:
    """At most ``samples`` at 16 kHz of one of the files, from a random place on.

    Only that part is read. The digital silence is left out with which some collections pad.
    """
    for _ in range(DRAWS):
        path = files[rng.integers(len(files))]
        try:
            info = soundfile.info(os.fsencode(path))
        except soundfile.LibsndfileError as problem:
            raise RecipeError(f"Cannot read {path} as sound: {problem}") from problem
        wanted = -(-samples * info.samplerate // SAMPLE_RATE)
        start = rng.integers(info.frames - wanted) if info.frames > wanted else 0
        signal, rate = read(path, start, min(wanted, info.frames))
        stretch = np.trim_zeros(resample(signal, rate, SAMPLE_RATE))
        if stretch.any():
            return stretch
    raise RecipeError(f"only silence in {DRAWS} stretches of {path.parent}")


def _claim(data_folder: Path, record: str) -> None:
    """Write ``split.json``, or compare it with the one there, so that two corpora never mix."""
    path = data_folder / "split.json"
    if path.exists() and read_text(path) != record:
        raise RecipeError(
            f"--data_folder: {data_folder} was mixed from other speech or settings. "
            "Name an empty folder."
        )
    there = os.listdir(data_folder) if data_folder.is_dir() else ()
    if not path.exists() and not all(map(is_junk, there)):
        raise RecipeError(f"--data_folder: {data_folder} holds other files. Name an empty folder.")
    write_text(path, record)
