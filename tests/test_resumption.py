"""Runs that are stopped, poisoned or fed with damaged sound, against undisturbed ones."""

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from tiny import ROOT, STAGES, run

import train
from corpus.mini import synthesize_mini_corpus


def figures(folder, stage):
    """What a run leaves of numbers: log, scores, parameters."""
    run_folder = folder / "results" / stage / "1"
    found = {p.name: p.read_text() for p in run_folder.glob("*_utterances.jsonl")}
    found["log"] = (run_folder / "train_log.txt").read_text()
    for file in run_folder.glob("*.ckpt"):
        for key, value in torch.load(file, weights_only=True).items():
            found[f"{file.name} {key}"] = value.tolist()
    return found


def without(place, stage):
    shutil.rmtree(place / "results" / stage)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_the_same_seed_gives_the_same_run(reference, place, stage):
    without(place, stage)
    assert run(stage) == 0
    assert figures(place, stage) == figures(reference, stage)


def signal_in(monkeypatch, method, count, number):
    """Send this process a signal in the so-manyth call of a method."""
    calls, original = [], getattr(train.MimicBrain, method)

    def wrapped(self, *args, **kwargs):
        calls.append(method)
        if len(calls) == count:
            os.kill(os.getpid(), number)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(train.MimicBrain, method, wrapped)


@pytest.mark.parametrize(
    "stage, method, count, number",
    [
        ("enhance_mimic", "compute_objectives", 2, signal.SIGTERM),  # in a training step
        ("enhance_mimic", "evaluate_batch", 1, signal.SIGINT),  # in a validation
        ("robust_asr", "on_stage_end", 2, signal.SIGTERM),  # at the end of a validation
        ("robust_asr", "optimizers_step", 4, signal.SIGINT),
    ],
)
def test_stopped_and_resumed_is_as_undisturbed(
    reference, place, monkeypatch, stage, method, count, number
):
    without(place, stage)
    with monkeypatch.context() as patch:
        signal_in(patch, method, count, number)
        assert run(stage) == 128 + number
    assert list((place / "results" / stage / "1" / "save").glob("CKPT*"))
    assert run(stage) == 0
    assert figures(place, stage) == figures(reference, stage)


KILLED = """
import os, sys
sys.path[:0] = [{tests!r}, {root!r}]
import tiny, train
train.MimicBrain.evaluate_batch = lambda *_, **__: os._exit(9)
tiny.run("enhance_mimic")
"""


@pytest.mark.slow
def test_a_kill_in_validation_loses_no_training(reference, place, monkeypatch):
    without(place, "enhance_mimic")
    program = KILLED.format(tests=str(ROOT / "tests"), root=str(ROOT))
    assert subprocess.run([sys.executable, "-c", program], timeout=200).returncode == 9
    steps = []
    original = train.MimicBrain.optimizers_step

    def counted(self):
        steps.append(self.step)
        return original(self)

    monkeypatch.setattr(train.MimicBrain, "optimizers_step", counted)
    assert run("enhance_mimic") == 0
    assert figures(place, "enhance_mimic") == figures(reference, "enhance_mimic")
    assert len(steps) == steps_of_an_epoch(reference)  # of the second epoch alone


def steps_of_an_epoch(reference):
    files = (reference / "results/enhance_mimic/1/save").glob("CKPT*/brain.ckpt")
    steps = [int(f.read_text().split("optimizer_step: ")[1].split()[0]) for f in files]
    return max(steps) // 2


def poison(monkeypatch, calls_to_poison):
    """Make the clean speech of some training steps, or of all, NaN."""
    original, calls = train.MimicBrain.compute_forward, []

    def compute_forward(self, batch, stage):
        if stage == train.sb.Stage.TRAIN:
            calls.append(stage)
            if calls_to_poison is None or len(calls) in calls_to_poison:
                batch.clean_sig.data.fill_(torch.nan)
        return original(self, batch, stage)

    monkeypatch.setattr(train.MimicBrain, "compute_forward", compute_forward)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_that_is_not_finite_leaves_no_trace(place, monkeypatch, precision):
    poison(monkeypatch, {2})
    options = ["--output_folder=poisoned", f"--precision={precision}", "--noisy_share=0"]
    assert run("pretrain_perceptual", *options) == 0
    log = (place / "poisoned/train_log.txt").read_text().splitlines()
    assert "skipped_steps: 1" in log[0] and "skipped_steps" not in log[1]
    state = torch.load(place / "poisoned/encoder.ckpt", weights_only=True)
    assert any("running_mean" in key for key in state)
    assert all(value.isfinite().all() for value in state.values())


