"""The frozen enhancer's speech is computed once for each utterance of a set, without padding."""

import errno
import os

import pytest
import torch

from training.cache import Cache

SIGNALS = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 0.0, 0.0]])
LENS = torch.tensor([1.0, 0.5])


class Doubling:
    """A network that notes the lengths that it is called with."""

    def __init__(self):
        self.calls = []

    def __call__(self, signal):
        self.calls.append(signal.shape[1])
        return signal * 2


def test_each_utterance_is_computed_once_and_without_its_padding(tmp_path):
    compute, cache = Doubling(), Cache(tmp_path)
    first = cache.recall("train", ["a", "b"], SIGNALS, LENS, compute)
    again = cache.recall("train", ["b", "a"], SIGNALS.flip(0), LENS.flip(0), compute)
    assert compute.calls == [4, 2]
    assert first.tolist() == [[2, 4, 6, 8], [10, 12, 0, 0]]
    assert torch.equal(first, again.flip(0))


def test_equal_ids_of_two_sets_are_two_utterances(tmp_path):
    compute, cache = Doubling(), Cache(tmp_path)
    cache.recall("train", ["a"], SIGNALS[:1], torch.ones(1), compute)
    found = cache.recall("valid", ["a"], SIGNALS[1:, :2], torch.ones(1), compute)
    assert found.tolist() == [[10, 12]]


def test_more_than_a_gigabyte_is_kept_and_nothing_is_left_in_the_folder(tmp_path):
    compute, cache = Doubling(), Cache(tmp_path)
    cache.end = 2 * 10**9  # the file has a hole there, which takes no room
    for _ in range(2):
        cache.recall("train", ["a", "b"], SIGNALS, LENS, compute)
    assert compute.calls == [4, 2]
    del cache
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("room", [0, 10])  # bytes: refused, or written in part
def test_a_full_disk_ends_the_caching_with_one_warning(tmp_path, caplog, room):
    class FullDisk:
        def seek(self, offset):
            pass

        def write(self, samples):
            if room:
                return room
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    compute, cache = Doubling(), Cache(tmp_path)
    cache.file = FullDisk()
    for _ in range(2):
        found = cache.recall("train", ["a", "b"], SIGNALS, LENS, compute)
        assert found.tolist() == [[2, 4, 6, 8], [10, 12, 0, 0]]
    assert compute.calls == [4, 2, 4, 2] and len(caplog.records) == 1
