"""Manifests of a corpus in VoiceBank's layout: train, valid (speakers withheld) and test."""

import hashlib
import json
import logging
import math
import shlex
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np

from corpus.audio import is_cut_short, opened
from corpus.files import in_threads, read_text, write_text
from corpus.layout import AT_16K, SAMPLE_RATE, TEST, TRAIN, Utterance, find_utterances
from corpus.pronunciations import OWN_LEXICON, Lexicon, unknown_words_message
from corpus.spelling import as_words, words_of
from errors import RecipeError, listed, one_of

logger = logging.getLogger(__name__)

VERSION = 2  # raise it when the same data should give other manifests
MAX_SECONDS = 60  # the longest utterance of VoiceBank lasts 15 s
VALID_SPEAKERS = ("p226", "p287")  # of the 28: a man and a woman; any two would do


def prepare(
    data_folder: str | Path,
    save_folder: str | Path,
    valid_speakers: Iterable[str] | str = VALID_SPEAKERS,
    extra_lexicon: str | Path | None = None,
    max_seconds: float = MAX_SECONDS,
    on_bad_utterance: str = "error",
    needs_text: bool = True,
    speakers: int | None = None,
) -> dict[str, Path]:
    """Write ``train.json``, ``valid.json`` and ``test.json``; returns their paths by name.

    One RecipeError says all that is wrong; with ``on_bad_utterance="skip"`` bad utterances are left
    out and listed in ``bad_utterances.txt``. ``speakers``: 28 or 56 (default: what is there).
    While data and settings stay the same the manifests are used again.
    """
    data_folder, save_folder = Path(data_folder), Path(save_folder)
    valid_speakers, skip = names(valid_speakers), on_bad_utterance == "skip"
    one_of("on_bad_utterance", on_bad_utterance, ("error", "skip"))
    if not max_seconds > 0:
        raise RecipeError(f"max_seconds is {max_seconds}; accepted: numbers above 0.")
    if not data_folder.is_dir():
        raise RecipeError(f"data_folder: no such folder {data_folder}; see data_prep.py --help")
    if speakers is None:
        folders = {path.name.removesuffix(AT_16K) for path in data_folder.iterdir()}
        speakers = min((n for n, part in TRAIN.items() if part.clean in folders), default=28)
    parts = (TRAIN[speakers], TEST)
    utterances = find_utterances(data_folder, parts, needs_text)
    conditions = _conditions(data_folder, parts)
    lexicons = [read_text(path) for path in (OWN_LEXICON, extra_lexicon) if path]
    settings = [VERSION, valid_speakers, max_seconds, skip, needs_text, conditions, lexicons]
    items = [item for found in utterances.values() for item in found]
    files = [path for item in items for path in (item.clean, item.noisy, item.text) if path]
    facts = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    mark = _hash(json.dumps([settings, facts]).encode())
    paths = {name: save_folder / f"{name}.json" for name in ("train", "valid", "test")}
    derived, bad_list = save_folder / "derived_words.txt", save_folder / "bad_utterances.txt"
    stamp = save_folder / "manifests.stamp.json"
    there = {p.name: _hash(p.read_bytes()) for p in (*paths.values(), derived) if p.is_file()}
    try:
        known = json.loads(read_text(stamp))
    except (RecipeError, ValueError):  # none yet, or damaged
        known = {}
    ours = known.get("outputs", {})  # hashes of what was written by the recipe, not by hand
    if known == {"data_and_settings": mark, "outputs": there}:
        return paths

    lexicon = Lexicon(extra_lexicon) if needs_text else None
    faults = _check_split(utterances, valid_speakers)
    manifests, bad, unknown = _survey(
        data_folder, utterances, conditions, lexicon, valid_speakers, max_seconds
    )
    if skip:
        write_text(bad_list, "".join(f"{line}\n" for line in bad))
        if bad:
            note = "%d problem(s): their utterances are left out, see %s"
            logger.warning(note, len(bad), bad_list)
    elif bad:
        faults.append(f"{data_folder}: {len(bad)} problem(s) with the files:\n{listed(bad)}")
        faults.append("To leave such utterances out: --on_bad_utterance=skip")
        if any("sample rate" in problem for problem in bad):
            place = shlex.quote(f"--data_folder={data_folder}")
            faults.append(f"To bring files to 16 kHz: python data_prep.py resample {place}")
    if unknown:
        faults.append(unknown_words_message(unknown))
    faults = faults or [f"No utterance is left for {n}." for n in paths if not manifests[n]]
    if faults:
        raise RecipeError("\n".join(faults))

    texts = {paths[n]: json.dumps(entries, indent=1) for n, entries in manifests.items()}
    for path, text in texts.items():
        if there.get(path.name) not in (None, ours.get(path.name), _hash(text.encode())):
            raise RecipeError(
                f"{path} was changed by hand, or is not of this recipe, and is not overwritten. "
                "Move it away, or train on it as it is: --skip_prep=True."
            )
    if lexicon and there.get(derived.name) in (None, ours.get(derived.name)):
        lines = [f"{word} {' '.join(phones)}\n" for word, phones in lexicon.derived.items()]
        texts[derived] = "".join(sorted(lines))
    for path, text in texts.items():
        write_text(path, text)
    outputs = {path.name: _hash(text.encode()) for path, text in texts.items()}
    write_text(stamp, json.dumps({"data_and_settings": mark, "outputs": outputs}, indent=1))
    return paths


