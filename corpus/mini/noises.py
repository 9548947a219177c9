"""The noises of the mini corpus: seven synthesized kinds to train on, five others to test on.

As in real places, most power lies in a rumble below the band of speech. The babble of the test is
not English.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.signal import fftconvolve

from corpus.espeak import Engine
from corpus.layout import SAMPLE_RATE
from corpus.levels import rms
from corpus.mini.voices import speakers, tilted

# Without Italian, Dutch and others in which espeak-ng makes other bytes each time.
LINES = {  # what the crowds talk about
    "en": "the water ran down the hill and over the stones until we heard nothing but the river "
    "all afternoon",
    "de": "gestern haben wir lange auf den Zug gewartet und danach sind alle zusammen nach Hause "
    "gegangen",
    "fr": "nous avons longtemps cherché la petite maison au bord de la rivière avant de rentrer "
    "chez nous",
    "pt": "ontem almoçamos todos juntos na casa da minha mãe e depois fomos passear na cidade",
    "es": "ayer caminamos juntos por la ciudad y después volvimos a casa para preparar la comida",
}


def noise(kind: str, samples: int, rng: np.random.Generator, engine: Engine) -> np.ndarray:
    """A new stretch of noise: float64 ``[samples]`` at 16 kHz, RMS 1."""
    scene = Scene(samples, rng, engine)
    sound = tilted((TRAIN | TEST)[kind](scene), rng.uniform(0.0, 1.2), 200)
    return _unit(_unit(sound) + rng.uniform(1.3, 2.0) * scene.band(20, rng.uniform(60, 90)))


@dataclass
class Scene:
    """What a stretch of noise is made of; each method makes float64 ``[samples]``."""

    samples: int
    rng: np.random.Generator
    engine: Engine

    def hiss(self, steepness, corner):
        """Gaussian noise, ``tilted``."""
        return tilted(self.rng.normal(size=self.samples), steepness, corner)

    def band(self, low, high):
        """Gaussian noise between ``low`` and ``high`` Hz, RMS 1."""
        spectrum = np.fft.rfft(self.rng.normal(size=self.samples))
        frequency = np.fft.rfftfreq(self.samples, 1 / SAMPLE_RATE)
        inside = (frequency >= low) & (frequency <= high)
        return _unit(np.fft.irfft(spectrum * inside, self.samples))

    def swell(self, rate, depth):
        """A loudness that drifts ``rate`` times a second by a factor of about ``exp(depth)``."""
        knots = np.linspace(0, self.samples, 3 + int(rate * self.samples / SAMPLE_RATE))
        values = self.rng.normal(size=knots.size)
        return np.exp(depth * np.interp(np.arange(self.samples), knots, values))

    def tones(self, pitch, count):
        """Harmonics of ``pitch`` Hz, random phases, falling strength, RMS 1."""
        time = np.arange(self.samples) / SAMPLE_RATE
        phases = enumerate(self.rng.uniform(0, 2 * np.pi, count), start=1)
        return _unit(sum(np.sin(2 * np.pi * pitch * k * time + p) / k**0.5 for k, p in phases))

    def impacts(self, per_second, low, high, decay):
        """Random blows that ring at ``low`` to ``high`` Hz for about ``decay`` s, RMS 1."""
        rng, signal = self.rng, np.zeros(self.samples)
        time = np.arange(int(5 * decay * SAMPLE_RATE)) / SAMPLE_RATE
        count = 1 + rng.poisson(per_second * self.samples / SAMPLE_RATE)
        for start in rng.integers(0, self.samples, count):
            waves = np.sin(2 * np.pi * np.outer(rng.uniform(low, high, 3), time)).sum(axis=0)
            blow = rng.lognormal(0, 0.5) * waves * np.exp(-time / decay)
            signal[start : start + time.size] += blow[: self.samples - start]
        return _unit(signal) if signal.any() else signal

    def babble(self, language, count):
        """``count`` people at once, each beginning anywhere, at different distances, RMS 1."""
        voices = speakers("train" if language == "en" else "test")
        crowd = np.zeros(self.samples)
        for _ in range(count):
            voice = voices[self.rng.integers(len(voices))]
            code = voice.code if language == "en" else f"{language}+{voice.name}"
            talker = _talker(self.engine, code, voice.speed, language)
            gain = self.rng.uniform(0.5, 1)
            shifted = np.roll(talker, self.rng.integers(talker.size))
            crowd += gain * np.resize(shifted, self.samples)
        return _unit(crowd)


def _unit(signal):
    return signal / rms(signal)


@cache
def _talker(engine, code, speed, language):
    """One talker of a crowd, ``[samples]``, RMS 1."""
    return _unit(engine.say(code, LINES[language], speed))


def _bus(scene):
    """Engine, road and rattling windows."""
    road = scene.hiss(1, 100) * scene.swell(1, 0.4)
    rattle = scene.band(800, 3000) * (scene.swell(12, 0.6) / 4)
    return scene.tones(scene.rng.uniform(25, 45), 30) + _unit(road) + 0.5 * rattle


def _office(scene):
    """Air conditioning, typing, and German colleagues at some distance."""
    typing = scene.impacts(8, 1500, 4500, 0.008)
    return scene.hiss(0.6, 30) + 0.4 * typing + 0.8 * scene.babble("de", 3)


def _living(scene):
    """A Portuguese broadcast of two voices over chords, in a room that echoes."""
    chords = scene.tones(scene.rng.uniform(110, 220), 6) * scene.swell(3, 0.5)
    room = scene.rng.normal(size=4000) * np.exp(-np.arange(4000) / 1000)  # 60 ms decay
    sound = fftconvolve(scene.babble("pt", 2) + 0.4 * chords, room)[: scene.samples]
    return _unit(sound) + 0.4 * scene.hiss(0.6, 30)


def _square(scene):
    """A Spanish crowd outdoors, wind and passing cars."""
    cars = scene.band(100, 1200) * scene.swell(1, 0.6)
    return scene.babble("es", 10) + 0.7 * cars


TRAIN = {
    "ssn": lambda scene: scene.hiss(1.2, 500),  # the spectrum of speech
    "babble": lambda scene: scene.babble("en", scene.rng.integers(6, 10)),
    "pink": lambda scene: scene.hiss(0.6, 30),
    "brown": lambda scene: scene.hiss(1.2, 30) * scene.swell(2, 0.3),
    "hum": lambda scene: scene.tones(scene.rng.uniform(50, 120), 25) + scene.hiss(0.6, 30),
    "clatter": lambda scene: scene.impacts(6, 500, 5000, 0.03) + 0.8 * scene.hiss(1.2, 500),
    "chatter": lambda scene: scene.babble("en", scene.rng.integers(4, 7)) * scene.swell(4, 0.5),
}
TEST = {
    "cafe": lambda scene: scene.babble("fr", 8) + 0.3 * scene.impacts(2, 1500, 6000, 0.02),
    "bus": _bus,
    "office": _office,
    "living": _living,
    "square": _square,
}