@pytest.mark.slow
def test_patience_ends_with_the_utterances_named(place, monkeypatch, capsys):
    poison(monkeypatch, None)
    options = ["--output_folder=poisoned", "--nonfinite_patience=1", "--noisy_share=0"]
    assert run("pretrain_perceptual", *options) == 2
    told = capsys.readouterr().err
    names = [path.stem for path in (place / "corpus/clean_trainset_28spk_wav_16k").iterdir()]
    assert "2 steps in a row" in told and any(name in told for name in names)


@pytest.mark.slow
def test_dropout_and_loading_processes_draw_the_same_numbers_in_a_resumed_run(place, monkeypatch):
    options = ["--num_workers=1", "--dropout=0.3", "--lr_schedule=constant"]
    assert run("pretrain_perceptual", *options, "--output_folder=whole") == 0
    options.append("--output_folder=parts")
    with monkeypatch.context() as patch:
        signal_in(patch, "optimizers_step", 2, signal.SIGTERM)
        assert run("pretrain_perceptual", *options) == 143
    assert run("pretrain_perceptual", *options) == 0
    whole, parts = ((place / f / "train_log.txt").read_text() for f in ("whole", "parts"))
    assert whole.startswith("epoch: 1") and whole == parts


def damaged_copy(place):
    """Manifests in which three training utterances are bad; returns options and names."""
    folder = place / "manifests"
    shutil.copytree(place / "results/pretrain_perceptual/1/manifests", folder)
    entries = json.loads((folder / "train.json").read_text())
    names = list(entries)[:3]
    paths = [place / "corpus" / entries[name]["clean_wav"].split("}/")[1] for name in names]
    sound, rate = soundfile.read(paths[0])
    sound[100] = np.nan
    soundfile.write(place / "nan.wav", sound, rate, subtype="FLOAT")
    (place / "cut.wav").write_bytes(paths[1].read_bytes()[:9000])
    entries[names[0]]["clean_wav"] = str(place / "nan.wav")
    entries[names[1]]["noisy_wav"] = str(place / "cut.wav")
    entries[names[2]]["clean_wav"] = entries[names[0]]["noisy_wav"]  # not a pair
    (folder / "train.json").write_text(json.dumps(entries))
    options = [f"--{name}_annotation={folder / name}.json" for name in ("train", "valid", "test")]
    return [*options, "--skip_prep=True", "--output_folder=damaged"], names


@pytest.mark.slow
def test_bad_sound_stops_or_is_left_out_and_counted(place, capsys):
    options, names = damaged_copy(place)
    assert run("pretrain_perceptual", *options) == 2
    told = capsys.readouterr().err
    assert any(name in told for name in names) and "Traceback" not in told
    assert run("pretrain_perceptual", *options, "--on_bad_utterance=skip") == 0
    lines = (place / "damaged/train_log.txt").read_text().splitlines()
    assert all("left_out: 3" in line for line in lines[:2])
    log = (place / "damaged/log.txt").read_text()
    assert all(log.count(f"Left out: {name}") == 1 for name in names)


@pytest.mark.slow
def test_a_batch_of_nothing_but_bad_sound_is_passed_over(place):
    options, _ = damaged_copy(place)
    one_each = [*options, "--on_bad_utterance=skip", "--batch_seconds=0.1"]
    assert run("pretrain_perceptual", *one_each) == 0
    assert "left_out: 3" in (place / "damaged/train_log.txt").read_text()


class Malicious:
    """Runs a command when unpickled by a loader that trusts it."""

    def __reduce__(self):
        return os.mkdir, ("pwned",)


