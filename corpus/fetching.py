"""Download a large file over HTTP, going on where an earlier attempt stopped."""

import os
import re
import time
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from errors import RecipeError

CHUNK = 1 << 18  # bytes
TIMEOUT = 60  # s without a byte
GIVEN_UP = (400, 401, 403, 404, 410)  # HTTP states that another attempt does not mend
LOST_CONNECTION = (URLError, HTTPException, ConnectionError, TimeoutError)


class CutShort(ConnectionError):
    """The server closed the connection before all announced bytes were there."""


def fetch(url, target, attempts=6, pause=1.0):
    """Download ``url`` to the path ``target`` unless it is there; returns ``target``.

    The bytes gather in ``<target>.part``, which a later call continues if the server knows byte ranges; the file gets its
    name only when its size is the announced one. After a failure it waits ``pause`` s, then twice as long each
    time; an attempt that brought bytes starts the count anew. RecipeError if the server refuses or attempts run out.
    """
    target = Path(target)
    part = target.with_name(target.name + ".part")
    failures = 0
    while not target.exists():
        before = _size(part)
        try:
            _receive(url, part)
            os.replace(part, target)
        except HTTPError as problem:
            failures = _failed(
                url, problem, failures, attempts, pause, final=problem.code in GIVEN_UP
            )
        except LOST_CONNECTION as problem:
            failures = _failed(
                url, problem, 0 if _size(part) > before else failures, attempts, pause
            )
    return target


def _failed(url, problem, failures, attempts, pause, final=False):
    """Count a failure and wait, or give up with an error."""
    failures += 1
    if final or failures >= attempts:
        raise RecipeError(
            f"Cannot download {url}: {problem} (after {failures} attempt(s)). Check the network and --base_url; "
            "the same command goes on where it stopped. Or put the file there by hand."
        ) from problem
    time.sleep(pause * 2 ** (failures - 1))
    return failures


def _receive(url, part):
    """Append what is missing to ``part``; CutShort if less comes than was announced."""
    start = _size(part)
    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urlopen(request, timeout=TIMEOUT)
    except HTTPError as problem:
        if problem.code == 416 and _is_whole(problem.headers, start):
            return
        if problem.code == 416:  # the part is longer than the file: it is of something else
            part.unlink()
        raise
    with response:
        start = start if response.status == 206 and _continues(response, start) else 0
        total = (
            start + int(response.headers["Content-Length"])
            if "Content-Length" in response.headers
            else None
        )
        _copy(response, part, start, total)
    if total is not None and _size(part) != total:
        raise CutShort(f"{_size(part)} of {total} bytes came")


def _copy(response, part, start, total):
    bar = tqdm(initial=start, total=total, unit="B", unit_scale=True, desc=part.stem, mininterval=1)
    with open(part, "ab" if start else "wb") as file, bar:
        while chunk := response.read(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))


def _continues(response, start):
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if not found or int(found[1]) != start:
        raise CutShort(f"asked for bytes from {start}, got {response.headers.get('Content-Range')}")
    return True


def _is_whole(headers, size):
    return headers.get("Content-Range", "").strip() == f"bytes */{size}" and size > 0


def _size(part):
    return part.stat().st_size if part.exists() else 0
