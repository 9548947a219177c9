"""The three stages: what they leave, what is frozen, the rows of the table."""

import json
import re
import shlex
import subprocess
import sys

import pytest
import speechbrain as sb
import torch
from tiny import JOINT, LEAN, ROOT, run, typed

import train
from models.mimic import mimic_distance

FILES = {"train_log.txt", "valid_stats.txt", "test_stats.txt", "test_utterances.jsonl", "cost.json"}
FILES |= {"log.txt", "env.log", "hyperparams.yaml", "train.py", "save"}


def state(path):
    return torch.load(path, weights_only=True)


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("stage", ["pretrain_perceptual", "enhance_mimic", "robust_asr"])
def test_each_stage_leaves_what_it_promises(reference, stage):
    folder = reference / "results" / stage / "1"
    assert {path.name for path in folder.iterdir()} >= FILES
    rows = [
        json.loads(line) for line in (folder / "test_utterances.jsonl").read_text().split("\n")[:-1]
    ]
    assert len(rows) == 2 and {"noise", "snr", "speaker"} <= set(rows[0])
    assert json.loads((folder / "cost.json").read_text())["training_seconds"] > 0


@pytest.mark.parametrize("stage", ["pretrain_perceptual", "enhance_mimic", "robust_asr"])
def test_each_set_is_scored_under_its_name(reference, stage):
    folder = reference / "results" / stage / "1"
    for name in ("valid", "test"):
        lines = (folder / f"{name}_utterances.jsonl").read_text().splitlines()
        entries = json.loads((folder / f"manifests/{name}.json").read_text())
        assert {json.loads(line)["id"] for line in lines} == entries.keys()


