"""Running a plan: what is finished stays, what failed is told, what changed is made again."""

import json
import signal
import time

import psutil
import pytest

from errors import RecipeError
from results import Seldom
from results_table import campaign, child, state
from results_table.campaign import Campaign
from results_table.child import Child
from results_table.estimates import estimate, minutes_left, minutes_spent
from results_table.locking import only_one
from results_table.runs import Run
from results_table.state import States, foreign, read_record, write_record

FAKE = """
import os, pathlib, sys, time
from joblib import Parallel, delayed
options = dict(a[2:].split("=", 1) for a in sys.argv[2:] if "=" in a)
folder = pathlib.Path(options["output_folder"])
print("threads", os.environ["OMP_NUM_THREADS"])
(folder / "began").touch()
(folder / "pid").write_text(str(os.getpid()))
time.sleep(float(options.get("lr", 0)))
with open(folder / "calls", "a") as calls: calls.write("x")
if options.get("precision") == "bad":
    sys.exit("the reason")
if options.get("num_workers"):
    assert list(Parallel(int(options["num_workers"]))(delayed(abs)(i) for i in (-1, 2))) == [1, 2]
for name in ("test_stats.txt", "test_utterances.jsonl"): (folder / name).write_text("")
(folder / "cost.json").write_text("{}")
"""


@pytest.fixture(autouse=True)
def fake_training(tmp_path, monkeypatch):
    """A stand-in for train.py: ``lr`` seconds of work, failing where ``precision`` is bad."""
    (tmp_path / "fake.py").write_text(FAKE)
    monkeypatch.setattr(child, "TRAIN", tmp_path / "fake.py")
    monkeypatch.setattr(campaign, "POLL", 0.01)


def a_run(tmp_path, name, *needs, seed=1, **overrides):
    place = str(tmp_path / name / str(seed))
    return Run(
        name,
        seed,
        "enhance_mimic",
        place,
        tuple({"output_folder": place, **overrides}.items()),
        needs,
    )


def carry_out(*runs, jobs=1):
    """Run a campaign; returns (all went well, lines said)."""
    said = []
    return Campaign(list(runs), States(), jobs, said.append).run(), said


def calls(run):
    return len((run.folder / "calls").read_text())


def test_finished_runs_are_not_run_again(tmp_path):
    first = a_run(tmp_path, "first")
    second = a_run(tmp_path, "second", first)
    assert carry_out(first, second)[0] and carry_out(first, second)[0]
    assert calls(first) == calls(second) == 1
    assert read_record(second)["status"] == "finished" and read_record(second)["minutes"] > 0


@pytest.mark.parametrize("loss", ["test_stats.txt", "test_utterances.jsonl", "run.json"])
def test_a_run_without_its_files_is_run_again(tmp_path, loss):
    run = a_run(tmp_path, "run")
    carry_out(run)
    (run.folder / loss).unlink()
    carry_out(run)
    assert calls(run) == 2


def test_a_changed_command_starts_anew_with_all_that_needs_it(tmp_path):
    first = a_run(tmp_path, "first")
    carry_out(first, a_run(tmp_path, "second", first))
    changed = a_run(tmp_path, "first", number_of_epochs=7)
    second = a_run(tmp_path, "second", changed)
    _, said = carry_out(changed, second)
    assert any("its command has changed" in line for line in said)
    assert any("a run that it was made from has changed" in line for line in said)
    assert calls(changed) == calls(second) == 1  # in new folders
    assert len(list((tmp_path / "first").glob("1.before_*/calls"))) == 1  # the old one is kept


def test_changed_defaults_start_anew_and_are_named(tmp_path):
    run = a_run(tmp_path, "run", preset="mini")
    carry_out(run)
    (run.folder / "hyperparams.yaml").write_text(
        "mimic_ratio: 3.5\nunknown_now: 1\nlr_schedule: linear\n"
    )
    write_record(run, yaml="of another day")
    _, said = carry_out(run)
    assert any("settings have changed: mimic_ratio 3.5 -> " in line for line in said)


