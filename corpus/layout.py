"""The folders of VoiceBank-DEMAND (Edinburgh DataShare 10283/2791), and the utterances in them."""

import logging
from dataclasses import dataclass
from pathlib import Path

from corpus.audio import SUFFIXES
from corpus.files import find_files
from errors import RecipeError

logger = logging.getLogger(__name__)

SAMPLE_RATE = 16000  # Hz, of all that is trained, enhanced and recognized
MAX_SECONDS = 60  # the longest utterance of VoiceBank lasts 15 s
VALID_SPEAKERS = ("p226", "p287")  # of the 28: a man and a woman; any two would do


@dataclass(frozen=True)
class Part:
    """One half of the corpus: its folders, and its log of utterance, noise, SNR (dB)."""

    name: str
    clean: str
    noisy: str
    text: str
    log: str


def _part(name: str, part: str) -> Part:
    return Part(name, f"clean_{part}_wav", f"noisy_{part}_wav", f"{part}_txt", f"log_{part}.txt")


TRAIN = {count: _part("train", f"trainset_{count}spk") for count in (28, 56)}  # by speakers
TEST = _part("test", "testset")


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


def at_16k(folder: str) -> str:
    """The name of the folder with the 16 kHz version of an archive's folder."""
    return f"{folder}_16k"


def train_part(data_folder: Path, speakers: int | None = None) -> Part:
    """The training set of 28 or 56 speakers; by default the one that is there, 28 before 56."""
    if speakers:
        return TRAIN[speakers]
    there = [
        count
        for count, part in TRAIN.items()
        if any((data_folder / name).is_dir() for name in (part.clean, at_16k(part.clean)))
    ]
    if len(there) > 1:
        logger.warning("%s holds two training sets; the one of 28 speakers is used", data_folder)
    return TRAIN[there[0] if there else 28]


def find_log(data_folder: Path, part: Part) -> Path | None:
    """The part's log file, in the data folder or in its ``logfiles/``; None if there is none."""
    for candidate in (data_folder / part.log, data_folder / "logfiles" / part.log):
        if candidate.is_file():
            return candidate
    return None


def find_utterances(
    data_folder: Path, part: Part, needs_text: bool = True
) -> tuple[list[Utterance], list[str]]:
    """The utterances of a part, sorted by name, and the folders that are missing or empty.

    A text without sound is no utterance: the archives hold texts of more speakers than sound.
    """
    clean, noisy = (_find_sounds(data_folder, name) for name in (part.clean, part.noisy))
    texts = by_stem(_files(data_folder / part.text, (".txt",))) if needs_text else {}
    missing = [
        f"no sound files in {at_16k(name)} (or {name}, if at {SAMPLE_RATE} Hz)"
        for name, files in ((part.clean, clean), (part.noisy, noisy))
        if not files
    ]
    if needs_text and not texts:
        missing.append(f"no texts in {part.text}")
    names = sorted(clean.keys() | noisy.keys())
    return [Utterance(n, clean.get(n), noisy.get(n), texts.get(n)) for n in names], missing


def by_stem(files: list[Path]) -> dict[str, Path]:
    """Files by their names without suffix; RecipeError where two have the same."""
    found = {}
    for path in files:
        if path.stem in found:
            raise RecipeError(
                f"{found[path.stem]} and {path} have the same name. Remove one of them; "
                "in this layout the name of a file is the name of the utterance."
            )
        found[path.stem] = path
    return found


def _find_sounds(data_folder: Path, name: str) -> dict[str, Path]:
    """Sounds of the 16 kHz version of a folder, or of the folder itself where that has none."""
    for candidate in (data_folder / at_16k(name), data_folder / name):
        if files := _files(candidate, SUFFIXES):
            return by_stem(files)
    return {}


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    return find_files(folder, suffixes) if folder.is_dir() else []
