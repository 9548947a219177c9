"""Manifests of a corpus in VoiceBank's layout: train, valid (speakers withheld) and test."""

import hashlib
import json
import logging
import math
import os
import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from tqdm.contrib.concurrent import thread_map

from corpus.audio import is_cut_short
from corpus.files import read_text, write_text
from corpus.layout import (
    MAX_SECONDS,
    SAMPLE_RATE,
    TEST,
    VALID_SPEAKERS,
    Part,
    Utterance,
    find_log,
    find_utterances,
    train_part,
)
from corpus.pronunciations import Lexicon, lexicon_files, unknown_words_message
from corpus.spelling import as_words, words_of
from errors import RecipeError, listed

logger = logging.getLogger(__name__)

VERSION = 2  # raise it when the same data should give other manifests
THREADS = 16  # the disk is waited for, little is computed


@dataclass
class Inspected:
    """What an utterance holds: seconds, the words of its text, and all that is wrong with it."""

    utterance: Utterance
    seconds: float = 0.0
    tokens: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def prepare(
    data_folder: str | Path,
    save_folder: str | Path,
    valid_speakers: Iterable[str] | str = VALID_SPEAKERS,
    extra_lexicon: str | Path | None = None,
    test_speakers: Iterable[str] | str = (),
    max_seconds: float = MAX_SECONDS,
    on_bad_utterance: str = "error",
    needs_text: bool = True,
    speakers: int | None = None,
) -> dict[str, Path]:
    """Write ``train.json``, ``valid.json`` and ``test.json``; returns their paths by name.

    The data are left as they are. Validation speakers are withheld from the training folders;
    ``test_speakers`` (default: all) narrows the test. Everything is checked at once, and one
    RecipeError says all that is wrong; with ``on_bad_utterance="skip"`` bad utterances are left
    out and listed in ``bad_utterances.txt``. Without ``needs_text`` no text is read, and entries
    have no words and phones. ``speakers``: 28 or 56, the training set (default: what is there).
    While data and settings stay the same the manifests are used again.
    """
    data_folder, save_folder = Path(data_folder), Path(save_folder)
    if on_bad_utterance not in ("error", "skip"):
        raise RecipeError(f"on_bad_utterance: {on_bad_utterance!r} is not one of error, skip.")
    if not max_seconds > 0:
        raise RecipeError(f"max_seconds is {max_seconds}; accepted: numbers above 0.")
    if not data_folder.is_dir():
        raise RecipeError(
            f"data_folder: no such folder {data_folder}. Get a corpus: python data_prep.py --help"
        )
    settings = {
        "valid_speakers": names(valid_speakers),
        "test_speakers": names(test_speakers),
        "max_seconds": max_seconds,
        "on_bad_utterance": on_bad_utterance,
        "needs_text": needs_text,
    }
    lexicons = lexicon_files(extra_lexicon)
    parts = (train_part(data_folder, speakers), TEST)
    utterances = _find_all(data_folder, parts, needs_text)
    logs = [find_log(data_folder, part) for part in parts]
    mark = _fingerprint(data_folder, utterances, logs, lexicons, settings)
    paths = {name: save_folder / f"{name}.json" for name in ("train", "valid", "test")}
    stamp = save_folder / "manifests.stamp.json"
    known = json.loads(read_text(stamp)) if stamp.is_file() else {}
    if known.get("data") == mark and all(known[p.name] == _hash(p) for p in paths.values()):
        return paths
    save_folder.mkdir(parents=True, exist_ok=True)
    lexicon = Lexicon(extra_lexicon) if needs_text else None
    manifests = _survey(data_folder, save_folder, utterances, logs, lexicon, settings)
    texts = {paths[name]: json.dumps(entries, indent=1) for name, entries in manifests.items()}
    for path, text in texts.items():
        if path.is_file() and _hash(path) not in (known.get(path.name), _hash_of(text.encode())):
            raise RecipeError(
                f"{path} was changed by hand, or is not of this recipe, and is not overwritten. "
                "Move it away, or train on it as it is with --skip_prep=True."
            )
    known = {"data": mark, **_write_derived(save_folder, lexicon, known)}
    for path, text in texts.items():
        write_text(path, text)
        known[path.name] = _hash(path)
    write_text(stamp, json.dumps(known, indent=1))
    return paths


def names(speakers: Iterable | str | int | None) -> list[str]:
    """Names of speakers as a list: from None, a list, or text such as ``[p226, p287]``."""
    if isinstance(speakers, str):
        speakers = speakers.split()
    elif not isinstance(speakers, Iterable):
        speakers = [] if speakers is None else [speakers]
    parts = [part.strip("[]()'\" ") for part in ",".join(map(str, speakers)).split(",")]
    return [part for part in parts if part]


