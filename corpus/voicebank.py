"""Download VoiceBank-DEMAND (Valentini-Botinhao, DataShare 10283/2791) and bring it to 16 kHz."""

import os
import shutil
import time
import zipfile
import zlib
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm
from tqdm.contrib.concurrent import thread_map

from corpus.audio import SUFFIXES, read, write
from corpus.files import find_files, is_junk, whole
from corpus.layout import SAMPLE_RATE, TEST, TRAIN, at_16k, by_stem
from corpus.resampling import resample
from errors import RecipeError

BASE_URL = "https://datashare.ed.ac.uk/bitstream/handle/10283/2791"
LOGS = "logfiles.zip"  # noise and SNR of each utterance; training does without
CHUNK = 1 << 18  # bytes
TIMEOUT = 60  # s without a byte
LOST_CONNECTION = (URLError, HTTPException, ConnectionError, TimeoutError)
FINAL = (400, 401, 403, 404, 410)  # HTTP states that another attempt does not mend
QUIET_SECONDS = 5  # no progress bar before


def download(
    data_folder: Path, base_url: str = BASE_URL, speakers: int = 28, pause: float = 1.0
) -> bool:
    """Fetch and unpack the corpus; safe to interrupt and to repeat at any moment.

    Archives stay in ``archives``. A mark ``<name>.unpacked`` is left with each that is unpacked,
    which may then be deleted. False if the log files could not be fetched.
    """
    parts = (TRAIN[speakers], TEST)
    for folder in (name for part in parts for name in (part.clean, part.noisy, part.text)):
        _obtain(data_folder, base_url, f"{folder}.zip", pause)
    try:
        _obtain(data_folder, base_url, LOGS, pause)
    except RecipeError:
        return False
    return True


def _obtain(data_folder: Path, base_url: str, name: str, pause: float) -> None:
    """Fetch and unpack one archive, unless that was done before."""
    archive = data_folder / "archives" / name
    mark = archive.with_name(f"{name}.unpacked")
    if not mark.exists():
        unpack(fetch(f"{base_url.rstrip('/')}/{name}", archive, pause=pause), data_folder)
        mark.touch()


def fetch(url: str, target: Path, attempts: int = 6, pause: float = 1.0) -> Path:
    """Download ``url`` to ``target`` unless it is there, and go on where an attempt stopped.

    Bytes gather in ``<target>.part``. After a failure it waits ``pause`` s, then twice as long
    each time; an attempt that brought bytes starts the count again.
    """
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    while not target.exists():
        before = _size(part)
        try:
            _receive(url, part)
            os.replace(part, target)
        except LOST_CONNECTION as problem:
            failures = 1 if _size(part) > before else failures + 1
            if failures >= attempts or getattr(problem, "code", None) in FINAL:
                raise RecipeError(
                    f"Cannot download {url}: {problem} (after {failures} attempt(s)). Check the "
                    "network and --base_url; the same command goes on where it stopped."
                ) from problem
            time.sleep(pause * 2 ** (failures - 1))
    return target


def _receive(url: str, part: Path) -> None:
    """Append what is missing to ``part``; ConnectionError if less comes than was announced."""
    start = _size(part)
    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urlopen(request, timeout=TIMEOUT)
    except HTTPError as problem:
        if problem.code == 416 and problem.headers.get("Content-Range") == f"bytes */{start}":
            return  # it was whole
        if problem.code == 416:  # longer than the file: it is of something else
            part.unlink()
        raise
    with response:
        if response.status != 206:
            start = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise ConnectionError("the server sent other bytes than were asked for")
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        with (
            open(part, "ab" if start else "wb") as file,
            tqdm(
                initial=start, total=total, unit="B", unit_scale=True, desc=part.stem, disable=None
            ) as bar,
        ):
            while chunk := response.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    if total not in (None, _size(part)):
        raise ConnectionError(f"{_size(part)} of {total} bytes came")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def unpack(archive: Path, folder: Path) -> int:
    """Unpack ``NAME.zip`` into ``folder/NAME`` and return the number of files.

    A leading folder ``NAME`` in the archive is not doubled. Files that are there with the right
    size are kept; each appears whole or not at all. A damaged archive is deleted and named.
    """
    target = folder / archive.stem
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened, archive, target)
            for path, member in tqdm(
                members.items(), f"Unpacking {archive.name}", delay=QUIET_SECONDS, disable=None
            ):
                if _size(path) != member.file_size or not path.exists():
                    with opened.open(member) as source, whole(path) as aside, open(aside, "wb") as f:
                        shutil.copyfileobj(source, f)  # checks the CRC at the end
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as problem:
        archive.unlink()
        raise RecipeError(
            f"{archive} is damaged ({problem}) and was deleted. Run the same command again to "
            "download it again."
        ) from problem
    return len(members)


def _members(opened: zipfile.ZipFile, archive: Path, target: Path) -> dict:
    """The archive's files by the path that each gets; RecipeError if one leaves the folder."""
    members = {}
    for member in opened.infolist():
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        path = target.joinpath(*parts[parts[:1] == (archive.stem,) :])
        if ".." in parts or not path.is_relative_to(target):
            raise RecipeError(
                f"{archive} holds {member.filename}, which leaves the folder; nothing was "
                "unpacked. Delete it and download it from a source that you trust."
            )
        if not member.is_dir() and not any(map(is_junk, parts)):
            members[path] = member
    return members


def resample_corpus(data_folder: Path) -> tuple[int, list[str]]:
    """Make the missing files of the ``_16k`` folders.

    Returns how many were written, and a line for each that could not be.
    """
    parts = (*TRAIN.values(), TEST)
    folders = [data_folder / name for part in parts for name in (part.clean, part.noisy)]
    sounds = {
        folder: by_stem(find_files(folder, SUFFIXES)) for folder in folders if folder.is_dir()
    }
    if not any(sounds.values()):
        names = ", ".join(folder.name for folder in folders)
        raise RecipeError(
            f"There is nothing to resample in {data_folder}: none of the folders {names} is there "
            f"with sound files ({', '.join(SUFFIXES)}). Name the folder that holds them."
        )
    work = [
        (path, folder.with_name(at_16k(folder.name)) / f"{stem}.wav")
        for folder, files in sounds.items()
        for stem, path in files.items()
    ]
    work = [(path, target) for path, target in work if not target.exists()]
    problems = thread_map(
        _resampled, work, max_workers=os.cpu_count(), desc="Resampling", unit="file",
        delay=QUIET_SECONDS, disable=None,
    )  # fmt: skip
    problems = [problem for problem in problems if problem]
    return len(work) - len(problems), problems


def _resampled(paths: tuple[Path, Path]) -> str | None:
    """Write the 16 kHz version of a file; what was wrong with it, or None."""
    source, target = paths
    try:
        signal, rate = read(source)
        write(target, resample(signal, rate, SAMPLE_RATE), SAMPLE_RATE)
    except RecipeError as problem:
        return f"{source}: {problem}"
    return None