def names(speakers: Iterable | str | int | None) -> list[str]:
    """Names of speakers as a list: from None, a list, or text such as ``[p226, p287]``."""
    if not isinstance(speakers, Iterable) or isinstance(speakers, str):
        speakers = str("" if speakers is None else speakers).split()
    parts = [part.strip("[]()'\" ") for part in ",".join(map(str, speakers)).split(",")]
    return [part for part in parts if part]


def _hash(content):
    return hashlib.sha256(content).hexdigest()


def _survey(data_folder, utterances, conditions, lexicon, valid_speakers, max_seconds):
    """Inspect the corpus: its manifests, the problems of files, words without phones."""
    manifests, bad, unknown = {"train": {}, "valid": {}, "test": {}}, [], {}
    check = partial(inspect, max_seconds=max_seconds, needs_text=lexicon is not None)
    for part, items in utterances.items():
        inspected = in_threads(check, items, f"Checking {part}")
        for item, (seconds, tokens, problems) in zip(items, inspected, strict=True):
            phones = [lexicon.phones(token) for token in tokens]
            lacking = [t for t, known in zip(tokens, phones, strict=True) if not known]
            unknown |= dict.fromkeys(lacking, item.name)
            bad += problems
            if problems or lacking:
                continue
            entry = {
                "noisy_wav": f"{{data_root}}/{item.noisy.relative_to(data_folder).as_posix()}",
                "clean_wav": f"{{data_root}}/{item.clean.relative_to(data_folder).as_posix()}",
                "length": seconds,
                "speaker": item.speaker,
                **conditions.get(item.name, {}),
            }
            if tokens:
                entry["words"] = as_words(tokens)
                entry["phones"] = " ".join(phone for word in phones for phone in word)
            withheld = part == "train" and item.speaker in valid_speakers
            manifests["valid" if withheld else part][item.name] = entry
    return manifests, bad, unknown


def _conditions(data_folder, parts):
    """Utterance -> noise kind and SNR in dB, from log files with lines ``utterance noise snr``."""
    logs = [data_folder / folder / part.log for part in parts for folder in ("logfiles", "")]
    conditions = {}
    for line in "\n".join(read_text(path) for path in logs if path.is_file()).splitlines():
        try:
            name, noise, snr = line.split()[:3]
            if math.isfinite(float(snr)):
                conditions[name] = {"noise": noise, "snr": float(snr)}
        except ValueError:
            continue  # a heading or a remark
    return conditions


def inspect(utterance: Utterance, max_seconds: float, needs_text: bool = True) -> tuple:
    """Seconds, list of words, and list of all that is wrong with the files of an utterance."""
    frames, words, problems = [], [], []
    if not utterance.speaker:
        problems.append("the name does not read <speaker>_<number>")
    for kind in ("clean", "noisy"):
        try:
            frames.append(_frames(getattr(utterance, kind)))
        except RecipeError as problem:
            problems.append(f"the {kind} file {problem}")
    seconds = max(frames, default=0) / SAMPLE_RATE
    if len(set(frames)) == 2:
        problems.append(f"clean has {frames[0]} samples, noisy {frames[1]}")
    if seconds > max_seconds:
        problems.append(f"lasts {seconds:.1f} s, longer than max_seconds={max_seconds}")
    if needs_text:
        try:
            words = words_of(read_text(utterance.text)) if utterance.text else []
            if not words:
                lack = "holds no words" if utterance.text else "is missing"
                problems.append(f"the text file {lack}")
        except RecipeError as problem:
            problems.append(str(problem))
    return seconds, words, [f"{utterance.name}: {problem}" for problem in problems]


def _frames(path):
    """The number of samples of a file at 16 kHz; RecipeError says what is wrong with it."""
    if path is None:
        raise RecipeError("is missing")
    with opened(path) as file:
        if is_cut_short(file):
            raise RecipeError("is cut short: its header announces more samples than it holds")
        if file.frames == 0:
            raise RecipeError("holds no samples")
        if file.samplerate != SAMPLE_RATE:
            raise RecipeError(f"has a sample rate of {file.samplerate} Hz, not {SAMPLE_RATE}")
        if file.subtype in ("FLOAT", "DOUBLE") and not np.isfinite(file.read()).all():
            raise RecipeError("holds samples that are not finite numbers")
        return file.frames


def _check_split(utterances, valid_speakers):
    """What is wrong with the speakers to validate on, and with the test's utterances."""
    counts = Counter(utterance.speaker for utterance in utterances["train"])
    faults = []
    if not 0 < len(counts.keys() & set(valid_speakers)) == len(set(valid_speakers)) < len(counts):
        there = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items())[:12])
        faults.append(
            f"valid_speakers: {', '.join(valid_speakers) or 'none'}. Accepted: some, not all, of "
            f"the {len(counts)} speakers in the training folders, such as {there}; "
            f"for example --valid_speakers={min(counts)}"
        )
    trained = {utterance.name for utterance in utterances["train"]}
    both = [item.name for item in utterances["test"] if item.name in trained]
    if both:
        faults.append(f"{len(both)} utterance(s) are in training and test:\n{listed(both)}")
    return faults
