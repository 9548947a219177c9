"""The embedded mini corpus: parallel noisy and clean speech with transcripts, synthesized offline.

It lies in the layout of VoiceBank-DEMAND at 16 kHz, its log files included, so that whatever reads the one reads the
other. 24 voices train, 2 validate (among the training files, as in VoiceBank), 4 unseen ones test; the test noises
are of unseen kinds. Validation draws fresh stretches of the training kinds at the training SNRs.
"""

import json
import os
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from corpus import noises
from corpus.audio import write, write_text
from corpus.espeak import engine, prepare_data
from corpus.mixing import mix_at_snr
from corpus.sentences import sentence
from corpus.voices import SAMPLE_RATE, speak, speakers, variant_file
from errors import RecipeError

VERSION = 2  # raise it whenever the same seed would give other bytes
SNRS = {"train": (0, 5, 10, 15), "valid": (0, 5, 10, 15), "test": (2.5, 7.5, 12.5, 17.5)}  # dB
KINDS = {"train": list(noises.TRAIN), "valid": list(noises.TRAIN), "test": list(noises.TEST)}
TRAIN_FOLDERS = (
    "clean_trainset_28spk_wav_16k",
    "noisy_trainset_28spk_wav_16k",
    "trainset_28spk_txt",
)
TEST_FOLDERS = ("clean_testset_wav_16k", "noisy_testset_wav_16k", "testset_txt")
FOLDERS = {"train": TRAIN_FOLDERS, "valid": TRAIN_FOLDERS, "test": TEST_FOLDERS}
LOGS = {"log_trainset_28spk.txt": ("train", "valid"), "log_testset.txt": ("test",)}
STARTED, COMPLETE = "started.json", "complete.json"  # markers: ours; ours and whole
CHUNK = 20  # utterances a worker is handed at once
STALE = 60  # s, after which a half-written file was left by a process that died


def synthesize_mini_corpus(
    folder, seed=1234, n_train=1200, n_valid=80, n_test=200, jobs=None, progress=True
):
    """Synthesize the corpus into ``folder`` unless it is there already, and return the folder as a Path.

    The same ``seed`` and sizes (utterances) give the same bytes, whatever ``jobs`` (processes; None: one a core).
    The SNRs in the logs are active speech level over noise RMS, full band (see ``corpus.mixing``). A synthesis
    that was interrupted goes on where it stopped. RecipeError if the folder holds anything else, never deleted.
    """
    folder = Path(folder)
    sizes = {"train": n_train, "valid": n_valid, "test": n_test}
    identity = {"version": VERSION, "seed": seed, **{f"n_{split}": n for split, n in sizes.items()}}
    _check_sizes(identity, jobs)
    if not _claim(folder, identity):
        plan = [
            utterance
            for split, count in sizes.items()
            for utterance in _planned(split, count, seed)
        ]
        _synthesize(folder, [item for item in plan if not _is_done(folder, item)], jobs, progress)
        _write_logs(folder, plan)
        write_text(folder / COMPLETE, json.dumps(identity, indent=2) + "\n")
    return folder


def _check_sizes(identity, jobs):
    """Counts must be whole numbers: 0 or more utterances, 1 or more jobs."""
    for name, value in identity.items():
        if not isinstance(value, int) or value < 0:
            raise RecipeError(
                f"{name}={value!r} of the mini corpus; accepted: whole numbers from 0 on."
            )
    if jobs is not None and (not isinstance(jobs, int) or jobs < 1):
        raise RecipeError(
            f"jobs={jobs!r}; accepted: whole numbers from 1 on, or None for one process a core."
        )


def _claim(folder, identity):
    """True if the corpus is complete; else make the folder ours, or raise RecipeError where it is not."""
    if (folder / COMPLETE).exists():
        _check_identity(folder, folder / COMPLETE, identity)
        return True
    if (folder / STARTED).exists():
        _check_identity(folder, folder / STARTED, identity)
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RecipeError(
            f"{folder} holds something that is not the mini corpus, and it is left as it is. "
            "Name an empty or a new folder for the corpus, or move away what is there."
        )
    for name in TRAIN_FOLDERS + TEST_FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_text(folder / STARTED, json.dumps(identity, indent=2) + "\n")
    _sweep(folder)
    return False


def _check_identity(folder, marker, identity):
    """RecipeError if the marker tells of a corpus with other arguments, or cannot be read."""
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
    except ValueError:
        found = "unreadable"
    if found != identity:
        raise RecipeError(
            f"{folder} holds a mini corpus made with {found}, not with {identity}. "
            "Ask for the same one, name another folder, or delete this one to have it made anew."
        )


def _sweep(folder):
    """Remove what a killed synthesis left half written; recent files may belong to one that runs beside us."""
    for part in folder.glob("*/.*.part"):
        if time.time() - part.stat().st_mtime > STALE:
            part.unlink(missing_ok=True)


def _planned(split, count, seed):
    """What to synthesize, without sound: dicts that depend on nothing but the split, the place in it and the seed."""
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
    endings = (".wav", ".wav", ".txt")
    return [
        folder / place / (item["name"] + ending)
        for place, ending in zip(FOLDERS[item["split"]], endings)
    ]


def _is_done(folder, item):
    """All three files are there; each came into being whole."""
    return all(path.exists() for path in _paths(folder, item))


def _synthesize(folder, items, jobs, progress):
    """Make the utterances in parallel processes: espeak-ng is one global state, threads would mix their speech."""
    everybody = [voice for split in SNRS for voice in speakers(split)]
    chunks = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
    with (
        tempfile.TemporaryDirectory(prefix="mini") as data,
        tqdm(
            total=len(items), desc="Synthesizing the mini corpus", unit="utt", disable=not progress
        ) as bar,
    ):
        prepare_data(data, {voice.name: variant_file(voice) for voice in everybody})
        workers = Parallel(
            n_jobs=min(jobs or os.cpu_count(), max(len(chunks), 1)), return_as="generator_unordered"
        )
        for count in workers(delayed(_synthesize_chunk)(folder, chunk, data) for chunk in chunks):
            bar.update(count)


def _synthesize_chunk(folder, items, data):
    """Make some utterances in this process; returns how many."""
    for item in items:
        rng = _generator(item["seed"], f"sound/{item['name']}")
        speech = speak(engine(data), item["voice"], item["text"], rng)
        noise = noises.noise(item["kind"], speech.size, rng, engine(data))
        noisy, clean = mix_at_snr(speech, noise, item["snr"], SAMPLE_RATE)
        clean_path, noisy_path, text_path = _paths(folder, item)
        write(clean_path, clean, SAMPLE_RATE)
        write(noisy_path, noisy, SAMPLE_RATE)
        write_text(text_path, item["text"] + "\n")
    return len(items)


def _write_logs(folder, plan):
    """VoiceBank's log files: utterance, noise and SNR (dB) a line."""
    for log, splits in LOGS.items():
        lines = [f"{i['name']} {i['kind']} {i['snr']:g}\n" for i in plan if i["split"] in splits]
        write_text(folder / log, "".join(lines))
