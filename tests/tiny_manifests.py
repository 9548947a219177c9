"""Ready manifests of a few noises that pass for speech, as a user of SpeechBrain's recipe may have them."""

import json

import soundfile
from corpora import RATE, sound

# Sizes that keep a stage below a second of work on one core
SMALL_NETWORK = [
    "--cnn_channels=[2, 2]",
    "--rnn_neurons=4",
    "--dnn_neurons=4",
    "--rnn_layers=1",
    "--decoder_neurons=4",
]
LEAN = ["--noprogressbar", "--figures=False", "--tensorboard=False", "--num_workers=0"]


def write_manifests(folder, phones="a b c", rate=RATE, count=4):
    """Write train, valid and test manifests with ``{data_root}``, and their sound; returns the options that name them."""
    options = [f"--data_folder={folder}", "--skip_prep=True"]
    for name in ("train", "valid", "test"):
        entries = {}
        for number in range(count):
            utt_id = f"{name}_{number}"
            seconds = 0.4 + 0.05 * number
            entry = {"length": seconds, "words": "THE CAT SAT ON THE MAT", "phones": phones}
            for kind in ("noisy", "clean"):
                soundfile.write(
                    folder / f"{utt_id}_{kind}.wav", sound(utt_id + kind, seconds, rate), rate
                )
                entry[f"{kind}_wav"] = f"{{data_root}}/{utt_id}_{kind}.wav"
            entries[utt_id] = entry
        (folder / f"{name}.json").write_text(json.dumps(entries))
        options.append(f"--{name}_annotation={folder / name}.json")
    return options
