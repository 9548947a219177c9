"""The speakers of the mini corpus: espeak-ng voices of our own, drawn from each speaker's name.

Pitch drift and breath are added here: espeak-ng's own carry over to the next utterance.
"""

import zlib
from collections import namedtuple
from functools import cache

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.signal import fftconvolve, firwin2, welch

from corpus.espeak import Engine
from corpus.layout import SAMPLE_RATE
from corpus.levels import active_level, rms

SPEAKERS = {  # name and gender
    "train": "p227m p228f p230f p231f p233f p236f p239f p240f p241m p243m p244f p247m "
    "p250f p251m p252m p254m p256m p258f p259m p263m p267f p268f p270m p273m",
    "valid": "p226m p287f",  # VoiceBank's customary validation speakers
    "test": "p232m p257f p360m p361f",
}
# Without en-gb-scotland, in which espeak-ng makes other bytes each time it says the same.
ACCENTS = ["en-us", "en", "en-gb-x-rp", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc"]
LEVEL = 0.08  # active level of every utterance, full scale = 1
FLOOR = -40  # dB below LEVEL, noise that clean recordings have too; PESQ is too strict without
LEAD = 0.15  # s of near silence at either end
BANDS = np.array([0, 80, 125, 200, 315, 500, 800, 1250, 2000, 3150, 5000, 7000, 8000])  # Hz
SPECTRUM = np.array([-25, -8, -2, 0, 0, 0, -2, -4, -7, -9, -11, -12, -14])  # dB at BANDS, speech
CALIBRATION = """the old dog met a white sheep near his boat. kate took this thick red book. \
bill saw five fine ships."""
GENDERS = {"m": ("male", (92, 103), (70, 105)), "f": ("female", (106, 117), (135, 180))}


# code: espeak-ng's name for it; variant: the text of its file; speed: words a minute; breath: its
# amplitude over the voice's; drift: relative depth of the pitch's; colour: dB at BANDS
Voice = namedtuple("Voice", "name code variant speed breath drift colour")


def speakers(split: str) -> list[Voice]:
    """The voices of "train", "valid" or "test"."""
    return [_draw(name[:-1], name[-1], i) for i, name in enumerate(SPEAKERS[split].split())]


def _draw(name, gender, place):
    """Draw a voice, always the same for the same name. Scales are in percent."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    gender, tracts, pitches = GENDERS[gender]
    tract, low = rng.uniform(*tracts), rng.uniform(*pitches)
    high = low * rng.uniform(1.35, 1.7)
    formants = np.round(tract * rng.uniform(0.96, 1.04, 9)).astype(int)
    widths = np.round(rng.uniform(85, 130, 9)).astype(int)
    speed, consonants = int(rng.integers(130, 170)), int(rng.integers(85, 115))
    variant = (
        f"language variant\nname {name}\ngender {gender}\npitch {round(low)} {round(high)}\n"
        f"flutter 0\nroughness 0\necho 0 0\nconsonants {consonants} {consonants}\n"
    )
    for i in range(9):
        variant += f"formant {i} {formants[i]} 100 {widths[i]}\n"
    breath, drift = rng.uniform(0.1, 0.25), rng.uniform(0.005, 0.015)
    colour = tuple(np.round(rng.uniform(-2.5, 2.5, BANDS.size), 2))
    code = f"{ACCENTS[place % len(ACCENTS)]}+{name}"
    return Voice(name, code, variant, speed, breath, drift, colour)


def speak(engine: Engine, voice: Voice, text: str, rng: np.random.Generator) -> np.ndarray:
    """Say ``text``: float64 ``[samples]`` at 16 kHz, active level ``LEVEL``."""
    speech = _raw(engine, voice, text, voice.speed * rng.uniform(0.92, 1.08))
    speech = _drifting(speech, voice.drift, rng)
    loudness = fftconvolve(np.abs(speech), np.hanning(161) / 80, mode="same")  # 10 ms
    speech = speech + voice.breath * loudness * rng.normal(size=speech.size)
    speech = fftconvolve(speech, _equalizer(engine, voice), mode="same")
    hiss = tilted(rng.normal(size=speech.size), 1.2, 500)  # room and microphone
    floor = hiss * (LEVEL * 10 ** (FLOOR / 20) / rms(hiss))
    return speech * (LEVEL / active_level(speech)) + floor


def tilted(signal: np.ndarray, steepness: float, corner: float) -> np.ndarray:
    """``[samples]`` whose power falls as frequency to minus ``steepness`` above ``corner`` Hz."""
    spectrum, frequency = np.fft.rfft(signal), np.fft.rfftfreq(signal.size, 1 / SAMPLE_RATE)
    return np.fft.irfft(spectrum * (1 + (frequency / corner) ** 2) ** (-steepness / 4), signal.size)


def _raw(engine, voice, text, speed):
    """What espeak-ng says, its silences at the ends trimmed to ``LEAD``."""
    speech = engine.say(voice.code, text.lower(), speed)
    loud = np.flatnonzero(np.abs(speech) > 0.01 * np.abs(speech).max())
    return np.pad(speech[loud[0] : loud[-1] + 1], int(LEAD * SAMPLE_RATE))


def _drifting(speech, depth, rng):
    """Warp time slowly and slightly, so that pitch and pace drift as a human's do."""
    knots = np.linspace(0, speech.size, 2 + speech.size // 4000)  # a knot each 0.25 s
    pace = 1 + depth * np.interp(np.arange(speech.size), knots, rng.normal(size=knots.size))
    place = np.cumsum(pace) - pace[0]
    place = place[None] * ((speech.size - 1) / place[-1])
    return map_coordinates(speech, place, order=3, mode="nearest")


@cache
def _equalizer(engine, voice):
    """FIR ``[513]`` that brings the voice's average spectrum to ``SPECTRUM`` plus its own colour.

    Without it the female voices are weaker in the bands that carry words, and masked first.
    """
    speech = _raw(engine, voice, CALIBRATION, voice.speed)
    frequency, power = welch(speech, SAMPLE_RATE, nperseg=1024)
    edges = np.maximum(BANDS[:, None] * [0.8, 1.25], [0, 60])
    found = [power[(frequency >= low) & (frequency <= high)].mean() for low, high in edges]
    gain = SPECTRUM + np.array(voice.colour) - 10 * np.log10(np.array(found) + 1e-20)
    gain = np.clip(gain - np.median(gain), -12, 12)
    return firwin2(513, BANDS, 10 ** (gain / 20), fs=SAMPLE_RATE)
