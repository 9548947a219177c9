"""Metrics against known values, at identity, across SNR, and on what cannot be scored."""

import numpy as np
import pystoi
import pytest
import soundfile
from corpora import shared_data
from scipy.linalg import solve_toeplitz

from errors import RecipeError
from scoring import composite
from scoring.metrics import LISTABLE, METRICS, QUALITY, RATES, higher_is_better, scores_of
from scoring.quality import NotScored, Pair, score

RATE = 16000
DATA = shared_data("voicebank_real")
# Noisy against clean. CSIG, CBAK, COVL: a frame-by-frame program in plain loops after the authors'
# own; PESQ and STOI: their packages, called directly.
KNOWN = {
    "p232_002": [3.0598, 96.954, 4.6630, 3.3796, 3.8783, 11.3203],
    "p232_009": [1.8024, 96.0926, 3.2124, 2.5199, 2.4926, 6.7676],
    "p257_199": [1.1059, 55.7781, 2.7837, 1.3857, 1.8739, -3.1215],
}


def scored(predicted, target, names=QUALITY):
    """The scores of a pair that must all be there."""
    scores, reasons = score(names, predicted, target)
    assert not reasons
    return scores


def speech_like(seconds=2.5):
    """Harmonics under three formants, three syllables a second, with pauses between."""
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
    return speech_like()


def noisy(clean, snr):
    """Noise of the speech's own spectrum; white noise would leave the ratings at their floor."""
    noise = np.fft.rfft(np.random.default_rng(1).standard_normal(len(clean)))
    noise = np.fft.irfft(np.abs(np.fft.rfft(clean)) * noise, len(clean))
    return clean + noise * np.sqrt(np.mean(clean**2) / np.mean(noise**2)) * 10 ** (-snr / 20)


@pytest.mark.skipif(DATA is None, reason="no real VoiceBank-DEMAND pairs at hand")
@pytest.mark.parametrize("name", KNOWN)
def test_known_values_of_real_pairs(name):
    kinds = ("noisy_testset_wav_16k", "clean_testset_wav_16k")
    pair = [soundfile.read(DATA / kind / f"{name}.wav")[0] for kind in kinds]
    names = ["pesq", "stoi", "csig", "cbak", "covl", "si_sdr"]
    assert list(scored(*pair, names).values()) == pytest.approx(KNOWN[name], abs=2e-3)


def test_identity(clean):
    scores = scored(clean, clean)
    assert scores["pesq"] == pytest.approx(4.644, abs=0.001)
    assert scores["stoi"] == pytest.approx(100) and scores["estoi"] == pytest.approx(100)
    assert scores["csig"] == scores["cbak"] == scores["covl"] == 5
    assert scores["si_sdr"] == 150


def test_direction_of_every_metric(clean):
    """Less noise scores better by the table's direction, and so do fewer errors."""
    noisiest, less, least = (scored(noisy(clean, snr), clean) for snr in (0, 10, 20))
    for name in METRICS:
        if name in QUALITY:
            assert higher_is_better(name) == (noisiest[name] < less[name] < least[name]), name
        else:
            assert higher_is_better(name) == (name not in RATES), name
    assert not higher_is_better("loss")
    for name in ("composite", "typo"):
        with pytest.raises(RecipeError, match=f"{name}.*covl"):
            higher_is_better(name)


def test_listed_names_consist_of_scores():
    assert scores_of(["composite", "covl", "per"]) == ["csig", "cbak", "covl", "per"]
    assert set(scores_of(LISTABLE)) == {*QUALITY, *RATES}
    with pytest.raises(RecipeError, match="pesk.*pesq"):
        scores_of(["pesk"])


def test_inputs_and_global_generator_untouched_and_repeatable(clean):
    predicted, target = noisy(clean, 5).astype(np.float32), clean.copy()
    predicted.setflags(write=False)
    np.random.seed(3)
    first = scored(predicted, target)
    drawn = np.random.random()
    np.random.seed(3)
    assert drawn == np.random.random()
    assert scored(predicted, target) == first and np.array_equal(target, clean)


