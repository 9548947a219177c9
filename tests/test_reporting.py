"""What a run shows: the TensorBoard log and the figures."""

import json
from types import SimpleNamespace

import matplotlib.image
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from reporting.reporter import Reporter
from reporting.spectrograms import decibels, spectrogram_figure
from reporting.summary import curves_of, grouped, points_of, summary_figure, with_conditions

LOG = """epoch: 1, lr: 1.0000e-03 - train loss: 2.5000e+00, train mimic: 5.0e-01 - valid loss: 1.5, valid pesq: 2.3
epoch: 2, lr: 1.0000e-03 - train loss: 9.0, train mimic: 4.0e-01 - valid loss: 1.4, valid pesq: 2.4
epoch: 2, lr: 1.0000e-03 - train loss: 2.0, train mimic: 4.0e-01 - valid loss: 1.2, valid pesq: nan
loaded: for test - test loss: 1.0
"""


def reported(folder, tensorboard, figures, epochs=(1,)):
    """Events of epochs that a reporter, each time a new one as after a resume, has written."""
    torch.manual_seed(0)
    predictions = {
        "noisy_wav": torch.rand(2, 16000),
        "clean_wav": torch.rand(2, 16000),
        "mask": torch.rand(2, 63, 257),
    }
    predictions |= {"enhanced_wav": torch.rand(2, 16000), "lens": torch.tensor([1.0, 0.5])}
    flow = type("Flow", (dict,), {"batch": SimpleNamespace(id=["a", "b"])})(predictions)
    for epoch in epochs:
        reporter = Reporter(folder, tensorboard, figures, 16000)
        reporter.choose(["a", "b"])
        reporter.look(flow)
        reporter.report_epoch(
            epoch,
            0.1,
            {"loss": 3.0 / epoch, "gradient_norm": 1.5, "lr": 0.1},
            {"loss": 2.0, "pesq": 2.5},
        )
        reporter.finish("run", folder / "gone.json")
    events = EventAccumulator(str(folder / "tensorboard"))
    return events.Reload() if (folder / "tensorboard").exists() else None


def test_log_holds_scalars_sounds_and_pictures_and_a_resumed_run_goes_on(tmp_path):
    events = reported(tmp_path, True, True, epochs=(1, 2))
    tags = events.Tags()
    assert {"loss/train", "loss/valid", "pesq/valid", "gradient_norm/train", "lr"} <= set(
        tags["scalars"]
    )
    assert [(event.step, event.value) for event in events.Scalars("loss/train")] == [
        (1, 3.0),
        (2, 1.5),
    ]
    assert set(tags["audio"]) == {
        f"{utt}/{panel}" for utt in "ab" for panel in ("noisy", "enhanced", "clean")
    }
    assert set(tags["images"]) == {"spectrograms/a"}  # of the first one alone
    picture = matplotlib.image.imread(tmp_path / "figures/a.png")
    assert picture.shape[0] > 500 and picture.std() > 0.1


@pytest.mark.parametrize("tensorboard, figures", [(False, True), (True, False), (False, False)])
def test_each_can_be_off(tmp_path, tensorboard, figures):
    events = reported(tmp_path, tensorboard, figures)
    assert (events is not None) == tensorboard and (tmp_path / "figures").exists() == figures
    assert not tensorboard or events.Tags()["images"] == []


def test_panels_share_a_scale_and_their_axes_are_seconds_and_kilohertz():
    tone = np.sin(2 * np.pi * 2000 / 16000 * np.arange(16000)).astype(np.float32)
    made = spectrogram_figure(
        "a", {"noisy": tone, "enhanced": tone / 10, "clean": tone}, np.ones((63, 257)), 16000
    )
    panels = [axes for axes in made.axes if axes.images and axes.get_ylabel() == "kHz"]
    assert [axes.get_title(loc="left") for axes in panels] == ["noisy", "enhanced", "clean", "mask"]
    assert len({axes.images[0].get_clim() for axes in panels[:3]}) == 1 and panels[3].images[
        0
    ].get_clim() == (0, 1)
    assert (
        panels[0].images[0].get_extent() == [0, 1.0, 0, 8.0]
        and panels[3].get_xlabel() == "time (s)"
    )
    level = decibels(tone)
    assert (
        abs(np.argmax(level[:, 60]) / 512 * 16 - 2) < 0.05
        and abs(level.max() - decibels(tone / 10).max() - 20) < 0.1
    )


def test_curves_read_the_last_run_of_an_epoch(tmp_path):
    (tmp_path / "log").write_text(LOG)
    curves = curves_of(tmp_path / "log")
    assert curves["train"]["loss"] == {1: 2.5, 2: 2.0} and curves["valid"]["pesq"][1] == 2.3
    assert curves_of(tmp_path / "none") == {"train": {}, "valid": {}}


def test_summary_groups_by_what_the_manifest_knows(tmp_path):
    (tmp_path / "log").write_text(LOG)
    manifest = {
        f"u{i}": {"noise": "bus" if i % 2 else "cafe", "snr": [2.5, 17.5][i // 4]} for i in range(8)
    }
    (tmp_path / "test.json").write_text(json.dumps(manifest))
    records = [{"id": f"u{i}", "pesq": float(i), "not_scored": {}} for i in range(8)]
    groups = grouped(with_conditions(records, tmp_path / "test.json"), "snr")
    assert points_of("pesq", groups)[:2] == ([2.5, 17.5], [1.5, 5.5])
    made = summary_figure("run", tmp_path / "log", records, tmp_path / "test.json")
    assert sum("PESQ" in axes.get_title() for grid in made.subfigs for axes in grid.axes) == 3
    made.savefig(tmp_path / "summary.png")
    assert (
        len(summary_figure("run", tmp_path / "log", records, tmp_path / "none.json").subfigs) == 1
    )
