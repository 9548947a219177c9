"""SIGKILL from outside, in the synthesis and in a save: the same command goes on and ends with the same figures."""

import random

from benchmarks import kill_campaign


def test_killed_runs_end_as_undisturbed_ones(tmp_path):
    stage = kill_campaign.STAGES[0]
    reference = tmp_path / "reference"
    reference.mkdir()
    seconds = kill_campaign.finish(reference, stage)
    kills, wrong = kill_campaign.trial(
        tmp_path / "trial", reference, stage, ["synthesis", "saving"], seconds, random.Random(1)
    )
    assert kills == ["synthesis", "saving"] and wrong == []


def test_a_difference_in_the_last_digit_is_seen(tmp_path):
    results = tmp_path / "results/a/1"
    results.mkdir(parents=True)
    for name in (
        "valid_stats.txt",
        "test_stats.txt",
        "valid_utterances.jsonl",
        "test_utterances.jsonl",
        "train_log.txt",
    ):
        (results / name).write_text("loss: 1.0000\n")
    kill_campaign.torch.save({"w": kill_campaign.torch.ones(2)}, results / "net.ckpt")
    before = kill_campaign.figures(tmp_path, "a")
    assert kill_campaign.differences(kill_campaign.figures(tmp_path, "a"), before) == []
    (results / "test_stats.txt").write_text("loss: 1.0001\n")
    kill_campaign.torch.save({"w": kill_campaign.torch.tensor([1, 1 + 1e-7])}, results / "net.ckpt")
    assert kill_campaign.differences(kill_campaign.figures(tmp_path, "a"), before) == [
        "test_stats.txt",
        "net.ckpt",
    ]
