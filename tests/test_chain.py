"""The three commands, at small scale, as a user types them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import speechbrain as sb
import torch

from models.mimic import mimic_distance
from train import MimicBrain, main

ROOT = Path(__file__).parent.parent
SMALL = [
    "--mini_sizes={n_train: 24, n_valid: 4, n_test: 4}",
    "--number_of_epochs=1",
    "--noprogressbar",
    "--precision=fp32",
]


def train(folder, stage, *overrides):
    """Run a stage in a folder of its own; returns the finished process."""
    link = folder / "hparams"
    if not link.exists():
        link.symlink_to(ROOT / "hparams")
        (folder / "models").symlink_to(ROOT / "models")
    command = [sys.executable, str(ROOT / "train.py"), f"hparams/{stage}.yaml", *overrides]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A folder in which the three stages have run."""
    folder = tmp_path_factory.mktemp("chain")
    for stage in ("pretrain_perceptual", "enhance_mimic", "robust_asr"):
        done = train(folder, stage, *SMALL)
        assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_each_stage_leaves_what_it_promises(chain):
    files = {
        "train_log.txt",
        "valid_stats.txt",
        "test_stats.txt",
        "log.txt",
        "env.log",
        "hyperparams.yaml",
        "train.py",
        "save",
        "model",
        "figures",
        "tensorboard",
    }
    for stage in ("pretrain_perceptual", "enhance_mimic", "robust_asr"):
        assert files <= {path.name for path in (chain / "results" / stage / "1").iterdir()}
    rows = (chain / "results/robust_asr/1/test_utterances.jsonl").read_text().splitlines()
    assert len(rows) == 4 and {"wer", "pesq"} <= set(
        (chain / "results/robust_asr/1/test_stats.txt").read_text().replace(":", "").split()
    )
    assert len(list((chain / "results/enhance_mimic/1/enhanced").glob("*.wav"))) == 4


def test_frozen_enhancer_is_bit_identical_after_the_cascade(chain):
    before, after = (
        torch.load(chain / f"results/{s}/1/enhance_model.ckpt")
        for s in ("enhance_mimic", "robust_asr")
    )
    assert before.keys() == after.keys() and any("running_mean" in key for key in before)
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize(
    "stage, frozen", [("enhance_mimic", "src_embedding"), ("robust_asr", "enhance_model")]
)
def test_in_every_training_step_the_frozen_module_is_deterministic(
    chain, monkeypatch, stage, frozen
):
    seen = []

    class Watched(MimicBrain):
        def compute_objectives(self, predictions, batch, stage):
            if stage == sb.Stage.TRAIN:
                layers = [
                    layer.training
                    for layer in self.modules[frozen].modules()
                    if "drop" in type(layer).__name__.lower()
                ]
                seen.append((any(layers), self.mimic_of_clean_against_clean(predictions)))
            return super().compute_objectives(predictions, batch, stage)

        def mimic_of_clean_against_clean(self, predictions):
            if self.hparams.judge_name not in self.modules:
                return 0.0
            clean, lens = predictions.take(["clean_features", "lens"])
            return mimic_distance(self.judge(clean), self.judge(clean), lens).item()

    monkeypatch.chdir(chain)
    monkeypatch.setattr("train.MimicBrain", Watched)
    assert main([f"hparams/{stage}.yaml", *SMALL, f"--output_folder=watched_{stage}"]) == 0
    assert len(seen) > 2 and set(seen) == {(False, 0.0)}


