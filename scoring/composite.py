"""LLR, WSS and segmental SNR, and the ratings CSIG, CBAK and COVL regressed on them.

Y. Hu and P. C. Loizou, "Evaluation of objective quality measures for speech enhancement", IEEE
TASLP 16(1), 2008, with wide-band PESQ in place of narrow-band PESQ, as in published tables at
16 kHz. Values differ by tenths between implementations. Here: 30 ms frames, 7.5 ms apart, the last
whole frame unused; LPC of order 16; WSS and LLR averaged over the best 95 % of frames; bands up to
3.8 kHz in WSS; means removed and the predicted peak set to the target's before the segmental SNR.

Signals are float64 [samples] at 16 kHz, of equal length and not constant.
"""

import numpy as np

FRAME, HOP, FFT = 480, 120, 1024  # samples; the FFT holds two frames, so its inverse holds all lags
BINS = FFT // 2 + 1
LPC_ORDER = 16
BEST_SHARE = 0.95  # of the frames; the worst 5 % are outliers
SEGMENTAL_SNR_RANGE = (-10.0, 35.0)  # dB
FLOOR = 1e-10  # of a band's power and of a frame's noise energy; 100 dB below 1
GLOBAL_PEAK_DB, LOCAL_PEAK_DB = 20.0, 1.0  # Klatt's K_max and K_locmax
WINDOW = np.hanning(FRAME + 2)[1:-1]

# Critical bands (Hz) of D. Klatt, "Prediction of perceived phonetic distance from critical-band
# spectra", ICASSP 1982.
CENTRES = np.array([
    50, 120, 190, 260, 330, 400, 470, 540, 617.372, 703.378, 798.717, 904.128, 1020.38, 1148.3,
    1288.72, 1442.54, 1610.7, 1794.16, 1993.93, 2211.08, 2446.71, 2701.97, 2978.04, 3276.17,
    3597.63,
])  # fmt: skip
WIDTHS = np.array([
    70, 70, 70, 70, 70, 70, 70, 77.3724, 86.0056, 95.3398, 105.411, 116.256, 127.914, 140.423,
    153.823, 168.154, 183.457, 199.776, 217.153, 235.631, 255.255, 276.072, 298.126, 321.465,
    346.136,
])  # fmt: skip


def critical_bands() -> np.ndarray:
    """Gaussian band filters of equal weight, [bins, bands], zero where more than 30 dB down."""
    hz_per_bin = 16000 / FFT
    distance = (np.arange(BINS)[:, None] - np.floor(CENTRES / hz_per_bin)) / (WIDTHS / hz_per_bin)
    bank = np.exp(-11 * distance**2) * WIDTHS[0] / WIDTHS
    bank[bank <= np.exp(-30 / (2 * 2.303))] = 0.0
    return bank


def lag_cosines() -> np.ndarray:
    """[bins, lags]: power spectra times it are the first lags of their inverse FFT."""
    bins = np.arange(BINS)
    weights = np.where(bins % (BINS - 1) == 0, 1, 2) / FFT  # inner bins stand for two
    return weights[:, None] * np.cos(2 * np.pi / FFT * np.outer(bins, np.arange(LPC_ORDER + 1)))


BANK, LAG_COSINES = critical_bands(), lag_cosines()


def ratings(predicted: np.ndarray, target: np.ndarray, pesq: float) -> dict[str, float]:
    """``{"csig", "cbak", "covl"}``, each 1 (bad) to 5, from the signals and wide-band PESQ."""
    predicted_power, target_power = power_spectrum(predicted), power_spectrum(target)
    llr = best_mean(log_likelihood_ratio(predicted_power, target_power))
    wss = best_mean(weighted_spectral_slope(predicted_power, target_power))
    snr = segmental_snr(predicted, target).mean()
    scores = {
        "csig": 3.093 - 1.029 * llr + 0.603 * pesq - 0.009 * wss,
        "cbak": 1.634 + 0.478 * pesq - 0.007 * wss + 0.063 * snr,
        "covl": 1.594 + 0.805 * pesq - 0.512 * llr - 0.007 * wss,
    }
    return {name: float(np.clip(score, 1.0, 5.0)) for name, score in scores.items()}


def best_mean(distances: np.ndarray) -> float:
    """Mean of the smallest 95 % of the frames' distances."""
    return np.sort(distances)[: round(BEST_SHARE * len(distances))].mean()


def frames(signal: np.ndarray) -> np.ndarray:
    """[samples] as Hann-windowed frames [frames, samples]."""
    count = (len(signal) - FRAME) // HOP
    return np.lib.stride_tricks.sliding_window_view(signal, FRAME)[: count * HOP : HOP] * WINDOW


