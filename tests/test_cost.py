"""What a run says of its cost."""

from types import SimpleNamespace

import psutil
import torch

from training.cost import Stopwatch, peak_memory, write_cost


def test_a_resumed_run_counts_on(tmp_path):
    first, second = Stopwatch(), Stopwatch()
    first.seconds = 12.5
    first.save(tmp_path / "stopwatch.ckpt")
    second.load(tmp_path / "stopwatch.ckpt", end_of_epoch=True)
    second.start()
    second.stop()
    assert 12.5 <= second.seconds < 13


def test_peak_memory_is_no_less_than_what_is_held_now():
    held = psutil.Process().memory_info().rss / 1e9
    assert 0.95 * held < peak_memory()["peak_memory_gb"] < psutil.virtual_memory().total / 1e9


def test_the_file_tells_working_modules_from_judges(tmp_path):
    modules = {"enhance_model": torch.nn.Linear(2, 3), "judge": torch.nn.Linear(1, 1)}
    brain = SimpleNamespace(
        modules=modules, stopwatch=Stopwatch(), hparams=SimpleNamespace(output_folder=tmp_path)
    )
    write_cost(brain, {"enhance_model"})
    text = (tmp_path / "cost.json").read_text()
    assert (
        '"parameters": 9,\n   "used": true' in text and '"parameters": 2,\n   "used": false' in text
    )
