"""``python results.py``, as a user types it, with a tiny stand-in for train.py."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.runner import PACKAGES

ROOT = Path(__file__).parent.parent
FAKE = """
import json, os, pathlib, sys, time
options = dict(argument[2:].split("=", 1) for argument in sys.argv[2:] if "=" in argument)
folder = pathlib.Path(options["output_folder"])
(folder / "calls").open("a").write("x")
(folder / "pid").write_text(str(os.getpid()))
time.sleep(float(options.get("seconds", 0)))
if "bad" in options:
    sys.exit("the reason")
for key, value in options.items():
    if key.endswith("_path"):
        assert pathlib.Path(value).exists(), value
(folder / "enhance_model.ckpt").touch()
errors = 1 if "pretrained_enhance_path" in options else 3
records = [{"id": f"u{i}", "pesq": 4.0 - errors, "covl": None, "word_errors": errors, "words": 10,
            "char_errors": errors, "chars": 40} for i in range(9)]
(folder / "test_utterances.jsonl").write_text("".join(json.dumps(r) + "\\n" for r in records))
modules = {"encoder": {"parameters": 2_000_000, "used": True},
           "perceptual_model": {"parameters": 5, "used": False}}
(folder / "cost.json").write_text(json.dumps({"training_seconds": 90.0, "modules": modules}))
"""
PLAN = """
seeds: [1, 2]
runs:
  mse: {stage: enhance_mimic, set: {mimic_weight: null}}
each_row:
  adapted: {stage: robust_asr}
  independent: {stage: robust_asr, set: {number_of_epochs: 0}}
rows:
  noisy: {title: noisy, set: {input_signal: noisy}}
  mse: {title: "frozen, MSE", enhancer: mse}
differences: [{title: MSE - noisy, of: mse, minus: noisy}]
"""


@pytest.fixture
def recipe(tmp_path):
    """The command in a folder of its own, with a stand-in for training, and a plan."""
    return set_up(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The recipe with a whole table, and what the command printed."""
    recipe = set_up(tmp_path_factory.mktemp("whole"))
    return recipe, results(recipe)


@pytest.fixture
def begun(whole, tmp_path):
    """A copy of the recipe in which one seed of all runs is finished."""
    return Path(shutil.copytree(whole[0], tmp_path / "begun"))


def set_up(tmp_path):
    shutil.copy(ROOT / "results.py", tmp_path)
    shutil.copy(ROOT / "errors.py", tmp_path)
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    for name in PACKAGES:
        (tmp_path / name).mkdir()
    (tmp_path / "data_prep.py").touch()
    needed = ("corpus/files", "scoring/bootstrap", "scoring/metrics", "scoring/scoreboard")
    for name in ("corpus/__init__", "scoring/__init__", *needed):
        shutil.copy(ROOT / f"{name}.py", tmp_path / f"{name}.py")
    (tmp_path / "train.py").write_text(FAKE)
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path


def command(recipe, *options):
    return [sys.executable, "results.py", "--plan", "plan.yaml", "--jobs", "2", *options]


def results(recipe, *options):
    """Run the command to its end."""
    return subprocess.run(
        command(recipe, *options), cwd=recipe, capture_output=True, text=True, timeout=60
    )


def runs_of(recipe):
    """Run folder name/seed -> how often training was called there."""
    calls = sorted((recipe / "results/tables/plan").glob("*/runs/*/*/calls"))
    return {f"{c.parent.parent.name}/{c.parent.name}": len(c.read_text()) for c in calls}


def table_of(recipe):
    (path,) = (recipe / "results/tables/plan").glob("*/plan.json")
    return json.loads(path.read_text())