def power_spectrum(signal: np.ndarray) -> np.ndarray:
    """[samples] as |FFT|^2 of its frames, [frames, bins]."""
    spectrum = np.fft.rfft(frames(signal), FFT)
    return spectrum.real**2 + spectrum.imag**2


def segmental_snr(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """SNR of each frame in dB, limited to -10 to 35 dB.

    The predicted peak is set to the target's, as in the authors' code: a plain gain costs nothing.
    """
    target, predicted = target - target.mean(), predicted - predicted.mean()
    predicted = predicted * (np.abs(target).max() / np.abs(predicted).max())
    speech = np.square(frames(target)).sum(axis=1)
    noise = np.square(frames(target - predicted)).sum(axis=1)
    return np.clip(10 * np.log10(speech / (noise + FLOOR) + FLOOR), *SEGMENTAL_SNR_RANGE)


def log_likelihood_ratio(predicted_power: np.ndarray, target_power: np.ndarray) -> np.ndarray:
    """How much worse, per frame, the predicted LPC filter whitens the target than its own.

    A frame in which the target is digital silence has no filter to compare with and counts 0.
    """
    autocorrelation, of_predicted = target_power @ LAG_COSINES, predicted_power @ LAG_COSINES
    lags = np.arange(LPC_ORDER + 1)
    toeplitz = autocorrelation[:, np.abs(np.subtract.outer(lags, lags))]
    own = residual_energy(lpc(autocorrelation), toeplitz)
    other = residual_energy(lpc(of_predicted), toeplitz)
    valid = (own > 0) & (other > 0)
    return np.log(np.divide(other, own, out=np.ones_like(own), where=valid))


def residual_energy(filters: np.ndarray, toeplitz: np.ndarray) -> np.ndarray:
    """a' R a of filters [frames, taps] and autocorrelation matrices [frames, taps, taps]."""
    return ((filters[:, None, :] @ toeplitz)[:, 0] * filters).sum(axis=1)


def lpc(autocorrelation: np.ndarray) -> np.ndarray:
    """Prediction error filters [frames, order + 1] of autocorrelations alike (Levinson-Durbin).

    A frame of digital silence gets the filter 1, 0, 0, ...
    """
    filters = np.zeros_like(autocorrelation)
    filters[:, 0] = 1.0
    error = autocorrelation[:, 0].copy()
    for order in range(1, autocorrelation.shape[1]):
        correlation = (filters[:, :order] * autocorrelation[:, order:0:-1]).sum(axis=1)
        reflection = -np.divide(correlation, error, out=np.zeros_like(error), where=error > 0)
        filters[:, 1 : order + 1] += reflection[:, None] * filters[:, order - 1 :: -1]
        error *= 1 - reflection**2
    return filters


def weighted_spectral_slope(predicted_power: np.ndarray, target_power: np.ndarray) -> np.ndarray:
    """Mean squared difference, per frame, of slopes between bands, weighted towards peaks."""
    predicted, target = (
        10 * np.log10(np.maximum(power @ BANK, FLOOR)) for power in (predicted_power, target_power)
    )
    weights = (peak_weights(predicted) + peak_weights(target)) / 2
    difference = np.diff(predicted, axis=1) - np.diff(target, axis=1)
    return (weights * difference**2).sum(axis=1) / weights.sum(axis=1)


def peak_weights(levels: np.ndarray) -> np.ndarray:
    """Klatt's weight of each slope, [frames, bands - 1], from levels in dB, [frames, bands]."""
    low = levels[:, :-1]
    from_global = GLOBAL_PEAK_DB / (GLOBAL_PEAK_DB + levels.max(axis=1, keepdims=True) - low)
    return from_global * LOCAL_PEAK_DB / (LOCAL_PEAK_DB + local_peaks(levels) - low)


def local_peaks(levels: np.ndarray) -> np.ndarray:
    """Level of the peak next to each slope, [frames, bands - 1].

    From a rising slope the peak is to the right, from a falling one to the left. To the right the
    authors' code stops one band short of it; so does this, as published values were computed so.
    """
    rising = np.diff(levels, axis=1) > 0
    left, right = levels[:, :-1].copy(), levels[:, :-1].copy()
    last = rising.shape[1] - 1
    for band in range(1, last + 1):
        left[:, band] = np.where(rising[:, band - 1], left[:, band], left[:, band - 1])
        mirror = last - band
        right[:, mirror] = np.where(rising[:, mirror + 1], right[:, mirror + 1], right[:, mirror])
    return np.where(rising, right, left)
