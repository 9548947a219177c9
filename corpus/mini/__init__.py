"""The mini corpus: parallel noisy and clean speech with transcripts, synthesized offline.

It lies in VoiceBank-DEMAND's layout at 16 kHz, log files included. 24 voices train, 2 validate
(among the training files, as in VoiceBank), 4 others test, with noises of other kinds.
"""

import json
import tempfile
import zlib
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from corpus.audio import write
from corpus.espeak import engine, prepare_data
from corpus.files import is_junk, write_text
from corpus.layout import SAMPLE_RATE
from corpus.mini import noises
from corpus.mini.sentences import sentence
from corpus.mini.voices import speak, speakers
from corpus.mixing import mix_at_snr
from errors import RecipeError

VERSION = 2  # raise it whenever the same seed would give other bytes
SNRS = {"train": (0, 5, 10, 15), "valid": (0, 5, 10, 15), "test": (2.5, 7.5, 12.5, 17.5)}  # dB
KINDS = {"train": list(noises.TRAIN), "valid": list(noises.TRAIN), "test": list(noises.TEST)}
PARTS = {"train": "trainset_28spk", "valid": "trainset_28spk", "test": "testset"}
LOGS = {"log_trainset_28spk.txt": ("train", "valid"), "log_testset.txt": ("test",)}
MARKER = "started.json"  # says that the folder is ours, and of which seed and sizes
JOBS = -1  # processes; -1: one a core


def synthesize_mini_corpus(
    folder: str | Path, seed: int = 1234, n_train: int = 1200, n_valid: int = 80, n_test: int = 200
) -> Path:
    """Synthesize what the corpus in ``folder`` lacks, and return the folder.

    Same ``seed`` and sizes (utterances) give the same bytes. The SNRs in the logs are active
    speech level over noise RMS (see ``corpus.mixing``).
    RecipeError if the folder holds anything else, which is left as it is.
    """
    folder, sizes = Path(folder), {"train": n_train, "valid": n_valid, "test": n_test}
    _claim(folder, {"version": VERSION, "seed": seed} | {f"n_{s}": n for s, n in sizes.items()})
    plan = [item for split, count in sizes.items() for item in _planned(split, count, seed)]
    missing = [item for item in plan if not all(path.exists() for path in _paths(folder, item))]
    if missing:
        _synthesize(folder, missing)
    for log, splits in LOGS.items():
        lines = [f"{i['name']} {i['kind']} {i['snr']:g}\n" for i in plan if i["split"] in splits]
        if not (folder / log).exists():
            write_text(folder / log, "".join(lines))
    return folder


def _claim(folder, identity):
    """Make the folder ours, or raise RecipeError where it holds something else."""
    if not all(isinstance(value, int) and value >= 0 for value in identity.values()):
        raise RecipeError(f"Mini corpus of {identity}; accepted: whole numbers from 0 on.")
    marker, told = folder / MARKER, json.dumps(identity, indent=2) + "\n"
    if marker.exists():
        found = marker.read_text(encoding="utf-8", errors="replace")
        if found != told:
            raise RecipeError(
                f"{folder} holds a mini corpus made with {found.strip()}, not with {told.strip()}. "
                "Ask for the same one, name another folder, or delete it."
            )
    elif folder.exists() and not all(is_junk(path.name) for path in folder.iterdir()):
        raise RecipeError(
            f"{folder} holds something that is not the mini corpus, and it is left as it is. "
            "Name an empty or a new folder for the corpus, or move away what is there."
        )
    else:
        write_text(marker, told)
    for split in PARTS:
        for path in _paths(folder, {"split": split, "name": ""}):
            path.parent.mkdir(exist_ok=True)


def _planned(split, count, seed):
    """What to synthesize, without sound: depends on the split, the place in it and the seed."""
    voices = speakers(split)
    for i in range(count):
        voice = voices[i % len(voices)]
        name = f"{voice.name}_{i // len(voices) + 1:03d}"
        rng = _generator(seed, f"plan/{name}")
        yield {
            "split": split,
            "name": name,
            "voice": voice,
            "text": sentence(rng),
            "kind": str(rng.choice(KINDS[split])),
            "snr": float(rng.choice(SNRS[split])),
            "seed": seed,
        }


def _generator(seed, key):
    """A random generator for one utterance, the same in every process."""
    return np.random.default_rng([seed, zlib.crc32(key.encode())])


def _paths(folder, item):
    """Clean sound, noisy sound and transcript of an utterance."""
    part, name = PARTS[item["split"]], item["name"]
    return [
        folder / f"clean_{part}_wav_16k" / f"{name}.wav",
        folder / f"noisy_{part}_wav_16k" / f"{name}.wav",
        folder / f"{part}_txt" / f"{name}.txt",
    ]


def _synthesize(folder, items):
    """Make utterances in processes: espeak-ng is one global state, threads would mix speech."""
    variants = {voice.name: voice.variant for split in SNRS for voice in speakers(split)}
    with tempfile.TemporaryDirectory(prefix="mini") as data:
        prepare_data(data, variants)
        workers = Parallel(n_jobs=JOBS, return_as="generator_unordered")
        made = workers(delayed(_synthesize_one)(folder, item, data) for item in items)
        for _ in tqdm(made, "Mini corpus", total=len(items), unit="utt", disable=None):
            pass


def _synthesize_one(folder, item, data):
    rng = _generator(item["seed"], f"sound/{item['name']}")
    speech = speak(engine(data), item["voice"], item["text"], rng)
    noise = noises.noise(item["kind"], speech.size, rng, engine(data))
    noisy, clean = mix_at_snr(speech, noise, item["snr"])
    clean_path, noisy_path, text_path = _paths(folder, item)
    write(clean_path, clean, SAMPLE_RATE)
    write(noisy_path, noisy, SAMPLE_RATE)
    write_text(text_path, item["text"] + "\n")