def test_stoi_is_pystois_own_and_estoi_is_lower(clean):
    predicted = noisy(clean, 5)
    scores = scored(predicted, clean)
    assert scores["stoi"] == pytest.approx(100 * pystoi.stoi(clean, predicted, RATE), abs=1e-9)
    assert scores["stoi"] - scores["estoi"] > 2


def test_si_sdr_ignores_gain_and_reads_in_db(clean):
    noise = np.random.default_rng(0).standard_normal(len(clean))
    noise -= clean * (noise @ clean) / (clean @ clean)  # orthogonal: the ratio is then exact
    noise *= np.linalg.norm(clean) / np.linalg.norm(noise) * 10 ** (-7 / 20)
    assert Pair(0.3 * (clean + noise), clean).si_sdr == pytest.approx(7)
    assert 0 < Pair(np.clip(clean, -0.02, 0.02), clean).si_sdr < 30


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
def test_refuses_with_the_reason(reason):
    scores, reasons = score(QUALITY, *refused_pairs()[reason])
    assert scores == dict.fromkeys(QUALITY)
    assert all(reasons[name].startswith(reason) for name in QUALITY)


def test_one_score_is_refused_and_the_others_stay():
    """Too little speech for STOI has no score rather than 0."""
    scores, reasons = score(["stoi", "estoi", "si_sdr"], speech_like(0.3), speech_like(0.3))
    assert scores["si_sdr"] == 150 and scores["stoi"] is scores["estoi"] is None
    assert set(reasons) == {"stoi", "estoi"} and "0.4 s" in reasons["stoi"]


def test_failures_and_numbers_that_are_none_are_told(monkeypatch, clean):
    monkeypatch.setattr(Pair, "stoi", property(lambda self: 1 / 0))
    monkeypatch.setattr(Pair, "estoi", property(lambda self: float("inf")))
    scores, reasons = score(["stoi", "estoi"], clean, clean)
    assert scores == {"stoi": None, "estoi": None}
    assert "ZeroDivisionError" in reasons["stoi"] and "inf" in reasons["estoi"]


def test_ratings_need_pesq_and_survive_digital_silence(monkeypatch, clean):
    gated, target = noisy(clean, 5), clean.copy()
    gated[8000:16000] = 0
    target[12000:20000] = 0
    assert all(1 <= value < 5 for value in Pair(gated, target).ratings.values())
    monkeypatch.setattr("pesq.pesq", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Pair(gated, target).ratings  # noqa: B018 - computed when read


def test_pesq_refusal_is_told():
    infrasound = 0.1 * np.sin(2 * np.pi * 20 * np.arange(RATE) / RATE)
    with pytest.raises(NotScored, match="no speech found by PESQ"):
        Pair(infrasound, infrasound).pesq  # noqa: B018 - computed when read


def test_lpc_equals_scipy(clean):
    correlation = np.fft.irfft(composite.power_spectrum(clean))[:, : composite.LPC_ORDER + 1]
    for found, r in zip(composite.lpc(correlation)[::40], correlation[::40], strict=True):
        assert found[1:] == pytest.approx(solve_toeplitz(r[:-1], -r[1:]), rel=1e-4, abs=1e-6)


def test_first_lags_are_those_of_the_inverse_fft(clean):
    power = composite.power_spectrum(clean)
    expected = np.fft.irfft(power)[:, : composite.LPC_ORDER + 1]
    assert np.allclose(power @ composite.INVERSE, expected, rtol=0, atol=1e-13 * power.sum(1).max())


def test_local_peaks_by_hand():
    rising, peak = [[0, 1, 2, 3, 2, 1]], [[2, 2, 2, 3, 3]]
    # rising slopes 0-1, 1-2, 2-3 stop one band short of the peak (2), falling ones find it (3)
    assert composite.local_peaks(np.array(rising, float)).tolist() == peak
