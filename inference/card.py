"""The README.md of a model folder."""

from pathlib import Path

USE_ENHANCER = """from speechbrain.inference.enhancement import WaveformEnhancement

enhancer = WaveformEnhancement.from_hparams(source="path/of/this/folder")
enhanced = enhancer.enhance_file("noisy.wav", "enhanced.wav")   # on a GPU: run_opts={"device": "cuda"}
"""

USE_RECOGNIZER = """from speechbrain.inference.ASR import {interface}

recognizer = {interface}.from_hparams(source="path/of/this/folder")
print(recognizer.transcribe_file("{example}.wav"))
"""

LICENCE = """The parameters were learned from the data named above, and the terms of those data hold for what is made of them.
The mini corpus is synthesized speech and noise and holds no recordings; VoiceBank-DEMAND is published under CC BY 4.0 and
asks to be named. The classes that load this folder are SpeechBrain's (Apache 2.0). Decide on a licence for your model
before you pass it on."""


def model_card(names, hparams):
    """Markdown: what the model is, how to use it, data, seed, figures, limits, licence."""
    parts = [
        f"# {title(names, hparams)}\n",
        "## Use\n",
        usage(names, hparams),
        "## Training\n",
        training(hparams),
    ]
    parts += [
        "## Figures\n",
        figures(hparams),
        "## Limits\n",
        limits(names),
        "## Licence\n",
        LICENCE,
    ]
    return "\n".join(parts) + "\n"


def title(names, hparams):
    """What the folder holds, in a line."""
    if "src_embedding" not in names:
        return "Speech enhancer"
    front = " with a speech enhancer in front" if "enhance_model" in names else ""
    return f"Speech recognizer ({hparams['targets']}){front}"


def usage(names, hparams):
    """Code to load it."""
    code = []
    if "src_embedding" in names:
        attention = (
            hparams["decoding"].kind.startswith("attention") and hparams["targets"] == "pieces"
        )
        example = "noisy" if "enhance_model" in names else "speech"
        code.append(
            USE_RECOGNIZER.format(
                interface="EncoderDecoderASR" if attention else "EncoderASR", example=example
            )
        )
    if "enhance_model" in names:
        code.append(USE_ENHANCER)
    return (
        "Needs `pip install speechbrain` and nothing else.\n\n```python\n"
        + "\n".join(code)
        + "```\n"
    )


def training(hparams):
    """Data, seed and what the model was trained on."""
    data = (
        "the embedded mini corpus"
        if hparams["preset"] == "mini"
        else "the corpus in its data folder"
    )
    lines = [
        f"- data: {data} (`{Path(str(hparams['data_folder'])).name}`)",
        f"- seed: {hparams['seed']}",
    ]
    lines += [f"- epochs: {hparams['number_of_epochs']}", f"- preset: {hparams['preset']}"]
    lines.append(f"- input: {heard(hparams)}, {hparams['sample_rate']} Hz, one channel")
    if share := hparams.get("observation_share"):
        lines.append(
            f"- share of the noisy signal mixed back: {share} (in the mask's weight, also for the enhancer here)"
        )
    return "\n".join(lines) + "\n"


def figures(hparams):
    """The table of the test, as the stage left it."""
    path = Path(hparams["output_folder"]) / "test_stats.txt"
    if not path.is_file():
        return "Not scored yet.\n"
    table = path.read_text(encoding="utf-8").strip().split("\n\n")[-1]
    return f"Test set (error rates, STOI and eSTOI in %, SI-SDR in dB):\n\n```\n{table}\n```\n"


def limits(names):
    """What the loading classes do otherwise than the recipe."""
    lines = [
        "- Whole files at once: memory grows with their length. The recipe's command line works in pieces."
    ]
    if "enhance_model" in names:
        lines.append(
            "- Sound above half the sample rate is lost; files shorter than 0.04 s are refused by the networks."
        )
    if "src_embedding" in names:
        lines.append(
            "- Words outside of the training texts are spelled as the model can, and often wrongly."
        )
    return "\n".join(lines) + "\n"


def heard(hparams):
    """What the model takes in."""
    signal = hparams["input_signal"]
    return {"enhanced": "noisy speech", "clean_noisy_phase": "clean speech with noisy phases"}.get(
        signal, f"{signal} speech"
    )
