"""The pool scores while the networks compute, in order; only what breaks it is lost."""

import os
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import scoring_metrics as bad

from errors import RecipeError
from scoring.pool import MetricPool, free_cores
from scoring.quality import score

ROOT = Path(__file__).resolve().parent.parent
GOOD, MARKED = np.zeros(8), np.full(8, bad.MARK)


def pool_of(score, *arguments, **options):
    """A pool that scores in a way of its own."""
    pool = MetricPool(*arguments, **options)
    pool.score = score
    return pool


def scored(pool, signals):
    """Records of signals that are their own targets."""
    for index, signal in enumerate(signals):
        pool.submit(f"u{index}", signal, GOOD)
    return pool.collect()


def ended(pid, seconds=5):
    """Whether a process ends in time; orphans that nobody reaps have ended too."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_equals_direct_calls_in_order_of_submission():
    rng = np.random.default_rng(0)
    pairs = [rng.standard_normal((2, 16000 - 500 * i)) for i in range(6)]
    pairs.append(np.zeros((2, 8000)))
    with MetricPool(["si_sdr", "stoi"], jobs=2) as pool:
        for index, pair in enumerate(pairs):
            pool.submit(index, *pair)
        records = pool.collect()
        assert pool.collect() == []
    expected = [score(["si_sdr", "stoi"], *pair) for pair in pairs]
    assert [r["id"] for r in records] == list(range(7))
    assert [r["not_scored"] for r in records] == [reasons for _, reasons in expected]
    for record, (scores, _) in zip(records, expected, strict=True):
        # BLAS sums end in other last digits with another number of threads
        assert {name: record[name] for name in scores} == pytest.approx(scores, abs=1e-9)


def test_process_persists_has_no_torch_and_one_thread_and_ends_with_the_pool(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    with pool_of(bad.process, jobs=1) as pool:
        first, second = scored(pool, [GOOD]), scored(pool, [GOOD, GOOD])
        [process] = {r["pid"] for r in first + second}
        assert process != os.getpid()
        assert not first[0]["torch"] and first[0]["threads"] == 1
    assert ended(process)


def test_submits_copies_without_waiting():
    with pool_of(bad.slow, jobs=1) as pool:
        scored(pool, [GOOD])
        start = time.perf_counter()
        for index in range(3):
            pool.submit(index, GOOD, GOOD)
        assert time.perf_counter() - start < 0.5
        pool.collect()
        pool.score, reused = bad.process, np.ones(8)
        pool.submit("a", reused, GOOD)
        reused[:] = 5
        assert pool.collect()[0]["peak"] == 1


@pytest.mark.parametrize(
    "metric, reason",
    [(bad.killed_by_mark, "exit code -9"), (bad.hanging_on_mark, "more than 0.5 s")],
)
def test_broken_process_costs_one_utterance(metric, reason):
    with pool_of(metric, ["si_sdr"], jobs=1, timeout=0.5) as pool:
        records = scored(pool, [GOOD, MARKED, GOOD])
    assert [r["si_sdr"] for r in records] == [1, None, 1]
    assert reason in records[1]["not_scored"]["si_sdr"]


@pytest.mark.slow
def test_process_that_dies_idle_costs_nothing():
    with pool_of(bad.process, jobs=1) as pool:
        [record] = scored(pool, [GOOD])
        psutil.Process(record["pid"]).kill()
        while pool._pool.active:  # it looks after its processes ten times a second
            time.sleep(0.05)
        assert scored(pool, [GOOD])[0]["pid"] != record["pid"]


def test_close_is_prompt_while_an_utterance_hangs():
    pool = pool_of(bad.hanging_on_mark, ["si_sdr"], jobs=1)
    scored(pool, [GOOD])
    for index in range(3):
        pool.submit(index, MARKED, GOOD)
    start = time.monotonic()
    pool.close()
    pool.close()
    assert time.monotonic() - start < 5


SCRIPT = f"""
import os, signal, sys
import numpy as np
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
from scoring.pool import MetricPool
import scoring_metrics
pool = MetricPool(jobs=1)
pool.score = scoring_metrics.process
pool.submit("a", np.zeros(8), np.zeros(8))
print(int(pool.collect()[0]["pid"]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_process_ends_with_its_main_process(end):
    command = [sys.executable, "-c", SCRIPT + end]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ended(int(done.stdout))


def test_main_script_is_not_imported(tmp_path):
    script = tmp_path / "main.py"
    indented = SCRIPT.replace("\n", "\n    ")
    script.write_text(f"print('imported')\nif __name__ == '__main__':{indented}")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=30)
    assert done.stdout.split()[0] == "imported" and len(done.stdout.split()) == 2, done


def test_programming_errors_are_raised():
    with pool_of(bad.failing, jobs=1) as pool, pytest.raises(KeyError, match="mistake"):
        scored(pool, [GOOD])


def test_mistakes_are_told(monkeypatch):
    with pytest.raises(RecipeError, match="nonsense.*pesq"):
        MetricPool(["nonsense"])
    with pytest.raises(RecipeError, match="at least 1"):
        MetricPool(["pesq"], jobs=0)
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # no process can start
    with MetricPool(jobs=1) as pool, pytest.raises(RecipeError, match="No scoring process"):
        scored(pool, [GOOD])


def test_a_pool_that_ended_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("scoring.pool.POLL", 0.01)
    pool = MetricPool(["pesq"], jobs=1)
    pool._pool, pool._submitted = SimpleNamespace(active=False), [("u", ["pesq"], Future())]
    with pytest.raises(RecipeError, match="No scoring process"):
        pool.collect()


def test_ranks_share_the_cores(monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    assert free_cores() == 7
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert free_cores() == 1
