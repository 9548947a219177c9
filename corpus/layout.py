"""The folders of VoiceBank-DEMAND (Edinburgh DataShare 10283/2791), and the utterances in them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from corpus.audio import SUFFIXES
from corpus.files import find_files
from errors import RecipeError

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


def find_utterances(
    data_folder: Path, parts: Iterable[Part], needs_text: bool
) -> dict[str, list[Utterance]]:
    """The utterances of each part, sorted by name; RecipeError if folders are missing or empty.

    A text without sound is no utterance: the archives hold texts of more speakers than sound.
    """
    utterances, missing = {}, []
    for part in parts:
        clean, noisy = (_find(data_folder, name, SUFFIXES) for name in (part.clean, part.noisy))
        text = _find(data_folder, part.text, (".txt",)) if needs_text else {}
        needed = {part.clean: clean, part.noisy: noisy} | ({part.text: text} if needs_text else {})
        missing += [name for name, files in needed.items() if not files]
        names = sorted(clean.keys() | noisy.keys())
        utterances[part.name] = [
            Utterance(n, clean.get(n), noisy.get(n), text.get(n)) for n in names
        ]
    if missing:
        raise RecipeError(
            f"{data_folder} lacks {', '.join(missing)}, also with {at_16k('')}, or nothing is in "
            "them. Get a corpus by data_prep.py download, mini or mix; see data_prep.py --help."
        )
    return utterances


def find_log(data_folder: Path, part: Part) -> Path | None:
    """The part's log file, in the data folder or in its ``logfiles/``; None if there is none."""
    for candidate in (data_folder / part.log, data_folder / "logfiles" / part.log):
        if candidate.is_file():
            return candidate
    return None


def by_stem(files: Iterable[Path]) -> dict[str, Path]:
    """Files by their names without suffix; RecipeError where two have the same."""
    found = {}
    for path in files:
        if path.stem in found:
            raise RecipeError(f"{found[path.stem]} and {path} have one name. Remove one of them.")
        found[path.stem] = path
    return found


def _find(data_folder: Path, name: str, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Files of the 16 kHz version of a folder, or of the folder itself where that has none."""
    for folder in (data_folder / at_16k(name), data_folder / name):
        files = find_files(folder, suffixes) if folder.is_dir() else ()
        if files:
            return by_stem(files)
    return {}
