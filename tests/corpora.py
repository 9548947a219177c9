"""Small corpora in VoiceBank's layout, with noise for speech, and where real data may lie."""

import os
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000  # Hz
SENTENCES = {
    "p226_001": "Please call Stella.",
    "p226_002": "It's a full-time job, isn't it?",
    "p287_001": "Ask her to bring these things.",
    "p287_002": "Since then physicists have found refraction by the raindrops.",
    "p232_001": "We've made a couple of albums.",
    "p257_001": "Five thick slabs of blue cheese.",
}
TEST_SPEAKERS = ("p232", "p257")
FOLDERS = {
    "clean": ("clean_trainset_28spk_wav", "clean_testset_wav"),
    "noisy": ("noisy_trainset_28spk_wav", "noisy_testset_wav"),
    "text": ("trainset_28spk_txt", "testset_txt"),
}


def folder_of(kind, name, suffix="_16k"):
    """The folder of one file kind for an utterance, by its speaker."""
    folder = FOLDERS[kind][name.split("_")[0] in TEST_SPEAKERS]
    return folder if kind == "text" else folder + suffix


def sound(name, seconds=0.5, rate=RATE):
    """``[samples]`` of reproducible noise within -0.3..0.3."""
    seed = sum(map(ord, name))
    return np.random.default_rng(seed).uniform(-0.3, 0.3, int(seconds * rate)).astype(np.float32)


def write_corpus(root, sentences=SENTENCES, suffix="_16k", rate=RATE):
    """Write a corpus of sentences (utterance -> text) in VoiceBank's layout; returns its root."""
    for name, sentence in sentences.items():
        for kind in ("clean", "noisy"):
            path = root / folder_of(kind, name, suffix) / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, sound(name + kind, rate=rate), rate, subtype="PCM_16")
        path = root / folder_of("text", name) / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(sentence + "\n", encoding="utf-8")
    return root


def shared_data(name):
    """The folder of real data of this name, or None where it is not at hand."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("RECIPE_SHARED_DATA", default)) / name
    return folder if folder.is_dir() else None