def test_joint_training_moves_the_enhancer_and_leaves_the_judge(chain):
    lists = [
        "--unfrozen_models=[enhance_model]",
        "--enhance_weight=0.3",
        "--mimic_weight=1",
        "--output_folder=joint",
    ]
    done = train(chain, "robust_asr", *SMALL, *lists)
    assert done.returncode == 0, done.stderr[-3000:]
    before, after = (
        torch.load(chain / f / "enhance_model.ckpt") for f in ("results/enhance_mimic/1", "joint")
    )
    assert any(not torch.equal(before[key], after[key]) for key in before)
    before = torch.load(chain / "results/pretrain_perceptual/1/src_embedding.ckpt")
    after = torch.load(chain / "joint/perceptual_model.ckpt")
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_an_enhancement_loss_added_after_training_shows_scores_and_trains_nothing(chain):
    weights = (chain / "results/robust_asr/1/src_embedding.ckpt").read_bytes()
    done = train(chain, "robust_asr", *SMALL, "--enhance_weight=0")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "spectral:" in (chain / "results/robust_asr/1/test_stats.txt").read_text()
    assert (chain / "results/robust_asr/1/src_embedding.ckpt").read_bytes() == weights


def test_a_second_epoch_resumes_from_the_first(chain):
    done = train(chain, "pretrain_perceptual", *SMALL[:1], "--number_of_epochs=2", *SMALL[2:])
    assert done.returncode == 0, done.stderr[-3000:]
    log = (chain / "results/pretrain_perceptual/1/train_log.txt").read_text()
    assert log.count("epoch: 1,") == 1 and log.count("epoch: 2,") == 1


@pytest.mark.parametrize("signal", ["clean", "clean_noisy_phase", "noisy"])
def test_rows_without_enhancer(chain, signal):
    alone = [
        f"--input_signal={signal}",
        f"--output_folder={signal}",
        "--pretrained_enhance_path=gone.ckpt",
    ]
    done = train(
        chain,
        "robust_asr",
        *SMALL,
        *alone,
        "--pretrain_perceptual_path=gone.ckpt",
        "--pretrained_asr_path=null",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    scores = [
        json.loads(line)["pesq"]
        for line in (chain / signal / "test_utterances.jsonl").read_text().splitlines()
    ]
    assert (min(scores) > 4.6) == (signal == "clean")


@pytest.mark.parametrize("decoding", ["attention_greedy", "attention_beam", "ctc_beam"])
def test_other_targets_and_decodings(chain, decoding):
    options = [
        "--targets=pieces",
        "--output_neurons=60",
        "--seq_weight=1.0",
        "--decoder_neurons=16",
        "--beam_size=4",
    ]
    options += [
        f"--decoding_by={decoding}",
        f"--output_folder={decoding}",
        "--beam_ctc_weight=0.3",
        "--features=fbank",
    ]
    done = train(
        chain, "robust_asr", *SMALL, "--input_signal=noisy", "--debug_utterances=8", *options
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(
    "stage, overrides, words",
    [
        (
            "enhance_mimic",
            ["--seed=77"],
            "Run `python train.py hparams/pretrain_perceptual.yaml` first",
        ),
        ("enhance_mimic", ["--mimic_wieght=1"], "Did you mean --mimic_weight"),
        ("robust_asr", ["--frozen_models=[enhancer]"], "is not one of enhance_model"),
        ("robust_asr", ["--unfrozen_models=[src_embedding]"], "is not frozen"),
        ("enhance_mimic", ["--enhance_weight=null"], "balanced against spectral"),
        ("pretrain_perceptual", ["--ctc_weight=0"], "nothing would train"),
        ("pretrain_perceptual", ["--data_folder=gone", "--preset=mini"], "no such folder gone"),
        ("pretrain_perceptual", ["--lr_schedule=cosine"], "constant, step, linear"),
        (
            "enhance_mimic",
            ["--muon_models=[enhancer]"],
            "muon_models: 'enhancer' is not one of enhance_model, src_embedding",
        ),
        ("pretrain_perceptual", ["--features=fbank"], "or --mel_bands=null"),
        ("pretrain_perceptual", ["--normalization=cmvn"], "none, mean, mean_variance"),
        ("robust_asr", ["--observation_share=1.5"], "numbers from 0 to 1"),
        ("nothing", [], "is a YAML file"),
    ],
)
def test_mistakes_are_told_in_one_message(chain, stage, overrides, words):
    done = train(chain, stage, *overrides)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr, (
        done.stderr[-2000:]
    )
