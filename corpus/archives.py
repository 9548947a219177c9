"""Unpack zip archives that come from elsewhere."""

import os
import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from corpus.inspection import QUIET_SECONDS
from errors import RecipeError, listed


def unpack(archive, folder):
    """Unpack the files of ``archive`` (``NAME.zip``) into ``folder/NAME``, and return their number.

    A leading folder ``NAME`` in the archive is not doubled. A member that would leave the folder is refused before
    anything is written; a damaged archive is deleted and named, so that it is downloaded again. Files
    already there with the right size are kept; each appears whole or not at all.
    """
    archive = Path(archive)
    target = Path(folder) / archive.stem
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened, archive)
            for name, member in tqdm(
                members.items(), desc=f"Unpacking {archive.name}", delay=QUIET_SECONDS
            ):
                _extract(opened, member, target / name)
    except (zipfile.BadZipFile, zlib.error, EOFError) as problem:
        archive.unlink()
        raise RecipeError(
            f"{archive} is damaged ({problem}) and was deleted. Run the same command again to download it again."
        ) from problem
    return len(members)


def _members(opened, archive):
    """Return the archive's files by their path in the target folder; all unsafe ones are named in one error."""
    members, unsafe = {}, []
    for member in opened.infolist():
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            unsafe.append(member.filename)
        elif not member.is_dir() and not _is_litter(path):
            parts = (
                path.parts[1:]
                if path.parts[0] == archive.stem and len(path.parts) > 1
                else path.parts
            )
            members[Path(*parts)] = member
    if unsafe:
        raise RecipeError(
            f"{archive} holds {len(unsafe)} path(s) that leave the folder:\n{listed(unsafe)}\n"
            "Nothing was unpacked. Delete it and download it from a source that you trust."
        )
    return members


def _is_litter(path):
    return path.parts[0] == "__MACOSX" or path.name.startswith(".")


def _extract(opened, member, path):
    if path.exists() and path.stat().st_size == member.file_size:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with opened.open(member) as source, open(aside, "wb") as copy:  # checks the CRC at the end
            shutil.copyfileobj(source, copy)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
