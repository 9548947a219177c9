"""Download VoiceBank-DEMAND (Valentini-Botinhao, DataShare 10283/2791) and bring it to 16 kHz."""

import os
import shutil
import time
import zipfile
import zlib
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from urllib.error import URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from corpus.audio import SUFFIXES, read, write
from corpus.files import find_files, in_threads, is_junk, whole
from corpus.layout import AT_16K, SAMPLE_RATE, TEST, TRAIN, by_stem
from corpus.resampling import resample
from errors import RecipeError

BASE_URL = "https://datashare.ed.ac.uk/bitstream/handle/10283/2791"
LOGS = "logfiles.zip"  # noise and SNR of each utterance; training does without
CHUNK = 1 << 18  # bytes
TIMEOUT = 60  # s without a byte
LOST_CONNECTION = (URLError, HTTPException, ConnectionError, TimeoutError)
FINAL = (400, 401, 403, 404, 410)  # HTTP states that another attempt does not mend


def download(
    data_folder: Path, base_url: str = BASE_URL, speakers: int = 28, pause: float = 1.0
) -> bool:
    """Fetch and unpack the corpus; False if the log files could not be fetched.

    Safe to interrupt and to repeat. Archives stay in ``archives`` with a mark ``<name>.unpacked``;
    an archive with a mark may be deleted.
    """
    parts = (TRAIN[speakers], TEST)
    names = [f"{folder}.zip" for part in parts for folder in (part.clean, part.noisy, part.text)]
    for name in [*names, LOGS]:
        archive = data_folder / "archives" / name
        mark = archive.with_name(f"{name}.unpacked")
        if mark.exists():
            continue
        try:
            unpack(fetch(f"{base_url.rstrip('/')}/{name}", archive, pause=pause), data_folder)
            mark.touch()
        except RecipeError:
            if name == LOGS:
                return False
            raise
    return True


def fetch(url: str, target: Path, attempts: int = 6, pause: float = 1.0) -> Path:
    """Download ``url`` to ``target`` unless it is there, and go on where an attempt stopped.

    It waits ``pause`` s after a failure, then twice as long each time. An attempt that brought
    bytes starts the count again.
    """
    part = target.with_name(f"{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    while not target.exists():
        start = _size(part)
        try:
            request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})
            with urlopen(request, timeout=TIMEOUT) as response:
                _receive(response, part, start)
            os.replace(part, target)
        except LOST_CONNECTION as problem:
            code = getattr(problem, "code", None)
            if code == 416:  # nothing is left to send, or the bytes are of something else
                part.unlink()
            failures = 1 if _size(part) > start else failures + 1
            if failures >= attempts or code in FINAL:
                raise RecipeError(
                    f"Cannot download {url}: {problem} (after {failures} attempt(s)). Check the "
                    "network and --base_url; the same command goes on where it stopped."
                ) from problem
            time.sleep(pause * 2 ** (failures - 1))
    return target


def _receive(response: HTTPResponse, part: Path, start: int) -> None:
    """Append an answer to ``part``; ConnectionError if less comes than was announced."""
    start = start if response.status == 206 else 0  # else the server sends the whole file
    length = response.headers.get("Content-Length")
    total = start + int(length) if length else None
    bar = {"initial": start, "total": total, "desc": part.stem, "disable": None}
    with (
        open(part, "ab" if start else "wb") as file,
        tqdm.wrapattr(response, "read", **bar) as source,
    ):
        shutil.copyfileobj(source, file, CHUNK)
    if total not in (None, _size(part)):
        raise ConnectionError(f"{_size(part)} of {total} bytes came")


def _size(path):
    return path.stat().st_size if path.exists() else 0


def unpack(archive: Path, folder: Path) -> None:
    """Unpack ``NAME.zip`` into ``folder/NAME``, each file whole; a damaged archive is deleted."""
    files, target = {}, folder / archive.stem
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                parts = PurePosixPath(member.filename.replace("\\", "/")).parts
                path = target.joinpath(*parts[parts[:1] == (archive.stem,) :])
                if ".." in parts or not path.is_relative_to(target):
                    raise RecipeError(
                        f"{archive} holds {member.filename}, which leaves the folder; nothing was "
                        "unpacked. Delete it and download it from a source that you trust."
                    )
                if not member.is_dir() and not any(map(is_junk, parts)):
                    files[path] = member
            bar = tqdm(files.items(), f"Unpacking {archive.name}", delay=5, disable=None)
            for path, member in bar:
                with whole(path) as aside, opened.open(member) as source, open(aside, "wb") as out:
                    shutil.copyfileobj(source, out)  # checks the CRC at the end
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as problem:
        archive.unlink()
        raise RecipeError(
            f"{archive} is damaged ({problem}) and was deleted. Run the same command again to "
            "download it again."
        ) from problem


def resample_corpus(data_folder: Path) -> tuple[int, list[str]]:
    """Make the missing 16 kHz files; returns their number, and a line for each that is bad."""
    folders = [name for part in (*TRAIN.values(), TEST) for name in (part.clean, part.noisy)]
    there = [data_folder / name for name in folders if (data_folder / name).is_dir()]
    sounds = {
        path: folder.with_name(folder.name + AT_16K) / f"{stem}.wav"
        for folder in there
        for stem, path in by_stem(find_files(folder, SUFFIXES)).items()
    }
    if not sounds:
        names = ", ".join(folders)
        raise RecipeError(f"{data_folder}: nothing to resample, no sound files in any of {names}.")
    work = [(path, target) for path, target in sounds.items() if not target.exists()]

    def convert(paths):
        write(paths[1], resample(*read(paths[0]), SAMPLE_RATE), SAMPLE_RATE)

    done = in_threads(convert, work, "Resampling")
    problems = [f"{path}: {wrong}" for (path, _), wrong in zip(work, done, strict=True) if wrong]
    return len(work) - len(problems), problems