def test_the_yaml_is_read_key_by_key_only_where_it_has_changed(tmp_path, monkeypatch):
    run = a_run(tmp_path, "run", preset="mini")
    carry_out(run)
    asked = []
    monkeypatch.setattr(state, "changed_settings", lambda run: asked.append(run) or [])
    assert not foreign(run) and not asked
    write_record(run, yaml="of another day")
    assert not foreign(run) and asked == [run]


def test_a_failure_is_told_and_the_others_go_on(tmp_path):
    bad = a_run(tmp_path, "bad", precision="bad")
    behind, other = a_run(tmp_path, "behind", bad), a_run(tmp_path, "other")
    well, said = carry_out(bad, behind, other)
    assert (
        not well
        and read_record(bad)["status"] == "failed"
        and read_record(other)["status"] == "finished"
    )
    assert any(
        "bad seed 1: failed with exit code 1" in line and "the reason" in line for line in said
    )
    assert any(
        "behind seed 1: not started: it needs bad seed 1, which failed" in line for line in said
    )
    assert not behind.folder.exists()


def test_runs_side_by_side_share_the_cores(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # which would be taken in its place
    monkeypatch.setattr(campaign, "cores", lambda: 6)
    runs = [a_run(tmp_path, f"run{i}", lr=1.0) for i in range(3)]
    assert carry_out(*runs, jobs=3)[0]
    began, ended = (
        [(run.folder / name).stat().st_mtime for run in runs] for name in ("began", "cost.json")
    )
    assert max(began) < min(ended)
    assert (runs[0].folder / "output.txt").read_text() == "threads 2\n"


def test_a_run_ends_with_its_work_whatever_it_has_left_idle(tmp_path):
    began = time.monotonic()
    assert carry_out(a_run(tmp_path, "run", num_workers=2))[0]
    assert time.monotonic() - began < 60  # joblib's idle workers live for 300 s


def test_a_run_that_a_killed_campaign_leaves_keeps_the_folder(tmp_path):
    run = a_run(tmp_path, "run", lr=60)
    run.folder.mkdir(parents=True)
    with only_one(tmp_path) as lock:
        left = Child(run, 0.0, 1, (lock,))
        while not (run.folder / "pid").exists():
            time.sleep(0.01)
    with pytest.raises(RecipeError, match="a run that it left, works there"), only_one(tmp_path):
        pass
    left.end(0)
    with only_one(tmp_path):
        assert left.poll() == -signal.SIGKILL


def test_an_interruption_ends_the_children_and_the_next_start_goes_on(tmp_path):
    slow, quick = a_run(tmp_path, "slow", lr=60), a_run(tmp_path, "quick", lr=0.5)

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Campaign([slow, quick], States(), 2, lambda line: None).run(interrupt)
    assert not psutil.pid_exists(int((slow.folder / "pid").read_text()))
    assert read_record(slow)["status"] == "stopped" and read_record(quick)["status"] == "finished"
    campaign_again = Campaign([slow, quick], States(), 1, lambda line: None)
    assert campaign_again.waiting == [slow]


def test_estimates_come_from_what_is_most_alike(tmp_path):
    done, other_seed = a_run(tmp_path, "mse"), a_run(tmp_path, "mse", seed=2)
    carry_out(done)
    record = read_record(done)
    (done.folder / "run.json").write_text(json.dumps({**record, "minutes": 6.0}))
    like, unlike = a_run(tmp_path, "mimic"), a_run(tmp_path, "scored", number_of_epochs=0)
    assert (
        estimate(other_seed, minutes_spent([done])) == 6.0 == estimate(like, minutes_spent([done]))
    )
    assert estimate(unlike, minutes_spent([done])) is None
    assert minutes_left([other_seed, like, unlike], [done], jobs=2) == (6.0, 1)


def test_the_table_is_written_at_most_so_often():
    written = []
    write = Seldom(lambda: written.append(time.monotonic()), seconds=0.05)
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        write()
    assert 2 <= len(written) <= 7 and min(b - a for a, b in zip(written, written[1:])) >= 0.05
