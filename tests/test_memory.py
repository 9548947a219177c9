"""What a frozen network made of an utterance is computed once, and does not depend on the batch."""

import torch

from training.memory import Memory


def counting(calls):
    """A network that notes the lengths that it is called with."""

    def compute(signal):
        calls.append(signal.shape[1])
        return signal * 2

    return compute


def batch():
    """Two signals, the second half as long as the first."""
    signals = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 0.0, 0.0]])
    return signals, torch.tensor([1.0, 0.5])


def test_each_utterance_is_computed_once_and_without_its_padding():
    calls, memory = [], Memory(limit_mb=1)
    signals, lens = batch()
    first = memory.recall(["a", "b"], signals, lens, counting(calls))
    again = memory.recall(["b", "a"], signals.flip(0), lens.flip(0), counting(calls))
    assert calls == [4, 2]
    assert first.tolist() == [[2, 4, 6, 8], [10, 12, 0, 0]]
    assert torch.equal(first, again.flip(0))


def test_shorter_outputs_are_padded_to_the_batch():
    memory = Memory(limit_mb=1)
    signals, _ = batch()
    assert memory.recall(["b"], signals[1:], torch.tensor([0.5]), counting([])).tolist() == [
        [10, 12, 0, 0]
    ]


def test_beyond_its_size_it_computes_each_time():
    calls, memory = [], Memory(limit_mb=16e-6)  # room for the first signal only
    signals, lens = batch()
    for _ in range(2):
        memory.recall(["a", "b"], signals, lens, counting(calls))
    assert calls == [4, 2, 2]
    assert set(memory.kept) == {"a"}


def test_lengths_that_recur_when_told_and_the_same_length_back():
    calls, memory = [], Memory(limit_mb=1)
    signals, lens = batch()
    found = memory.recall(["a", "b"], signals, lens, counting(calls), multiple=3)
    assert calls == [6, 3] and found.tolist() == [[2, 4, 6, 8], [10, 12, 0, 0]]
