"""Runs that are stopped, poisoned or fed with damaged sound, against undisturbed ones."""

import json
import os
import shutil
import signal

import numpy as np
import pytest
import soundfile
import torch
from tiny import STAGES, home, run

import train
from benchmarks.kill_campaign import differences, figures


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """A folder with an undisturbed run of each stage."""
    before = os.getcwd()
    folder = home(tmp_path_factory.mktemp("reference"))
    for stage in STAGES:
        assert run(stage) == 0
    yield folder
    os.chdir(before)


@pytest.fixture
def place(reference, tmp_path):
    """A folder with the corpus and the results of the stages, of which a test takes away what it does anew."""
    shutil.copytree(reference / "mini_corpus", tmp_path / "mini_corpus")
    shutil.copytree(reference / "results", tmp_path / "results")
    home(tmp_path)
    yield tmp_path
    os.chdir(reference)


def without(place, stage):
    shutil.rmtree(place / "results" / stage)
    return place


def log_of(place, stage):
    return (place / "results" / stage / "1" / "train_log.txt").read_text()


@pytest.mark.parametrize("stage", STAGES)
def test_the_same_seed_gives_the_same_run(reference, place, stage):
    without(place, stage)
    assert run(stage) == 0
    assert differences(figures(place, stage), figures(reference, stage)) == []


def signal_after(monkeypatch, method, count, number):
    """Send this process a signal in the middle of the so-manyth call of a method."""
    calls = []
    original = getattr(train.MimicBrain, method)

    def wrapped(self, *args, **kwargs):
        calls.append(method)
        if len(calls) == count:
            os.kill(os.getpid(), number)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(train.MimicBrain, method, wrapped)


@pytest.mark.parametrize(
    "stage, method, count, number",
    [
        ("enhance_mimic", "compute_objectives", 2, signal.SIGTERM),  # inside a training step
        ("enhance_mimic", "collect_scores", 1, signal.SIGINT),  # while validation waits for scores
        ("robust_asr", "save_epoch", 1, signal.SIGTERM),  # inside a save
        ("robust_asr", "optimizers_step", 4, signal.SIGINT),
    ],
)
def test_stopped_and_resumed_is_as_undisturbed(
    reference, place, monkeypatch, stage, method, count, number
):
    without(place, stage)
    with monkeypatch.context() as patch:
        signal_after(patch, method, count, number)
        assert run(stage) == 128 + number
    assert list((place / "results" / stage / "1" / "save").glob("CKPT*"))
    assert run(stage) == 0
    assert differences(figures(place, stage), figures(reference, stage)) == []


def poison(monkeypatch, steps):
    """Make the loss of some training steps, or of all, a NaN that has passed the networks."""
    original, calls = train.MimicBrain.make_clean, []

    def make_clean(self, flow):
        if flow.stage == train.sb.Stage.TRAIN:
            calls.append(flow)
            if steps is None or len(calls) in steps:
                return original(self, flow) * torch.nan
        return original(self, flow)

    for name in ("makes", "needs", "module"):
        setattr(make_clean, name, getattr(original, name))
    monkeypatch.setattr(train.MimicBrain, "make_clean", make_clean)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_that_is_not_finite_leaves_no_trace(place, monkeypatch, precision):
    stage = "pretrain_perceptual"
    poison(monkeypatch, {2})
    assert (
        run(stage, "--output_folder=poisoned", f"--precision={precision}", "--noisy_share=0") == 0
    )
    log = (place / "poisoned/train_log.txt").read_text()
    assert "skipped_steps: 1" in log.splitlines()[0] and "skipped_steps" not in log.splitlines()[1]
    state = torch.load(place / "poisoned/src_embedding.ckpt")
    assert any("running_mean" in key for key in state) and all(
        value.isfinite().all() for value in state.values()
    )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_patience_ends_with_the_utterances_named(place, monkeypatch, capsys, precision):
    poison(monkeypatch, None)
    options = [
        "--output_folder=poisoned",
        f"--precision={precision}",
        "--nonfinite_patience=1",
        "--noisy_share=0",
    ]
    assert run("pretrain_perceptual", *options) == 2
    told = capsys.readouterr().err
    names = [path.stem for path in (place / "mini_corpus/clean_trainset_28spk_wav_16k").iterdir()]
    assert "2 steps in a row" in told and any(name in told for name in names)


