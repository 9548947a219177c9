"""The one way in which this project changes a sample rate."""

import os
from concurrent.futures import ThreadPoolExecutor

import torch
from torchaudio.functional import resample
from tqdm import tqdm

from corpus.audio import read, write
from corpus.inspection import QUIET_SECONDS
from corpus.layout import SAMPLE_RATE

# A long Kaiser-windowed sinc (64 zero crossings; pass band up to 0.948 of Nyquist, 7.58 kHz at 16 kHz). The method is
# fixed because it moves PESQ by tenths: scores of files resampled in another way are not comparable.
KAISER = {
    "resampling_method": "sinc_interp_kaiser",
    "lowpass_filter_width": 64,
    "rolloff": 0.9475937167399596,
    "beta": 14.769656459379492,
}


def to_16k(signal, rate):
    """Resample float32 ``[samples]`` at ``rate`` Hz to 16 kHz; the length is ``ceil(samples * 16000 / rate)``."""
    if rate == SAMPLE_RATE:
        return signal
    return resample(torch.from_numpy(signal), rate, SAMPLE_RATE, **KAISER).numpy().clip(-1, 1)


def resample_folder(source, target):
    """Write the 16 kHz version of every wav of ``source`` into ``target``; files already there are kept.

    Each file appears whole or not at all, so an interrupted run goes on where it stopped.
    """
    target.mkdir(parents=True, exist_ok=True)
    done = {path.name for path in target.iterdir()}
    waiting = [path for path in sorted(source.glob("*.wav")) if path.name not in done]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # torch and libsndfile let other threads run
        work = pool.map(
            lambda path: write(target / path.name, to_16k(*read(path)), SAMPLE_RATE), waiting
        )
        for _ in tqdm(
            work,
            total=len(waiting),
            desc=f"Resampling {source.name}",
            unit="file",
            delay=QUIET_SECONDS,
        ):
            pass
    return len(waiting)
