"""LLR, WSS and segmental SNR, and the ratings CSIG, CBAK and COVL regressed on them.

Y. Hu and P. C. Loizou, "Evaluation of objective quality measures for speech enhancement", IEEE TASLP 16(1), 2008,
with wide-band PESQ in place of narrow-band PESQ, as published tables at 16 kHz do. Values differ by tenths between
implementations. Here: 30 ms frames, 7.5 ms apart, the last whole frame unused; LPC of order 16; WSS and LLR averaged over
the best 95 % of frames; bands up to 3.8 kHz in WSS; means removed and the predicted peak set to the target's before the
segmental SNR.

Every function takes float64 signals of shape [samples], of equal length and not constant, and leaves them untouched.
"""

from functools import lru_cache

import numpy as np

FRAME_MS = 30.0
LPC_ORDER = 16
BEST_SHARE = 0.95  # of the frames; the worst 5 % are outliers
SEGMENTAL_SNR_RANGE = (-10.0, 35.0)  # dB
POWER_FLOOR = 1e-10  # of a critical band; 100 dB below 1
ENERGY_FLOOR = 1e-10  # of a frame's noise

# Critical bands of D. Klatt, "Prediction of perceived phonetic distance from critical-band spectra", ICASSP 1982.
BAND_CENTRES = np.array(
    [  # Hz
        50,
        120,
        190,
        260,
        330,
        400,
        470,
        540,
        617.372,
        703.378,
        798.717,
        904.128,
        1020.38,
        1148.3,
        1288.72,
        1442.54,
        1610.7,
        1794.16,
        1993.93,
        2211.08,
        2446.71,
        2701.97,
        2978.04,
        3276.17,
        3597.63,
    ]
)
BAND_WIDTHS = np.array(
    [  # Hz
        70,
        70,
        70,
        70,
        70,
        70,
        70,
        77.3724,
        86.0056,
        95.3398,
        105.411,
        116.256,
        127.914,
        140.423,
        153.823,
        168.154,
        183.457,
        199.776,
        217.153,
        235.631,
        255.255,
        276.072,
        298.126,
        321.465,
        346.136,
    ]
)
GLOBAL_PEAK_DB = 20.0  # Klatt's K_max
LOCAL_PEAK_DB = 1.0  # Klatt's K_locmax


def ratings(predicted, target, rate, pesq):
    """Return ``{"csig", "cbak", "covl"}``, each 1 (bad) to 5, from the signals and their wide-band PESQ."""
    predicted_power, target_power = (power_spectrum(frames(x, rate)) for x in (predicted, target))
    llr = best_mean(log_likelihood_ratio(predicted_power, target_power))
    wss = best_mean(weighted_spectral_slope(predicted_power, target_power, rate))
    snr = segmental_snr(predicted, target, rate).mean()
    scores = {
        "csig": 3.093 - 1.029 * llr + 0.603 * pesq - 0.009 * wss,
        "cbak": 1.634 + 0.478 * pesq - 0.007 * wss + 0.063 * snr,
        "covl": 1.594 + 0.805 * pesq - 0.512 * llr - 0.007 * wss,
    }
    return {name: float(np.clip(score, 1.0, 5.0)) for name, score in scores.items()}


def best_mean(distances):
    """Return the mean of the smallest 95 % of the frames' distances."""
    kept = round(BEST_SHARE * len(distances))
    return np.sort(distances)[:kept].mean()


def frames(signal, rate):
    """Cut [samples] into Hann-windowed frames [frames, samples]."""
    length = round(FRAME_MS / 1000 * rate)
    hop = length // 4
    count = (len(signal) - length) // hop
    window = np.hanning(length + 2)[1:-1]
    return np.lib.stride_tricks.sliding_window_view(signal, length)[: count * hop : hop] * window


def power_spectrum(framed):
    """Return |FFT|^2, [frames, bins], zero-padded to at least twice the frame: its inverse holds every lag."""
    size = 2 ** int(np.ceil(np.log2(2 * framed.shape[1])))
    spectrum = np.fft.rfft(framed, size)
    return spectrum.real**2 + spectrum.imag**2


def segmental_snr(predicted, target, rate):
    """Return the SNR of each frame in dB, limited to -10 to 35 dB.

    The peak of the predicted signal is set to the target's, as in the authors' own code: a plain gain costs nothing.
    """
    target = target - target.mean()
    predicted = predicted - predicted.mean()
    predicted = predicted * (np.abs(target).max() / np.abs(predicted).max())
    speech = np.square(frames(target, rate)).sum(axis=1)
    noise = np.square(frames(target - predicted, rate)).sum(axis=1)
    return np.clip(
        10 * np.log10(speech / (noise + ENERGY_FLOOR) + ENERGY_FLOOR), *SEGMENTAL_SNR_RANGE
    )


