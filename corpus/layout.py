"""The folders of VoiceBank-DEMAND (Edinburgh DataShare 10283/2791), and the parallel utterances in them."""

from dataclasses import dataclass
from pathlib import Path

SAMPLE_RATE = 16000  # Hz, of every corpus that is trained on
MAX_SECONDS = 60  # the longest utterance of VoiceBank lasts 15 s


@dataclass(frozen=True)
class Part:
    """One half of the corpus: the archive names of its folders and its log file (utterance, noise, SNR in dB)."""

    name: str
    clean: str
    noisy: str
    text: str
    log: str


TRAIN = Part(
    "train",
    "clean_trainset_28spk_wav",
    "noisy_trainset_28spk_wav",
    "trainset_28spk_txt",
    "log_trainset_28spk.txt",
)
TEST = Part("test", "clean_testset_wav", "noisy_testset_wav", "testset_txt", "log_testset.txt")
PARTS = (TRAIN, TEST)


@dataclass(frozen=True)
class Utterance:
    """The three files of one utterance, any of which may be missing (None)."""

    name: str
    clean: Path | None
    noisy: Path | None
    text: Path | None

    @property
    def speaker(self):
        """What stands before the last underscore of the name: ``p226`` of ``p226_001``."""
        return self.name.rpartition("_")[0]


def at_16k(folder):
    """The name of the folder that holds the 16 kHz version of an archive's folder."""
    return f"{folder}_16k"


def find_folder(data_folder, name):
    """Return the folder ``<name>_16k`` or, where there is none, ``<name>``; None if both are missing."""
    for candidate in (Path(data_folder) / at_16k(name), Path(data_folder) / name):
        if candidate.is_dir():
            return candidate
    return None


def find_log(data_folder, part):
    """Return the part's log file, in the data folder or in its ``logfiles/``; None if there is none."""
    for candidate in (Path(data_folder) / part.log, Path(data_folder) / "logfiles" / part.log):
        if candidate.is_file():
            return candidate
    return None


def find_utterances(data_folder, part):
    """Return ``(utterances sorted by name, missing folders)``; the latter as text for the user.

    A text without sound is no utterance: the archives hold texts of more speakers than sound.
    """
    folders = {
        "clean": find_folder(data_folder, part.clean),
        "noisy": find_folder(data_folder, part.noisy),
        "text": find_folder(data_folder, part.text),
    }
    missing = [
        _missing_folder(getattr(part, kind), kind)
        for kind, folder in folders.items()
        if folder is None
    ]
    if missing:
        return [], missing
    files = {
        kind: _by_stem(folder, ".txt" if kind == "text" else ".wav")
        for kind, folder in folders.items()
    }
    names = sorted(files["clean"].keys() | files["noisy"].keys())
    return [
        Utterance(name, *(files[kind].get(name) for kind in ("clean", "noisy", "text")))
        for name in names
    ], []


def _missing_folder(name, kind):
    wanted = name if kind == "text" else f"{at_16k(name)} (or {name}, if it is at {SAMPLE_RATE} Hz)"
    return f"missing folder {wanted}"


def _by_stem(folder, suffix):
    return {
        path.stem: path
        for path in folder.iterdir()
        if path.suffix.lower() == suffix and not path.name.startswith(".")
    }
