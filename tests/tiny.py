"""Tiny runs of the stages inside of the test's own process."""

import os
from pathlib import Path

import train

ROOT = Path(__file__).parent.parent
SIZES = "--mini_sizes={n_train: 8, n_valid: 2, n_test: 2}"
SMALL = [SIZES, "--number_of_epochs=2", "--noprogressbar", "--precision=fp32", "--batch_seconds=6"]
SMALL += [
    "--metric_jobs=1",
    "--enhanced_folder=null",
    "--figures=False",
    "--tensorboard=False",
    "--export=False",
]
WIDTHS = ["--cnn_channels=[2, 2]", "--rnn_neurons=8", "--dnn_neurons=8"]
STAGES = {
    "pretrain_perceptual": WIDTHS,
    "enhance_mimic": [
        *WIDTHS, "--enhance_channels=[4, 4]", "--enhance_dense=8", "--valid_metrics=[si_sdr]", "--test_metrics=[si_sdr]",
    ],
    "robust_asr": [
        *WIDTHS, "--enhance_channels=[4, 4]", "--enhance_dense=8", "--judge_cnn_channels=[2, 2]", "--judge_rnn_neurons=8",
        "--judge_dnn_neurons=8", "--unfrozen_models=[enhance_model]", "--enhance_weight=0.3", "--mimic_weight=1",
        "--test_metrics=[wer]", "--clean_epochs=0",
    ],
}  # fmt: skip


def home(folder):
    """Make a folder the one where a user would type the commands."""
    for name in ("hparams", "models"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    os.chdir(folder)
    return folder


def run(stage, *options):
    """Run a stage in the present folder; returns its exit code."""
    last = {option.split("=")[0]: option for option in [*SMALL, *STAGES[stage], *options]}
    return train.main([f"hparams/{stage}.yaml", *last.values()])
