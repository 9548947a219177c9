"""``python results.py``, as a user types it: two rows, two seeds, tiny networks; then again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLAN = """
seeds: [1, 2]
common: {preset: mini, precision: fp32, batch_seconds: 10}
runs:
  mse:
    stage: enhance_mimic
    set: {mimic_weight: null, enhance_channels: [4, 4], enhance_dense: 8, test_metrics: [], valid_metrics: []}
adapted: &tiny
  stage: robust_asr
  set: &sizes
    enhance_channels: [4, 4]
    enhance_dense: 8
    pretrained_asr_path: null
    cnn_channels: [2, 4]
    rnn_layers: 1
    rnn_neurons: 8
    dnn_neurons: 8
    valid_metrics: [wer, cer]
    test_metrics: [wer, cer, pesq]
    score_sets: [valid, test]
independent:
  stage: robust_asr
  set:
    <<: *sizes
    number_of_epochs: 0
    pretrained_asr_path: "{adapted_noisy}/src_embedding.ckpt"
    pretrained_ctc_path: "{adapted_noisy}/ctc_output.ckpt"
    token_folder: "{adapted_noisy}/tokens"
rows:
  noisy: {title: noisy, input: {input_signal: noisy}}
  mse: {title: "frozen, MSE", enhancer: mse, scores: asr_mse}
order: [[noisy, mse]]
differences: [{title: MSE - noisy, of: mse, minus: noisy}]
"""
SECOND_ROW = """  asr_mse: {stage: robust_asr, set: {<<: *sizes, pretrained_enhance_path: "{mse}/enhance_model.ckpt"}}
"""


def results(folder, *options):
    """Run the command in another folder than the recipe's."""
    sizes = "mini_sizes={n_train: 10, n_valid: 3, n_test: 3}"
    given = ["--plan", "plan.yaml", "--output_folder", "table", "--jobs", "2"]
    given += ["--set", f"mini_folder={folder}/mini", sizes, "number_of_epochs=1", *options]
    return subprocess.run(
        [sys.executable, str(ROOT / "results.py"), *given],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a finished table."""
    folder = tmp_path_factory.mktemp("results")
    before, after = PLAN.split("adapted:")
    recognizers, rows = after.split("rows:")
    (folder / "plan.yaml").write_text(f"adapted:{recognizers}{before}{SECOND_ROW}rows:{rows}")
    done = results(folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


def test_the_table_is_complete(folder):
    table = json.loads((folder / "table/table.json").read_text())
    noisy, mse = table["rows"]
    assert all(set(row["metrics"]["pesq"]["seeds"]) == {"1", "2"} for row in table["rows"])
    assert (
        all(minutes > 0 for minutes in mse["training_minutes"].values())
        and len(mse["training_minutes"]) == 2
    )
    assert noisy["parameters_m"] < mse["parameters_m"]
    assert table["differences"][0]["metrics"]["pesq"]["low"] is not None
    text = (folder / "table/table.md").read_text()
    assert (
        (folder / "table/table.png").exists()
        and "| frozen, MSE | 2 |" in text
        and "results.py --plan plan.yaml" in text
    )


def test_the_recognizer_applied_without_training_is_the_one_that_was_trained(folder):
    for name in ("test", "averaged_valid"):
        adapted, applied = (
            (folder / f"table/runs/{kind}_noisy/1/{name}_utterances.jsonl").read_text()
            for kind in ("adapted", "independent")
        )
        assert adapted == applied
        records = [json.loads(line) for line in adapted.splitlines()]
        assert any(record["hypothesis"] for record in records)
        assert all(
            ("pesq" in record) == (name == "test") for record in records
        )  # validation by its own metrics


def test_the_same_command_again_runs_nothing(folder):
    again = results(folder, "--dry_run")
    assert (
        again.returncode == 0 and "left: 0 runs" in again.stdout and "left " not in again.stdout
    ), again.stdout


def test_mistakes_are_told_in_one_message(folder):
    done = results(folder, "oops")
    assert (
        done.returncode == 2
        and "'oops' is not KEY=VALUE" in done.stderr
        and "Traceback" not in done.stderr
    )
