"""Two processes do what one does: the three stages under torchrun, on the CPU."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_manifests import LEAN, SMALL_NETWORK, write_manifests

from train import main
from training.ranks import DealtBatches

ROOT = Path(__file__).parent.parent
SMALL = [
    *LEAN,
    "--preset=mini",
    "--precision=fp32",
    "--export=False",
    "--score_sets=[valid, test]",
    "--valid_batch_size=2",
]
SMALL += ["--number_of_epochs=2", *SMALL_NETWORK[:-1]]
SECONDS = ["--batch_seconds=1"]
JUDGE = [
    "--judge_cnn_channels=[2, 2]",
    "--judge_rnn_neurons=4",
    "--judge_dnn_neurons=4",
    "--judge_rnn_layers=1",
]
ENHANCER = ["--enhance_channels=[4, 4]", "--enhance_dense=4"]
ATTENTION = [
    "--seq_weight=1.0",
    "--decoder_neurons=4",
    "--ctc_epochs=1",
    "--decoding_by=attention_greedy",
]
JOINT = [
    "--unfrozen_models=[enhance_model]",
    "--unfreeze_epoch=2",
    "--enhance_weight=0.3",
    "--mimic_weight=1",
]
WORDS = [
    "--time_pooling=1",
    "--clean_epochs=0",
    "--noisy_share=0.5",
    "--test_metrics=[wer, si_sdr]",
]
RUNS = {
    "judge": ["pretrain_perceptual", *ATTENTION, "--batch_seconds=null", "--batch_size=2"],
    "enhancer": [
        "enhance_mimic",
        *ENHANCER,
        "--batch_seconds=0.5",
        "--valid_metrics=[si_sdr]",
        "--test_metrics=[si_sdr, stoi]",
    ],
    "cascade": ["robust_asr", *JUDGE, *ENHANCER, *WORDS, *SECONDS],
    "joint": ["robust_asr", *JUDGE, *ENHANCER, *WORDS, *JOINT, *SECONDS],
}
PATHS = {
    "enhancer": ["--pretrain_perceptual_path=judge/src_embedding.ckpt"],
    "cascade": ["--pretrained_enhance_path=enhancer/enhance_model.ckpt"],
    "joint": [
        "--pretrained_enhance_path=enhancer/enhance_model.ckpt",
        "--pretrain_perceptual_path=judge/src_embedding.ckpt",
    ],
}


def arguments(name, data):
    """The command line of a run, as a list; ``data`` are the options that name the manifests."""
    stage, *own = RUNS[name]
    return [
        f"hparams/{stage}.yaml",
        *data,
        *SMALL,
        *own,
        *PATHS.get(name, []),
        f"--output_folder={name}",
    ]


def prepare(folder):
    """A working folder with the recipe's settings and manifests of a few utterances; returns the options that name them."""
    for name in ("hparams", "models"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "data").mkdir()
    data = write_manifests(folder / "data", phones="AH B K", count=5)
    return data


def scores(folder):
    """Utterances and means that a run has left, of both sets."""
    found = {}
    for name in ("test", "averaged_valid"):
        found[name] = [
            json.loads(line)
            for line in (folder / f"{name}_utterances.jsonl").read_text().splitlines()
        ]
        head = (folder / f"{name}_stats.txt").read_text().split("\n\n")[0]
        found[f"{name} means"] = {
            key: float(value) for key, value in re.findall(r"^(\w+): (\S+)$", head, re.MULTILINE)
        }
        found[f"{name} left out"] = re.findall(r".*not scored.*", head)
    return found


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    """A folder in which all runs were made by two processes."""
    folder = tmp_path_factory.mktemp("ranks")
    data = prepare(folder)
    for name in RUNS:
        done = by_two_processes(folder, *arguments(name, data))
        assert done.returncode == 0, (name, done.stderr[-5000:])
    return folder, data


def by_two_processes(folder, *options, **environment):
    """Run a stage under torchrun; returns the ended process."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    return subprocess.run(
        [*torchrun, str(ROOT / "tests/ranks_main.py"), *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


@pytest.mark.parametrize("name", RUNS)
def test_two_ranks_score_as_one_does(two_ranks, monkeypatch, name):
    folder, data = two_ranks
    monkeypatch.chdir(folder)
    by_two = scores(folder / name)
    for file in (folder / name).glob("*_utterances.jsonl"):
        file.unlink()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert main([*arguments(name, data), "--test_only"]) == 0
    torch.set_num_threads(threads)
    by_one = scores(folder / name)
    for part in ("test", "averaged_valid"):
        assert len(by_one[part]) == len(by_two[part]) == 5
        for mine, other in zip(by_one[part], by_two[part]):
            assert mine == {
                k: pytest.approx(v, abs=1e-6) if type(v) is float else v for k, v in other.items()
            }
        assert by_one[f"{part} left out"] == by_two[f"{part} left out"]
        assert by_one[f"{part} means"] == pytest.approx(
            by_two[f"{part} means"], abs=1.1e-4
        )  # as printed


@pytest.mark.parametrize("stage, steps", [("train", 2), ("valid", 3)])  # of the three an epoch
def test_two_ranks_stopped_and_resumed_are_as_undisturbed(two_ranks, tmp_path, stage, steps):
    folder, data = two_ranks
    options = [*arguments("enhancer", data)[:-1], f"--output_folder={tmp_path}"]
    stopped = by_two_processes(folder, *options, STOP_IN=stage)
    assert stopped.returncode != 0 and "stopped by SIGTERM" in stopped.stderr
    (checkpoint,) = (tmp_path / "save").glob("CKPT*")
    assert f"step: {steps}" in (checkpoint / "brain.ckpt").read_text()
    resumed = by_two_processes(folder, *options)
    assert resumed.returncode == 0, resumed.stderr[-5000:]
    mine, undisturbed = (
        torch.load(run / "enhance_model.ckpt", weights_only=True)
        for run in (tmp_path, folder / "enhancer")
    )
    assert mine.keys() == undisturbed.keys() and all(
        torch.equal(mine[key], undisturbed[key]) for key in mine
    )
    assert scores(tmp_path) == scores(folder / "enhancer")


@pytest.mark.parametrize("count", [0, 1, 4, 5])
def test_batches_are_dealt_once_each_and_evenly_for_training(count):
    batches = [[n] for n in range(count)]
    shares = [list(DealtBatches(batches, rank, 2, even=False)) for rank in (0, 1)]
    assert sorted(sum(shares, [])) == batches
    even = [DealtBatches(batches, rank, 2, even=True) for rank in (0, 1)]
    assert len({len(list(share)) for share in even}) == 1 and all(
        len(list(share)) == len(share) for share in even
    )
    assert all(batch in sum(map(list, even), []) for batch in batches)
