"""Plans of the results table: whole, of known keys, in a sensible order."""

from functools import lru_cache
from pathlib import Path

import pytest
import ruamel.yaml

from corpus.files import write_text
from errors import RecipeError
from experiments import corpora
from experiments.plan import PLANS, Runs, read_plan

HPARAMS = Path(__file__).parent.parent / "hparams"
SMALL = """
seeds: [1, 2]
common: {preset: mini}
runs:
  mse: {stage: enhance_mimic, set: {mimic_weight: null}}
  start: {stage: robust_asr, set: {augment: [noise, speed], beam: {size: 8}}}
each_row:
  adapted: {stage: robust_asr, set: {pretrained_asr_path: "{start}", lr: 0.0003}}
rows:
  noisy: {title: noisy, set: {input_signal: noisy}}
  mse: {title: MSE, enhancer: mse, adapted: {lr: 0.1}}
differences: [{title: MSE - noisy, of: mse, minus: noisy}]
"""


def small(tmp_path, *changes, **options):
    """The Runs of a small plan, after replacing pieces of its text."""
    text = SMALL
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    write_text(tmp_path / "plan.yaml", text)
    return Runs(read_plan(str(tmp_path / "plan.yaml")), Path("out"), {}, **options)


def runs_of(name):
    """The Runs of a plan of the recipe."""
    plan = read_plan(name)
    data = corpora.places(plan, Path("data"), Path("shared"))
    return Runs(plan, Path("out"), {**data, "shared": "shared"})


@lru_cache
def keys_of(stage):
    """The keys of a stage file."""
    return ruamel.yaml.YAML().load((HPARAMS / f"{stage}.yaml").read_text(encoding="utf-8")).keys()


@pytest.mark.parametrize("name", sorted(path.stem for path in PLANS.glob("*.yaml")))
def test_overrides_of_the_recipes_plans_are_keys_of_its_stages(name):
    runs = runs_of(name)
    wanted = runs.in_order(list(runs.plan.rows), runs.plan.seeds)
    assert len({run.folder for run in wanted}) == len(wanted)
    unknown = {
        (run.stage, key)
        for run in wanted
        for key in run.overrides.keys() - keys_of(run.stage) - {"preset"}
    }
    assert not unknown


def test_the_published_rows_and_the_controls_are_in_the_plan():
    rows = read_plan("mini").rows
    published = ["clean", "clean_noisy_phase", "noisy", "joint_mse", "joint_mimic"]
    published += ["frozen_mse", "frozen_mimic"]
    assert list(rows)[:7] == published
    assert {"random", "filter_bank", "equal_compute"} <= rows.keys()
    runs = runs_of("mini")
    assert runs.get("random", 1).overrides["perceptual"] == "random"
    assert runs.get("filter_bank", 1).overrides["perceptual"] == "filter_bank"
    joint = runs.get("adapted_joint_mimic", 1).overrides
    assert joint["unfrozen_models"] == ["enhance_model"] and joint["mimic_weight"]
    assert "unfrozen_models" not in runs.get("adapted_frozen_mimic", 1).overrides


def test_no_recognizer_starts_from_the_perceptual_model():
    runs = runs_of("mini")
    for run in runs.in_order(list(runs.plan.rows), [1]):
        assert "perceptual" not in str(run.overrides.get("pretrained_asr_path"))


def test_the_words_plan_scores_the_networks_of_the_mini_plan():
    words, mini = runs_of("words"), runs_of("mini")
    run = words.get("adapted_words_mimic", 2)
    assert run.overrides["number_of_epochs"] == 0 and run.overrides["preset"] == "mini"
    assert run.overrides["data_folder"].startswith("data/words-")
    assert [needed.name for needed in run.needs] == ["mimic", "adapted_frozen_mimic"]
    assert [needed.key for needed in run.needs] == [
        mini.get(name, 2).key for name in ("mimic", "adapted_frozen_mimic")
    ]
    assert words.plan.base == "mini"


def test_needs_come_first_and_references_become_folders(tmp_path):
    runs = small(tmp_path)
    titles = [run.title for run in runs.in_order(["noisy", "mse"], [1, 2])]
    assert titles[:4] == [
        "start seed 1",
        "adapted_noisy seed 1",
        "mse seed 1",
        "adapted_mse seed 1",
    ]
    run = runs.get("adapted_mse", 2)
    assert [needed.title for needed in run.needs] == ["start seed 2", "mse seed 2"]
    assert "--pretrained_enhance_path=out/mse/2/enhance_model.ckpt" in run.command
    assert "--pretrained_asr_path=out/start/2 " in run.command


