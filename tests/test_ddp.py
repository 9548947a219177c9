"""Two processes do what one does: stages under torchrun, on the CPU."""

import json
import os
import subprocess
import sys

import pytest
import torch
from tiny import JOINT, ROOT, run, typed

from training.ranks import DealtBatches

ATTENTION = ["--seq_weight=1.0", "--decoder_neurons=8", "--ctc_epochs=2"]
ATTENTION += ["--decoding_by=attention_greedy", "--noisy_share=0.5"]
RUNS = {
    "phones": ["pretrain_perceptual", *ATTENTION, "--batch_seconds=null", "--batch_size=2"],
    "enhancer": ["enhance_mimic", "--batch_seconds=5"],
    "joint": ["robust_asr", *JOINT, "--unfreeze_epoch=2", "--test_metrics=[wer, si_sdr]"],
}


def by_two_processes(*options, **environment):
    """Run a stage under torchrun in the present folder; returns the ended process."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    command = [*torchrun, str(ROOT / "tests/ranks_main.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


def records(folder):
    return [json.loads(line) for line in open(f"{folder}/test_utterances.jsonl", encoding="utf-8")]


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_two_ranks_train_alike_and_score_as_one_does(place, name):
    options = [*RUNS[name], f"--output_folder={name}"]
    done = by_two_processes(*typed(*options))
    assert done.returncode == 0, done.stderr[-5000:]
    by_two = records(name)
    assert run(*options) == 0  # all epochs are done: it scores
    by_one = records(name)
    assert len(by_one) == len(by_two) == 2
    for mine, other in zip(by_one, by_two, strict=True):
        close = {k: pytest.approx(v, abs=1e-5) if type(v) is float else v for k, v in other.items()}
        assert mine == close


@pytest.mark.slow
def test_two_ranks_stopped_and_resumed_are_as_undisturbed(place):
    options = typed("enhance_mimic", "--output_folder=whole")
    assert by_two_processes(*options).returncode == 0
    options = typed("enhance_mimic", "--output_folder=parts")
    stopped = by_two_processes(*options, STOP_IN="TRAIN")
    assert stopped.returncode != 0 and "stopped by SIGTERM" in stopped.stderr
    (checkpoint,) = (place / "parts/save").glob("CKPT*")
    assert "step: 1" in (checkpoint / "brain.ckpt").read_text()
    resumed = by_two_processes(*options)
    assert resumed.returncode == 0, resumed.stderr[-5000:]
    whole, parts = (
        torch.load(place / folder / "enhance_model.ckpt", weights_only=True)
        for folder in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    assert records("whole") == records("parts")


@pytest.mark.parametrize("count", [0, 1, 4, 5])
def test_batches_are_dealt_once_each_and_evenly_for_training(count):
    batches = [[n] for n in range(count)]
    shares = [list(DealtBatches(batches, rank, 2, even=False)) for rank in (0, 1)]
    assert sorted(sum(shares, [])) == batches
    even = [DealtBatches(batches, rank, 2, even=True) for rank in (0, 1)]
    assert len({len(list(share)) for share in even}) == 1
    assert all(len(list(share)) == len(share) for share in even)
    assert all(batch in sum(map(list, even), []) for batch in batches)
