"""The mini corpus: noisy and clean speech with words in VoiceBank's layout, synthesized offline.

24 voices train, 2 validate, 4 others test, with noises of other kinds.
"""

import json
import tempfile
import zlib
from collections import namedtuple
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from corpus.audio import write
from corpus.espeak import engine, prepare_data
from corpus.layout import MADE, SAMPLE_RATE, claim, write_logs, write_utterance
from corpus.levels import mix_at_snr
from corpus.mini import noises
from corpus.mini.sentences import sentence
from corpus.mini.voices import speak, speakers
from errors import RecipeError

VERSION = 2  # raise it whenever the same seed would give other bytes
SPLITS = {  # part, kinds of noise, SNRs in dB
    "train": (MADE[0], list(noises.TRAIN), (0, 5, 10, 15)),
    "valid": (MADE[0], list(noises.TRAIN), (0, 5, 10, 15)),
    "test": (MADE[1], list(noises.TEST), (2.5, 7.5, 12.5, 17.5)),
}
LEVEL = 0.1  # RMS of the noises for mixing; full scale is 1
JOBS = -1  # processes; -1: one a core
Planned = namedtuple("Planned", "name part voice text kind snr")  # an utterance to synthesize


def synthesize_mini_corpus(
    folder: str | Path, seed: int = 1234, n_train: int = 1200, n_valid: int = 80, n_test: int = 200
) -> Path:
    """Synthesize what the corpus in ``folder`` lacks, and return the folder.

    The same seed and numbers of utterances give the same bytes. Other folders are refused.
    """
    folder = Path(folder)
    sizes = {"n_train": n_train, "n_valid": n_valid, "n_test": n_test}
    settings = {"version": VERSION, "seed": seed, **sizes}
    if not all(isinstance(value, int) and value >= 0 for value in settings.values()):
        raise RecipeError(f"Mini corpus of {settings}; accepted: whole numbers from 0 on.")
    claim(folder / "started.json", json.dumps(settings, indent=2) + "\n")
    plan = [_planned(split, i, seed) for split in SPLITS for i in range(sizes[f"n_{split}"])]
    missing = [u for u in plan if not all(p.exists() for p in u.part.files(folder, u.name))]
    if not missing and all((folder / part.log).exists() for part in MADE):
        return folder
    write_logs(folder, plan)
    _in_processes(_synthesize, folder, missing, seed)
    return folder


def synthesize_noises(folder: str | Path, seed: int = 1234, per_kind: int = 24) -> Path:
    """Synthesize ``per_kind`` noises of 20 s of each of the corpus's kinds, for ``mix_corpus``."""
    folder = Path(folder)
    kinds = [*noises.TRAIN, *noises.TEST]
    names = [f"{kind}/{index:02d}.wav" for kind in kinds for index in range(per_kind)]
    _in_processes(_synthesize_noise, folder, [n for n in names if not (folder / n).exists()], seed)
    return folder


def _in_processes(make, folder, items, seed):
    """``make(folder, item, seed, data)`` for each item; ``data`` is the folder of espeak-ng's data.

    In processes: espeak-ng is one global state, threads would mix speech.
    """
    with tempfile.TemporaryDirectory(prefix="mini") as data:
        prepare_data(data, {v.name: v.variant for split in SPLITS for v in speakers(split)})
        workers = Parallel(n_jobs=JOBS, return_as="generator_unordered")
        made = workers(delayed(make)(folder, item, seed, data) for item in items)
        for _ in tqdm(made, "Synthesis", total=len(items), unit="file", disable=None):
            pass


def _planned(split, place, seed):
    """What to synthesize, without sound: depends on the split, the place in it and the seed."""
    voices = speakers(split)
    voice = voices[place % len(voices)]
    name = f"{voice.name}_{place // len(voices) + 1:03d}"
    rng = _generator(seed, f"plan/{name}")
    part, kinds, snrs = SPLITS[split]
    text = sentence(rng)
    return Planned(name, part, voice, text, str(rng.choice(kinds)), float(rng.choice(snrs)))


def _generator(seed, key):
    """A random generator for one utterance, the same in every process."""
    return np.random.default_rng([seed, zlib.crc32(key.encode())])


def _synthesize(folder, item, seed, data):
    rng = _generator(seed, f"sound/{item.name}")
    speech = speak(engine(data), item.voice, item.text, rng)
    noise = noises.noise(item.kind, speech.size, rng, engine(data))
    noisy, clean = mix_at_snr(speech, noise, item.snr)
    write_utterance(item.part.files(folder, item.name), clean, noisy, item.text)


def _synthesize_noise(folder, name, seed, data):
    rng = _generator(seed, f"noise/{name}")
    noise = noises.noise(name.partition("/")[0], 20 * SAMPLE_RATE, rng, engine(data))
    write(folder / name, (LEVEL * noise).clip(-1, 1), SAMPLE_RATE)
