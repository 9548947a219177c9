"""The noises of the mini corpus, synthesized: seven kinds to train on, five others to test on.

As in real recordings of places, most of the power lies in a rumble below the band of speech. Above it the spectrum
falls gently, so that the consonants are masked too: with a steep fall a recognizer does not mind the noise (see
``docs/experiments.md``). The babble of the test places is spoken in other languages than English.
"""

from functools import cache, lru_cache

import numpy as np
from scipy.signal import fftconvolve, resample_poly

from corpus.espeak import RATE
from corpus.levels import rms
from corpus.spectrum import tilted
from corpus.voices import SAMPLE_RATE, speakers

CORNER = 200  # Hz, above which the spectra fall
STEEPNESS = (0.0, 1.2)  # power falls as frequency to minus this, drawn for each stretch
RUMBLE = (1.3, 2.0)  # RMS of the rumble below speech relative to the rest, drawn for each stretch
# Left out: Italian, Dutch and others in which espeak-ng makes other bytes each time it says the same.
LINES = {  # what the crowds talk about
    "en": "the water ran down the hill and over the stones until we heard nothing but the river all afternoon",
    "de": "gestern haben wir lange auf den Zug gewartet und danach sind alle zusammen nach Hause gegangen",
    "fr": "nous avons longtemps cherché la petite maison au bord de la rivière avant de rentrer chez nous",
    "pt": "ontem almoçamos todos juntos na casa da minha mãe e depois fomos passear na cidade",
    "es": "ayer caminamos juntos por la ciudad y después volvimos a casa para preparar la comida",
}


def noise(kind, samples, rng, engine):
    """A fresh stretch of noise: float64 ``[samples]`` at 16 kHz, RMS 1. ``kind``: a key of TRAIN or of TEST."""
    scene = {**TRAIN, **TEST}[kind](samples, rng, engine)
    scene = tilted(scene, rng.uniform(*STEEPNESS), CORNER)
    scene = scene / rms(scene) + rng.uniform(*RUMBLE) * _rumble(samples, rng)
    return scene / rms(scene)


def _band(samples, low, high, rng):
    """Gaussian noise between ``low`` and ``high`` Hz, RMS 1."""
    spectrum = np.fft.rfft(rng.normal(size=samples))
    frequency = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    signal = np.fft.irfft(spectrum * ((frequency >= low) & (frequency <= high)), samples)
    return signal / rms(signal)


def _rumble(samples, rng):
    """What traffic, steps and air leave below the voice, RMS 1."""
    return _band(samples, 20, rng.uniform(60, 90), rng)


def _swell(samples, rate, depth, rng):
    """A loudness that wanders ``rate`` times per second by a factor of about ``exp(depth)``."""
    knots = np.linspace(0, samples, 3 + int(rate * samples / SAMPLE_RATE))
    return np.exp(depth * np.interp(np.arange(samples), knots, rng.normal(size=knots.size)))


def _ssn(samples, rng, _engine):
    """Steady noise with the spectrum of speech: flat, then falling from 500 Hz."""
    return tilted(rng.normal(size=samples), 1.2, 500)


def _pink(samples, rng, _engine):
    """Power falls as 1/frequency."""
    return tilted(rng.normal(size=samples), 0.6, 30)


def _brown(samples, rng, _engine):
    """Power falls faster than pink, and comes in gusts."""
    return tilted(rng.normal(size=samples), 1.2, 30) * _swell(samples, 2, 0.3, rng)


def _harmonics(samples, pitch, count, rng):
    """Tones at multiples of ``pitch`` Hz, random phases, falling strength, RMS 1."""
    time = np.arange(samples) / SAMPLE_RATE
    phases = rng.uniform(0, 2 * np.pi, count)
    tones = sum(
        np.sin(2 * np.pi * pitch * k * time + phases[k - 1]) / k**0.5 for k in range(1, count + 1)
    )
    return tones / rms(tones)


def _hum(samples, rng, _engine):
    """A machine: harmonics of 50 to 120 Hz in hiss."""
    return _harmonics(samples, rng.uniform(50, 120), 25, rng) + _pink(samples, rng, None)


