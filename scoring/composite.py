"""CSIG, CBAK and COVL, ratings regressed on PESQ, LLR, WSS and segmental SNR.

Y. Hu and P. C. Loizou, "Evaluation of objective quality measures for speech enhancement", IEEE
TASLP 16(1), 2008, with wide-band PESQ, as in published tables at 16 kHz. Values differ by tenths
between implementations. Here: 30 ms frames, 7.5 ms apart, the last whole frame unused; LPC of order
16; WSS and LLR averaged over the best 95 % of frames; bands up to 3.8 kHz in WSS.

Signals are float64 [samples] at 16 kHz, of equal length and not constant.
"""

import numpy as np

FRAME, HOP, FFT = 480, 120, 1024  # samples; the FFT holds two frames, so its inverse holds all lags
LPC_ORDER = 16
FLOOR = 1e-10  # of a band's power and of a frame's noise energy
GLOBAL_PEAK, LOCAL_PEAK = 20.0, 1.0  # dB; Klatt's K_max and K_locmax
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

HZ, BINS = 16000 / FFT, np.arange(FFT // 2 + 1)[:, None]
WINDOW = np.hanning(FRAME + 2)[1:-1]
# [bins, bands]: Gaussian filters of equal weight, zero where more than 30 dB down
BANK = np.exp(-11 * ((BINS - np.floor(CENTRES / HZ)) / (WIDTHS / HZ)) ** 2) * WIDTHS[0] / WIDTHS
BANK[np.exp(-30 / (2 * 2.303)) >= BANK] = 0.0
# [bins, lags]: the part of the inverse FFT that gives the first lags; inner bins stand for two
LAGS = np.arange(LPC_ORDER + 1)
INVERSE = np.where(BINS % (FFT // 2) == 0, 1, 2) / FFT * np.cos(2 * np.pi / FFT * (BINS * LAGS))


def ratings(predicted: np.ndarray, target: np.ndarray, pesq: float) -> dict[str, float]:
    """``{"csig", "cbak", "covl"}``, each 1 (bad) to 5."""
    powers = power_spectrum(predicted), power_spectrum(target)
    distances = log_likelihood_ratio(*powers), weighted_spectral_slope(*powers)
    llr, wss = (np.sort(d)[: round(0.95 * len(d))].mean() for d in distances)  # without outliers
    snr = segmental_snr(predicted, target).mean()
    scores = {
        "csig": 3.093 - 1.029 * llr + 0.603 * pesq - 0.009 * wss,
        "cbak": 1.634 + 0.478 * pesq - 0.007 * wss + 0.063 * snr,
        "covl": 1.594 + 0.805 * pesq - 0.512 * llr - 0.007 * wss,
    }
    return {name: float(np.clip(score, 1.0, 5.0)) for name, score in scores.items()}


def frames(signal: np.ndarray) -> np.ndarray:
    """[samples] as windowed frames [frames, samples]."""
    count = (len(signal) - FRAME) // HOP
    return np.lib.stride_tricks.sliding_window_view(signal, FRAME)[: count * HOP : HOP] * WINDOW


def power_spectrum(signal: np.ndarray) -> np.ndarray:
    """[samples] as |FFT|^2 of its frames, [frames, bins]."""
    spectrum = np.fft.rfft(frames(signal), FFT)
    return spectrum.real**2 + spectrum.imag**2


def segmental_snr(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """SNR of each frame in dB; without means, and with the predicted peak set to the target's."""
    target, predicted = target - target.mean(), predicted - predicted.mean()
    predicted = predicted * (np.abs(target).max() / np.abs(predicted).max())
    speech = np.square(frames(target)).sum(axis=1)
    noise = np.square(frames(target - predicted)).sum(axis=1)
    return np.clip(10 * np.log10(speech / (noise + FLOOR) + FLOOR), -10.0, 35.0)


def log_likelihood_ratio(predicted_power: np.ndarray, target_power: np.ndarray) -> np.ndarray:
    """How much worse, per frame, the predicted LPC filter whitens the target; 0 in silence."""
    correlation = target_power @ INVERSE
    toeplitz = correlation[:, np.abs(np.subtract.outer(LAGS, LAGS))]
    both = lpc(correlation), lpc(predicted_power @ INVERSE)
    own, other = (((a[:, None] @ toeplitz)[:, 0] * a).sum(axis=1) for a in both)  # a' R a
    valid = (own > 0) & (other > 0)
    return np.log(np.divide(other, own, out=np.ones_like(own), where=valid))


def lpc(correlation: np.ndarray) -> np.ndarray:
    """Prediction error filters of autocorrelations, [frames, order + 1] (Levinson-Durbin)."""
    filters, error = np.zeros_like(correlation), correlation[:, 0].copy()
    filters[:, 0] = 1.0
    for order in range(1, correlation.shape[1]):
        product = (filters[:, :order] * correlation[:, order:0:-1]).sum(axis=1)
        reflection = -np.divide(product, error, out=np.zeros_like(error), where=error > 0)
        filters[:, 1 : order + 1] += reflection[:, None] * filters[:, order - 1 :: -1]
        error *= 1 - reflection**2
    return filters


def weighted_spectral_slope(predicted_power: np.ndarray, target_power: np.ndarray) -> np.ndarray:
    """Mean squared difference, per frame, of slopes between bands, weighted towards peaks."""
    predicted = 10 * np.log10(np.maximum(predicted_power @ BANK, FLOOR))
    target = 10 * np.log10(np.maximum(target_power @ BANK, FLOOR))
    weights = (peak_weights(predicted) + peak_weights(target)) / 2
    difference = np.diff(predicted, axis=1) - np.diff(target, axis=1)
    return (weights * difference**2).sum(axis=1) / weights.sum(axis=1)


def peak_weights(levels: np.ndarray) -> np.ndarray:
    """Klatt's weight of each slope, [frames, bands - 1], from levels in dB, [frames, bands]."""
    low = levels[:, :-1]
    from_global = GLOBAL_PEAK / (GLOBAL_PEAK + levels.max(axis=1, keepdims=True) - low)
    return from_global * LOCAL_PEAK / (LOCAL_PEAK + local_peaks(levels) - low)


def local_peaks(levels: np.ndarray) -> np.ndarray:
    """Level of the peak next to each slope, right of a rising and left of a falling one.

    To the right the authors' code stops one band short of it, and so do published values.
    """
    rising = np.diff(levels, axis=1) > 0
    left, right = levels[:, :-1].copy(), levels[:, :-1].copy()
    for band in range(1, rising.shape[1]):
        left[:, band] = np.where(rising[:, band - 1], left[:, band], left[:, band - 1])
    for band in reversed(range(rising.shape[1] - 1)):
        right[:, band] = np.where(rising[:, band + 1], right[:, band + 1], right[:, band])
    return np.where(rising, right, left)
