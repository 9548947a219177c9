"""The commands that transcribe and score, on a small random recognizer."""

import csv
import json
import os
import re
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from small_models import ATTENTION, enhancer, recognizer
from transformers_models import letters_model, speech_model

from inference import score, transcribe
from inference.command import carry_out
from inference.loading import is_foreign, load_foreign, load_recognizer
from inference.sound import load
from scoring.scoreboard import Scoreboard


@pytest.fixture(scope="module", params=["ctc", "attention"])
def model(request, tmp_path_factory):
    """A run's folder with an exported recognizer of characters or of pieces."""
    folder = tmp_path_factory.mktemp(request.param)
    recognizer(folder, **({} if request.param == "ctc" else ATTENTION))
    return folder


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    """A recognizer of the package transformers."""
    return letters_model(tmp_path_factory.mktemp("letters"))


@pytest.fixture
def folders(tmp_path):
    """A clean and a noisy folder of two utterances, and their texts."""
    rng = np.random.default_rng(0)
    for name in ("u1", "u2"):
        clean = rng.standard_normal(16000) * np.repeat(rng.uniform(0, 0.2, 16), 1000)
        noisy = clean + 0.01 * rng.standard_normal(16000)
        for kind, signal in (("clean", clean), ("noisy", noisy)):
            (tmp_path / kind).mkdir(exist_ok=True)
            soundfile.write(tmp_path / kind / f"{name}.wav", signal, 16000)
        (tmp_path / "texts").mkdir(exist_ok=True)
        (tmp_path / "texts" / f"{name}.txt").write_text("A sad, bad bead.\n")
    return tmp_path


def call(module, *arguments):
    """Exit code of a command."""
    return carry_out(module.parser(), module.run, [str(argument) for argument in arguments])


def scored(folders, *arguments):
    """Exit code of score.py on one quick metric."""
    quick = ("--metrics", "si_sdr", "--jobs", 1)
    return call(score, "--clean", folders / "clean", *quick, *arguments)