def _impacts(samples, per_second, low, high, decay, rng):
    """Random blows that ring at ``low`` to ``high`` Hz for about ``decay`` s, RMS 1."""
    signal = np.zeros(samples)
    time = np.arange(int(5 * decay * SAMPLE_RATE)) / SAMPLE_RATE
    for start in rng.integers(0, samples, 1 + rng.poisson(per_second * samples / SAMPLE_RATE)):
        tones = np.sin(2 * np.pi * np.outer(rng.uniform(low, high, 3), time)).sum(axis=0)
        blow = rng.lognormal(0, 0.5) * tones * np.exp(-time / decay)
        signal[start : start + time.size] += blow[: samples - start]
    return signal / rms(signal) if signal.any() else signal


def _clatter(samples, rng, _engine):
    """Dishes and tools."""
    return _impacts(samples, 6, 500, 5000, 0.03, rng) + 0.8 * _ssn(samples, rng, None)


@cache
def _talker(engine, code, speed, language):
    """One endless-looking talker of a crowd: float64 ``[samples]`` at 16 kHz, RMS 1."""
    speech = resample_poly(
        engine.say(code, LINES[language], speed).astype(np.float64), SAMPLE_RATE, RATE
    )
    return speech / rms(speech)


def _babble(samples, rng, engine, language, count):
    """``count`` people at once, each beginning anywhere, at unlike distances, RMS 1."""
    voices = speakers("train" if language == "en" else "test")
    crowd = np.zeros(samples)
    for _ in range(count):
        voice = voices[rng.integers(len(voices))]
        accent = voice.accent if language == "en" else language
        talker = _talker(engine, f"{accent}+{voice.name}", voice.speed, language)
        crowd += rng.uniform(0.5, 1) * np.resize(
            np.roll(talker, rng.integers(talker.size)), samples
        )
    return crowd / rms(crowd)


def _crowd(samples, rng, engine):
    """Six to nine English talkers."""
    return _babble(samples, rng, engine, "en", rng.integers(6, 10))


def _chatter(samples, rng, engine):
    """A crowd whose loudness swells and sinks."""
    return _babble(samples, rng, engine, "en", rng.integers(4, 7)) * _swell(samples, 4, 0.5, rng)


def _cafe(samples, rng, engine):
    """French guests and their cups."""
    return _babble(samples, rng, engine, "fr", 8) + 0.3 * _impacts(
        samples, 2, 1500, 6000, 0.02, rng
    )


def _bus(samples, rng, _engine):
    """Engine, road and rattling windows."""
    road = tilted(rng.normal(size=samples), 1, 100) * _swell(samples, 1, 0.4, rng)
    rattle = _band(samples, 800, 3000, rng) * (_swell(samples, 12, 0.6, rng) / 4)
    return _harmonics(samples, rng.uniform(25, 45), 30, rng) + road / rms(road) + 0.5 * rattle


def _office(samples, rng, engine):
    """Air conditioning, typing, and German colleagues further off."""
    typing = _impacts(samples, 8, 1500, 4500, 0.008, rng)
    return _pink(samples, rng, None) + 0.4 * typing + 0.8 * _babble(samples, rng, engine, "de", 3)


def _living(samples, rng, engine):
    """A Portuguese broadcast of two voices over chords, in a room that echoes."""
    chords = _harmonics(samples, rng.uniform(110, 220), 6, rng) * _swell(samples, 3, 0.5, rng)
    room = rng.normal(size=4000) * np.exp(-np.arange(4000) / 1000)  # 60 ms decay
    scene = _babble(samples, rng, engine, "pt", 2) + 0.4 * chords
    scene = fftconvolve(scene, room)[:samples]
    return scene / rms(scene) + 0.4 * _pink(samples, rng, None)


def _square(samples, rng, engine):
    """A Spanish crowd outdoors, wind and passing cars."""
    cars = _band(samples, 100, 1200, rng) * _swell(samples, 1, 0.6, rng)
    return _babble(samples, rng, engine, "es", 10) + 0.7 * cars


TRAIN = {
    "ssn": _ssn,
    "babble": _crowd,
    "pink": _pink,
    "brown": _brown,
    "hum": _hum,
    "clatter": _clatter,
    "chatter": _chatter,
}
TEST = {"cafe": _cafe, "bus": _bus, "office": _office, "living": _living, "square": _square}
