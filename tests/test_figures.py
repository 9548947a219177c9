"""What a run shows: the TensorBoard log and the figures."""

import json

import matplotlib.image
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training import figures
from training.figures import Figures, curves_of, decibels, spectrograms, summary

LOG = """epoch: 1, lr: 1.00e-03 - train loss: 2.50, train mimic: 5.0e-01 - valid loss: 1.5, valid \
mimic: 0.4, valid pesq: 2.3, valid estoi: 80.1, valid stoi: 90.0
epoch: 2, lr: 1.00e-03 - train loss: 9.0, train mimic: 4.0e-01 - valid loss: 1.4, valid mimic: 0.3
epoch: 2, lr: 1.00e-03 - train loss: 2.0, train mimic: 4.0e-01, train gradient_norm: 1.0 - valid \
loss: 1.2, valid mimic: 0.2, valid pesq: nan, valid estoi: 81.0, valid stoi: 91.0
scored: test - test loss: 1.0
"""


def reported(folder, tensorboard, with_figures, epochs=(1,)):
    """Events of epochs that Figures, each time new as after a resumption, have written."""
    torch.manual_seed(0)
    waves = [torch.rand(2, 16000) for _ in range(3)]
    for epoch in epochs:
        made = Figures(folder, tensorboard, with_figures)
        made.choose(["a", "b"])
        made.look(["a", "b"], *waves, torch.tensor([1.0, 0.5]))
        train = {"loss": 3.0 / epoch, "gradient_norm": 1.5, "lr": 0.1}
        made.report_epoch(epoch, 0.1, train, {"loss": 2.0, "pesq": 2.5})
        made.finish()
    events = EventAccumulator(str(folder / "tensorboard"))
    return events.Reload() if (folder / "tensorboard").exists() else None


def run_folder(folder, records=8):
    """A folder with a log and the scores of test utterances."""
    lines = [
        {"id": f"u{i}", "pesq": 1 + i / 8, "estoi": 80.0 + i, "stoi": 90.0, "not_scored": {}}
        | {"noise": ["bus", "cafe"][i % 2], "snr": [2.5, 17.5][i // 4]}
        for i in range(records)
    ]
    (folder / "train_log.txt").write_text(LOG)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "test_utterances.jsonl").write_text(text)
    return folder


def test_log_holds_scalars_sounds_and_pictures_and_a_resumed_run_goes_on(tmp_path):
    events = reported(tmp_path, True, True, epochs=(1, 2))
    tags = events.Tags()
    scalars = {"loss/train", "loss/valid", "pesq/valid", "gradient_norm/train", "lr"}
    assert set(tags["scalars"]) == scalars
    assert [(e.step, e.value) for e in events.Scalars("loss/train")] == [(1, 3.0), (2, 1.5)]
    kinds = ("noisy", "enhanced", "clean")
    assert set(tags["audio"]) == {f"{utt}/{kind}" for utt in "ab" for kind in kinds}
    assert tags["images"] == ["spectrograms"]
    picture = matplotlib.image.imread(tmp_path / "figures" / "spectrograms.png")
    assert picture.shape[0] > 500 and picture.std() > 0.1


@pytest.mark.parametrize("tensorboard, with_figures", [(False, True), (True, False)])
def test_each_can_be_off(tmp_path, tensorboard, with_figures):
    events = reported(tmp_path, tensorboard, with_figures)
    assert (events is not None) == tensorboard
    assert (tmp_path / "figures").exists() == with_figures


@pytest.mark.parametrize("main", [True, False])
def test_only_the_main_process_writes(tmp_path, monkeypatch, main):
    monkeypatch.setattr(figures, "if_main_process", lambda: main)
    reported(run_folder(tmp_path), main, True)
    assert (tmp_path / "figures" / "summary.png").exists() == main


def test_nothing_to_show_writes_nothing(tmp_path):
    made = Figures(tmp_path, False, True)
    made.report_epoch(1, 0.1, {"loss": 1.0}, {"loss": 1.0})
    made.finish()
    assert not list(tmp_path.iterdir())


def test_chosen_utterances_are_spread_and_without_padding(tmp_path):
    made = Figures(tmp_path, False, True)
    made.choose([f"u{i}" for i in range(9)])
    wav = torch.rand(2, 1000)
    made.look(["u3", "u4"], wav, wav, wav, torch.tensor([0.5, 1.0]))
    assert made.chosen == {"u0", "u3", "u6"} and list(made.seen) == ["u3"]
    assert all(torch.equal(shown, wav[0, :500]) for shown in made.seen["u3"].values())


def test_spectrograms_share_a_scale_and_have_units():
    tone = torch.sin(2 * torch.pi * 2000 / 16000 * torch.arange(16000))
    waves = {"noisy": tone, "enhanced": tone / 10, "clean": tone}
    drawn = spectrograms({"a": waves, "b": waves}, 3)
    panels = [axes for axes in drawn.axes if axes.images]
    names = [*waves, "gain"]
    assert [axes.get_title(loc="left") for axes in panels[::2]] == [f"a, {name}" for name in names]
    assert len({axes.images[0].get_clim() for axes in panels[:6]}) == 1
    assert panels[0].images[0].get_extent() == [0, 1.0, 0, 8.0]
    assert drawn.get_supylabel() == "frequency (kHz)" and panels[-1].get_xlabel() == "time (s)"
    level = decibels(tone)
    assert np.isfinite(decibels(tone * float("nan"))).all()
    assert abs(np.argmax(level[:, 60]) / 512 * 16 - 2) < 0.05
    gain = panels[-1].images[0].get_array()
    assert gain[64, 60] == pytest.approx(-20, abs=0.1) and panels[-1].images[0].get_clim()[1] == 0


def test_curves_read_the_last_run_of_an_epoch(tmp_path):
    curves = curves_of(run_folder(tmp_path) / "train_log.txt")
    assert curves["train"]["loss"] == {1: 2.5, 2: 2.0} and curves["valid"]["pesq"][1] == 2.3
    assert curves_of(tmp_path / "none") == {"train": {}, "valid": {}}


def test_summary_has_six_panels_with_labels_and_units(tmp_path):
    drawn = summary(run_folder(tmp_path))
    titles = [axes.get_title() for axes in drawn.axes]
    assert len(titles) == 6 and titles[0].startswith("losses")
    assert titles[1:3] == ["validation, PESQ", "validation, eSTOI"]
    assert "PESQ by SNR" in titles[3] and "eSTOI by SNR" in titles[4] and "noise" in titles[5]
    assert all("(" in axes.get_ylabel() and axes.get_xlabel() for axes in drawn.axes)
    points = [tuple(bar.lines[0].get_xydata()[0]) for bar in drawn.axes[3].containers]
    assert points == [(2.5, 1.1875), (17.5, 1.6875)]
    assert drawn.axes[0].get_yscale() == "log"
    (tmp_path / "train_log.txt").write_text(LOG.replace("mimic: ", "mimic: -"))
    assert summary(tmp_path).axes[0].get_yscale() == "linear"  # a negative loss is not left out
    reported(tmp_path, False, True)
    assert (tmp_path / "figures" / "summary.png").stat().st_size > 10000


def test_summary_shows_what_there_is(tmp_path):
    run_folder(tmp_path, records=1)
    assert len(summary(tmp_path).axes) == 3
    (tmp_path / "train_log.txt").unlink()
    assert summary(tmp_path) is None
