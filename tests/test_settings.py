"""Presets and overrides: which value is in force."""

import dataclasses
from pathlib import Path

import pytest
from speechbrain.utils.run_opts import RunOptions

from errors import RecipeError
from train import main
from training.flow import Flow, closure, makers_of, makes, modules_of
from training.settings import build, keys_of, read_settings

STAGE = str(Path(__file__).parent.parent / "hparams" / "enhance_mimic.yaml")


def settings(*overrides):
    _, _, values, preset = read_settings([STAGE, *overrides])
    return values, preset


def test_no_data_means_mini_and_a_data_folder_means_published():
    assert settings()[1] == "mini" and settings()[0]["enhance_dense"] == 256
    values, preset = settings("--data_folder=somewhere")
    assert preset == "published" and "enhance_dense" not in values
    assert settings("--data_folder=somewhere", "--preset=mini")[1] == "mini"
    with pytest.raises(RecipeError, match="mini, published"):
        settings("--preset=tiny")


def test_the_command_line_wins_over_the_preset():
    assert settings("--enhance_dense=8", "--frozen_models=[]")[0]["enhance_dense"] == 8


@pytest.mark.parametrize("stage", ["pretrain_perceptual", "enhance_mimic", "robust_asr"])
def test_published_sizes_are_the_yamls_own(stage, tmp_path):
    hparams = build(
        Path(STAGE).with_name(f"{stage}.yaml"), {"data_folder": "x", "output_folder": str(tmp_path)}
    )
    assert (
        hparams["number_of_epochs"]
        == {"pretrain_perceptual": 20, "enhance_mimic": 50, "robust_asr": 30}[stage]
    )
    count = sum(p.numel() for module in hparams["modules"].values() for p in module.parameters())
    assert count > 20e6


class Maker:
    """Two predictions, one of them never needed."""

    @makes("a", module="net")
    def make_a(self, flow):
        return 1

    @makes("b", "c", needs=["a"], module="other")
    def make_bc(self, flow):
        return flow["a"] + 1, flow["a"] + 2


def test_only_what_is_needed_is_made():
    makers = makers_of(Maker())
    assert closure(["a"], makers, {}) == {"a"} and closure(["c"], makers, {}) == {"a", "c"}
    assert modules_of({"a"}, makers) == {"net"}
    flow = Flow(makers, None, None)
    assert flow.take(["c"]) == [3] and set(flow) == {"a", "b", "c"}


@pytest.mark.parametrize(("has_bf16", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_precision_is_what_the_processor_has(monkeypatch, has_bf16, expected):
    monkeypatch.setattr("training.precision.cpu_has_bf16", lambda: has_bf16)
    assert settings("--device=cpu")[0]["precision"] == expected
    assert (
        settings("--device=cpu", "--data_folder=x", "--precision=auto")[0]["precision"] == expected
    )
    assert "precision" not in settings("--device=cpu", "--data_folder=x")[0]


def test_a_precision_that_is_said_wins_over_auto():
    _, run_opts, _, _ = read_settings([STAGE, "--precision=fp16"])
    assert run_opts.precision == "fp16" and "precision" in run_opts.overridden_args


@pytest.mark.parametrize("stage", ["pretrain_perceptual", "enhance_mimic", "robust_asr"])
def test_no_key_is_the_beginning_of_an_option_of_speechbrain(stage):
    # argparse would take it for the option: --optimizer=adamw is lost in --optimizer_step_limit
    options = {field.name for field in dataclasses.fields(RunOptions)}
    keys = keys_of(Path(STAGE).with_name(f"{stage}.yaml"))
    assert not [
        (key, name) for key in keys for name in options if name.startswith(key) and name != key
    ]


def test_refused_settings_leave_no_folder_and_take_none_away(tmp_path, capsys):
    for folder in (tmp_path / "new", tmp_path / "old"):
        if folder.name == "old":
            (folder / "save").mkdir(parents=True)
            (folder / "save" / "checkpoint").write_text("of a run")
        assert main([STAGE, f"--output_folder={folder}", "--input_signal=clear"]) == 2
        assert "input_signal: 'clear' is not one of" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["old", "save", "checkpoint"]
