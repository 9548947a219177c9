"""``python -m experiments.gpu``: at small scale, and with a stand-in for training."""

import json
import time

import pytest
from test_results import set_up
from tiny import make_corpus

from experiments import gpu


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe whose training is a stand-in, with a plan; it takes the place of this one."""
    (tmp_path / "recipe").mkdir()
    monkeypatch.setattr(gpu, "ROOT", set_up(tmp_path / "recipe"))
    return gpu.ROOT


@pytest.mark.slow
def test_all_stages_are_measured_both_ways(tmp_path, monkeypatch):
    monkeypatch.chdir(gpu.ROOT)
    monkeypatch.setattr(gpu, "learn", lambda *_: None)
    data = f"--data_folder={make_corpus(tmp_path)}"
    gpu.main([f"--output={tmp_path}", data, "--small", "--minutes=60"])
    rows = [json.loads(line) for line in (tmp_path / "speed.jsonl").read_text().splitlines()]
    found = [(row["work"], row["side"], row["batch"]) for row in rows]
    assert found == [(w, *s) for w in gpu.WORK for s in (("plain", 2), ("here", 2), ("here", 4))]
    for row in rows:
        assert row["rate"] > 0 and row["share"] > 0 and row["launches"] > 100, row
        assert len(row["largest"]) == 5 and row["waits"] == 0, row
    report = (tmp_path / "report.md").read_text()
    assert all(f"| {' | '.join(map(str, key))} |" in report for key in found)


def test_what_fails_is_told_and_the_others_are_measured(tmp_path, monkeypatch):
    class Side:
        def __init__(self, work, side, batch, *_):
            if batch == 64:
                raise RuntimeError("out of memory\nand more")
            self.side, self.batch, self.rates, self.step = side, batch, [], None

        def look_inside(self):
            return {"operations": 1e9}

    monkeypatch.setattr(gpu, "Side", Side)
    monkeypatch.setattr(gpu, "timed", lambda *_: 0.5)
    sides = [("plain", 8), ("here", 64), ("here", 16)]
    assert gpu.measure("stage 1", sides, [], tmp_path, {}) == 16
    rows = [json.loads(line) for line in (tmp_path / "speed.jsonl").read_text().splitlines()]
    assert [row.get("failed") for row in rows] == ["out of memory", None, None]
    assert [row["rate"] for row in rows[1:]] == [80, 160] and rows[2]["against_plain"] == 2


def test_measuring_ends_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "measure", lambda *_: time.sleep(60))
    begin = time.monotonic()
    gpu.speed(tmp_path, "", small=True, seconds=1)
    assert time.monotonic() - begin < 30


@pytest.mark.slow
def test_the_table_of_a_plan_and_the_tests_are_left(recipe, tmp_path):
    gpu.learn(
        tmp_path, ["--plan=plan.yaml", "--seeds", "1", "--rows", "mse"], time.monotonic() + 99
    )
    assert "frozen, MSE" in (tmp_path / "plan.md").read_text()
    assert (tmp_path / "plan.json").exists() and "finished" in (
        tmp_path / "results.txt"
    ).read_text()
    assert "test_gpu.py" in (tmp_path / "tests.txt").read_text()


@pytest.mark.slow
def test_at_the_end_of_the_time_runs_stop_and_what_is_finished_is_in_the_table(recipe, tmp_path):
    plan = (recipe / "plan.yaml").read_text().replace("mimic_weight: null", "seconds: 99")
    (recipe / "plan.yaml").write_text(plan)
    begin = time.monotonic()
    gpu.learn(tmp_path, ["--plan=plan.yaml", "--jobs=2", "--seeds", "1"], begin + 20)
    assert time.monotonic() - begin < 80
    assert "| noisy |" in (tmp_path / "plan.md").read_text()
