"""The espeak-ng speech synthesizer, called in-process through its C library."""

import ctypes
import shutil
from functools import lru_cache
from pathlib import Path

import numpy as np

from errors import RecipeError

RATE = 22050  # Hz, of what espeak-ng makes
SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: samples go to the callback, within the call
DO_NOT_EXIT = 0x8000  # espeak_Initialize: report a failure instead of ending the process
UTF8 = 1
WORDS_PER_MINUTE = 1  # espeak_PARAMETER number
_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def prepare_data(folder, variants):
    """Lay out in ``folder`` espeak-ng's data plus our own voice ``variants`` (name -> file text).

    The engine accepts voices of one data folder only, so the packaged one is linked into ours, not written to.
    """
    data = Path(folder) / "espeak-ng-data"
    data.mkdir(parents=True)
    for entry in Path(_package().get_data_path()).iterdir():
        if entry.name != "voices":
            _link(entry, data / entry.name)
    own = data / "voices" / "!v"
    own.mkdir(parents=True)
    for name, text in variants.items():
        (own / name).write_text(text, encoding="ascii")
    return Path(folder)


def _link(source, target):
    """Symbolic link, or a copy where the system forbids links."""
    try:
        target.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)


@lru_cache(maxsize=1)
def engine(folder):
    """This process's engine on the data of ``prepare_data``; one at a time, as the C library is one global state."""
    return Engine(folder)


class Engine:
    """Speaks text with a voice ``language+variant``. Neither thread-safe nor to be had twice in one process."""

    def __init__(self, folder):
        self._library = ctypes.CDLL(_package().get_library_path())
        rate = self._library.espeak_Initialize(SYNCHRONOUS, 0, str(folder).encode(), DO_NOT_EXIT)
        if rate != RATE:
            raise RecipeError(
                f"espeak-ng did not start on {folder}: it answered {rate}, expected {RATE} (Hz). "
                "Its folder names must be shorter than 150 characters: set TMPDIR to a short one; "
                "or reinstall with: pip install --force-reinstall espeakng-loader"
            )
        self._pieces = []
        self._callback = _Callback(
            self._collect
        )  # kept: the library holds only a bare pointer to it
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, voice, text, speed):
        """Speak ``text`` at ``speed`` words per minute: float32 ``[samples]`` at ``RATE``, within -1..1."""
        self._pieces.clear()
        self._check(self._library.espeak_SetVoiceByName(voice.encode()), f"voice {voice!r}")
        self._check(
            self._library.espeak_SetParameter(WORDS_PER_MINUTE, int(speed), 0), f"speed {speed}"
        )
        encoded = text.encode("utf-8") + b"\0"
        self._check(
            self._library.espeak_Synth(encoded, len(encoded), 0, 0, 0, UTF8, None, None),
            f"text {text!r}",
        )
        if not self._pieces:
            raise RecipeError(f"espeak-ng said nothing for {text!r} with voice {voice!r}.")
        return np.concatenate(self._pieces).astype(np.float32) / 32768

    def _collect(self, samples, count, _events):
        if samples and count > 0:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0  # go on

    @staticmethod
    def _check(status, what):
        if status != 0:
            raise RecipeError(f"espeak-ng refused {what} (status {status}).")


def _package():
    """The pip package that holds the C library and its data."""
    try:
        import espeakng_loader
    except ImportError as problem:
        raise RecipeError(
            "The mini corpus is spoken by espeak-ng, which is missing. Install it with: pip install espeakng-loader"
        ) from problem
    return espeakng_loader
