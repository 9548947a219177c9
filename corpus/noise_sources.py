"""Where noises come from: recordings of a folder, or made of the clean speech of other talkers and of white noise.

VoiceBank-DEMAND has two made kinds among the ten that it trains with, babble and noise of the spectrum of speech
(Valentini-Botinhao et al., 2016, "Investigating RNN-based speech enhancement methods for noise-robust text-to-speech").

A source is called with a length in samples and a ``numpy.random.Generator``, and returns a stretch ``[samples]`` at
16 kHz that is not all silence.
"""

from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from scipy.signal import fftconvolve, firwin2, welch

from corpus.audio import read
from corpus.layout import SAMPLE_RATE
from corpus.levels import rms
from corpus.resampling import to_16k
from corpus.speech_sources import safe_name, sound_files
from errors import RecipeError

DRAWS = 50  # stretches of a recording to try for one that is not silent
TALKERS = (4, 10)  # of babble, fewest and most
NEARNESS = 6  # dB between the loudest and the faintest talker, at most
HEARD = 50  # recordings whose mean spectrum is that of speech
BANDS = 25  # of a random spectrum, evenly spaced from 0 Hz to half the sampling rate
STEPS = 4.0  # dB, standard deviation from one such band to the next
FALL = (0.0, 1.2)  # amplitude as frequency to minus this
GUSTS = (0.2, 4.0)  # Hz, of the loudness of coloured noise
TAPS = 1025  # of the filter that shapes white noise


def find_noises(folder):
    """Return kind -> source for a folder, one kind for each sub-folder that holds sound files."""
    folder = Path(folder)
    if not folder.is_dir():
        raise RecipeError(f"--noise: no such folder {folder}")
    kinds = {
        safe_name(kind.name): sound_files(kind)
        for kind in sorted(folder.iterdir())
        if kind.is_dir()
    }
    kinds = {kind: partial(_recorded, files) for kind, files in kinds.items() if files}
    if len(kinds) < 2:
        raise RecipeError(
            f"--noise: {folder} has {len(kinds)} sub-folder(s) with sound files (wav, flac, ogg); "
            "two kinds are needed at least, one sub-folder each, since the test has noises of its own."
        )
    return kinds


def make_noises(names, paths):
    """Return ``made_<name>`` -> source for names of ``MADE``; ``paths``: recordings whose talkers and spectrum are used."""
    unknown = [name for name in names if name not in MADE]
    if unknown:
        raise RecipeError(f"--made_noises: no {', '.join(unknown)}; available: {', '.join(MADE)}")
    return {f"made_{name}": partial(MADE[name], tuple(paths)) for name in names}


def _recorded(files, samples, rng):
    """A piece of one of the files, from a random place on, repeated where the file is short."""
    for _ in range(DRAWS):
        noise = _sound(files[rng.integers(len(files))])
        start = rng.integers(noise.size - samples) if noise.size > samples else 0
        stretch = noise[start : start + samples]
        if stretch.any():
            return stretch
    raise RecipeError(
        f"only silence in {DRAWS} stretches of {files[0].parent}; leave this noise out"
    )


def _babble(paths, samples, rng):
    """Several recordings at once, each repeated and begun anywhere, some louder than others."""
    crowd = np.zeros(samples)
    for _ in range(rng.integers(TALKERS[0], TALKERS[1] + 1)):
        talker = _equally_loud(paths[rng.integers(len(paths))])
        gain = 10 ** (-rng.uniform(0, NEARNESS) / 20)
        crowd += gain * np.resize(np.roll(talker, rng.integers(talker.size)), samples)
    return crowd


def _speech_shaped(paths, samples, rng):
    """Steady noise with the mean spectrum of speech."""
    return _shaped(*_spectrum_of_speech(paths), samples, rng)


def _coloured(_paths, samples, rng):
    """Noise of a random smooth spectrum that falls with frequency, whose loudness comes and goes."""
    frequencies = np.linspace(0, SAMPLE_RATE / 2, BANDS)
    decibels = np.cumsum(rng.normal(0, STEPS, BANDS))
    fall = np.maximum(frequencies, 100) ** -rng.uniform(*FALL)
    time = np.arange(samples) / SAMPLE_RATE
    gust = np.sin(2 * np.pi * (rng.uniform(*GUSTS) * time + rng.uniform()))
    return _shaped(frequencies, 10 ** (decibels / 20) * fall, samples, rng) * (
        1 + rng.uniform(0, 0.8) * gust
    )


MADE = {"babble": _babble, "speech_shaped": _speech_shaped, "coloured": _coloured}


def _shaped(frequencies, amplitudes, samples, rng):
    """White noise ``[samples]`` filtered to amplitudes at frequencies (Hz, the first 0, the last half the sampling rate)."""
    shape = firwin2(TAPS, frequencies, amplitudes / amplitudes.max(), fs=SAMPLE_RATE)
    return fftconvolve(rng.normal(size=samples + TAPS - 1), shape, mode="valid")


@lru_cache(maxsize=4)
def _spectrum_of_speech(paths):
    """Frequencies (Hz) and mean amplitudes of some recordings, all equally loud."""
    sounds = [_equally_loud(path) for path in paths[:: -(-len(paths) // HEARD)]]
    frequencies, powers = zip(*(welch(sound, SAMPLE_RATE, nperseg=512) for sound in sounds))
    return frequencies[0], np.sqrt(np.mean(powers, axis=0))


def _equally_loud(path):
    """A recording at RMS 1, or nearly silent where it is."""
    sound = _sound(path)
    return sound / max(rms(sound), 1e-6)


@lru_cache(maxsize=256)
def _sound(path):
    """A file at 16 kHz without the digital silence around it, with which some collections pad their clips."""
    return np.trim_zeros(to_16k(*read(path)))
