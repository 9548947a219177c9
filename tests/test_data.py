"""What a run reads of its manifests: signals, targets and batches; damaged files are named."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from corpora import RATE, sound
from speechbrain.utils.checkpoints import Checkpointer
from torch.utils.data import DataLoader

from corpus.resampling import resample
from errors import RecipeError
from training.data import (
    BadUtterances,
    build_dataset,
    collate,
    load_pair,
    load_signal,
    make_loaders,
)
from training.tokens import build_tokens

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, RATE)


def write_set(folder, name="train", count=4, seconds=0.4, text=True):
    """A manifest and its sounds, each 0.05 s longer than the one before; returns its path."""
    entries = {}
    for n in range(count):
        entry = {"length": seconds + 0.05 * n, "speaker": "p1"}
        for kind in ("noisy", "clean"):
            path = folder / f"{name}_{n}_{kind}.wav"
            soundfile.write(path, sound(f"{name}{n}{kind}", entry["length"]), RATE)
            entry[f"{kind}_wav"] = f"{{data_root}}/{path.name}"
        if text:
            entry |= {"words": "THE CAT", "phones": "DH AH K AE T"}
        entries[f"{name}/{n}"] = entry
    (folder / f"{name}.json").write_text(json.dumps(entries))
    return str(folder / f"{name}.json")


def options(folder, **changes):
    """A stage's settings as far as its data go."""
    values = dict(data_folder=str(folder), sorting="ascending", seed=1)
    values |= dict(valid_metrics=["pesq"], test_metrics=[])
    values |= dict(max_seconds=60, batch_size=2, batch_seconds=None, valid_batch_size=3)
    values |= {f"{n}_annotation": str(folder / f"{n}.json") for n in ("train", "valid", "test")}
    checkpointer = Checkpointer(folder / "save")
    return {**values, "checkpointer": checkpointer, "num_workers": 0, **changes}


# Signals


