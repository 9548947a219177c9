"""Plans of the results table: complete, of known keys, in a sensible order."""

import pytest

from errors import RecipeError
from results_table.corpora import overrides_of, shared_folder
from results_table.plan import read_plan
from results_table.runs import ROOT, Runs
from results_table.state import resolved

PLANS = ROOT / "results_table" / "plans"
SMALL = """
seeds: [1, 2]
common: {preset: mini}
runs:
  mse: {stage: enhance_mimic, set: {mimic_weight: null}}
  start: {stage: pretrain_perceptual, seed_offset: 1000}
adapted: {stage: robust_asr, set: {pretrained_asr_path: "{start}/src_embedding.ckpt"}}
rows:
  noisy: {title: noisy, input: {input_signal: noisy}}
  mse: {title: MSE, enhancer: mse, input: {pretrained_enhance_path: "{mse}/enhance_model.ckpt"}}
order: [[noisy], [mse]]
differences: [{title: MSE - noisy, of: mse, minus: noisy}]
"""


def small(tmp_path, *changes, **options):
    """The Runs of a small plan, after replacing pieces of its text."""
    text = SMALL
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    return Runs(read_plan(path), tmp_path / "table", **options)


def runs_of(name):
    """All runs of a plan of the recipe."""
    plan = read_plan(PLANS / f"{name}.yaml")
    return Runs(plan, "results/x", data=lambda seed: overrides_of(plan.data, "results/x", seed))


@pytest.mark.parametrize("name", ["mini", "words", "digits", "real"])
def test_overrides_of_the_recipes_plans_are_keys_of_its_yaml_files(name):
    runs = runs_of(name)
    wanted = runs.in_order(list(runs.plan.rows), runs.plan.seeds[:1])
    assert len({run.folder for run in wanted}) == len(wanted)
    for run in wanted:
        settings = resolved(run)  # refuses unknown keys
        for key, value in run.overrides:
            assert key == "preset" or settings[key] == value, (run.title, key)


@pytest.mark.parametrize("name", ["mini", "digits"])
def test_no_recognizer_starts_from_the_judge(name):
    runs = runs_of(name)
    for row in runs.plan.rows.values():
        enhancers = {"judge", row.enhancer}
        for run in (runs.get(name, 1) for name in row.runs):
            texts = " ".join(
                str(v)
                for k, v in run.overrides
                if k in ("pretrained_asr_path", "pretrained_ctc_path")
            )
            assert not any(f"/{name}/" in texts for name in enhancers)
    assert {run.name for run in runs.of_row(runs.plan.rows["clean"], 1)} == {
        "start",
        "adapted_clean",
        "independent_clean",
    }


def test_the_words_of_more_utterances_are_those_of_the_mini_tables_own_runs():
    words, mini = runs_of("words"), runs_of("mini")
    for row, base in (
        ("words_noisy", "noisy"),
        ("words_mimic", "frozen_mimic"),
        ("words_random_judge", "frozen_random_judge"),
    ):
        for run in map(words.get, words.plan.rows[row].runs, (2, 2)):
            assert (
                dict(run.overrides)["mini_sizes"]["n_test"] == 1200
                and dict(run.overrides)["number_of_epochs"] == 0
            )
            same = {needed.name: mini.get(needed.name, 2).command for needed in run.needs}
            assert same == {needed.name: needed.command for needed in run.needs}
            assert f"adapted_{base}" in same or run.name.startswith("independent")


def test_a_plan_that_extends_another_has_its_runs_and_not_its_rows(tmp_path):
    (tmp_path / "base.yaml").write_text(SMALL)
    more = """
extends: base.yaml
seeds: [1]
rows: {again: {title: again, scores: adapted_mse}}
order: [[again]]
differences: []
"""
    (tmp_path / "more.yaml").write_text(more)
    plan = read_plan(tmp_path / "more.yaml")
    assert (
        list(plan.rows) == ["again"]
        and {"start", "mse", "adapted_noisy", "adapted_mse"} == plan.runs.keys()
    )
    assert plan.common == {
        "preset": "mini"
    }  # else the runs of both plans would be others, each putting the other's aside
    (tmp_path / "more.yaml").write_text(more.replace("base.yaml", "none.yaml"))
    with pytest.raises(RecipeError, match=r"no such file .*none\.yaml"):
        read_plan(tmp_path / "more.yaml")


