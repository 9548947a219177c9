"""The espeak-ng speech synthesizer, called through its C library: sound, and phonemes of words."""

import ctypes
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from corpus.layout import SAMPLE_RATE
from errors import RecipeError, wanted

RATE = 22050  # Hz, of what espeak-ng makes
SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: samples go to the callback, within the call
DO_NOT_EXIT = 0x8000  # espeak_Initialize: report a failure instead of ending the process
LONGEST_PATH = 140  # bytes; espeak-ng cuts longer ones
UTF8 = 1
WORDS_PER_MINUTE = 1  # espeak_PARAMETER number
IPA = 2 | ord("_") << 8  # phonemes in IPA, with an underscore between them
_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def package_folder() -> Path:
    """The folder that holds espeak-ng's own data, ``espeak-ng-data``."""
    return Path(_loader().get_data_path()).parent


def _loader():
    """The pip package that holds the C library and its data."""
    purpose = "Speaking the mini corpus, and pronouncing words that the dictionary lacks,"
    return wanted("espeakng-loader", purpose, "add these words with --extra_lexicon")


def prepare_data(folder: str | Path, variants: dict[str, str]) -> Path:
    """Lay out espeak-ng's data in a folder, with our own voice ``variants`` (name -> file text)."""
    data = Path(folder) / "espeak-ng-data"
    own = data / "voices" / "!v"
    own.mkdir(parents=True)
    # The engine takes the voices of one folder only: the rest of the package is linked there.
    for entry in (package_folder() / data.name).iterdir():
        if entry.name != "voices":
            (data / entry.name).symlink_to(entry)
    for name, text in variants.items():
        (own / name).write_text(text, encoding="ascii")
    return Path(folder)


class Engine:
    """Speaks text with a voice such as ``en-us`` or ``en-us+variant``. Not thread-safe."""

    def __init__(self, folder: Path):
        self._library = ctypes.CDLL(_loader().get_library_path())
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        path, start = str(folder).encode(), self._library.espeak_Initialize
        if len(path) > LONGEST_PATH or start(SYNCHRONOUS, 0, path, DO_NOT_EXIT) != RATE:
            raise RecipeError(
                f"espeak-ng does not start on {folder}. The path must have at most {LONGEST_PATH} "
                "characters: set TMPDIR to a short one, or install espeakng-loader at a short one."
            )
        self._pieces = []
        self._callback = _Callback(self._collect)  # kept: the library has only its bare pointer
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, voice: str, text: str, speed: float) -> np.ndarray:
        """Speak ``text`` at ``speed`` words a minute: float64 ``[samples]`` at 16 kHz, -1..1."""
        self._pieces.clear()
        encoded = text.encode() + b"\0"
        self._ask("SetVoiceByName", voice.encode())
        self._ask("SetParameter", WORDS_PER_MINUTE, int(speed), 0)
        self._ask("Synth", encoded, len(encoded), 0, 0, 0, UTF8, None, None)
        if not self._pieces:
            raise RecipeError(f"espeak-ng said nothing for {text!r} with voice {voice!r}.")
        return resample_poly(np.concatenate(self._pieces) / 32768, SAMPLE_RATE, RATE)

    def phonemes(self, voice: str, text: str) -> list[str]:
        """The phonemes of ``text`` in IPA, without stress."""
        self._ask("SetVoiceByName", voice.encode())
        rest, found = ctypes.c_char_p(text.encode()), ""
        while rest.value is not None:  # one clause at a time
            clause = self._library.espeak_TextToPhonemes(ctypes.byref(rest), UTF8, IPA)
            found += clause.decode() + "_"
        return [phoneme for phoneme in re.split("[_ ˈˌ]", found) if phoneme]

    def _collect(self, samples, count, _events):
        if samples and count > 0:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0  # go on

    def _ask(self, function, *arguments):
        status = getattr(self._library, f"espeak_{function}")(*arguments)
        if status != 0:
            raise RecipeError(f"espeak-ng refused {function} {arguments} (status {status}).")


engine = lru_cache(maxsize=1)(Engine)  # one at a time, as the library is one global state
