"""The enhancer in pretrained/, as a user finds it."""

import re

import numpy as np
import soundfile
from corpora import shared_data
from speechbrain.inference.enhancement import WaveformEnhancement
from tiny import make_corpus

from inference import enhance, score
from inference.command import carry_out
from inference.loading import PRETRAINED

CARD = (PRETRAINED / "README.md").read_text(encoding="utf-8")


def run(command, *options):
    """The exit code of enhance.py or score.py."""
    return carry_out(command.parser(), command.run, list(map(str, options)))


def test_it_is_small():
    assert sum(file.stat().st_size for file in PRETRAINED.iterdir()) < 6e6


def test_noise_goes_and_speech_stays(tmp_path):
    corpus = make_corpus(tmp_path)  # of synthesized voices
    names = [file.name for file in (corpus / "clean_testset_wav_16k").glob("*.wav")]
    pairs = {kind: corpus / f"{kind}_testset_wav_16k" for kind in ("clean", "noisy")}
    for name in names:
        clean, noisy = (soundfile.read(pairs[kind] / name)[0] for kind in ("clean", "noisy"))
        for kind, signal in (("speech", clean), ("noise", noisy - clean)):
            soundfile.write(tmp_path / f"{kind}_{name}", signal, 16000)
            sound, out = tmp_path / f"{kind}_{name}", tmp_path / "out"
            assert run(enhance, sound, "--output", out) == 0
            change = soundfile.read(out / sound.name)[0].std() / signal.std()
            assert change > 0.4 if kind == "speech" else change < 0.2


def test_speechbrain_alone_gives_the_same(tmp_path):
    signal = 0.1 * np.random.default_rng(1).normal(size=16000).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", signal, 16000, subtype="FLOAT")
    assert run(enhance, tmp_path / "a.wav", "--output", tmp_path / "out") == 0
    model = WaveformEnhancement.from_hparams(source=str(PRETRAINED))
    theirs = model.enhance_file(str(tmp_path / "a.wav")).numpy()
    np.testing.assert_allclose(soundfile.read(tmp_path / "out" / "a.wav")[0], theirs, atol=1e-3)


def test_the_card_tells_what_it_gives_on_real_pairs(tmp_path, capsys):
    """Where the pairs are not at hand, that it tells it at all."""
    row = re.search(r"`pretrained/` \| ([\d.]+) \| ([\d.]+)", CARD)  # PESQ, eSTOI
    told = [float(value) for value in row.groups()]
    assert told[0] > 1.58 and told[1] > 72.2  # noisy
    if pairs := shared_data("voicebank_real"):
        noisy, clean = (pairs / f"{kind}_testset_wav_16k" for kind in ("noisy", "clean"))
        assert run(enhance, noisy, "--output", tmp_path / "out") == 0
        capsys.readouterr()
        out = tmp_path / "out"
        assert run(score, out, "--clean", clean, "--metrics", "pesq", "estoi") == 0
        means = re.search(r"out +39 +([\d.]+) \[.*?\] +([\d.]+)", capsys.readouterr().out)
        assert abs(float(means[1]) - told[0]) < 0.02 and abs(float(means[2]) - told[1]) < 0.2
