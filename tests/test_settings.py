"""Presets, overrides and checks: which value is in force, and what is refused."""

import dataclasses
import re

import pytest
from speechbrain.utils.run_opts import RunOptions
from tiny import ROOT, run_main

from errors import RecipeError
from training.knobs import KNOBS, checked
from training.settings import build, document_of, preset_overrides, read_settings

STAGES = ("pretrain_perceptual", "enhance_mimic", "robust_asr")


def file(stage):
    return str(ROOT / "hparams" / f"{stage}.yaml")


def settings(*overrides, stage="enhance_mimic"):
    return read_settings([file(stage), *overrides])


def test_no_data_means_mini_and_a_data_folder_means_published():
    assert settings().preset == "mini" and settings().overrides["enhance_dense"] == 256
    published = settings("--data_folder=somewhere")
    assert published.preset == "published_2021" and "enhance_dense" not in published.overrides
    assert settings("--train_annotation=a.json").preset == "published_2021"
    assert settings("--data_folder=somewhere", "--preset=mini").preset == "mini"
    with pytest.raises(RecipeError, match="mini, published_2021, published_2022"):
        settings("--preset=tiny")


def test_a_value_edited_in_the_file_is_checked_too(tmp_path):
    edited = tmp_path / "enhance_mimic.yaml"
    text = (ROOT / "hparams/enhance_mimic.yaml").read_text(encoding="utf-8")
    edited.write_text(text.replace("valid_speakers: [p226, p287]", "valid_speakers: p226"))
    assert read_settings([str(edited)]).overrides["valid_speakers"] == ["p226"]
    edited.write_text(text.replace("sorting: ascending", "sorting: longest"))
    with pytest.raises(RecipeError, match="'longest' is not accepted; accepted: ascending"):
        read_settings([str(edited)])


WRONG = ["{width: 4}", "{size: 0}", "{size: 2.5}", "{temperature: hot}", "{lm_weight: -1}"]


@pytest.mark.parametrize("beam", [*WRONG, "{coverage: True}", "[8]", "8"])
def test_mistyped_settings_of_the_search_are_told(beam):
    with pytest.raises(RecipeError, match="--beam: .* is not accepted; .*size, ctc_weight"):
        settings(f"--beam={beam}", stage="robust_asr")


def test_the_command_line_wins_over_the_preset():
    assert settings("--enhance_dense=8", "--frozen_models=[]").overrides["enhance_dense"] == 8
    assert settings("--enhance_dense", "8").overrides["enhance_dense"] == 8


