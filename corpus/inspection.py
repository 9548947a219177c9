"""Look at every file of a corpus once, before any training, and say all that is wrong with it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import soundfile
from tqdm import tqdm

from corpus.layout import SAMPLE_RATE
from corpus.spelling import words_of

THREADS = 16  # headers are waited for, not computed
QUIET_SECONDS = 5  # no progress bar before


@dataclass
class Inspected:
    """What one utterance holds: seconds of sound, the tokens of its text, and all that is wrong with it."""

    utterance: object
    seconds: float = 0.0
    tokens: list = field(default_factory=list)
    problems: list = field(default_factory=list)


def inspect_all(utterances, max_seconds):
    """Inspect utterances in parallel, in order; a bar shows when it takes longer than a few seconds."""
    with ThreadPoolExecutor(THREADS) as pool:
        work = pool.map(lambda utterance: inspect(utterance, max_seconds), utterances)
        return list(
            tqdm(
                work, total=len(utterances), desc="Checking files", unit="utt", delay=QUIET_SECONDS
            )
        )


def inspect(utterance, max_seconds):
    """Check the partners, headers, lengths and text of one utterance."""
    found = Inspected(utterance)
    if not utterance.speaker:
        found.problems.append(f"{utterance.name}: the name does not read <speaker>_<number>")
    for kind in ("clean", "noisy", "text"):
        if getattr(utterance, kind) is None:
            found.problems.append(f"{utterance.name}: has no {kind} file")
    frames = {
        kind: _frames(getattr(utterance, kind), found.problems) for kind in ("clean", "noisy")
    }
    if None not in frames.values():
        _compare(utterance.name, frames, max_seconds, found.problems)
        found.seconds = frames["noisy"] / SAMPLE_RATE
    if utterance.text is not None:
        found.tokens = _tokens(utterance.text, found.problems)
    return found


def sound_problem(path):
    """Return ``(frames, problem)`` of a sound file: the header for PCM, the samples too for floating point."""
    try:
        info = soundfile.info(str(path))
        if announces_more(info):
            return 0, "is cut short: its header announces more samples than it holds"
        if info.frames == 0:
            return 0, "holds no samples"
        if info.channels != 1:
            return 0, f"has {info.channels} channels, not 1"
        if info.samplerate != SAMPLE_RATE:
            return 0, f"has a sample rate of {info.samplerate} Hz, not {SAMPLE_RATE}"
        if (
            info.subtype in ("FLOAT", "DOUBLE")
            and not np.isfinite(soundfile.read(str(path))[0]).all()
        ):
            return 0, "holds samples that are not finite numbers"
    except (soundfile.LibsndfileError, OSError):
        return 0, "cannot be read as sound (empty, damaged, or of another format)"
    return info.frames, None


def announces_more(info):
    """libsndfile notes in its log where the file ends before the ``data`` chunk does."""
    return any(
        line.startswith("data :") and "should be" in line for line in info.extra_info.splitlines()
    )


def _frames(path, problems):
    """Return the number of samples, or None (and a problem, if there is a file at all)."""
    if path is None:
        return None
    frames, problem = sound_problem(path)
    if problem:
        problems.append(f"{path.parent.name}/{path.name} {problem}")
        return None
    return frames


def _compare(name, frames, max_seconds, problems):
    if frames["clean"] != frames["noisy"]:
        problems.append(
            f"{name}: clean has {frames['clean']} samples, noisy {frames['noisy']}; they must be parallel"
        )
    seconds = max(frames.values()) / SAMPLE_RATE
    if seconds > max_seconds:
        problems.append(f"{name}: lasts {seconds:.1f} s, longer than max_seconds={max_seconds}")


def _tokens(path, problems):
    try:
        tokens = words_of(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        problems.append(f"{path.parent.name}/{path.name} is not UTF-8 text")
        return []
    except OSError as problem:
        problems.append(f"{path.parent.name}/{path.name} cannot be read: {problem.strerror}")
        return []
    if not tokens:
        problems.append(f"{path.parent.name}/{path.name} holds no words")
    return tokens