def test_the_command_runs_all_rows_and_writes_table_json_and_figure(whole):
    recipe, done = whole
    assert done.returncode == 0, done.stderr
    names = ("mse", "adapted_mse", "adapted_noisy", "independent_mse", "independent_noisy")
    assert runs_of(recipe) == {f"{name}/{seed}": 1 for name in names for seed in (1, 2)}
    noisy, mse = table_of(recipe)["rows"]
    assert noisy["metrics"]["wer"]["value"] == 30 and mse["metrics"]["pesq"]["value"] == 3
    assert noisy["metrics"]["wer"]["seeds"] == {"1": 30, "2": 30}
    assert mse["minutes"] == {"mse": 1.5, "adapted_mse": 1.5} and mse["parameters_m"] == 2
    (pair,) = table_of(recipe)["differences"]
    assert pair["metrics"]["wer"]["high"] == -20 == pair["metrics"]["wer_independent"]["value"]
    assert "| frozen, MSE | 2 | 3.00 | - |" not in done.stdout  # nothing has an eSTOI
    assert "| frozen, MSE | 2 | 3.00 | 10.0 | 2.5 | 10.0 | 2.00 M | 1.5 + 1.5 |" in done.stdout
    assert "| MSE - noisy | **+2.000** [+2.000, +2.000] | **-20.0** [-20.0, -20.0]" in done.stdout
    (picture,) = (recipe / "results/tables/plan").glob("*/plan.png")
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_a_relative_folder_counts_from_where_it_is_typed_and_stays_relative(recipe):
    """The commands in a table's JSON hold no path of the machine that made it."""
    text = PLAN.replace("mimic_weight: null", 'data_path: "{shared}/speech"')
    (recipe / "plan.yaml").write_text(text)
    (recipe.parent / "speech").mkdir()
    line = [sys.executable, "../results.py", "--plan", "../plan.yaml", "--shared_data", "../.."]
    subprocess.run([*line, "--seeds", "1"], cwd=recipe / "corpus", check=True, timeout=60)
    assert runs_of(recipe)["mse/1"] == 1
    (record,) = (recipe / "results/tables/plan").glob("*/runs/mse/1/run.json")
    assert "--data_path=../speech" in record.read_text()


def test_what_is_finished_is_not_run_again(begun):
    done = results(begun, "--seeds", "1", "3", "--rows", "noisy")
    assert "2 of 4 runs are finished" in done.stdout
    assert set(runs_of(begun).values()) == {1} and runs_of(begun)["adapted_noisy/3"] == 1
    shown = results(begun, "--dry_run").stdout
    assert "0 runs are left" in shown and "min" not in shown


def test_dry_run_lists_what_is_left_and_runs_nothing(recipe):
    done = results(recipe, "--dry_run", "--rows", "mse", "--seeds", "1")
    lines = [f"left     {name} seed 1" for name in ("mse", "adapted_mse", "independent_mse")]
    assert done.stdout.splitlines()[:4] == [*lines, "3 runs are left."]
    assert not (recipe / "results").exists()


def test_runs_of_another_version_of_the_code_are_told_and_not_mixed(begun):
    before = table_of(begun)["code"]
    (begun / "models/losses.py").write_text("changed = True\n")
    done = results(begun, "--rows", "mse", "--seeds", "1")
    assert f"Not in its table: {before}." in done.stdout
    paths = (begun / "results/tables/plan").glob("*/plan.json")
    (path,) = (path for path in paths if path.parent.name != before)
    noisy, mse = json.loads(path.read_text())["rows"]
    assert not any(noisy["metrics"].values()) and list(mse["metrics"]["wer"]["seeds"]) == ["1"]
    assert "Not run yet: noisy." in path.with_suffix(".md").read_text()


def test_a_user_may_say_that_a_change_moves_no_result(begun):
    code = table_of(begun)["code"]
    (begun / "models/losses.py").write_text("# a comment\n")
    done = results(begun, "--seeds", "1", "3", "--rows", "noisy", "--code", code)
    assert "2 of 4 runs are finished" in done.stdout
    assert set(table_of(begun)["rows"][0]["metrics"]["wer"]["seeds"]) == {"1", "3"}


def test_a_changed_command_starts_again_with_all_that_needs_it(begun):
    (begun / "plan.yaml").write_text(PLAN.replace("mimic_weight: null", "mimic_weight: 0.5"))
    done = results(begun, "--seeds", "1")
    assert done.stdout.count("its command has changed; the old run is kept in") == 3
    found = runs_of(begun)
    assert found["adapted_noisy/1"] == found["mse/1"] == found["adapted_mse/1"] == 1
    assert sum(name.startswith("adapted_mse/1.") for name in found) == 1  # the old one


