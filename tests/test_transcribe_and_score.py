"""The command lines that transcribe and score, on a small random recognizer."""

import csv
import json

import numpy as np
import pytest
import soundfile
from pretrained import letters_model, speech_model
from test_export import ATTENTION, HEARD, RECOGNIZER, WORDS_ONLY, trained

from inference import score, transcribe
from inference.command import carry_out
from inference.foreign import is_foreign, load_foreign


@pytest.fixture(scope="module", params=["ctc", "attention"])
def model(request, tmp_path_factory):
    """A run's folder with an exported recognizer of characters or of pieces."""
    folder = tmp_path_factory.mktemp(request.param)
    overrides = HEARD if request.param == "ctc" else {**RECOGNIZER, **ATTENTION, **WORDS_ONLY}
    trained(folder, "robust_asr", overrides)
    return folder


@pytest.fixture
def folders(tmp_path):
    """A clean and a noisy folder of two utterances, and their texts."""
    rng = np.random.default_rng(0)
    for name in ("u1", "u2"):
        clean = rng.standard_normal(16000) * np.repeat(rng.uniform(0, 0.2, 16), 1000)
        for kind, signal in (
            ("clean", clean),
            ("noisy", clean + 0.01 * rng.standard_normal(16000)),
        ):
            (tmp_path / kind).mkdir(exist_ok=True)
            soundfile.write(tmp_path / kind / f"{name}.wav", signal, 16000)
        (tmp_path / "texts").mkdir(exist_ok=True)
        (tmp_path / "texts" / f"{name}.txt").write_text("A sad, bad bead.\n")
    return tmp_path


def call(module, *arguments):
    """Exit code of a command."""
    return carry_out(module.parser(), module.run, [str(argument) for argument in arguments])


def test_text_to_the_screen_and_to_files(model, folders, capsys):
    soundfile.write(folders / "noisy" / "tiny.flac", np.zeros((300, 2)), 8000)
    assert (
        call(transcribe, folders / "noisy", "--model", model, "--output", folders / "t.json") == 0
    )
    rows = json.loads((folders / "t.json").read_text())
    assert [row["file"].rsplit("/")[-1] for row in rows] == ["tiny.flac", "u1.wav", "u2.wav"]
    assert all(0 < row["confidence"] <= 1 for row in rows) and "u2.wav (" in capsys.readouterr().out
    assert (
        call(transcribe, folders / "noisy/u1.wav", "--model", model, "--output", folders / "t.csv")
        == 0
    )
    with open(folders / "t.csv", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["text"] == rows[1]["text"] and float(row["confidence"]) == rows[1]["confidence"]
    assert call(transcribe, folders / "noisy", "--model", model, "--output", folders / "t.csv") == 2
    assert call(transcribe, folders / "noisy", "--model", model, "--output", folders / "t.txt") == 2


def test_long_signals_are_cut_where_it_is_quiet():
    signal = np.ones(16000 * 50, np.float32)
    signal[16000 * 14 : 16000 * 15] = signal[16000 * 30 : 16000 * 31] = 0
    edges = transcribe.cuts(signal, 16000, 20.0)
    assert edges[0] == 0 and edges[-1] == len(signal) and max(np.diff(edges)) <= 20 * 16000
    assert all(signal[edge] == 0 for edge in edges[1:3])


def test_a_table_of_systems(model, folders, capsys):
    systems = [folders / "noisy", f"same={folders / 'clean'}"]
    words = [
        "--transcripts",
        folders / "texts",
        "--model",
        model,
        "--jobs",
        1,
        "--output",
        folders / "scores.jsonl",
    ]
    assert (
        call(score, *systems, "--clean", folders / "clean", "--metrics", "stoi", "si_sdr", *words)
        == 0
    )
    head, noisy, same = capsys.readouterr().out.splitlines()[-3:]
    assert head.split()[:2] == ["system", "files"] and "SI-SDR" in head and "WER" in head
    assert noisy.startswith("noisy") and "150.00" in same
    rows = [json.loads(line) for line in (folders / "scores.jsonl").read_text().splitlines()]
    assert len(rows) == 4 and rows[0]["reference"] == "A SAD BAD BEAD"


def test_differences_are_paired(model, folders, capsys):
    systems = [folders / "noisy", f"same={folders / 'clean'}"]
    words = [
        "--transcripts",
        folders / "texts",
        "--model",
        model,
        "--jobs",
        1,
        "--against",
        "noisy",
    ]
    assert call(score, *systems, "--clean", folders / "clean", "--metrics", "estoi", *words) == 0
    noisy, same, apart = [line.split("  ") for line in capsys.readouterr().out.splitlines()[-3:]]
    value = {
        row[0]: [float(cell.split()[0]) for cell in row[1:] if "[" in cell]
        for row in (noisy, same, apart)
    }
    assert len(value["noisy"]) == 3
    for before, after, gain in zip(
        value["noisy"], value["same"], value["same - noisy"], strict=True
    ):
        assert gain == pytest.approx(after - before, abs=0.011)
    assert call(score, *systems, "--clean", folders / "clean", "--against", "nosy") == 2
    assert "--against nosy: not one of noisy, same" in capsys.readouterr().err


def test_a_recognizer_of_transformers_is_heard(folders, capsys):
    model = letters_model(folders / "letters")
    words = [
        "--transcripts",
        folders / "texts",
        "--model",
        model,
        "--jobs",
        1,
        "--output",
        folders / "scores.jsonl",
    ]
    assert (
        call(score, folders / "noisy", "--clean", folders / "clean", "--metrics", "si_sdr", *words)
        == 0
    )
    (row, _) = [json.loads(line) for line in (folders / "scores.jsonl").read_text().splitlines()]
    expected = load_foreign(model)(folders / "noisy/u1.wav")
    assert (
        row["hypothesis"] == expected
        and row["reference"] == "A SAD BAD BEAD"
        and row["word_errors"] > 0
    )
    judge = speech_model(folders / "no_letters")
    assert (
        call(
            score,
            folders / "noisy",
            "--clean",
            folders / "clean",
            "--transcripts",
            folders / "texts",
            "--model",
            judge,
        )
        == 2
    )
    assert "cannot load a recognizer from there" in capsys.readouterr().err


def test_names_on_the_hub_are_told_from_folders(folders):
    assert is_foreign("openai/whisper-small.en") and is_foreign("UsefulSensors/moonshine-tiny")
    assert not any(
        map(is_foreign, ("results/robust_asr/1", "../runs", "./runs", str(folders), "model"))
    )


def test_mistakes_are_told(folders, capsys):
    assert (
        call(
            score,
            folders / "noisy",
            "--clean",
            folders / "clean",
            "--transcripts",
            folders / "texts",
        )
        == 2
    )
    (folders / "noisy/u2.wav").unlink()
    assert (
        call(score, folders / "noisy", "--clean", folders / "clean") == 2
        and "u2" in capsys.readouterr().err
    )
    soundfile.write(folders / "noisy/u2.wav", np.zeros(40000), 16000)
    assert call(score, folders / "noisy", "--clean", folders / "clean") == 2
    assert "another utterance" in capsys.readouterr().err


def test_an_enhancer_is_no_recognizer(folders, tmp_path_factory, capsys):
    folder = tmp_path_factory.mktemp("enhancer")
    trained(folder, "enhance_mimic", {})
    assert (
        call(transcribe, folders / "noisy", "--model", folder) == 2
        and "no recognizer" in capsys.readouterr().err
    )