def _find_all(
    data_folder: Path, parts: tuple[Part, Part], needs_text: bool
) -> dict[str, list[Utterance]]:
    """Utterances by the name of their part; RecipeError names all missing folders."""
    found, missing = {}, []
    for part in parts:
        found[part.name], absent = find_utterances(data_folder, part, needs_text)
        missing += absent
    if missing:
        place = shlex.quote(f"--data_folder={data_folder}")
        raise RecipeError(
            f"{data_folder}:\n{listed(missing)}\n"
            f"VoiceBank-DEMAND is fetched by: python data_prep.py download {place}\n"
            "A small corpus of one's own is made by: python data_prep.py mini (or mix) --help"
        )
    return found


def _fingerprint(data_folder, utterances, logs, lexicons, settings) -> str:
    """Hash of settings and lexicons, and of the names, sizes and times of all files."""
    files = [path for path in logs if path]
    for utterance in utterances["train"] + utterances["test"]:
        files += [p for p in (utterance.clean, utterance.noisy, utterance.text) if p]
    facts = [VERSION, settings, [_hash(path) for path in lexicons]]
    for path in files:
        status = path.stat()
        facts.append([str(path.relative_to(data_folder)), status.st_size, status.st_mtime_ns])
    return _hash_of(json.dumps(facts).encode())


def _hash(path: Path) -> str | None:
    return _hash_of(path.read_bytes()) if path.is_file() else None


def _hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write_derived(save_folder: Path, lexicon: Lexicon | None, known: dict) -> dict:
    """List the derived pronunciations, unless a user has changed that list."""
    path = save_folder / "derived_words.txt"
    if lexicon is None or path.is_file() and _hash(path) != known.get(path.name):
        return {}
    derived = (f"{word} {' '.join(phones)}\n" for word, phones in sorted(lexicon.derived.items()))
    write_text(path, "".join(derived))
    return {path.name: _hash(path)}


def _survey(data_folder, save_folder, utterances, logs, lexicon, settings) -> dict[str, dict]:
    """Inspect the corpus: manifest -> utterance -> entry. RecipeError names all faults."""
    split_faults, unknown, bad = [], {}, []
    manifests = {"train": {}, "valid": {}, "test": {}}
    _check_split(utterances, settings, split_faults)
    for (part, items), log in zip(utterances.items(), logs, strict=True):
        if part == "test" and settings["test_speakers"]:
            items = [item for item in items if item.speaker in settings["test_speakers"]]
        conditions = _conditions(log)
        for found in inspect_all(items, settings["max_seconds"], settings["needs_text"]):
            bad += found.problems
            name, speaker = found.utterance.name, found.utterance.speaker
            phones = [lexicon.phones(token) for token in found.tokens]
            lacking = [t for t, known in zip(found.tokens, phones, strict=True) if not known]
            unknown |= {token: name for token in lacking if token not in unknown}
            if not found.problems and not lacking:
                withheld = part == "train" and speaker in settings["valid_speakers"]
                entry = _entry(data_folder, found, phones) | conditions.get(name, {})
                manifests["valid" if withheld else part][name] = entry
    faults = []
    if settings["on_bad_utterance"] == "skip":
        write_text(save_folder / "bad_utterances.txt", "".join(f"{fault}\n" for fault in bad))
        if bad:
            logger.warning(
                "on_bad_utterance=skip: utterances with %d problem(s) are left out, see %s",
                len(bad),
                save_folder / "bad_utterances.txt",
            )
    elif bad:
        faults.append(f"{data_folder}: {len(bad)} problem(s) with the files:\n{listed(bad)}")
        if any("sample rate" in fault for fault in bad):
            place = shlex.quote(f"--data_folder={data_folder}")
            faults.append(f"16 kHz versions are made by: python data_prep.py resample {place}")
        faults.append("Mend the files, or leave them out: --on_bad_utterance=skip")
    faults += split_faults
    if unknown:
        faults.append(unknown_words_message(unknown))
    if not faults:
        faults = [f"No utterance is left for {n}." for n, found in manifests.items() if not found]
    if faults:
        raise RecipeError("\n".join(faults))
    return manifests


def _entry(data_folder: Path, found: Inspected, phones: list[list[str]]) -> dict:
    place = "{data_root}/"
    entry = {
        "noisy_wav": place + found.utterance.noisy.relative_to(data_folder).as_posix(),
        "clean_wav": place + found.utterance.clean.relative_to(data_folder).as_posix(),
        "length": found.seconds,
        "speaker": found.utterance.speaker,
    }
    if found.tokens:
        entry["words"] = as_words(found.tokens)
        entry["phones"] = " ".join(phone for word in phones for phone in word)
    return entry


def _conditions(log: Path | None) -> dict[str, dict]:
    """A log file, lines ``utterance noise snr`` -> utterance -> noise kind and SNR in dB."""
    conditions = {}
    for line in read_text(log).splitlines() if log else ():
        fields = line.split()
        try:
            name, noise, snr = *fields[:2], float(fields[2])
        except (IndexError, ValueError):
            continue  # a heading or a remark
        if math.isfinite(snr):
            conditions[name] = {"noise": noise, "snr": snr}
    return conditions