@pytest.mark.parametrize(
    "typed, meant",
    [
        ("/a b/vb #2", "/a b/vb #2"),
        ("C:=x, [1] {'q'}", "C:=x, [1] {'q'}"),
        ("~/corpus", None),
        ("2024-01-01", "2024-01-01"),
    ],
)
def test_a_path_is_taken_as_it_was_typed(typed, meant):
    found = settings(f"--data_folder={typed}").overrides["data_folder"]
    assert found == meant or meant is None and found.endswith("/corpus") and found[0] == "/"
    assert settings("--data_folder", typed).overrides["data_folder"] == found


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("preset", ["mini", "published_2021", "published_2022"])
def test_every_value_of_the_files_is_one_that_its_knob_accepts(stage, preset):
    own = {key: v for key, v in document_of(file(stage)).items() if key in KNOBS}
    of_preset = preset_overrides(preset, file(stage))
    assert set(of_preset) <= set(own)
    for key, value in {**own, **of_preset}.items():
        if not getattr(getattr(value, "tag", None), "value", None):
            checked(key, value)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_file_is_complete(stage, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hparams = build(file(stage), {"output_folder": str(tmp_path)})
    epochs = {"pretrain_perceptual": 20, "enhance_mimic": 50, "robust_asr": 30}
    assert hparams["number_of_epochs"] == epochs[stage]
    count = sum(p.numel() for module in hparams["modules"].values() for p in module.parameters())
    assert count > 10e6


@pytest.mark.parametrize("stage", STAGES)
def test_at_most_so_many_knobs(stage):
    knobs = [key for key in document_of(file(stage)) if key in KNOBS]
    assert len(knobs) <= 63


@pytest.mark.parametrize(("has_bf16", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_precision_is_what_the_processor_has(monkeypatch, has_bf16, expected):
    capabilities = {"avx512_bf16": has_bf16}
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities, raising=False)
    assert settings("--device=cpu").overrides["precision"] == expected
    data = ("--device=cpu", "--data_folder=x")
    assert settings(*data, "--precision=auto").overrides["precision"] == expected
    assert "precision" not in settings(*data).overrides


def test_a_precision_that_is_typed_wins_over_auto():
    run_opts = settings("--precision=fp16").run_opts
    assert run_opts.precision == "fp16" and "precision" in run_opts.overridden_args


@pytest.mark.parametrize("stage", STAGES)
def test_no_key_is_the_beginning_of_an_option_of_speechbrain(stage):
    # argparse would take it for the option
    options = {field.name for field in dataclasses.fields(RunOptions)} - set(KNOBS)
    assert not [(k, o) for k in KNOBS for o in options if o.startswith(k)]


MISTAKES = [
    (
        "enhance_mimic",
        ["--seed=77"],
        "Run `python train.py hparams/pretrain_perceptual.yaml` first",
    ),
    ("enhance_mimic", ["--mimic_wieght=1"], "Did you mean --mimic_weight"),
    ("enhance_mimic", ["--judge=encoder"], "Give --perceptual"),
    ("robust_asr", ["--enhance_type=noisy"], "Give --input_signal"),
    ("robust_asr", ["--frozen_models=[enhancer]"], "is not one of enhance_model"),
    ("robust_asr", ["--unfrozen_models=[enhancer]"], "'enhancer' is not one of enhance_model"),
    ("robust_asr", ["--unfrozen_models=[encoder]"], "is not frozen"),
    ("robust_asr", ["--enhance_weight=null", "--mimic_weight=1"], "balanced against spectral"),
    ("pretrain_perceptual", ["--ctc_weight=0"], "nothing would train"),
    ("pretrain_perceptual", ["--ctc_epochs=2"], "Nothing trains in epoch 2"),
    ("pretrain_perceptual", ["--frozen_models=[encoder, ctc_output]"], "Nothing trains in epoch 1"),
    ("enhance_mimic", ["--frozen_models=[]", "--perceptual=random"], "perceptual_model would not"),
    ("pretrain_perceptual", ["--data_folder=gone", "--preset=mini"], "no such folder gone"),
    ("pretrain_perceptual", ["--lr_schedule=cosine"], "constant, step, linear"),
    ("pretrain_perceptual", ["--lr=fast"], "numbers above 0"),
    ("pretrain_perceptual", ["--batch_size=0"], "whole numbers from 1 on"),
    ("pretrain_perceptual", ["--lr=1e-3", "--lr=1e-4"], "given twice"),
    ("pretrain_perceptual", ["--device=cuda:77"], "Accepted here: cpu"),
    ("pretrain_perceptual", ["--train_annotation=gone.json", "--skip_prep=True"], "gone.json"),
    ("pretrain_perceptual", ["--piece_seconds=3"], "is not a key of this YAML file"),  # has targets
    ("pretrain_perceptual", ["--decoding_by=attention_greedy"], "Give seq_weight a number"),
    ("enhance_mimic", ["--mimic_weight=0.5"], "Give --mimic_weight=1, or --mimic_ratio=null"),
    ("enhance_mimic", ["--muon_models=[enhancer]"], "muon_models: 'enhancer' is not one of"),
    (
        "enhance_mimic",
        ["--mimic_taps=[CNN.block_7]", "--perceptual=random"],
        "not one of CNN.block",
    ),
    ("enhance_mimic", ["--select_by=wer"], "select_by: 'wer' is not one of None, loss, pesq"),
    ("enhance_mimic", ["--mask_weight=1.5"], "numbers from 0 to 1"),
    ("robust_asr", ["--beam={size: 0}", "--input_signal=noisy"], "whole ones above 0 for size"),
    ("robust_asr", ["--beam={width: 4}", "--input_signal=noisy"], "size, ctc_weight, coverage"),
    ("enhance_mimic", ["--losses=1"], "no value to override"),
    ("enhance_mimic", ["--valid_metrics=[wer]", "--select_by=null"], "need a recognizer"),
    ("nothing", [], "is a YAML file"),
]


@pytest.mark.parametrize("stage, overrides, words", MISTAKES, ids=lambda value: str(value)[:30])
def test_a_mistake_is_told_in_one_message(tmp_path, monkeypatch, capsys, stage, overrides, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hparams").symlink_to(ROOT / "hparams")
    assert run_main([f"hparams/{stage}.yaml", "--number_of_epochs=2", *overrides]) == 2
    told = capsys.readouterr().err
    assert words in told and "Traceback" not in told and len(told) < 1500


def test_refused_settings_leave_no_folder_and_take_none_away(tmp_path, capsys):
    (tmp_path / "old/save").mkdir(parents=True)
    (tmp_path / "old/save/checkpoint").write_text("of a run")
    for folder in (tmp_path / "new", tmp_path / "old"):
        assert run_main([file("enhance_mimic"), f"--output_folder={folder}", "--seed=77"]) == 2
    assert [path.name for path in tmp_path.rglob("*")] == ["old", "save", "checkpoint"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    options = ["--perceptual=random", f"--output_folder={tmp_path}/file/out"]
    assert run_main([file("enhance_mimic"), *options]) == 2
    assert "Give another" in capsys.readouterr().err


def test_a_data_folder_in_the_file_is_one(tmp_path):
    text = (ROOT / "hparams/enhance_mimic.yaml").read_text()
    mine = tmp_path / "my_enhance_mimic.yaml"
    mine.write_text(text.replace("data_folder: null", "data_folder: voicebank"))
    assert read_settings([str(mine)]).preset == "published_2021"
    mine.write_text(text)
    assert read_settings([str(mine)]).overrides["enhance_dense"] == 256  # of the stage in its name
    mine.rename(tmp_path / "mine.yaml")
    with pytest.raises(RecipeError, match="must hold one stage"):
        read_settings([str(tmp_path / "mine.yaml")])


def test_speakers_are_names_also_where_they_are_numbers():
    assert settings("--valid_speakers=[007, 174]").overrides["valid_speakers"] == ["007", "174"]
    assert settings("--valid_speakers=174").overrides["valid_speakers"] == ["174"]


def test_habits_without_effect_are_told_and_ignored(caplog):
    found = settings("--metric_jobs=1", "--seed=3").overrides
    assert found["seed"] == 3 and "metric_jobs" not in found
    assert re.search("metric_jobs is not needed", caplog.text)


def test_help_is_no_error(capsys):
    assert run_main(["--help"]) == 0 and "hparams/<stage>.yaml" in capsys.readouterr().out
