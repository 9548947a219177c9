"""Download VoiceBank-DEMAND (Valentini-Botinhao, Edinburgh DataShare 10283/2791, CC BY 4.0) and bring it to 16 kHz."""

from pathlib import Path

from corpus.archives import unpack
from corpus.fetching import fetch
from corpus.layout import PARTS, at_16k
from corpus.resampling import resample_folder
from errors import RecipeError

BASE_URL = "https://datashare.ed.ac.uk/bitstream/handle/10283/2791"
ARCHIVES = tuple(
    f"{folder}.zip" for part in PARTS for folder in (part.clean, part.noisy, part.text)
)
LOGS = "logfiles.zip"  # noise and SNR by utterance; training does without


def download(data_folder, base_url=BASE_URL, attempts=6, pause=1.0):
    """Fetch, unpack and resample the corpus into ``data_folder``; safe to interrupt and to repeat at any moment.

    Archives stay in ``data_folder/archives``. Once one is unpacked a file ``<name>.unpacked`` stands beside it, and the
    archive itself may be deleted. Returns the names of the optional archives that could not be fetched.
    """
    data_folder = Path(data_folder)
    (data_folder / "archives").mkdir(parents=True, exist_ok=True)
    for name in ARCHIVES:
        _obtain(data_folder, base_url, name, attempts, pause)
    missing = _optional(data_folder, base_url, LOGS, attempts, pause)
    resample_corpus(data_folder)
    return missing


def resample_corpus(data_folder):
    """Make the ``_16k`` folders of the wav folders in ``data_folder``; returns how many files were written."""
    folders = [Path(data_folder) / folder for part in PARTS for folder in (part.clean, part.noisy)]
    found = [folder for folder in folders if folder.is_dir()]
    if not found:
        names = ", ".join(folder.name for folder in folders)
        raise RecipeError(
            f"{data_folder} holds none of the folders {names}, so there is nothing to resample."
        )
    return sum(resample_folder(folder, folder.with_name(at_16k(folder.name))) for folder in found)


def _obtain(data_folder, base_url, name, attempts, pause):
    """Fetch and unpack one archive, unless that was done before."""
    archive = data_folder / "archives" / name
    mark = archive.with_name(f"{name}.unpacked")
    if not mark.exists():
        fetch(f"{base_url.rstrip('/')}/{name}", archive, attempts, pause)
        unpack(archive, data_folder)
        mark.touch()


def _optional(data_folder, base_url, name, attempts, pause):
    try:
        _obtain(data_folder, base_url, name, attempts, pause)
    except RecipeError:
        return [name]
    return []
