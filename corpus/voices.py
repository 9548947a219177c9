"""The speakers of the mini corpus: espeak-ng voices of our own, drawn once from each speaker's name.

A speaker is a pitch, a vocal tract, an accent, a pace and a colour of sound. Pitch drift and breath are
added here and not by espeak-ng, whose own carry over from one utterance to the next: so the bytes of an utterance
do not depend on what was spoken before it.
"""

import zlib
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.signal import fftconvolve, firwin2, resample_poly, welch

from corpus.espeak import RATE
from corpus.levels import active_level, rms
from corpus.spectrum import tilted

SAMPLE_RATE = 16000  # Hz
# Left out: en-gb-scotland, in which espeak-ng makes other bytes each time it says the same ("bring", "river").
ACCENTS = ["en-us", "en", "en-gb-x-rp", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc"]
LEVEL = 0.08  # active level of every utterance, full scale = 1
FLOOR = -40  # dB below LEVEL, the noise of the recording that clean speech too has; PESQ is too strict without
LEAD = 0.15  # s of near silence at either end
BANDS = np.array(
    [0, 80, 125, 200, 315, 500, 800, 1250, 2000, 3150, 5000, 7000, 8000]
)  # Hz, of the equalizer
SPECTRUM = np.array(
    [-25, -8, -2, 0, 0, 0, -2, -4, -7, -9, -11, -12, -14]
)  # dB per Hz, long-term average speech
TAPS = 513  # of the equalizer
CALIBRATION = "the old dog met a white sheep near his boat. kate took this thick red book. bill saw five fine ships."

TRAIN = (
    "p227m p228f p230f p231f p233f p236f p239f p240f p241m p243m p244f p247m "
    "p250f p251m p252m p254m p256m p258f p259m p263m p267f p268f p270m p273m"
).split()
VALID = ["p226m", "p287f"]  # VoiceBank's customary validation speakers by name
TEST = ["p232m", "p257f", "p360m", "p361f"]


@dataclass(frozen=True)
class Voice:
    """One speaker; frequencies relative to espeak-ng's default voice unless they say Hz."""

    name: str
    gender: str  # "male" or "female"
    accent: str
    pitch: tuple  # Hz, lowest and highest
    formants: tuple  # scales of formants 0 to 8, in percent
    widths: tuple  # bandwidths of the same, in percent
    speed: int  # words per minute
    consonants: int  # percent
    breath: float  # aspiration over voice, amplitude
    drift: float  # relative depth of the pitch's wander
    colour: tuple  # dB at BANDS

    @property
    def code(self):
        """espeak-ng's name for the voice."""
        return f"{self.accent}+{self.name}"


def speakers(split):
    """The voices of "train", "valid" or "test"."""
    codes = {"train": TRAIN, "valid": VALID, "test": TEST}[split]
    return [
        _draw(code[:-1], {"m": "male", "f": "female"}[code[-1]], rank)
        for rank, code in enumerate(codes)
    ]


def _draw(name, gender, rank):
    """Draw a voice, always the same for the same name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    tracts, pitches = {"male": ((92, 103), (70, 105)), "female": ((106, 117), (135, 180))}[gender]
    tract, low = rng.uniform(*tracts), rng.uniform(*pitches)
    return Voice(
        name=name,
        gender=gender,
        accent=ACCENTS[rank % len(ACCENTS)],
        pitch=(round(low), round(low * rng.uniform(1.35, 1.7))),
        formants=tuple(int(f) for f in np.round(tract * rng.uniform(0.96, 1.04, 9))),
        widths=tuple(int(w) for w in np.round(rng.uniform(85, 130, 9))),
        speed=int(rng.integers(130, 170)),
        consonants=int(rng.integers(85, 115)),
        breath=rng.uniform(0.1, 0.25),
        drift=rng.uniform(0.005, 0.015),
        colour=tuple(np.round(rng.uniform(-2.5, 2.5, BANDS.size), 2)),
    )


def variant_file(voice):
    """espeak-ng's description of the voice: the text of its variant file."""
    lines = [
        "language variant",
        f"name {voice.name}",
        f"gender {voice.gender}",
        f"pitch {voice.pitch[0]} {voice.pitch[1]}",
        "flutter 0",
        "roughness 0",
        "echo 0 0",
        f"consonants {voice.consonants} {voice.consonants}",
    ]
    lines += [
        f"formant {i} {f} 100 {w}" for i, (f, w) in enumerate(zip(voice.formants, voice.widths))
    ]
    return "\n".join(lines) + "\n"


def speak(engine, voice, text, rng):
    """Say ``text``: float64 ``[samples]`` at 16 kHz, active level ``LEVEL``. ``rng`` varies pace, pitch and breath."""
    speech = _drifting(
        _raw(engine, voice, text, voice.speed * rng.uniform(0.92, 1.08)), voice.drift, rng
    )
    speech = fftconvolve(
        speech + _breath(speech, voice.breath, rng), _equalizer(engine, voice), mode="same"
    )
    return speech * (LEVEL / active_level(speech, SAMPLE_RATE)) + _floor(speech.size, rng)


def _raw(engine, voice, text, speed):
    """What espeak-ng says at 16 kHz, its silences at the ends trimmed to ``LEAD``."""
    speech = resample_poly(
        engine.say(voice.code, text.lower(), speed).astype(np.float64), SAMPLE_RATE, RATE
    )
    loud = np.flatnonzero(np.abs(speech) > 0.01 * np.abs(speech).max())
    lead = int(LEAD * SAMPLE_RATE)
    return np.pad(speech[loud[0] : loud[-1] + 1], lead)


def _drifting(speech, depth, rng):
    """Warp time slowly and slightly, so that pitch and pace wander as a human's do."""
    knots = np.linspace(0, speech.size, 2 + speech.size // 4000)  # a knot each 0.25 s
    pace = 1 + depth * np.interp(np.arange(speech.size), knots, rng.normal(size=knots.size))
    place = np.cumsum(pace) - pace[0]
    return map_coordinates(
        speech, place[None] * ((speech.size - 1) / place[-1]), order=3, mode="nearest"
    )


def _breath(speech, amount, rng):
    """Noise that follows the loudness of the voice."""
    window = np.hanning(161) / 80  # 10 ms
    loudness = fftconvolve(np.abs(speech), window, mode="same")
    return amount * loudness * rng.normal(size=speech.size)


def _floor(samples, rng):
    """Faint steady noise of room and microphone, falling above 500 Hz."""
    hiss = tilted(rng.normal(size=samples), 1.2, 500)
    return hiss * (LEVEL * 10 ** (FLOOR / 20) / rms(hiss))


@cache
def _equalizer(engine, voice):
    """FIR ``[TAPS]`` that brings the voice's average spectrum to ``SPECTRUM`` plus its own colour.

    Without it espeak-ng's female voices lie lower in the bands that carry words, and drown in noise first.
    """
    frequency, power = welch(
        _raw(engine, voice, CALIBRATION, voice.speed), SAMPLE_RATE, nperseg=1024
    )
    edges = np.maximum(BANDS[:, None] * [0.8, 1.25], [0, 60])
    found = [power[(frequency >= low) & (frequency <= high)].mean() for low, high in edges]
    gain = SPECTRUM + np.array(voice.colour) - 10 * np.log10(np.array(found) + 1e-20)
    gain -= np.median(gain)
    return firwin2(TAPS, BANDS, 10 ** (np.clip(gain, -12, 12) / 20), fs=SAMPLE_RATE)