def inspect_all(
    utterances: list[Utterance], max_seconds: float, needs_text: bool = True
) -> list[Inspected]:
    """Inspect utterances in parallel; a bar shows when it takes longer than a few seconds."""
    return thread_map(
        lambda utterance: inspect(utterance, max_seconds, needs_text), utterances,
        max_workers=THREADS, desc="Checking files", unit="utt", delay=5, disable=None,
    )  # fmt: skip


def inspect(utterance: Utterance, max_seconds: float, needs_text: bool = True) -> Inspected:
    """Check the partners, headers, lengths and text of one utterance."""
    found = Inspected(utterance)
    if not utterance.speaker:
        found.problems.append(f"{utterance.name}: the name does not read <speaker>_<number>")
    frames = []
    for kind in ("clean", "noisy"):
        path = getattr(utterance, kind)
        if path is None:
            found.problems.append(f"{utterance.name}: has no {kind} file")
            continue
        count, problem = _frames(path)
        if problem:
            found.problems.append(f"{path.parent.name}/{path.name} {problem}")
        else:
            frames.append(count)
    if len(frames) == 2:
        if frames[0] != frames[1]:
            found.problems.append(
                f"{utterance.name}: clean has {frames[0]} samples, noisy {frames[1]}; "
                "they must be parallel"
            )
        found.seconds = max(frames) / SAMPLE_RATE
        if found.seconds > max_seconds:
            found.problems.append(
                f"{utterance.name}: lasts {found.seconds:.1f} s, longer than "
                f"max_seconds={max_seconds}"
            )
    if needs_text:
        _read_words(utterance, found)
    return found


def _frames(path: Path) -> tuple[int, str | None]:
    """Number of samples and what is wrong, by the header; by the samples too if floating point."""
    try:
        info = soundfile.info(os.fsencode(path))
        if is_cut_short(info):
            return 0, "is cut short: its header announces more samples than it holds"
        if info.frames == 0:
            return 0, "holds no samples"
        if info.samplerate != SAMPLE_RATE:
            return 0, f"has a sample rate of {info.samplerate} Hz, not {SAMPLE_RATE}"
        if info.subtype in ("FLOAT", "DOUBLE"):
            samples, _ = soundfile.read(os.fsencode(path))
            if not np.isfinite(samples).all():
                return 0, "holds samples that are not finite numbers"
    except (soundfile.LibsndfileError, OSError):
        return 0, "cannot be read as sound (empty, damaged, or of another format)"
    return info.frames, None


def _read_words(utterance: Utterance, found: Inspected) -> None:
    if utterance.text is None:
        found.problems.append(f"{utterance.name}: has no text file")
        return
    try:
        found.tokens = words_of(read_text(utterance.text))
    except RecipeError as problem:
        found.problems.append(str(problem))
        return
    if not found.tokens:
        place = f"{utterance.text.parent.name}/{utterance.text.name}"
        found.problems.append(f"{place} holds no words")


def _check_split(utterances: dict[str, list[Utterance]], settings: dict, faults: list[str]) -> None:
    """Say what is wrong with the speakers to validate and to test on."""
    counts = Counter(utterance.speaker for utterance in utterances["train"])
    valid = settings["valid_speakers"]
    there = f"The training folders hold {_counted(counts)}."
    remedy = "Training and validation need two speakers at least."
    if len(counts) > 1:
        remedy = f"Withhold some speakers, not all, for example --valid_speakers={min(counts)}"
    unknown = [speaker for speaker in valid if speaker not in counts]
    if unknown:
        faults.append(
            f"valid_speakers: no speaker {', '.join(unknown)} to withhold. {there} {remedy}"
        )
    elif not valid:
        faults.append(f"valid_speakers is empty: nothing to validate on. {there} {remedy}")
    elif set(counts) <= set(valid):
        faults.append(f"No utterance is left to train on: all are withheld. {there} {remedy}")
    tested = Counter(utterance.speaker for utterance in utterances["test"])
    unknown = [speaker for speaker in settings["test_speakers"] if speaker not in tested]
    if unknown:
        faults.append(
            f"test_speakers: {', '.join(unknown)} not in the test folders, "
            f"which hold {_counted(tested)}."
        )
    trained = {utterance.name for utterance in utterances["train"]}
    both = [item.name for item in utterances["test"] if item.name in trained]
    if both:
        faults.append(
            f"{len(both)} utterance(s) are in the training and in the test folders:\n{listed(both)}"
        )


def _counted(counts: Counter, shown: int = 12) -> str:
    parts = [f"{speaker} ({count})" for speaker, count in sorted(counts.items())]
    more = [f"{len(parts) - shown} more"] if len(parts) > shown else []
    return ", ".join(parts[:shown] + more)
