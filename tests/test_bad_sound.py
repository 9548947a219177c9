"""Damaged sound is told by file name when it is loaded, and good sound passes."""

import numpy as np
import pytest
import soundfile
import torch

from errors import RecipeError
from training.bad_sound import BadSound, BadUtterances, collate, read_checked
from training.data import load_signal

RATE = 16000  # Hz
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, RATE)


def cut_short(path):
    soundfile.write(path, NOISE, RATE)
    path.write_bytes(path.read_bytes()[: RATE // 2])


HARM = {
    "not finite": lambda path: soundfile.write(
        path, np.append(NOISE, np.inf), RATE, subtype="FLOAT"
    ),
    "lasts 0.000 s": lambda path: soundfile.write(path, NOISE[:0], RATE),
    "lasts 0.010 s": lambda path: soundfile.write(path, NOISE[:160], RATE),
    "lasts 600.000 s": lambda path: soundfile.write(path, np.zeros(600 * 100), 100),
    "cut short": cut_short,
    "cannot be read": lambda path: path.write_bytes(b"RIFF but no sound"),
    "cannot be read as sound": lambda path: path.mkdir(),
    "cannot be read as": lambda path: None,  # no file
}


@pytest.mark.parametrize("words", HARM)
def test_each_harm_is_named_with_its_file(tmp_path, words):
    path = tmp_path / "u1.wav"
    HARM[words](path)
    found, _ = read_checked(path, 0.1, 60)
    assert isinstance(found, BadSound) and str(path) in found and words in found


def test_other_rates_and_stereo_are_no_harm(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.stack([NOISE, NOISE], axis=1), 2 * RATE)
    assert load_signal(tmp_path / "a.wav", RATE).shape == (RATE // 2,)


def item(name, noisy, clean):
    return {"id": name, "noisy_sig": noisy, "clean_sig": clean, "words": "A"}


def test_a_batch_keeps_the_good_ones():
    items = [
        item("a", torch.ones(4), torch.ones(4)),
        item("b", BadSound("b.wav is bad"), torch.ones(4)),
        item("c", torch.ones(4), torch.ones(3)),
    ]
    batch = collate(items)
    assert (
        batch.id == ["a"]
        and batch.problems[0] == "b: b.wav is bad"
        and "noisy has 4 samples, clean 3" in batch.problems[1]
    )
    assert len(collate(items[1:])) == 0 and len(collate(items[1:]).problems) == 2


def test_error_stops_and_skip_counts_and_tells_once(caplog):
    with pytest.raises(RecipeError, match="(?s)b is bad.*on_bad_utterance=skip"):
        BadUtterances("error").meet(["b is bad"])
    bad = BadUtterances("skip")
    assert [bad.meet(["b is bad"]), bad.meet([]), bad.meet(["b is bad"])] == [1, 0, 1]
    assert caplog.text.count("b is bad") == 1
    with pytest.raises(RecipeError, match="of nothing else stops"):
        bad.meet(["b is bad"], may_be_empty=False)


def test_a_batch_padded_to_a_multiple_keeps_its_sound_and_lengths():
    items = [
        {"id": str(n), "noisy_sig": torch.ones(n), "clean_sig": torch.ones(n)} for n in (7, 12)
    ]
    batch = collate(items, multiple=10)
    for sound, lens in (batch.noisy_sig, batch.clean_sig):
        assert sound.shape == (2, 20) and sound.sum(dim=1).tolist() == [7, 12]
        assert (lens * 20).round().tolist() == [7, 12]
    assert collate(items).noisy_sig.data.shape == (2, 12)
