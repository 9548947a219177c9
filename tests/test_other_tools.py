"""The script that runs other enhancers, with a made one in their place."""

from importlib import metadata
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from small_models import enhancer

from corpus.resampling import resample
from experiments import other_tools
from inference.command import carry_out


@pytest.fixture
def noisy(tmp_path):
    """A folder of two recordings, one of them at another rate and in a sub-folder."""
    rng = np.random.default_rng(0)
    (tmp_path / "noisy/deep").mkdir(parents=True)
    soundfile.write(tmp_path / "noisy/a.wav", rng.uniform(-0.5, 0.5, 16000), 16000)
    soundfile.write(tmp_path / "noisy/deep/b.flac", rng.uniform(-0.5, 0.5, 12000), 8000)
    return tmp_path / "noisy"


def call(*arguments):
    """Exit code of the script."""
    arguments = [str(argument) for argument in arguments]
    return carry_out(other_tools.parser(), other_tools.run, arguments)


def test_a_tool_fills_its_folder_without_its_delay(noisy, tmp_path, monkeypatch, capsys):
    def late(file):  # half as loud, 20 ms late, with a tail
        assert file.name == "weights.bin"
        return lambda signal: np.pad(signal, (960, 100)) / 2

    def gone():
        raise AssertionError

    tools = {late: ("some-wheel", 48000, 12345, "weights."), gone: ("no-such-wheel", 1, 1)}
    monkeypatch.setattr(other_tools, "TOOLS", tools)
    entry, files = SimpleNamespace(name="weights.bin", locate=lambda: "weights.bin"), metadata.files
    found = {"some-wheel": [entry]}
    monkeypatch.setattr(metadata, "files", lambda wheel: found.get(wheel) or files(wheel))
    assert call(noisy, "--output", tmp_path / "tools") == 1
    told = capsys.readouterr()
    assert "gone: No package" in told.err and "--help" in told.err
    name, count, speed = told.out.splitlines()[-1].split()
    assert (name, count) == ("late", "12345") and float(speed) >= 0
    signal, rate = soundfile.read(tmp_path / "tools/late/a.wav")
    before, _ = soundfile.read(noisy / "a.wav")
    band = resample(resample(before.astype(np.float32), 16000, 48000), 48000, 16000)
    assert rate == 16000 and np.abs(signal - band / 2)[:-200].max() < 1e-3
    assert soundfile.info(tmp_path / "tools/late/deep/b.wav").frames == 24000


def test_a_model_of_this_recipe_is_run_too(noisy, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(other_tools, "TOOLS", {})
    enhancer(tmp_path / "run")
    assert call(noisy, "--output", tmp_path / "tools", "--model", tmp_path / "run") == 0
    (state,) = [torch.load(file) for file in (tmp_path / "run").rglob("enhancer.ckpt")]
    count = sum(weights.numel() for weights in state.values())
    assert capsys.readouterr().out.splitlines()[-1].split()[:2] == ["ours", str(count)]
    assert soundfile.info(tmp_path / "tools/ours/a.wav").frames == 16000


def test_an_unchanged_spectrum_is_the_signal():
    signal = np.random.default_rng(0).uniform(-1, 1, 5000).astype(np.float32)
    assert np.allclose(other_tools.in_spectrum(signal, 512, lambda x: x), signal, atol=1e-5)