def test_a_rows_overrides_stand_over_those_of_each_row(tmp_path):
    runs = small(tmp_path, extra={"lr": 7, "number_of_epochs": 2})
    assert runs.get("adapted_noisy", 1).overrides["lr"] == 0.0003
    assert runs.get("adapted_mse", 1).overrides["lr"] == 0.1
    assert runs.get("adapted_mse", 1).overrides["number_of_epochs"] == 2


def test_values_are_written_as_yaml(tmp_path):
    run = small(tmp_path).get("start", 1)
    text = [argument.partition("=")[2] for argument in run.arguments[-2:]]
    read = ruamel.yaml.YAML(typ="safe", pure=True).load
    assert [read(value) for value in text] == [["noise", "speed"], {"size": 8}]
    assert "--mimic_weight=null" in small(tmp_path).get("mse", 1).arguments


def test_the_key_of_a_run_changes_with_what_it_needs(tmp_path):
    before = small(tmp_path)
    after = small(tmp_path, ("mimic_weight: null", "mimic_weight: 0"))
    assert before.get("adapted_mse", 1).command == after.get("adapted_mse", 1).command
    assert before.get("adapted_mse", 1).key != after.get("adapted_mse", 1).key
    assert before.get("adapted_noisy", 1).key == after.get("adapted_noisy", 1).key


@pytest.mark.parametrize(
    "change, words",
    [
        (("enhancer: mse", "enhancer: mes"), "'mes' is not one of"),
        (('"{start}"', '"{stat}"'), "'stat' is not one of"),
        (("of: mse", "of: mimic"), "'mimic' is not one of"),
        (("title: noisy, ", ""), "title is missing"),
        (("adapted: {lr", "adapt: {lr"), "adapt is not known"),
        (("stage: enhance_mimic, ", ""), "stage is missing"),
        (("seeds: [1, 2]\n", ""), "seeds is missing"),
        (("seeds: [1, 2]", "seeds: [1, 2"), "not YAML"),
        (("minus: noisy", "less: noisy"), "less is not known; minus is missing"),
    ],
)
def test_mistakes_in_a_plan_are_told(tmp_path, change, words):
    with pytest.raises(RecipeError, match=words.replace("[", r"\[")):
        small(tmp_path, change)


def test_plans_that_extend_each_other_are_told(tmp_path):
    (tmp_path / "a.yaml").write_text(f"extends: b.yaml\n{SMALL}")
    (tmp_path / "b.yaml").write_text(f"extends: a.yaml\n{SMALL}")
    with pytest.raises(RecipeError, match="a.yaml: the plans extend each other"):
        read_plan(str(tmp_path / "a.yaml"))


def test_runs_that_need_each_other_are_told(tmp_path):
    change = ("mimic_weight: null", 'a_path: "{adapted_mse}"')
    with pytest.raises(RecipeError, match="adapted_mse -> mse -> adapted_mse need each other"):
        small(tmp_path, change).get("adapted_mse", 1)


def test_a_corpus_of_other_settings_has_another_folder():
    plan = read_plan("real")
    here, there = (corpora.places(plan, Path("x"), Path(shared)) for shared in ("a", "b"))
    assert here.keys() == {"noises", "mixed", "coloured"} and here["mixed"] != there["mixed"]


def test_missing_recordings_are_told(tmp_path):
    spec = read_plan("real").data["mixed"]
    with pytest.raises(RecipeError, match="There is no .*real_speech"):
        corpora.make(spec, tmp_path / "mixed", {"shared": tmp_path, "noises": tmp_path})


def test_a_small_mini_corpus_is_made_once(tmp_path):
    spec = {"mini": {"n_train": 2, "n_valid": 2, "n_test": 2}}
    corpora.make(spec, tmp_path / "tiny", {})
    made = sorted(path for path in (tmp_path / "tiny").rglob("*.wav"))
    assert len(made) == 12
    made[0].unlink()
    corpora.make(spec, tmp_path / "tiny", {})
    assert not made[0].exists()
