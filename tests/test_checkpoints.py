"""Checkpoints are whole or not there, and their mean keeps types."""

import pytest
import torch
from speechbrain.utils import checkpoints as speechbrain_checkpoints
from tiny import run

from errors import RecipeError
from training.checkpoints import WholeCheckpointer, average
from training.handover import Source, hand_over


def test_a_save_that_is_cut_short_leaves_the_old_checkpoint_the_newest(tmp_path, monkeypatch):
    module = torch.nn.Linear(2, 2)
    saver = WholeCheckpointer(tmp_path, {"module": module})
    good = saver.save_checkpoint(meta={"epoch": 1})

    def cut_short(obj, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setitem(speechbrain_checkpoints.DEFAULT_SAVE_HOOKS, torch.nn.Module, cut_short)
    with pytest.raises(KeyboardInterrupt):
        saver.save_checkpoint(meta={"epoch": 2})
    monkeypatch.undo()
    again = WholeCheckpointer(tmp_path, {"module": module})
    assert again.recover_if_possible().path == good.path
    again.save_checkpoint(meta={"epoch": 3})
    assert not list(tmp_path.glob("SAVING*"))


def test_mean_of_checkpoints_keeps_integer_buffers(tmp_path):
    module = torch.nn.BatchNorm1d(3)
    saver = WholeCheckpointer(tmp_path, {"m": module})
    for value in (1.0, 3.0):
        torch.nn.init.constant_(module.weight, value)
        module.num_batches_tracked.fill_(int(value))
        saver.save_checkpoint(meta={"epoch": value})
    mean = average(saver.find_checkpoints(max_num_checkpoints=2), "m")
    assert mean["weight"].tolist() == [2.0] * 3
    assert mean["num_batches_tracked"].dtype == torch.int64 and mean["num_batches_tracked"] == 3


def test_handed_over_parameters_come_back_and_mistakes_are_told(tmp_path):
    module = torch.nn.Linear(3, 3)
    hand_over({"net": module}, tmp_path)
    other = torch.nn.Linear(3, 3)
    Source(str(tmp_path / "net.ckpt"), "make it").load("net", other)
    assert torch.equal(other.weight, module.weight)
    with pytest.raises(RecipeError, match="Run `make it` first"):
        Source(str(tmp_path / "gone.ckpt"), "make it").check("net")
    with pytest.raises(RecipeError, match="another network"):
        Source(str(tmp_path / "net.ckpt"), "make it").load("net", torch.nn.Linear(4, 4))
    (tmp_path / "torn.ckpt").write_bytes(b"no parameters")
    with pytest.raises(RecipeError, match="not a readable file"):
        Source(str(tmp_path / "torn.ckpt"), "make it").load("net", module)


def test_a_judge_that_joins_later_is_no_reason_to_start_anew(place):
    common = ["--pretrain_perceptual_path=null", "--checkpoint_avg=2", "--select_by=null"]
    assert run("enhance_mimic", *common, "--mimic_weight=null", "--number_of_epochs=1") == 0
    assert run("enhance_mimic", *common, "--mimic_weight=0.1") == 0
    lines = (place / "results/enhance_mimic/1/train_log.txt").read_text().splitlines()
    assert [("mimic" in line) for line in lines if line.startswith("epoch: ")] == [False, True]
