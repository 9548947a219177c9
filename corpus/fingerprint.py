"""Tell whether manifests still belong to the data and settings that they were made of."""

import hashlib
import json
from pathlib import Path

from corpus.audio import write_text
from corpus.layout import PARTS, find_folder, find_log

VERSION = 1  # raise it when the same data should give other manifests


def fingerprint(data_folder, settings, files=()):
    """Hash the names, sizes and modification times of the corpus, the settings, and the content of ``files``."""
    digest = hashlib.sha256(json.dumps([VERSION, settings], sort_keys=True).encode())
    for path in files:
        digest.update(Path(path).read_bytes())
    for part in PARTS:
        for name in (part.clean, part.noisy, part.text):
            digest.update(_listing(find_folder(data_folder, name)))
        digest.update(_line(find_log(data_folder, part)))
    return digest.hexdigest()


def is_current(stamp, mark, outputs):
    """True if ``stamp`` was written with this mark and the outputs are, byte for byte, those written then."""
    try:
        return json.loads(Path(stamp).read_text(encoding="utf-8")) == _record(mark, outputs)
    except (OSError, ValueError):
        return False


def write_stamp(stamp, mark, outputs):
    """Record the mark and what the outputs hold; call it when they are all in place."""
    write_text(stamp, json.dumps(_record(mark, outputs), indent=1))


def _record(mark, outputs):
    hashes = {
        Path(path).name: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in outputs
    }
    return {"data_and_settings": mark, "outputs": hashes}


def _listing(folder):
    if folder is None:
        return b"missing\n"
    return folder.name.encode() + b"\n" + b"".join(_line(path) for path in sorted(folder.iterdir()))


def _line(path):
    if path is None:
        return b"missing\n"
    stat = path.stat()
    return f"{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode()