def test_a_failure_is_told_and_the_others_go_on(recipe):
    (recipe / "plan.yaml").write_text(PLAN.replace("mimic_weight: null", "bad: 1"))
    done = results(recipe, "--seeds", "1")
    assert done.returncode == 1
    assert "mse seed 1: failed\n    the reason\n    Command: python train.py hparams" in done.stdout
    assert "adapted_mse seed 1: not started" in done.stdout
    assert runs_of(recipe) == {"mse/1": 1, "adapted_noisy/1": 1, "independent_noisy/1": 1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_command_ends_its_runs_and_goes_on_the_next_time(recipe, number):
    (recipe / "plan.yaml").write_text(PLAN.replace("mimic_weight: null", "seconds: 30"))
    options = ("--seeds", "1", "--rows", "mse")
    process = subprocess.Popen(
        command(recipe, *options), cwd=recipe, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    pid = wait_for(lambda: next(recipe.glob("results/tables/plan/*/runs/mse/1/pid"), None))
    wait_for(pid.read_text)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    train = (recipe / "train.py").read_text()
    (recipe / "train.py").write_text(train.replace("time.sleep", "str"))
    done = results(recipe, *options, "--code", pid.parents[3].name)
    assert "mse seed 1: goes on" in done.stdout and runs_of(recipe)["mse/1"] == 2


def wait_for(found, seconds=30):
    """What a function returns as soon as it is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.02)
    raise AssertionError("nothing came")


def test_code_that_changes_while_runs_are_made_stops_the_command(recipe):
    change = 'open("errors.py", "a").write("# changed\\n")\n'
    (recipe / "train.py").write_text(FAKE + change)
    done = results(recipe, "--seeds", "1", "--jobs", "1")
    assert done.returncode == 2 and "The code has changed" in done.stderr
    assert len(runs_of(recipe)) == 1


@pytest.mark.parametrize(
    "options, words",
    [
        (["--set", "oops"], "'oops' is not KEY=VALUE"),
        (["--set", "lr=[1"], "--set lr: this is not YAML"),
        (["--rows", "mes"], "'mes' is not one of noisy, mse"),
        (["--plan", "digits"], "there is no 'digits'. Accepted: mini, published, real, words"),
        (["--jobs", "0"], "accepted are whole numbers from 1"),
    ],
)
def test_mistakes_are_told_in_one_line(recipe, options, words):
    done = results(recipe, *options)
    assert done.returncode == 2 and words in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_table_by_real_training(tmp_path):
    plan = """
seeds: [1]
common: {preset: mini, precision: fp32, number_of_epochs: 1, figures: False, tensorboard: False}
data: {tiny: {mini: {n_train: 10, n_valid: 3, n_test: 3}}}
runs:
  mse:
    stage: enhance_mimic
    set: {data_folder: "{tiny}", valid_speakers: [p226, p287], mimic_weight: null, test_metrics: []}
each_row:
  adapted: {stage: robust_asr, set: {data_folder: "{tiny}", test_metrics: [wer, cer, pesq]}}
rows:
  noisy: {title: noisy, set: {input_signal: noisy}}
  mse: {title: MSE, enhancer: mse}
differences: [{title: MSE - noisy, of: mse, minus: noisy}]
"""
    (tmp_path / "plan.yaml").write_text(plan)
    options = ["--plan", tmp_path / "plan.yaml", "--output_folder", tmp_path / "table"]
    done = subprocess.run(
        [sys.executable, ROOT / "results.py", *options], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (path,) = (tmp_path / "table").glob("*/plan.json")
    noisy, mse = json.loads(path.read_text())["rows"]
    assert 1 < noisy["metrics"]["pesq"]["value"] < 5 and mse["metrics"]["wer"]["value"] > 0
    assert noisy["parameters_m"] < mse["parameters_m"] and mse["minutes"]["mse"] > 0
