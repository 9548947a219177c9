"""Metrics against known values, at identity, across SNR, and on what cannot be scored."""

import os
from pathlib import Path

import numpy as np
import pystoi
import pytest
import soundfile
from scipy.linalg import solve_toeplitz

from scoring import composite, quality
from scoring.quality import METRICS, NotScored

RATE = 16000
DATA = (
    Path(os.environ.get("RECIPE_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    / "voicebank_real"
)
# Noisy against clean. CSIG, CBAK, COVL: a frame-by-frame program in plain loops after the authors' own; PESQ and STOI:
# their packages, called directly.
KNOWN = {
    "p232_002": {
        "pesq": 3.0598,
        "stoi": 96.954,
        "csig": 4.6630,
        "cbak": 3.3796,
        "covl": 3.8783,
        "si_sdr": 11.3203,
    },
    "p232_009": {
        "pesq": 1.8024,
        "stoi": 96.0926,
        "csig": 3.2124,
        "cbak": 2.5199,
        "covl": 2.4926,
        "si_sdr": 6.7676,
    },
    "p257_199": {
        "pesq": 1.1059,
        "stoi": 55.7781,
        "csig": 2.7837,
        "cbak": 1.3857,
        "covl": 1.8739,
        "si_sdr": -3.1215,
    },
}


def real(name):
    return [
        soundfile.read(DATA / f"{kind}_testset_wav_16k" / f"{name}.wav")[0]
        for kind in ("noisy", "clean")
    ]


def speech_like(seconds=2.5):
    """Synthesise harmonics under three formants, three syllables a second, with pauses between."""
    time = np.arange(int(seconds * RATE)) / RATE
    pitch = 120 + 20 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    signal = np.zeros_like(time)
    for harmonic in range(1, 30):
        hz = harmonic * pitch
        level = sum(np.exp(-(((hz - formant) / 150) ** 2)) for formant in (600, 1400, 2600)) + 0.02
        signal += level * np.sin(harmonic * phase)
    syllables = np.clip(np.sin(2 * np.pi * 3 * time), 0, None)
    return 0.1 * syllables * signal + 1e-4 * np.random.default_rng(0).standard_normal(len(time))


@pytest.fixture(scope="module")
def clean():
    if not DATA.exists():
        print("no real speech here: tested with a synthetic signal")
        return speech_like()
    return real("p232_002")[1]


def noisy(clean, snr, seed=1):
    """Add noise of the speech's own spectrum; white noise would leave the composite ratings at their floor."""
    spectrum = np.abs(np.fft.rfft(clean)) * np.fft.rfft(
        np.random.default_rng(seed).standard_normal(len(clean))
    )
    noise = np.fft.irfft(spectrum, len(clean))
    return clean + noise * np.sqrt(np.mean(clean**2) / np.mean(noise**2)) * 10 ** (-snr / 20)


@pytest.mark.skipif(not DATA.exists(), reason=f"no real VoiceBank-DEMAND pairs in {DATA}")
@pytest.mark.parametrize("name", KNOWN)
def test_known_values_of_real_pairs(name):
    pair = real(name)
    assert {metric: METRICS[metric](*pair) for metric in KNOWN[name]} == pytest.approx(
        KNOWN[name], abs=2e-3
    )


def test_identity(clean):
    scores = {name: metric(clean, clean) for name, metric in METRICS.items()}
    assert scores["pesq"] == pytest.approx(4.644, abs=0.001)
    assert scores["stoi"] == pytest.approx(100) and scores["estoi"] == pytest.approx(100)
    assert scores["csig"] == scores["cbak"] == scores["covl"] == 5
    assert scores["si_sdr"] == 150


@pytest.mark.parametrize("name", METRICS)
def test_less_noise_scores_more(name, clean):
    scores = [METRICS[name](noisy(clean, snr), clean) for snr in (0, 10, 20)]
    assert scores[0] < scores[1] < scores[2]


@pytest.mark.parametrize("name", METRICS)
def test_inputs_and_global_generator_untouched_and_repeatable(name, clean):
    predicted, target = noisy(clean, 5).astype(np.float32), clean.copy()
    copies = predicted.copy(), target.copy()
    predicted.setflags(write=False)
    np.random.seed(3)
    first = METRICS[name](predicted, target)
    drawn = np.random.random()
    np.random.seed(3)
    assert drawn == np.random.random()
    quality.cached_pesq.cache_clear()
    quality.cached_ratings.cache_clear()
    assert METRICS[name](predicted, target) == first
    assert np.array_equal(predicted, copies[0]) and np.array_equal(target, copies[1])


def test_estoi_is_not_stoi(clean):
    predicted = noisy(clean, 5)
    assert quality.stoi(predicted, clean) - quality.estoi(predicted, clean) > 2


@pytest.mark.parametrize("name", ["stoi", "estoi"])
def test_stoi_is_pystois_own_with_the_resampling_shared(name, clean):
    predicted = noisy(clean, 5)
    with quality.seeded_numpy():
        expected = 100 * pystoi.stoi(clean, predicted, RATE, extended=name == "estoi")
    assert METRICS[name](predicted, clean) == expected


def test_si_sdr_ignores_gain_and_reads_in_db(clean):
    noise = np.random.default_rng(0).standard_normal(len(clean))
    noise -= clean * (noise @ clean) / (clean @ clean)  # orthogonal: the ratio is then exact
    noise *= np.linalg.norm(clean) / np.linalg.norm(noise) * 10 ** (-7 / 20)
    assert quality.si_sdr(0.3 * (clean + noise), clean) == pytest.approx(7)
    assert 0 < quality.si_sdr(np.clip(clean, -0.02, 0.02), clean) < 30


def refused_pairs():
    good = speech_like(1.0)
    broken = good.copy()
    broken[100] = np.nan
    return {
        "lengths differ": (good[:-1], good),
        "target is constant": (good, np.zeros_like(good)),
        "target is silent": (good, 1e-7 * good),
        "shorter than 1/4 s": (good[:3999], good[:3999]),
        "target has NaN": (good, broken),
        "predicted signal has NaN": (broken, good),
        "predicted signal is constant": (np.full_like(good, 0.1), good),
    }


@pytest.mark.parametrize("reason", refused_pairs())
@pytest.mark.parametrize("name", METRICS)
def test_refuses_with_the_reason(name, reason):
    with pytest.raises(NotScored, match=reason):
        METRICS[name](*refused_pairs()[reason])


def test_stoi_refuses_too_little_speech_instead_of_scoring_it_0():
    for metric in (quality.stoi, quality.estoi):
        with pytest.raises(NotScored, match="0.4 s"):
            metric(speech_like(0.3), speech_like(0.3))


def test_wrong_rate_is_an_error_of_the_caller(clean):
    with pytest.raises(ValueError, match="8000 Hz") as error:
        quality.pesq_wb(clean, clean, rate=8000)
    assert not isinstance(error.value, NotScored)


def test_ratings_survive_digital_silence(clean):
    gated, target = noisy(clean, 5), clean.copy()
    gated[8000:16000] = 0
    target[12000:20000] = 0
    assert all(1 <= value < 5 for value in quality.ratings(gated, target).values())


def test_lpc_equals_scipy(clean):
    power = composite.power_spectrum(composite.frames(clean, RATE))
    lags = np.fft.irfft(power)[:, : composite.LPC_ORDER + 1]
    for filter_, r in zip(composite.lpc(lags)[::40], lags[::40]):
        assert filter_[1:] == pytest.approx(solve_toeplitz(r[:-1], -r[1:]), rel=1e-4, abs=1e-6)


def test_first_lags_are_those_of_the_inverse_fft(clean):
    power = composite.power_spectrum(composite.frames(clean, RATE))
    lags = power @ composite.lag_cosines(power.shape[1])
    assert np.allclose(
        lags,
        np.fft.irfft(power)[:, : composite.LPC_ORDER + 1],
        rtol=0,
        atol=1e-13 * power.sum(axis=1).max(),
    )


def test_local_peaks_by_hand():
    rising, peak = [[0, 1, 2, 3, 2, 1]], [[2, 2, 2, 3, 3]]
    # rising slopes 0-1, 1-2, 2-3 stop one band short of the peak (2), falling ones find it (3)
    assert composite.local_peaks(np.array(rising, float)).tolist() == peak
