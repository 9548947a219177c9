"""Tiny runs of the stages inside of the test's own process."""

import os
from pathlib import Path

import train
from corpus.mini import synthesize_mini_corpus
from training import setup

ROOT = Path(__file__).parent.parent
LEAN = ["--noprogressbar", "--precision=fp32", "--num_workers=0"]
LEAN += ["--figures=False", "--tensorboard=False", "--export=False"]
ENCODER = ["--cnn_channels=[2, 2]", "--rnn_neurons=8", "--rnn_layers=1", "--dnn_neurons=8"]
STAGES = {
    "pretrain_perceptual": ENCODER,
    "enhance_mimic": [
        "--enhance_channels=[4, 4]",
        "--enhance_dense=8",
        "--valid_metrics=[si_sdr]",
        "--test_metrics=[si_sdr]",
        "--enhanced_folder=null",
    ],
    "robust_asr": [*ENCODER, "--clean_epochs=0", "--test_metrics=[wer]"],
}
JOINT = ["--unfrozen_models=[enhance_model]", "--enhance_weight=0.3", "--mimic_weight=1"]


def make_corpus(folder, train_count=8):
    """A small mini corpus in a folder."""
    synthesize_mini_corpus(folder / "corpus", n_train=train_count, n_valid=2, n_test=2)
    return folder / "corpus"


def home(folder):
    """Make a folder the one where a user would type the commands."""
    if not (folder / "hparams").exists():
        (folder / "hparams").symlink_to(ROOT / "hparams")
    os.chdir(folder)
    return folder


def typed(stage, *options):
    """The command line of a tiny run; later options win."""
    first = ["--data_folder=corpus", "--preset=mini", "--number_of_epochs=2", "--batch_seconds=6"]
    every = [*first, *LEAN, *STAGES[stage], *options]
    return [f"hparams/{stage}.yaml", *{o.split("=")[0]: o for o in every}.values()]


def run(stage, *options):
    """Run a stage in the present folder; returns its exit code."""
    return run_main(typed(stage, *options))


def run_main(arguments):
    """``python train.py`` with these arguments, in this process; returns its exit code."""
    return setup.exit_code(lambda *given: train.run(*given), arguments)
