"""SpeechBrain's own test of its recipe: its command line, on sample files like its own."""

import json

import pytest
import soundfile
from corpora import sound
from tiny import ENCODER, LEAN, home, run_main

TEXTS = {
    "phones": "dh ax cl ch ay l vcl d ao l m ow s cl t hh er cl t sil dh ax s m ao l vcl d ao vcl",
    "words": "THE CHILD ALMOST HURT THE SMALL DOG",
}
SMALL = {  # sizes of networks; all else is published
    "pretrain_perceptual": [*ENCODER, "--decoder_neurons=8", "--output_neurons=19"],
    "enhance_mimic": ["--enhance_dense=8"],
    "robust_asr": [*ENCODER, "--decoder_neurons=8", "--output_neurons=20"],
}
CHANNELS = {
    "published_2021": "--enhance_channels=[16, 8]",
    "published_2022": "--enhance_channels=[2, 2]",
}


def write_samples(folder):
    """Three pairs to train and one for validation and test, 1 s at 8 kHz."""
    folder.mkdir()
    entries = {}
    for number in range(4):
        entries[f"enh{number}"] = entry = {"length": 1.0, **TEXTS}
        for key, name in (("noisy", "mixture"), ("clean", "source1"), ("enh", "source2")):
            file = f"{name}_{number}.wav"
            entry[f"{key}_wav"] = f"{{data_root}}/{file}"
            soundfile.write(folder / file, sound(file, rate=8000, seconds=1.0), 8000)
    held_out = {"enh2": entries.pop("enh2")}
    sets = {"train": entries, "words": held_out}
    sets["dev"] = {"enh2": {k: v for k, v in held_out["enh2"].items() if k != "words"}}
    for name, content in sets.items():
        (folder / f"enhance_{name}.json").write_text(json.dumps(content))


@pytest.mark.slow
@pytest.mark.parametrize("preset", CHANNELS)
def test_the_command_of_speechbrains_tests_trains_each_stage(tmp_path, monkeypatch, preset):
    monkeypatch.chdir(tmp_path)
    home(tmp_path)
    write_samples(tmp_path / "samples")
    for stage, sizes in SMALL.items():
        dev = "words" if stage == "robust_asr" else "dev"  # the latter has phones alone
        command = [f"hparams/{stage}.yaml", "--data_folder=samples", "--skip_prep=True"]
        command += ["--train_annotation=samples/enhance_train.json", "--number_of_epochs=2"]
        command += [f"--{key}_annotation=samples/enhance_{dev}.json" for key in ("valid", "test")]
        sizes = [*sizes, CHANNELS[preset]] if stage == "enhance_mimic" else sizes
        assert run_main([*command, f"--preset={preset}", *LEAN, *sizes]) == 0
        log = (tmp_path / f"results/{stage}/1/train_log.txt").read_text()
        assert log.count("epoch: ") == 2 and "scored: test" in log
