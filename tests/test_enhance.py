"""The command line that enhances files, as a user types it."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from inference.batch import RECORD
from inference.command import carry_out
from inference.enhance import parser, run
from inference.export import export_model
from models.enhancer import Enhancer

SETTINGS = {
    "sample_rate": 16000, "n_fft": 512, "win_length": 32, "hop_length": 16, "enhance_channels": [2, 3], "enhance_dense": 4,
    "input_signal": "enhanced", "observation_share": 0.0, "preset": "mini", "data_folder": "mini_corpus", "seed": 1,
    "number_of_epochs": 1, "output_folder": "nowhere",
}  # fmt: skip
FILES = {  # name -> rate, channels, seconds, subtype
    "a.wav": (16000, 1, 3.0, "PCM_16"),
    "b/stereo.flac": (48000, 2, 1.00001, "PCM_24"),
    "b/c/odd.wav": (44100, 1, 0.9, "FLOAT"),
    "low.ogg": (8000, 1, 1.0, None),
    "tenth.mp3": (16000, 1, 0.1, None),
    "empty.wav": (16000, 1, 0.0, "PCM_16"),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A run's folder with an exported small enhancer."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run")
    export_model(
        {"enhance_model": Enhancer(channel_counts=[2, 3], dense_nodes=4)},
        SETTINGS,
        None,
        folder / "model",
    )
    return folder


@pytest.fixture
def sounds(tmp_path):
    """A folder of sound files."""
    for name, (rate, channels, seconds, subtype) in FILES.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        signal = np.random.default_rng(0).uniform(-0.2, 0.2, (round(seconds * rate), channels))
        soundfile.write(path, signal, rate, subtype=subtype)
    return tmp_path / "in"


def enhance(*arguments):
    """Exit code of the command."""
    return carry_out(parser(), run, [str(argument) for argument in arguments])


def test_a_folder_keeps_names_rates_channels_lengths_and_codings(model, sounds, tmp_path):
    assert enhance(sounds, "--model", model, "--output", tmp_path / "out", "--piece", "1") == 0
    for name in FILES:
        before, after = soundfile.info(sounds / name), soundfile.info(tmp_path / "out" / name)
        for fact in ("frames", "samplerate", "channels", "format", "subtype"):
            assert getattr(before, fact) == getattr(after, fact), (name, fact)
        signal, _ = soundfile.read(tmp_path / "out" / name)
        assert np.isfinite(signal).all() and (len(signal) == 0 or np.abs(signal).max() > 0.01)


def test_channels_do_not_leak_into_each_other(model, tmp_path):
    signal = np.random.default_rng(0).uniform(-0.2, 0.2, (16000, 2))
    signal[:, 1] = 0
    soundfile.write(tmp_path / "x.wav", signal, 16000)
    assert (
        enhance(tmp_path / "x.wav", "--model", model / "model", "--output", tmp_path / "y.wav") == 0
    )
    enhanced, _ = soundfile.read(tmp_path / "y.wav")
    assert np.abs(enhanced[:, 0]).max() > 0.01 and not enhanced[:, 1].any()


def test_goes_on_after_an_interruption_and_refuses_to_overwrite(model, sounds, tmp_path, capsys):
    out = tmp_path / "out"
    assert enhance(sounds, "--model", model, "--output", out) == 0
    record = (out / RECORD).read_text().splitlines()
    (out / RECORD).write_text(
        "\n".join(record[:3]) + "\n" + record[3][:20]
    )  # killed while it noted the fourth
    names = [json.loads(line)["name"] for line in record]
    for name in names[3:]:
        (out / name).unlink()
    times = {name: (out / name).stat().st_mtime_ns for name in names[:3]}
    assert enhance(sounds, "--model", model, "--output", out) == 0
    assert "3 files (3 were there already)" in capsys.readouterr().out
    assert times == {name: (out / name).stat().st_mtime_ns for name in names[:3]} and all(
        (out / n).exists() for n in names
    )
    soundfile.write(sounds / "a.wav", np.zeros(100), 16000)
    assert enhance(sounds, "--model", model, "--output", out) == 2
    assert "a.wav" in capsys.readouterr().err
    assert enhance(sounds, "--model", model, "--output", out, "--overwrite") == 0
    assert soundfile.info(out / "a.wav").frames == 100


def test_one_bad_file_does_not_stop_the_others(model, sounds, tmp_path, capsys):
    (sounds / "bad.wav").write_bytes(b"no sound")
    soundfile.write(sounds / "nan.wav", np.full(4000, np.nan), 16000, subtype="FLOAT")
    assert enhance(sounds, "--model", model, "--output", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert "bad.wav" in told and "nan.wav" in told and (tmp_path / "out/tenth.mp3").exists()
    assert not [
        path
        for path in (tmp_path / "out").rglob("*")
        if "part" in path.name or path.name == "nan.wav"
    ]


@pytest.mark.parametrize(
    "inputs, output, words",
    [
        (["gone.wav"], "out", "no such file"),
        (["in", "in/a.wav"], "out", "same name"),
        (["in"], "out.wav", "Give a folder"),
        (["model"], "out", "no sound files"),
    ],
)
def test_mistakes_are_told(model, sounds, tmp_path, monkeypatch, capsys, inputs, output, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    assert (
        enhance(*inputs, "--model", model, "--output", output) == 2
        and words in capsys.readouterr().err
    )


def test_a_folder_without_model_is_told(sounds, tmp_path, capsys):
    assert enhance(sounds, "--model", tmp_path, "--output", tmp_path / "out") == 2
    assert "no exported model" in capsys.readouterr().err and not Path(tmp_path / "out").exists()
