"""What a user of SpeechBrain's recipe types works: ready manifests, other phones, other sample rates, its output files."""

import json
from pathlib import Path

import pytest
from tiny_manifests import LEAN, SMALL_NETWORK, write_manifests

from errors import RecipeError
from train import main
from training.checks import check_search
from training.decoding import Decoding
from training.handover import Source, is_hub_name
from training.objectives import Objective

ROOT = Path(__file__).parent.parent
JUDGE = [
    str(ROOT / "hparams/pretrain_perceptual.yaml"),
    *LEAN,
    "--number_of_epochs=1",
    *SMALL_NETWORK,
    "--beam_size=2",
]
FILES = {
    "train_log.txt",
    "valid_stats.txt",
    "test_stats.txt",
    "log.txt",
    "env.log",
    "hyperparams.yaml",
    "train.py",
    "save",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the recipe's model files in reach."""
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_ready_manifests_with_other_phones_and_rate(folder):
    """Phones with tones and length marks, files of 8 kHz, published schedule."""
    options = write_manifests(folder, phones="tʃ aː˥ n̩ tʃ ʔ", rate=8000)
    assert main([*JUDGE, *options, "--output_neurons=7", "--output_folder=out"]) == 0
    assert (
        FILES <= {path.name for path in (folder / "out").iterdir()}
        and not (folder / "out/manifests").exists()
    )
    assert (folder / "out/log.txt").read_text().count("8000 Hz are resampled to 16000 Hz") == 1
    rows = [
        json.loads(line) for line in (folder / "out/test_utterances.jsonl").read_text().splitlines()
    ]
    assert len(rows) == 4 and all(row["phones"] == 5 for row in rows)
    assert "lr: 2.0" in (folder / "out/train_log.txt").read_text()


def test_too_few_outputs_for_the_phones_are_told(folder, capsys):
    options = write_manifests(folder, phones="tʃ aː˥ n̩ tʃ ʔ")
    assert main([*JUDGE, *options, "--output_neurons=6", "--output_folder=out"]) == 2
    assert "Give --output_neurons=7 or more" in capsys.readouterr().err


def test_files_of_the_right_rate_are_not_talked_about(folder):
    assert main([*JUDGE, *write_manifests(folder), "--output_folder=out", "--debug"]) == 0
    assert "resampled" not in (folder / "out/log.txt").read_text()


def test_paths_name_files_folders_and_hub_repositories(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_hub_name("speechbrain/mtl-mimic-voicebank") and is_hub_name(
        "speechbrain/mtl-mimic-voicebank/perceptual.ckpt"
    )
    (tmp_path / "mine/asr").mkdir(parents=True)
    assert not is_hub_name("mine/asr") and not is_hub_name(
        "results/enhance_mimic/1/enhance_model.ckpt"
    )
    with pytest.raises(RecipeError, match="mine/asr/enhance_model.ckpt does not exist"):
        Source("mine/asr", "python train.py ...").check("enhance_model")
    (tmp_path / "mine/asr/enhance_model.ckpt").touch()
    Source("mine/asr", "python train.py ...").check("enhance_model")


def settings(decoding, ctc, seq):
    """The part of a stage's settings that the search is checked against."""
    losses = {
        "ctc": Objective(max, ["ctc_log_probs"], ctc),
        "seq": Objective(max, ["seq_log_probs"], seq),
    }
    return {"losses": losses, "decoding": decoding, "valid_metrics": ["wer"], "test_metrics": []}


@pytest.mark.parametrize(
    "decoding, ctc, seq, words",
    [
        (
            Decoding("attention_beam", ctc_weight=0.3),
            None,
            1.0,
            "beam_ctc_weight.*ctc_weight is null",
        ),
        (
            Decoding("attention_greedy"),
            1.0,
            None,
            "decoding_by=attention_greedy.*seq_weight is null",
        ),
        (Decoding("ctc_greedy"), None, 1.0, "decoding_by=ctc_greedy.*ctc_weight is null"),
    ],
)
def test_a_search_does_not_listen_to_what_nothing_trains(decoding, ctc, seq, words):
    with pytest.raises(RecipeError, match=words):
        check_search(settings(decoding, ctc, seq))
    check_search(settings(decoding, 0.0, 0.0))
    check_search({**settings(decoding, ctc, seq), "valid_metrics": ["pesq"]})
