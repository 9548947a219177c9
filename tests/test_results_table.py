"""Statistics, text and figure of the table, on made-up scores."""

import json

import numpy as np
import pytest

from results_table.figure import draw
from results_table.intervals import estimate, off_zero
from results_table.markdown import markdown
from results_table.plan import read_plan
from results_table.records import METRICS, column, difference
from results_table.runs import Runs
from results_table.state import States, write_record
from results_table.table import build_table
from scoring import bootstrap

RNG = np.random.default_rng(0)
PLAN = """
seeds: [1, 2]
common: {}
runs:
  mse: {stage: enhance_mimic}
adapted: {stage: robust_asr, set: {score_sets: [valid, test]}}
independent: {stage: robust_asr, set: {number_of_epochs: 0, score_sets: [valid, test]}}
rows:
  noisy: {title: noisy, input: {}}
  mse: {title: "frozen, MSE", enhancer: mse, input: {pretrained_enhance_path: "{mse}/enhance_model.ckpt"}}
  later: {title: not run yet, input: {}}
order: [[noisy, mse, later]]
differences:
  - {title: MSE - noisy, of: mse, minus: noisy}
  - {title: later - MSE, of: later, minus: mse}
"""


def scores(mean, seeds=(1, 2, 3), prefix="u", count=50):
    """A column of made-up scores."""
    return {(s,): {f"{prefix}{i}": (mean + RNG.normal(), 1.0) for i in range(count)} for s in seeds}


def plain(values):
    return {
        seed: {utt: pair[0] for utt, pair in by_utt.items()} for (seed,), by_utt in values.items()
    }


def test_a_paired_interval_agrees_with_the_seeded_bootstrap():
    a, b = scores(2.5), scores(2.0)
    found = estimate(difference(a, b))
    low, high = bootstrap.seeded_interval(plain(a), plain(b))
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=0.1 * (high - low))
    assert found["value"] == pytest.approx(np.mean(list(found["seeds"].values()))) and off_zero(
        found
    )


def test_a_rate_divides_sums():
    errors = {
        (1,): {"a": (100.0, 10.0), "b": (0.0, 30.0)},
        (2,): {"a": (300.0, 10.0), "b": (0.0, 30.0)},
    }
    found = estimate(errors)
    assert (
        found["value"] == 5.0
        and found["seeds"] == {1: 2.5, 2: 7.5}
        and found["low"] <= 2.5 <= 7.5 <= found["high"]
    )


def test_seeds_that_share_utterances_vary_together_and_rotated_ones_do_not():
    hard = {f"u{i}": (float(i), 1.0) for i in range(40)}
    shared = estimate({(seed,): hard for seed in range(6)})
    rotated = estimate(
        {(seed,): {f"{seed}{utt}": value for utt, value in hard.items()} for seed in range(6)}
    )
    assert shared["value"] == rotated["value"]
    assert rotated["high"] - rotated["low"] < 0.7 * (shared["high"] - shared["low"])


def test_what_was_refused_in_one_row_is_left_out_of_the_pair():
    a, b = scores(1.0, [1]), scores(1.0, [1])
    del a[1,]["u3"], b[1,]["u4"]
    assert len(difference(a, b)[1,]) == 48
    assert estimate({}) is None and not difference(a, {(2,): b[1,]})


def test_crossed_seeds_are_drawn_apart():
    """Enhancer 1 is better by 1 and recognizer 1 by 10: pairs of enhancers hide the recognizers, single values do not."""
    worth = {(e, r): e + 10.0 * r for e in (1, 2) for r in (1, 2)}
    found = estimate(
        {key: {f"u{i}": (value, 1.0) for i in range(9)} for key, value in worth.items()}
    )
    assert found["value"] == 16.5 and found["seeds"] == {1: 16.0, 2: 17.0}
    assert (found["low"], found["high"]) == (11.0, 22.0)
    flat = {key: {f"u{i}": (10.0 * key[1], 1.0) for i in range(9)} for key in worth}
    paired = estimate(
        difference(
            {k: {u: (v[0] + 1, 1.0) for u, v in scores.items()} for k, scores in flat.items()}, flat
        )
    )
    assert (paired["low"], paired["value"], paired["high"]) == (1.0, 1.0, 1.0)