def test_another_rate_is_resampled_as_in_the_preparation_of_data(tmp_path):
    soundfile.write(tmp_path / "a.wav", NOISE, 48000, subtype="FLOAT")
    expected = resample(NOISE.astype(np.float32), 48000, RATE)
    found = load_signal(str(tmp_path / "a.wav")).numpy()
    assert found.shape == (-(-RATE // 3),) and np.array_equal(found, expected)


def test_channels_are_averaged(tmp_path):
    path = str(tmp_path / "a.wav")
    soundfile.write(path, np.stack([NOISE, -NOISE], axis=1), RATE)
    assert load_signal(path).abs().max() < 1e-4


def with_streaming_header(path):
    """A whole file whose header does not know its length, as programs write it into pipes."""
    soundfile.write(path, NOISE, RATE)
    data = bytearray(path.read_bytes())
    place = data.index(b"data")
    data[4:8] = data[place + 4 : place + 8] = b"\xff" * 4
    path.write_bytes(data)


def test_a_file_with_a_streaming_header_is_whole(tmp_path):
    with_streaming_header(tmp_path / "a.wav")
    assert load_signal(str(tmp_path / "a.wav")).shape == (RATE,)


def cut_short(path):
    soundfile.write(path, NOISE, RATE)
    path.write_bytes(path.read_bytes()[: RATE // 2])


HARM = {
    "not finite": lambda path: soundfile.write(path, [*NOISE, np.inf], RATE, subtype="FLOAT"),
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
    soundfile.write(tmp_path / "good.wav", NOISE, RATE)
    pair = (str(tmp_path / "good.wav"), str(path))
    for order in (pair, pair[::-1]):
        noisy, clean, problem = load_pair(*order, (0, 1), max_seconds=60)
        assert noisy is clean is None and problem.startswith(str(path)) and words in problem


def test_a_pair_is_parallel(tmp_path):
    for name, samples in (("a", 4000), ("b", 3999)):
        soundfile.write(tmp_path / f"{name}.wav", NOISE[:samples], RATE)
    found = load_pair(str(tmp_path / "a.wav"), str(tmp_path / "b.wav"), (0, 1), 60)
    assert found[:2] == (None, None) and "noisy has 4000 samples, clean 3999" in found[2]


# Datasets


def test_a_manifest_holds_the_texts_of_targets_and_error_rates_and_may_lack_others(tmp_path):
    annotation = Path(write_set(tmp_path))
    annotation.write_text(annotation.read_text().replace('"words"', '"said"'))
    tokens = build_tokens("phones", tmp_path, annotation, 8)
    assert (
        build_dataset(annotation, tokens, data_root=str(tmp_path), rates=["per"])[0]["words"] == ""
    )
    with pytest.raises(RecipeError, match="words is missing"):
        build_dataset(annotation, tokens, rates=["per", "cer"])


@pytest.mark.parametrize("context", ["spawn", "forkserver"])
def test_other_processes_load_the_same_batches(tmp_path, context):
    annotation = write_set(tmp_path)
    tokens = build_tokens("phones", tmp_path, annotation, 8)
    dataset = build_dataset(annotation, tokens, data_root=str(tmp_path))
    load = partial(DataLoader, dataset, batch_size=2, collate_fn=partial(collate, multiple=1600))
    pairs = zip(load(), load(num_workers=1, multiprocessing_context=context), strict=True)
    for here, there in pairs:
        assert here.id == there.id and torch.equal(here.noisy_sig.data, there.noisy_sig.data)
        assert torch.equal(here.tokens.data, there.tokens.data) and there.problems == []


def test_long_utterances_are_read_in_pieces(tmp_path):
    annotation = write_set(tmp_path, seconds=1.0, count=1)
    whole, parts = (
        build_dataset(annotation, None, piece_seconds=seconds, data_root=str(tmp_path))
        for seconds in (None, 0.3)
    )
    assert parts.data_ids == [f"train/0#{n}" for n in (1, 2, 3, 4)]
    assert all(entry["length"] == 0.25 for entry in parts.data.values())
    sounds = [parts[i]["noisy_sig"] for i in range(4)]
    assert torch.equal(torch.cat(sounds), whole[0]["noisy_sig"])


def test_sorting(tmp_path):
    build = partial(build_dataset, write_set(tmp_path), None)
    ascending = [f"train/{n}" for n in range(4)]
    assert build(sorting="descending").data_ids == ascending[::-1]
    assert build(sorting="random").data_ids == build(sorting="ascending").data_ids == ascending


def test_targets_with_their_begin_and_end(tmp_path):
    annotation = write_set(tmp_path)
    tokens = build_tokens("phones", tmp_path, annotation, 8)
    item = build_dataset(annotation, tokens, data_root=str(tmp_path))[0]
    assert item["tokens"].tolist() == tokens.encode("DH AH K AE T").tolist()
    assert item["tokens_bos"].tolist() == [tokens.begin, *item["tokens"]]
    assert item["tokens_eos"].tolist() == [*item["tokens"], tokens.end]
    assert (item["words"], item["phones"]) == ("THE CAT", "DH AH K AE T")


def test_a_run_reads_its_three_sets_without_text_where_nothing_reads_it(tmp_path):
    for name in ("train", "valid", "test"):
        write_set(tmp_path, name, text=False)
    train, valid, test = make_loaders(options(tmp_path), None, "cpu")
    batches = list(train)
    assert [batch.id for batch in batches] == [["train/0", "train/1"], ["train/2", "train/3"]]
    assert batches[0].noisy_sig.data.shape == (2, 8000)  # 0.45 s and padding to 0.1 s
    sounds, lens = next(iter(valid)).clean_sig
    assert sounds.shape == (3, RATE // 2) and torch.allclose(lens * 10, torch.tensor([8.0, 9, 10]))
    assert len(test.dataset) == 4 and not train.pin_memory
    assert all(loader.pin_memory for loader in make_loaders(options(tmp_path), None, "cuda:0"))


@pytest.mark.parametrize("changes", [{"sorting": "random"}, {"batch_seconds": 1.5}])
def test_an_order_of_each_epoch_the_same_for_the_same_seed(tmp_path, changes):
    for name in ("train", "valid", "test"):
        write_set(tmp_path, name, count=8)
    orders = []
    for _ in range(2):
        sampler = make_loaders(options(tmp_path, **changes), None, "cpu")[0].batch_sampler
        for epoch in (1, 2):
            sampler.set_epoch(epoch)
            orders.append(list(sampler))
    assert orders[:2] == orders[2:] and orders[0] != orders[1]
    assert sorted(sum(orders[0], [])) == list(range(8))
    assert any(len(batch) > 1 for batch in orders[0])


# Batches


def item(name, sound, problem=None):
    return {"id": name, "noisy_sig": sound, "clean_sig": sound, "problem": problem}


def test_a_batch_keeps_the_good_ones():
    items = [item("a", torch.ones(4)), item("b", None, "b.wav is bad")]
    batch = collate(items)
    assert batch.id == ["a"] and batch.problems == ["b: b.wav is bad"]
    assert len(collate(items[1:])) == 0 and len(collate(items[1:]).problems) == 1


def test_a_batch_padded_to_a_multiple_keeps_its_sound_and_lengths():
    items = [item(str(n), torch.ones(n)) for n in (7, 12)]
    batch = collate(items, multiple=10)
    for signals, lens in (batch.noisy_sig, batch.clean_sig):
        assert signals.shape == (2, 20) and signals.sum(dim=1).tolist() == [7, 12]
        assert (lens * 20).round().tolist() == [7, 12]
    assert collate(items).noisy_sig.data.shape == (2, 12)


def test_error_stops_and_skip_counts_and_tells_once(caplog):
    with pytest.raises(RecipeError, match="(?s)b is bad.*on_bad_utterance=skip"):
        BadUtterances("error").meet(["b is bad"])
    bad = BadUtterances("skip")
    assert [bad.meet(["b is bad"]), bad.meet([]), bad.meet(["b is bad"])] == [1, 0, 1]
    assert caplog.text.count("b is bad") == 1
    with pytest.raises(RecipeError, match="of nothing else stops"):
        bad.meet(["b is bad"], may_be_empty=False)