def log_likelihood_ratio(predicted_power, target_power):
    """Return per frame how much worse the predicted signal's LPC filter whitens the target than the target's own.

    A frame in which the target is digital silence has no filter to compare with and counts 0.
    """
    autocorrelation, of_predicted = (
        power @ lag_cosines(power.shape[1]) for power in (target_power, predicted_power)
    )
    lags = np.abs(np.subtract.outer(np.arange(LPC_ORDER + 1), np.arange(LPC_ORDER + 1)))
    toeplitz = autocorrelation[:, lags]
    own = residual_energy(lpc(autocorrelation), toeplitz)
    other = residual_energy(lpc(of_predicted), toeplitz)
    valid = (own > 0) & (other > 0)
    return np.log(np.divide(other, own, out=np.ones_like(own), where=valid))


@lru_cache(maxsize=4)
def lag_cosines(bins):
    """Return [bins, LPC_ORDER + 1]: power spectra times it are their inverse FFT's first lags, without the other ones."""
    size = 2 * (bins - 1)
    weights = (
        np.where(np.arange(bins) % (bins - 1) == 0, 1, 2) / size
    )  # all bins but the first and the last stand for two
    return weights[:, None] * np.cos(
        2 * np.pi / size * np.outer(np.arange(bins), np.arange(LPC_ORDER + 1))
    )


def residual_energy(filters, toeplitz):
    """Return a' R a for filters [frames, taps] and autocorrelation matrices [frames, taps, taps]."""
    return ((filters[:, None, :] @ toeplitz)[:, 0] * filters).sum(axis=1)


def lpc(autocorrelation):
    """Return prediction error filters [frames, order + 1] for autocorrelations of that shape (Levinson-Durbin).

    Vectorised over frames; a frame of digital silence gets the filter 1, 0, 0, ...
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


def weighted_spectral_slope(predicted_power, target_power, rate):
    """Return per frame the mean squared difference of the slopes between bands, weighted towards spectral peaks."""
    bank = critical_bands(target_power.shape[1], rate)
    predicted, target = (
        10 * np.log10(np.maximum(power @ bank, POWER_FLOOR))
        for power in (predicted_power, target_power)
    )
    weights = (peak_weights(predicted) + peak_weights(target)) / 2
    difference = np.diff(predicted, axis=1) - np.diff(target, axis=1)
    return (weights * difference**2).sum(axis=1) / weights.sum(axis=1)


@lru_cache(maxsize=4)
def critical_bands(bins, rate):
    """Return Gaussian band filters of equal weight, [bins, bands], zero where more than 30 dB down."""
    hz_per_bin = rate / 2 / (bins - 1)
    centres = np.floor(BAND_CENTRES / hz_per_bin)
    distance = (np.arange(bins)[:, None] - centres) / (BAND_WIDTHS / hz_per_bin)
    bank = np.exp(-11 * distance**2) * BAND_WIDTHS[0] / BAND_WIDTHS
    bank[bank <= np.exp(-30 / (2 * 2.303))] = 0.0
    return bank


def peak_weights(levels):
    """Return Klatt's weight of each slope, [frames, bands - 1], from band levels in dB, [frames, bands]."""
    low = levels[:, :-1]
    from_global = GLOBAL_PEAK_DB / (GLOBAL_PEAK_DB + levels.max(axis=1, keepdims=True) - low)
    return from_global * LOCAL_PEAK_DB / (LOCAL_PEAK_DB + local_peaks(levels) - low)


def local_peaks(levels):
    """Return the level of the peak next to each slope, [frames, bands - 1].

    A rising slope looks right and a falling one left. To the right the authors' code stops one band short of the peak;
    so does this, for published values were computed that way.
    """
    rising = np.diff(levels, axis=1) > 0
    left, right = levels[:, :-1].copy(), levels[:, :-1].copy()
    last = rising.shape[1] - 1
    for band in range(1, last + 1):
        left[:, band] = np.where(rising[:, band - 1], left[:, band], left[:, band - 1])
        mirror = last - band
        right[:, mirror] = np.where(rising[:, mirror + 1], right[:, mirror + 1], right[:, mirror])
    return np.where(rising, right, left)