def newest_checkpoint(place, stage):
    return sorted((place / "results" / stage / "1/save").glob("CKPT*"))[-1]


@pytest.mark.slow
def test_a_checkpoint_cannot_run_code(place, capsys):
    torch.save(Malicious(), newest_checkpoint(place, "enhance_mimic") / "optimizer.ckpt")
    assert run("enhance_mimic", "--number_of_epochs=3") == 2
    assert not (place / "pwned").exists() and "more than tensors" in capsys.readouterr().err


@pytest.mark.slow
def test_a_damaged_newest_checkpoint_is_passed_over(place):
    newest = newest_checkpoint(place, "enhance_mimic")
    parameters = newest / "enhance_model.ckpt"
    parameters.write_bytes(parameters.read_bytes()[:-200])
    before = (place / "results/enhance_mimic/1/train_log.txt").read_text().splitlines()
    assert run("enhance_mimic") == 0
    assert f"{newest.name} is damaged (enhance_model.ckpt" in (
        place / "results/enhance_mimic/1/log.txt"
    ).read_text().replace(str(newest.parent) + "/", "")
    after = (place / "results/enhance_mimic/1/train_log.txt").read_text().splitlines()
    assert before[1] in after


@pytest.mark.slow
def test_a_run_of_other_sizes_is_not_resumed(place, capsys):
    assert run("enhance_mimic", "--enhance_dense=16", "--number_of_epochs=3") == 2
    assert "other modules, sizes or optimizer" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_on_other_data_is_not_taken_for_finished(place, capsys):
    synthesize_mini_corpus(place / "other", seed=7, n_train=8, n_valid=2, n_test=2)
    assert run("enhance_mimic", "--data_folder=other") == 2
    told = capsys.readouterr().err
    assert "on other data" in told and told.count("\n") == 1
    assert run("enhance_mimic", "--data_folder=other", "--test_only") == 0
    (place / "moved").symlink_to(place / "corpus")
    assert run("enhance_mimic", "--data_folder=moved") == 0


@pytest.mark.slow
def test_a_perceptual_model_that_joins_later_is_no_reason_to_start_again(place):
    common = ["--perceptual=random", "--output_folder=later"]
    assert run("enhance_mimic", *common, "--mimic_weight=null", "--number_of_epochs=1") == 0
    assert run("enhance_mimic", *common) == 0
    lines = (place / "later/train_log.txt").read_text().splitlines()
    assert [("mimic" in line) for line in lines if line.startswith("epoch: ")] == [False, True]


@pytest.mark.slow
def test_the_minutes_of_a_stopped_run_count(place, monkeypatch):
    without(place, "enhance_mimic")
    seconds = iter(range(0, 10**6, 10))
    monkeypatch.setattr("training.run_state.time.monotonic", lambda: next(seconds))
    with monkeypatch.context() as patch:
        signal_in(patch, "optimizers_step", 1, signal.SIGTERM)
        assert run("enhance_mimic") == 143
    assert run("enhance_mimic") == 0
    cost = json.loads((place / "results/enhance_mimic/1/cost.json").read_text())
    assert cost["training_seconds"] > 20  # the first pass is 10 to its save, each epoch 10 or more


@pytest.mark.slow
@pytest.mark.parametrize("metric, better", [("si_sdr", max), ("loss", min)])
def test_the_best_checkpoint_of_any_metric_is_kept_and_scored(place, metric, better):
    without(place, "enhance_mimic")
    options = [f"--select_by={metric}", "--number_of_epochs=3", "--lr=0.02", "--checkpoint_avg=1"]
    assert run("enhance_mimic", *options) == 0
    run_folder = place / "results/enhance_mimic/1"
    lines = [
        line for line in (run_folder / "train_log.txt").read_text().splitlines() if "epoch" in line
    ]
    values = [float(line.split(f"valid {metric}: ")[1].split(",")[0]) for line in lines]
    best = values.index(better(values)) + 1
    assert f"checkpoints: epochs [{best}]" in (run_folder / "log.txt").read_text()