def write_run(run, wer, pesq):
    """The files of a finished run with made-up scores."""
    run.folder.mkdir(parents=True)
    for name, count in (("averaged_valid", 10), ("test", 30)):
        records = [
            {
                "id": f"{name}{i}",
                "pesq": pesq + i / 100,
                "word_errors": wer,
                "words": 10,
                "char_errors": 1,
                "chars": 50,
            }
            for i in range(count)
        ]
        records[0]["pesq"] = None
        (run.folder / f"{name}_utterances.jsonl").write_text(
            "".join(json.dumps(r) + "\n" for r in records)
        )
        (run.folder / f"{name}_stats.txt").write_text("")
    modules = {
        "enhance_model": {"parameters": 2_000_000, "used": True},
        "judge": {"parameters": 9, "used": False},
    }
    (run.folder / "cost.json").write_text(
        json.dumps({"training_seconds": 90, "peak_memory_gb": 1.5, "modules": modules})
    )
    write_record(
        run,
        status="finished",
        minutes=2.0,
        finished=1.0,
        **{"from": {n.name: 1.0 for n in run.needs}},
    )


@pytest.fixture
def table(tmp_path):
    """A table of two rows with two seeds, and one that has not been run."""
    (tmp_path / "plan.yaml").write_text(PLAN)
    runs = Runs(read_plan(tmp_path / "plan.yaml"), tmp_path)
    for row, wer, pesq in (("noisy", 4, 1.5), ("mse", 3, 2.0)):
        for seed in (1, 2):
            for run in runs.of_row(runs.plan.rows[row], seed):
                write_run(run, wer + seed if run.name.startswith("independent") else wer, pesq)
    return build_table(runs, States(), [1, 2])


def test_the_table_holds_means_rates_pairs_and_costs(table):
    noisy, mse, later = table["rows"]
    assert mse["metrics"]["pesq"]["value"] == pytest.approx(
        2.0 + np.mean(range(1, 30)) / 100
    )  # of the test set alone
    assert mse["metrics"]["wer"]["value"] == 30 and noisy["metrics"]["wer_independent"][
        "value"
    ] == pytest.approx(55)
    assert mse["training_minutes"] == {"mse": 1.5, "adapted_mse": 1.5} and mse["parameters_m"] == 2
    assert later["metrics"]["pesq"] is None and later["parameters_m"] is None
    pair = table["differences"][0]["metrics"]
    assert pair["wer"]["value"] == -10 and pair["pesq"]["low"] == pytest.approx(0.5)
    assert json.loads(json.dumps(table))["rows"][1]["title"] == "frozen, MSE"


def test_word_errors_count_validation_and_test_together(tmp_path):
    for name, errors in (("averaged_valid", 5), ("test", 1)):
        (tmp_path / f"{name}_utterances.jsonl").write_text(
            json.dumps({"id": name, "word_errors": errors, "words": 10})
        )
    wer = next(metric for metric in METRICS if metric.name == "wer")
    assert estimate(column(wer, {(1,): tmp_path}))["value"] == 30


def test_the_text_says_it_all(table):
    text = markdown({**table, "command": "python results.py --data words"})
    assert (
        "| frozen, MSE | 2 | 2.15 [" in text
        and "Not run yet: not run yet." in text
        and "later - MSE" not in text
    )
    assert (
        "30.0 [30.0, 30.0]" in text
        and "1.5 + 1.5" in text
        and "1.5 GB" in text
        and "2.00 M" in text
    )
    assert (
        "| MSE - noisy | **+0.500** [+0.500, +0.500]" in text and "**-10.0** [-10.0, -10.0]" in text
    )
    assert "STOI |" not in text.split("\n")[0]  # nothing has a STOI
    assert text.count("python train.py hparams/") == 7  # commands of one seed
    assert "Of seed 1; `python results.py --data words` runs them all." in text


def test_the_figure_is_drawn(table, tmp_path):
    draw(table, tmp_path / "table.png")
    assert (tmp_path / "table.png").read_bytes()[:4] == b"\x89PNG"