@pytest.mark.slow
def test_the_commands_as_typed_leave_pictures_sounds_and_a_model(place):
    options = [option for option in typed("enhance_mimic") if option not in LEAN]
    options = [option for option in options if not option.startswith("--enhanced_folder")]
    command = [sys.executable, str(ROOT / "train.py"), *options, "--output_folder=my results"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    left = {str(p.relative_to(place / "my results")) for p in (place / "my results").rglob("*")}
    assert {"model/hyperparams.yaml", "figures/summary.png"} <= left
    assert sum(name.startswith("enhanced/") for name in left) == 2
    assert any("events.out.tfevents" in name for name in left)


def test_the_next_stage_finds_sizes_and_parameters(reference):
    sizes = json.loads((reference / "results/pretrain_perceptual/1/encoder.json").read_text())
    assert sizes["sizes"]["rnn_neurons"] == 8
    left = state(reference / "results/pretrain_perceptual/1/encoder.ckpt")
    assert equal(left, state(reference / "results/enhance_mimic/1/perceptual_model.ckpt"))


def test_the_mean_of_the_chosen_checkpoints_is_handed_over(reference):
    folder = reference / "results/enhance_mimic/1"
    one, other = map(state, folder.glob("save/CKPT*/enhance_model.ckpt"))
    left = state(folder / "enhance_model.ckpt")
    parameters = [key for key, value in left.items() if value.is_floating_point()]
    for key in parameters:
        torch.testing.assert_close(left[key], (one[key] + other[key]) / 2)
    assert any(not torch.equal(one[key], other[key]) for key in parameters)


def test_a_frozen_enhancer_is_bit_identical_after_the_cascade(reference):
    before, after = (
        state(reference / f"results/{s}/1/enhance_model.ckpt")
        for s in ("enhance_mimic", "robust_asr")
    )
    assert equal(before, after) and any("running_mean" in key for key in before)


@pytest.mark.slow
def test_joint_training_moves_the_enhancer_and_leaves_the_perceptual_model(place):
    assert run("robust_asr", *JOINT, "--output_folder=joint") == 0
    before = state("results/enhance_mimic/1/enhance_model.ckpt")
    assert not equal(before, state("joint/enhance_model.ckpt"))
    before = state("results/pretrain_perceptual/1/encoder.ckpt")
    assert equal(before, state("joint/perceptual_model.ckpt"))


@pytest.mark.parametrize(
    "stage, options, frozen",
    [("enhance_mimic", [], "perceptual_model"), ("robust_asr", JOINT, "perceptual_model")],
)
def test_in_every_step_the_mimic_loss_of_clean_against_clean_is_zero(
    place, monkeypatch, stage, options, frozen
):
    seen = []

    class Watched(train.MimicBrain):
        def compute_objectives(self, predictions, batch, stage):
            if stage == sb.Stage.TRAIN:
                clean = [self.perceive(predictions["clean_features"]) for _ in range(2)]
                layers = [layer.training for layer in dropouts(self.modules[frozen])]
                seen.append((any(layers), mimic_distance(*clean, predictions["lens"]).item()))
            return super().compute_objectives(predictions, batch, stage)

    monkeypatch.setattr(train, "MimicBrain", Watched)
    assert run(stage, *options, "--output_folder=watched") == 0
    assert len(seen) > 4 and set(seen) == {(False, 0.0)}


@pytest.mark.slow
def test_a_perceptual_model_that_trains_learns_from_the_enhanced_side_alone(place, monkeypatch):
    gradients = set()

    class Watched(train.MimicBrain):
        def compute_forward(self, batch, stage):
            p = super().compute_forward(batch, stage)
            enhanced, clean = (p[f"perceptual_{side}"]["CNN"] for side in ("enhanced", "clean"))
            if stage == sb.Stage.TRAIN:
                gradients.add((enhanced.requires_grad, clean.requires_grad))
            else:
                assert torch.equal(clean, self.perceive(p["clean_features"])["CNN"])
            return p

    monkeypatch.setattr(train, "MimicBrain", Watched)
    options = ["--frozen_models=[]", "--mimic_ratio=null", "--mimic_taps=[CNN]"]
    assert run("enhance_mimic", *options, "--number_of_epochs=1", "--output_folder=both") == 0
    assert gradients == {(True, False)}
    before = state("results/pretrain_perceptual/1/encoder.ckpt")
    assert not equal(before, state("both/perceptual_model.ckpt"))


@pytest.mark.slow
def test_each_epoch_has_its_learning_rate(place, monkeypatch):
    rates, seen = [], []

    class Watched(train.MimicBrain):
        def compute_objectives(self, predictions, batch, stage):
            rates.extend((self.epoch, group["lr"]) for group in self.optimizer.param_groups)
            seen[:] = self.hparams.lr_annealing.metric_values
            return super().compute_objectives(predictions, batch, stage)

    monkeypatch.setattr(train, "MimicBrain", Watched)
    options = ["--lr_schedule=linear", "--lr=0.002", "--output_folder=rates"]
    assert run("enhance_mimic", *options) == 0
    log = (place / "rates/train_log.txt").read_text()
    losses = [float(text.split(",")[0]) for text in log.split("valid loss: ")[1:]]
    assert seen == pytest.approx(losses, rel=0.01)  # newbob goes by them
    assert len(set(rates)) == 2 and dict(rates) == pytest.approx({1: 0.002, 2: 0.0001})


def dropouts(module):
    return [layer for layer in module.modules() if "drop" in type(layer).__name__.lower()]


@pytest.mark.slow
def test_a_module_trains_from_its_unfreeze_epoch_on(place, monkeypatch):
    moved = {}
    original = train.MimicBrain.on_stage_end

    def on_stage_end(self, stage, stage_loss, epoch=None):
        if stage == sb.Stage.TRAIN:
            before = state("results/enhance_mimic/1/enhance_model.ckpt")
            moved[epoch] = not equal(before, self.modules["enhance_model"].state_dict())
        return original(self, stage, stage_loss, epoch)

    monkeypatch.setattr(train.MimicBrain, "on_stage_end", on_stage_end)
    assert run("robust_asr", *JOINT, "--unfreeze_epoch=2", "--output_folder=later") == 0
    assert moved == {1: False, 2: True}


@pytest.mark.slow
@pytest.mark.parametrize("signal", ["clean", "clean_noisy_phase", "noisy"])
def test_rows_without_enhancer_need_no_earlier_stage(place, signal):
    gone = ["--pretrained_enhance_path=gone.ckpt", "--pretrain_perceptual_path=gone.ckpt"]
    options = [
        f"--input_signal={signal}",
        f"--output_folder={signal}",
        "--test_metrics=[pesq, wer]",
    ]
    assert run("robust_asr", *gone, *options) == 0
    lines = (place / signal / "test_utterances.jsonl").read_text().splitlines()
    scores = [json.loads(line)["pesq"] for line in lines]
    assert (min(scores) > 4.6) == (signal == "clean")


ROW = re.compile(r"^\| ([\w, +]+) \| `python train\.py hparams/(\w+)\.yaml ?(.*)` \|$", re.M)


@pytest.mark.slow
def test_each_row_of_the_readme_trains_with_the_losses_of_its_name(place):
    rows = ROW.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(rows) == 8  # the seven, and the MSE enhancer
    for name, stage, options in rows:
        options = shlex.split(options)
        assert run(stage, *options) == 0
        folders = [o.split("=")[1] for o in options if o.startswith("--output_folder=")]
        folder = place / (folders or ["results/robust_asr/1"])[0]
        assert {path.name for path in folder.iterdir()} >= FILES
        log, enhancer = (folder / "train_log.txt").read_text(), folder / "enhance_model.ckpt"
        losses = {loss for loss in ("spectral", "mimic") if f"train {loss}:" in log}
        trained = {"spectral"} | {"mimic"} & set(name.split())
        assert losses == (trained if "joint" in name or "enhancer" in name else set())
        assert enhancer.exists() == ("MSE" in name)
        assert "\nenhance_loss: mse " in (folder / "hyperparams.yaml").read_text()
        if "frozen" in name:
            source = "results/enhance_mimic/1" if "mimic" in trained else "results/mse"
            assert equal(state(enhancer), state(place / source / "enhance_model.ckpt"))


@pytest.mark.slow
def test_a_loss_added_after_training_is_reported_and_trains_nothing(place):
    before = (place / "results/robust_asr/1/encoder.ckpt").read_bytes()
    assert run("robust_asr", "--enhance_weight=0") == 0
    assert "spectral:" in (place / "results/robust_asr/1/test_stats.txt").read_text()
    assert (place / "results/robust_asr/1/encoder.ckpt").read_bytes() == before


@pytest.mark.slow
def test_a_loss_may_read_the_mask_of_a_frozen_enhancer(place):
    assert run("robust_asr", "--enhance_weight=0", "--pesq_weight=1", "--output_folder=mask") == 0
    assert "pesq_loss:" in (place / "mask/test_stats.txt").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("decoding", ["attention_greedy", "attention_beam", "ctc_beam"])
def test_other_targets_and_decodings(place, decoding):
    options = ["--targets=pieces", "--output_neurons=40", "--seq_weight=1.0", "--decoder_neurons=8"]
    options += [f"--decoding_by={decoding}", "--beam={size: 3, ctc_weight: 0.3}"]
    options += ["--input_signal=noisy", "--output_folder=my run", "--number_of_epochs=1"]
    assert run("robust_asr", *options) == 0  # also in a folder with a space


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["random", "filter_bank"])
def test_controls_in_the_perceptual_models_place(place, kind):
    taps = [] if kind == "random" else ["--mimic_taps=[bands]"]
    assert run("enhance_mimic", f"--perceptual={kind}", f"--output_folder={kind}", *taps) == 0
    assert "mimic:" in (place / kind / "test_stats.txt").read_text()
    if kind == "random":
        left = state("results/pretrain_perceptual/1/encoder.ckpt")
        assert not equal(left, state("random/perceptual_model.ckpt"))
