"""Scores without a clean reference: by stand-ins for the optional packages, and by themselves."""

import json
import sys
import tracemalloc
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from errors import RecipeError
from inference import score
from inference.command import carry_out
from scoring import no_reference
from scoring.metrics import METRICS

NAMES = ["dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl", "distillmos"]
PACKAGES = ("speechmos", "onnxruntime", "distillmos")


class Session:
    """In place of DNSMOS' network: each window's largest sample, for all three outputs."""

    def __init__(self, file, options, providers):
        assert file.name == "sig_bak_ovr.onnx" and options.intra_op_num_threads >= 1

    def get_inputs(self):
        return [SimpleNamespace(name="input_1")]

    def run(self, _, inputs):
        (window,) = inputs["input_1"]
        assert len(window) == 144160 and window.dtype == np.float32
        return [np.full((1, 3), window.max())]


class Network(torch.nn.Module):
    """In place of DistillMOS: the largest sample of a window."""

    def __init__(self):
        super().__init__()
        print("weights loaded from: ...")

    def forward(self, signal):
        assert signal.shape[1] <= 122880 and not self.training
        return signal.max(dim=1, keepdim=True).values


@pytest.fixture
def packages(monkeypatch):
    """Stand-ins for the packages; returns a function that takes one of them away."""
    for name in PACKAGES:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["speechmos"].__path__ = ["speechmos"]
    sys.modules["onnxruntime"].SessionOptions = SimpleNamespace
    sys.modules["onnxruntime"].InferenceSession = Session
    sys.modules["distillmos"].ConvTransformerSQAModel = Network
    return lambda name: monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def folders(tmp_path):
    """Folders a and b of three files; b is louder, and its last one is silent."""
    rng = np.random.default_rng(0)
    signals = [rng.uniform(-0.4, 0.4, 2 * rate) for rate in (16000, 48000, 8000)]
    for folder, gain in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        for signal, name, last in zip(signals, ("x", "y", "z"), (1, 1, folder == "a"), strict=True):
            path = tmp_path / folder / f"{name}.wav"
            soundfile.write(path, gain * last * signal, len(signal) // 2, subtype="FLOAT")
    return tmp_path


def call(*arguments):
    """Exit code of score.py."""
    return carry_out(score.parser(), score.run, [str(argument) for argument in arguments])


def cells(row):
    """The means in a row of the table."""
    return [float(cell.split()[0]) for cell in row.split("  ") if "[" in cell]


def test_a_folder_alone_is_scored(packages, folders, capsys):
    assert call(folders / "a", "--output", folders / "s.jsonl") == 0
    told = capsys.readouterr()
    head, row = told.out.splitlines()
    assert [head.find(METRICS[name].title) > 0 for name in NAMES] == [True] * 4
    assert "PESQ" not in head and len(cells(row)) == 4 and not told.err
    rows = [json.loads(line) for line in (folders / "s.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["x", "y", "z"] and rows[0].keys() >= set(NAMES)
    polynomial = np.polyval(no_reference.TO_RATINGS["dnsmos_ovrl"], rows[0]["distillmos"])
    assert rows[0]["dnsmos_ovrl"] == pytest.approx(polynomial)


def test_differences_are_paired_and_silence_is_told(packages, folders, capsys):
    assert call(f"a={folders / 'a'}", f"b={folders / 'b'}", "--against", "a") == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[3].startswith("b - a") and cells(rows[3])[3] == pytest.approx(0.4, abs=0.05)
    assert "distillmos: 1 of 3 not scored" in "\n".join(rows)
    assert "z (signal is constant (silence))" in rows[-1]


def test_they_join_the_others_where_asked(packages, folders, capsys):
    options = (folders / "a", "--clean", folders / "a", "--metrics", "si_sdr")
    assert call(*options) == 0
    assert "DNSMOS" not in capsys.readouterr().out
    assert call(*options, "--no_reference") == 0
    head, row = capsys.readouterr().out.splitlines()
    assert "SI-SDR" in head and "DistillMOS" in head and len(cells(row)) == 5


def test_systems_have_the_same_files(packages, folders, capsys):
    (folders / "b/z.wav").unlink()
    assert call(folders / "a", folders / "b") == 2
    assert f"not those of {folders / 'a'}" in capsys.readouterr().err
    assert call(folders / "a", "--metrics", "pesq") == 2
    assert "--metrics pesq: give --clean" in capsys.readouterr().err


def test_what_is_not_installed_is_told(packages, folders, capsys):
    packages("onnxruntime")
    assert call(folders / "a") == 0
    told = capsys.readouterr()
    assert "DNSMOS cannot" in told.err and no_reference.INSTALL in told.err
    assert "DistillMOS" in told.out and "DNSMOS" not in told.out
    packages("distillmos")
    assert call(folders / "a") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "DNSMOS" in line and "DistillMOS" in line and no_reference.INSTALL in line
    with pytest.raises(RecipeError, match="pip install speechmos"):
        no_reference.load()


@pytest.mark.parametrize("samples", [0, 100, 3999])
def test_a_short_signal_has_no_score(packages, samples):
    record = no_reference.load()(np.ones(samples, np.float32))
    assert not any(record[name] for name in NAMES)
    assert record["not_scored"].keys() == set(NAMES)


def test_the_windows_cover_a_long_signal_one_after_the_other(packages):
    signal = np.linspace(0, 1, 60 * 16000, dtype=np.float32)
    rate = no_reference.load()
    tracemalloc.start()
    record = rate(signal)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert record["distillmos"] == pytest.approx(np.mean([7.68 / 60, 1]), abs=0.001)
    last = np.polyval(no_reference.TO_RATINGS["dnsmos_sig"], np.arange(9.01, 60) / 60).mean()
    assert record["dnsmos_sig"] == pytest.approx(last, abs=0.001)
    assert peak < 5e6  # bytes; all windows at once are 30 million


def test_the_packages_themselves_prefer_speech_to_noise():
    for name in PACKAGES:
        pytest.importorskip(name, reason=f"optional: {no_reference.INSTALL}")
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(8 * 16000).astype(np.float32) / 10
    time = np.arange(len(noise)) / 16000
    voice = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 20)) * np.sin(9 * time) / 9
    rate = no_reference.load()
    noisy, clean = rate(noise), rate(voice.astype(np.float32))
    assert all(1 <= record[name] <= 5 for record in (noisy, clean) for name in NAMES)
    assert all(clean[name] > noisy[name] for name in NAMES), (noisy, clean)
    network = sys.modules["distillmos"].ConvTransformerSQAModel().eval()
    with torch.inference_mode():
        whole = network(torch.from_numpy(noise)[None]).item()
    assert noisy["distillmos"] == pytest.approx(whole, abs=1e-4)
