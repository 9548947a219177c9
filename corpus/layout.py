"""The layout of VoiceBank-DEMAND (Edinburgh DataShare 10283/2791): utterances found and written."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corpus.audio import SUFFIXES, write
from corpus.files import find_files, is_junk, read_text, write_text
from errors import RecipeError

SAMPLE_RATE = 16000  # Hz, of all that is trained, enhanced and recognized
AT_16K = "_16k"  # ends the names of folders with the 16 kHz versions of the archives' folders


class Part:
    """One half of the corpus: its folders, and its log of utterance, noise, SNR (dB)."""

    def __init__(self, name: str, folder: str):
        self.name, self.text, self.log = name, f"{folder}_txt", f"log_{folder}.txt"
        self.clean, self.noisy = f"clean_{folder}_wav", f"noisy_{folder}_wav"

    def files(self, data_folder: Path, name: str) -> list[Path]:
        """Where the clean, the noisy and the text file of an utterance are written."""
        folders = (self.clean + AT_16K, self.noisy + AT_16K, self.text)
        suffixes = (".wav", ".wav", ".txt")
        return [data_folder / f / (name + s) for f, s in zip(folders, suffixes, strict=True)]


TRAIN = {count: Part("train", f"trainset_{count}spk") for count in (28, 56)}  # by speakers
TEST = Part("test", "testset")
MADE = (TRAIN[28], TEST)  # the parts of a corpus that the recipe makes


@dataclass(frozen=True)
class Utterance:
    """The three files of one utterance, any of which may be missing (None)."""

    name: str
    clean: Path | None
    noisy: Path | None
    text: Path | None

    @property
    def speaker(self) -> str:
        """What is before the last underscore of the name: ``p226`` of ``p226_001``."""
        return self.name.rpartition("_")[0]


def find_utterances(data_folder: Path, parts: Iterable[Part], needs_text: bool) -> dict:
    """Name of a part -> its utterances, sorted; RecipeError if folders are missing or empty."""
    utterances, missing = {}, []
    for part in parts:
        clean, noisy = (_find(data_folder, name, SUFFIXES) for name in (part.clean, part.noisy))
        text = _find(data_folder, part.text, (".txt",)) if needs_text else {}
        needed = {part.clean: clean, part.noisy: noisy} | ({part.text: text} if needs_text else {})
        missing += [name for name, files in needed.items() if not files]
        utterances[part.name] = [
            Utterance(name, clean.get(name), noisy.get(name), text.get(name))
            for name in sorted(clean.keys() | noisy.keys())
        ]
    if missing:
        raise RecipeError(
            f"{data_folder} lacks {', '.join(missing)}, also with {AT_16K}, or nothing is in "
            "them. Get a corpus by data_prep.py download, mini or mix; see data_prep.py --help."
        )
    return utterances


def by_stem(files: Iterable[Path]) -> dict[str, Path]:
    """Files by their names without suffix; RecipeError where two have the same."""
    found = {}
    for path in files:
        if found.setdefault(path.stem, path) != path:
            raise RecipeError(f"{found[path.stem]} and {path} have one name. Remove one of them.")
    return found


def _find(data_folder, name, suffixes):
    """Files of the 16 kHz version of a folder, or of the folder itself where that has none."""
    for folder in (data_folder / (name + AT_16K), data_folder / name):
        if folder.is_dir() and (files := find_files(folder, suffixes)):
            return by_stem(files)
    return {}


def claim(record: Path, settings: str) -> None:
    """Record the settings of a corpus in its folder; RecipeError if the folder holds another."""
    if record.exists() and read_text(record) == settings:
        return
    folder = record.parent
    if folder.is_dir() and not all(map(is_junk, os.listdir(folder))):
        raise RecipeError(
            f"--data_folder: {folder} holds other files, or a corpus of other sources or settings. "
            "It is left as it is: move it away, or name an empty or a new folder."
        )
    write_text(record, settings)


def write_utterance(files: list[Path], clean: np.ndarray, noisy: np.ndarray, words: str) -> None:
    """Write the ``files`` of an utterance: two signals [samples] at 16 kHz, and its words."""
    write(files[0], clean, SAMPLE_RATE)
    write(files[1], noisy, SAMPLE_RATE)
    write_text(files[2], words + "\n")


def write_logs(data_folder: Path, utterances: list) -> None:
    """Write the logs of utterances, which have ``part``, ``name``, ``kind`` (noise) and ``snr``."""
    for part in MADE:
        lines = [f"{u.name} {u.kind} {u.snr:g}\n" for u in utterances if u.part is part]
        write_text(data_folder / part.log, "".join(lines))