def test_loading_processes_change_no_number_of_a_resumed_run(place):
    options = ["--num_workers=1", "--dropout=0.3", "--lr_schedule=constant"]
    assert run("pretrain_perceptual", *options, "--output_folder=whole") == 0
    for epochs in (1, 2):
        assert (
            run(
                "pretrain_perceptual",
                *options,
                "--output_folder=parts",
                f"--number_of_epochs={epochs}",
            )
            == 0
        )
    whole, parts = (
        (place / folder / "train_log.txt").read_text().splitlines() for folder in ("whole", "parts")
    )
    assert whole[1].startswith("epoch: 2") and whole[1] in parts


def damaged_copy(place):
    """Manifests of the reference run in which three training utterances are bad; returns options and names."""
    folder = place / "results/pretrain_perceptual/1/manifests"
    entries = json.loads((folder / "train.json").read_text())
    names = list(entries)[:3]
    sound, rate = soundfile.read(
        place / "mini_corpus" / entries[names[0]]["clean_wav"].split("}/")[1]
    )
    soundfile.write(
        place / "nan.wav",
        np.where(np.arange(sound.size) == 100, np.nan, sound),
        rate,
        subtype="FLOAT",
    )
    data = (place / "mini_corpus" / entries[names[1]]["noisy_wav"].split("}/")[1]).read_bytes()
    (place / "cut.wav").write_bytes(data[: len(data) // 2])
    entries[names[0]]["clean_wav"] = str(place / "nan.wav")
    entries[names[1]]["noisy_wav"] = str(place / "cut.wav")
    entries[names[2]]["clean_wav"] = entries[names[0]]["noisy_wav"]  # not a pair
    (folder / "train.json").write_text(json.dumps(entries))
    return [f"--manifest_folder={folder}", "--skip_prep=True", "--output_folder=damaged"], names


@pytest.mark.parametrize("workers", [0, 1])
def test_bad_sound_stops_or_is_left_out_and_counted(place, capsys, workers):
    options, names = damaged_copy(place)
    options.append(f"--num_workers={workers}")
    assert run("pretrain_perceptual", *options) == 2
    told = capsys.readouterr().err
    assert any(name in told for name in names) and "Traceback" not in told
    assert run("pretrain_perceptual", *options, "--on_bad_utterance=skip") == 0
    lines = (place / "damaged/train_log.txt").read_text().splitlines()
    assert all("left_out: 3" in line for line in lines[:2])
    log = (place / "damaged/log.txt").read_text()
    assert (
        all(log.count(f"Left out: {name}") == 1 for name in names) and "not finite numbers" in log
    )


def test_a_batch_of_nothing_but_bad_sound_is_passed_over(place):
    options, _ = damaged_copy(place)
    one_each = [*options, "--on_bad_utterance=skip", "--batch_seconds=0.1"]
    assert run("pretrain_perceptual", *one_each) == 0
    assert "left_out: 3" in (place / "damaged/train_log.txt").read_text()


class Malicious:
    """Runs a command when unpickled by a loader that trusts it."""

    def __reduce__(self):
        return os.mkdir, ("pwned",)


def test_a_checkpoint_cannot_run_code(place, capsys):
    newest = sorted((place / "results/enhance_mimic/1/save").glob("CKPT*"))[-1]
    torch.save(Malicious(), newest / "optimizer.ckpt")
    assert run("enhance_mimic", "--number_of_epochs=3") == 2
    assert not (place / "pwned").exists() and "more than tensors" in capsys.readouterr().err


def test_a_damaged_newest_checkpoint_is_passed_over(place):
    newest = sorted((place / "results/enhance_mimic/1/save").glob("CKPT*"))[-1]
    parameters = newest / "enhance_model.ckpt"
    parameters.write_bytes(parameters.read_bytes()[:-200])
    before = log_of(place, "enhance_mimic").splitlines()
    assert run("enhance_mimic") == 0
    told = (place / "results/enhance_mimic/1/log.txt").read_text()
    assert f"{newest.name} is damaged (enhance_model.ckpt" in told
    after = log_of(place, "enhance_mimic").splitlines()
    assert [line for line in after if line[:8] == "epoch: 2"] == [
        line for line in before if line[:8] == "epoch: 2"
    ]