def test_text_to_the_screen_and_to_files(model, folders, capsys):
    soundfile.write(folders / "noisy" / "tiny.flac", np.zeros((300, 2)), 8000)
    soundfile.write(folders / "noisy" / "void.wav", np.zeros(0), 16000)
    where = (folders / "noisy", "--model", model, "--output")
    assert call(transcribe, *where, folders / "t.json") == 0
    rows = json.loads((folders / "t.json").read_text())
    names = [row["file"].rsplit("/")[-1] for row in rows]
    assert names == ["tiny.flac", "u1.wav", "u2.wav", "void.wav"]
    assert all(0 < row["confidence"] <= 1 for row in rows) and "u2.wav (" in capsys.readouterr().out
    where = (folders / "noisy/u1.wav", "--model", model, "--output")
    assert call(transcribe, *where, folders / "new/t.CSV") == 0
    with open(folders / "new/t.CSV", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["text"] == rows[1]["text"] and float(row["confidence"]) == rows[1]["confidence"]
    for name in ("new/t.CSV", "t.txt", "noisy", "t.json/t.csv"):
        assert call(transcribe, *where, folders / name) == 2


def test_one_bad_file_costs_itself(model, folders, capsys):
    (folders / "noisy/bad.wav").write_bytes(b"no sound")
    os.rename(folders / "noisy/u2.wav", os.fsdecode(bytes(folders / "noisy") + b"/caf\xe9.wav"))
    output = folders / "t.csv"
    assert call(transcribe, folders / "noisy", "--model", model, "--output", output) == 1
    told = capsys.readouterr()
    assert "bad.wav" in told.err and "caf\\udce9.wav (" in told.out
    assert len(output.read_text(encoding="utf-8").splitlines()) == 3


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    """A run's folder with an exported recognizer of enhanced speech."""
    folder = tmp_path_factory.mktemp("front")
    recognizer(folder)
    return folder


def test_a_share_of_noisy_speech_reaches_the_recognizer(front):
    model, heard = load_recognizer(front), []
    model.mods.encoder.compute_features.register_forward_pre_hook(lambda _, x: heard.append(x[0]))
    noisy = np.random.default_rng(0).uniform(-0.2, 0.2, 16000).astype(np.float32)
    for noisy_share in (0.0, 1.0, 0.3):
        transcribe.transcribe_piece(model, noisy, noisy_share)
    enhanced, all_noisy, mixed = (signal.numpy() for (signal, *_) in heard)
    assert np.abs(enhanced - noisy).max() > 0.01 and np.allclose(all_noisy, noisy, atol=1e-6)
    assert np.allclose(mixed, 0.7 * enhanced + 0.3 * noisy, atol=1e-6)


def test_the_share_of_the_highest_confidence_is_kept_and_named(front, folders):
    model, path, shares = load_recognizer(front), folders / "noisy/u1.wav", (0.0, 0.3, 1.0)
    rows = [transcribe.transcribe_file(path, model, shares=[one]) for one in shares]
    surest = max(range(3), key=lambda index: rows[index]["confidence"])
    chosen = transcribe.transcribe_file(path, model, shares=shares)
    assert chosen == {**rows[surest], "noisy_share": shares[surest]}
    where = (folders / "noisy", "--model", front, "--output", folders / "t.csv")
    assert call(transcribe, *where, "--noisy_share", 0, 0.3, 1) == 0
    assert (folders / "t.csv").read_text().startswith("file,text,confidence,seconds,noisy_share\n")


def test_a_share_of_noisy_speech_needs_an_enhancer(folders, tmp_path, capsys):
    recognizer(tmp_path, input_signal="clean")
    assert call(transcribe, folders / "noisy", "--model", tmp_path, "--noisy_share", 0, 1) == 2
    assert "no enhancer inside" in capsys.readouterr().err


def test_long_signals_are_cut_where_it_is_quiet():
    signal = np.ones(16000 * 50, np.float32)
    signal[16000 * 14 : 16000 * 15] = signal[16000 * 30 : 16000 * 31] = 0
    edges = transcribe.cuts(signal, 20.0)
    assert edges[0] == 0 and edges[-1] == len(signal) and max(np.diff(edges)) <= 20 * 16000
    assert all(signal[edge] == 0 for edge in edges[1:3])


def test_a_table_of_systems(model, folders, capsys):
    systems = [folders / "noisy", f"same={folders / 'clean'}"]
    words = ["--transcripts", folders / "texts", "--model", model]
    assert scored(folders, *systems, *words, "--output", folders / "scores.jsonl") == 0
    told = capsys.readouterr()
    head, noisy, same = told.out.splitlines()[-3:]
    assert head.split()[:2] == ["system", "files"] and "SI-SDR" in head and "WER" in head
    assert noisy.startswith("noisy") and "150.00" in same and "Scoring" not in told.err
    rows = [json.loads(line) for line in (folders / "scores.jsonl").read_text().splitlines()]
    assert len(rows) == 4 and rows[0]["reference"] == "A SAD BAD BEAD"
    assert scored(folders, *systems, "--output", folders / "scores.jsonl") == 2


def test_one_file_has_a_score_and_no_interval(folders, capsys):
    for kind in ("clean", "noisy"):
        (folders / kind / "u2.wav").unlink()
    assert scored(folders, folders / "noisy") == 0
    assert re.search(r"noisy +1 +[\d.]+$", capsys.readouterr().out, re.MULTILINE)


def test_differences_are_paired(folders, capsys, letters):
    systems = [folders / "noisy", f"same={folders / 'clean'}"]
    words = ["--transcripts", folders / "texts", "--model", letters, "--against", "noisy"]
    assert scored(folders, *systems, *words) == 0
    noisy, same, apart = [line.split("  ") for line in capsys.readouterr().out.splitlines()[-3:]]
    value = {
        row[0]: [float(cell.split()[0]) for cell in row[1:] if "[" in cell]
        for row in (noisy, same, apart)
    }
    assert len(value["noisy"]) == 3
    rows = zip(value["noisy"], value["same"], value["same - noisy"], strict=True)
    for before, after, gain in rows:
        assert gain == pytest.approx(after - before, abs=0.011)
    assert scored(folders, *systems, "--against", "nosy") == 2
    assert "--against nosy: not one of noisy, same" in capsys.readouterr().err


def test_a_difference_is_that_of_the_same_files():
    ours = {"a": 1.0, "b": 3.0, "bad": None}
    theirs = {"b": 2.5, "alone": 9.0, "bad": 1.0, "a": 0.5}
    boards = [
        Scoreboard([{"id": name, "pesq": value} for name, value in values.items()])
        for values in (ours, theirs)
    ]
    lines = score.table(dict(zip("ab", boards, strict=True)), "b").splitlines()
    assert lines[-1].split(maxsplit=4)[-2:] == ["2", "+0.50 [+0.50, +0.50]"]


def test_a_bad_file_is_left_out_of_its_system_and_of_the_differences(folders, capsys):
    (folders / "noisy/u2.wav").write_bytes(b"no sound")
    systems = [folders / "noisy", f"same={folders / 'clean'}", "--against", "same"]
    assert scored(folders, *systems) == 1
    told = capsys.readouterr()
    counts = [line.split()[:2] for line in told.out.splitlines()[-3:-1]]
    assert "u2.wav" in told.err and counts == [["noisy", "1"], ["same", "2"]]
    soundfile.write(folders / "noisy/u2.wav", np.zeros(40000), 16000)
    assert scored(folders, *systems) == 1
    assert "another utterance" in capsys.readouterr().err


def test_systems_of_one_name_are_told_apart_or_refused(folders, capsys):
    for run in ("run1", "a=b"):
        (folders / run).mkdir()
        (folders / "noisy" if run == "run1" else folders / "clean").rename(folders / run / "out")
    (folders / "clean").symlink_to(folders / "a=b/out")
    assert scored(folders, folders / "run1/out", folders / "a=b/out") == 0
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert first.split()[0] == str(folders / "run1/out") and "150.00" in second
    assert scored(folders, f"x={folders / 'run1/out'}", f"x={folders / 'clean'}") == 2
    assert "Several systems are called x" in capsys.readouterr().err


def test_a_system_inside_the_clean_folder_is_not_clean_speech(folders, capsys):
    (folders / "noisy").rename(folders / "clean/enhanced")
    (folders / "clean/._u1.wav").write_bytes(b"\0\5\26\7")
    assert scored(folders, folders / "clean/enhanced") == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[:2] == ["enhanced", "2"]


def test_files_must_be_those_of_the_clean_folder(folders, capsys):
    (folders / "noisy/u2.wav").rename(folders / "noisy/u3.wav")
    assert scored(folders, folders / "noisy") == 2
    errors = capsys.readouterr().err
    assert "u2" in errors and "u3" in errors
    (folders / "noisy/deep").mkdir()
    (folders / "noisy/u3.wav").rename(folders / "noisy/deep/u1.wav")
    assert scored(folders, folders / "noisy") == 2 and "come twice" in capsys.readouterr().err
    assert scored(folders, folders / "gone") == 2 and "no such folder" in capsys.readouterr().err


TRANSCRIPTS = {  # name -> bytes, words of the error or None where it is read
    "bom.csv": (b"\xef\xbb\xbffile,text\r\nu1.wav,a\r\nu2.wav,b\r\n", None),
    "ours.csv": (b"file,text,confidence\r\nx/u1.wav,a,0.5\r\nx/u2.wav,,0.5\r\n", None),
    "ours.json": (b'[{"file": "u1", "text": "a"}, {"file": "u2.wav", "text": ""}]', None),
    "semicolons.csv": (b"file;text\r\nu1.wav;a\r\n", "file,text with a comma"),
    "columns.csv": (b"path,words\nu1.wav,a\n", "'path': 'u1.wav'"),
    "short.csv": (b"file,text\nu1.wav,a\nu2.wav\n", "Entry 2"),
    "latin.csv": (b"file,text\nu1.wav,a\nu2.wav,caf\xe9\n", "line 3"),
    "twice.csv": (b"file,text\na/u1.wav,a\nb/u1.wav,b\nu2.wav,a\n", "come twice"),
    "one.csv": (b"file,text\nu1.wav,a\n", "no text for"),
    "names.json": (b'{"u1": "a"}', "list of objects"),
    "no.json": (b"hello", "line 1"),
    "table.xls": (b"hello", "folder of .txt"),
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_a_file_of_transcripts_is_read_or_told(folders, letters, capsys, name):
    data, words = TRANSCRIPTS[name]
    (folders / name).write_bytes(data)
    options = ("--transcripts", folders / name, "--model", letters)
    assert scored(folders, folders / "noisy", *options) == (2 if words else 0)
    errors = capsys.readouterr().err
    assert not words or words in errors and name in errors


def test_a_folder_of_transcripts_may_hold_junk_links_and_no_other_encoding(
    folders, letters, capsys
):
    (folders / "texts/u2.txt").rename(folders / "u2.txt")
    (folders / "far").mkdir()
    (folders / "u2.txt").rename(folders / "far/u2.txt")
    (folders / "texts/more").symlink_to(folders / "far")
    (folders / "texts/._u1.txt").write_bytes(b"\0\5\26\7\xff")
    options = (folders / "noisy", "--transcripts", folders / "texts", "--model", letters)
    assert scored(folders, *options) == 0
    (folders / "far/u2.txt").write_bytes("A bead.".encode("utf-16"))
    assert scored(folders, *options) == 2 and "u2.txt, line 1" in capsys.readouterr().err


def test_a_recognizer_of_transformers_is_used(folders, letters, capsys):
    words = ["--transcripts", folders / "texts", "--model", letters]
    for kind in ("clean", "noisy"):
        soundfile.write(folders / kind / "void.wav", np.zeros(0), 16000)
    (folders / "texts/void.txt").write_text("")
    assert scored(folders, folders / "noisy", *words, "--output", folders / "scores.jsonl") == 0
    (row, _, _) = [json.loads(line) for line in (folders / "scores.jsonl").read_text().splitlines()]
    assert row["hypothesis"] == load_foreign(letters)(load(folders / "noisy/u1.wav"))
    assert row["reference"] == "A SAD BAD BEAD" and row["word_errors"] > 0
    words[-1] = speech_model(folders / "no_letters")
    assert scored(folders, folders / "noisy", *words) == 2
    assert "cannot load a recognizer from there" in capsys.readouterr().err


def test_what_a_foreign_recognizer_writes_is_compared_in_the_manifests_spelling(
    folders, monkeypatch
):
    class Whisper:
        model = SimpleNamespace(can_generate=lambda: False)

        def __call__(self, sound):
            return {"text": " It's a sad, bad bead."}

    monkeypatch.setattr("transformers.pipeline", lambda *_, **__: Whisper())
    assert load_foreign("openai/whisper-tiny")(np.zeros(9)) == "IT'S A SAD BAD BEAD"


def test_long_recordings_reach_a_foreign_recognizer_in_pieces(folders, monkeypatch):
    lengths = []
    words_in = lambda signal: lengths.append(len(signal)) or "BEAD"  # noqa: E731
    monkeypatch.setattr(score, "load_foreign", lambda *_: words_in)
    given = ["noisy", "--transcripts", folders / "texts", "--model", "openai/whisper-tiny"]
    options = score.parser().parse_args([*map(str, given), "--clean", "clean"])
    soundfile.write(folders / "noisy/u1.wav", np.zeros(70 * 16000), 16000)
    (recognize,) = score.scorers(options, ["u1"])
    assert {*recognize("u1", folders / "noisy/u1.wav")["hypothesis"].split()} == {"BEAD"}
    assert max(lengths) <= 30 * 16000 and sum(lengths) == 70 * 16000


def test_a_failed_piece_leaves_no_hook_in_the_networks(model, monkeypatch):
    network = load_recognizer(model)
    share = 0.3 if "enhance_model" in network.mods else 0.0
    monkeypatch.setattr(network, "transcribe_batch", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        transcribe.transcribe_piece(network, np.zeros(16000, np.float32), share)
    assert not any(module._forward_hooks for module in network.mods.values())


def test_names_on_the_hub_are_told_from_folders(folders):
    assert is_foreign("openai/whisper-small.en") and is_foreign("UsefulSensors/moonshine-tiny")
    paths = ("results/robust_asr/1", "results/1", "../runs", "./runs", str(folders), "model")
    assert not any(map(is_foreign, paths))


def test_a_recognizer_needs_transcripts_and_an_enhancer_is_none(folders, tmp_path_factory, capsys):
    assert scored(folders, folders / "noisy", "--transcripts", folders / "texts") == 2
    folder = tmp_path_factory.mktemp("enhancer")
    enhancer(folder)
    assert call(transcribe, folders / "noisy", "--model", folder) == 2
    assert "no recognizer" in capsys.readouterr().err


@pytest.mark.parametrize(
    "module, options",
    [
        (transcribe, ["a.wav", "--model", "m", "--longest", "0"]),
        (transcribe, ["a.wav", "--model", "m", "--noisy_share", "1.5"]),
        (transcribe, ["a.wav", "--model", "m", "--device", "cuda:99"]),
        (score, ["a", "--clean", "c", "--jobs", "0"]),
        (score, ["a", "--clean", "c", "--metrics", "mos"]),
        (score, ["a", "--clean", "c", "--threads", "-1"]),
    ],
)
def test_options_out_of_range_are_told(module, options, capsys):
    with pytest.raises(SystemExit) as stopped:
        call(module, *options)
    assert stopped.value.code == 2 and options[-2] in capsys.readouterr().err