def test_needs_come_first_and_references_become_folders(tmp_path):
    runs = small(tmp_path)
    wanted = runs.in_order(["noisy", "mse"], [1, 2])
    assert [run.title for run in wanted] == [
        "start seed 1", "adapted_noisy seed 1", "start seed 2", "adapted_noisy seed 2",
        "mse seed 1", "adapted_mse seed 1", "mse seed 2", "adapted_mse seed 2"]  # fmt: skip
    last = wanted[-1]
    assert [needed.title for needed in last.needs] == ["mse seed 2", "start seed 2"]
    assert (
        f"--pretrained_enhance_path={tmp_path}/table/runs/mse/2/enhance_model.ckpt" in last.command
    )
    assert "--seed=1002 " in wanted[2].command and "--mimic_weight=null" in wanted[4].command


def test_crossed_needs_are_taken_of_every_seed(tmp_path):
    runs = small(tmp_path, ("adapted: {stage", "adapted: {crossed: [start], stage"))
    assert [run.title for run in runs.in_order(["noisy", "mse"], [1, 2])] == [
        "start seed 1", "adapted_noisy seed 1", "start seed 2", "adapted_noisy seed 2",
        "mse seed 1", "adapted_mse seed 1", "mse seed 2", "adapted_mse seed 2",
        "adapted_mse seed 1 by 2", "adapted_mse seed 2 by 1"]  # fmt: skip
    other = runs.get("adapted_mse", 1, by=2)
    assert [needed.title for needed in other.needs] == ["mse seed 1", "start seed 2"]
    assert (
        "/runs/mse/1/" in other.command
        and "/runs/start/2/" in other.command
        and other.place.endswith("adapted_mse/1_by_2")
    )
    crossing = runs.crossing("adapted_noisy", [1, 2])  # hears no enhancer: a recognizer is a seed
    assert crossing[1, 2] is crossing[2, 2] is runs.get("adapted_noisy", 2)


def test_rows_leave_out_what_they_do_not_need(tmp_path):
    assert [run.name for run in small(tmp_path).in_order(["noisy"], [3])] == [
        "start",
        "adapted_noisy",
    ]


def test_overrides_for_all_runs_stand_below_the_plans_own(tmp_path):
    runs = small(tmp_path, extra={"mimic_weight": 5, "number_of_epochs": 2})
    assert {"mimic_weight": None, "number_of_epochs": 2}.items() <= dict(
        runs.get("mse", 1).overrides
    ).items()


@pytest.mark.parametrize(
    "change, words",
    [
        (("{mse}/", "{mes}/"), "there is no 'mes'"),
        (("of: mse", "of: mimic"), "there is no 'mimic'"),
        (("[[noisy], [mse]]", "[[noisy]]"), "no place for mse"),
        (("seed_offset", "seed_shift"), "seed_shift is not known"),
        (("adapted: {stage", "adapted: {crossed: [begin], stage"), "there is no 'begin'"),
        (("seeds: [1, 2]\n", ""), "seeds is missing"),
        (("seeds: [1, 2]", "seeds: [1, 2"), "not YAML"),
        (("enhancer: mse", "enhancer: msee"), "there is no 'msee'"),
        (
            (
                "set: {pretrained_asr_path",
                "set: {score_sets: [valid, test], valid_metrics: [wer], pretrained_asr_path",
            ),
            "row noisy: run adapted_noisy scores validation by valid_metrics=['wer'], without cer",
        ),
    ],
)
def test_mistakes_in_a_plan_are_told(tmp_path, change, words):
    with pytest.raises(RecipeError, match=words.replace("[", r"\[")):
        small(tmp_path, change)


def test_runs_that_need_each_other_and_unknown_rows_are_told(tmp_path):
    circle = small(
        tmp_path, ("{mimic_weight: null}", '{pretrain_perceptual_path: "{adapted_mse}/x.ckpt"}')
    )
    with pytest.raises(RecipeError, match="need each other"):
        circle.in_order(["mse"], [1])
    with pytest.raises(RecipeError, match="--rows: there is no 'msee'. Known: noisy, mse"):
        small(tmp_path).in_order(["msee"], [1])


def test_digits_rotate_every_speaker_through_the_test():
    data = read_plan(PLANS / "digits.yaml").data
    from results_table.corpora import mix_settings

    settings = [mix_settings(data, seed) for seed in range(1, 7)]
    assert (
        {s.test_speakers for s in settings}
        == {(name,) for name in data["rotate"]}
        == {s.valid_speakers for s in settings}
    )
    assert all(s.test_speakers != s.valid_speakers for s in settings)
    assert mix_settings(data, 7) == settings[0]


def test_missing_real_data_are_told_with_the_remedy(tmp_path):
    with pytest.raises(RecipeError, match="--shared_data=DIR or in RECIPE_SHARED_DATA"):
        shared_folder("real_speech", tmp_path)
