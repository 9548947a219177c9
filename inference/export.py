"""A trained model as a folder that SpeechBrain's inference classes load without this repository.

The enhancer loads with ``WaveformEnhancement``, a recognizer with ``EncoderASR`` or
``EncoderDecoderASR``. Where the recognizer reads enhanced speech the enhancer stands in front of
it, and the same folder loads as either. An enhancer that SpeechBrain does not have needs its code.
"""

import logging
import shutil
from pathlib import Path

import jinja2
import torch
from speechbrain.dataio.encoder import CTCTextEncoder
from speechbrain.nnet.linear import Linear

from corpus.files import read_text, write_text
from models.acoustic import AcousticEncoder, AttentionDecoder
from models.enhancer import Enhancer
from models.pretrained import PretrainedEncoder
from models.saved import write_sizes
from models.wide_resnet import WideResnet
from training.decoding import BEAM
from training.tokens import SPACE

logger = logging.getLogger(__name__)

SAVED = {"enhance_model": "enhancer", "encoder": "acoustic"}  # module -> its name in the folder
KINDS = {  # what the templates can write, apart from ctc_output by its ``sizes``
    "enhancer": Enhancer,
    "acoustic": AcousticEncoder | PretrainedEncoder,
    "ctc_output": Linear,
    "attention_decoder": AttentionDecoder,
}


def export_model(
    modules: dict[str, torch.nn.Module], hparams: dict, tokens, folder: str | Path
) -> Path | None:
    """Write the model folder; returns its path, or None where no module can be used alone.

    ``modules`` are the trained ones by name, ``hparams`` the stage's settings, ``tokens`` the
    recognizer's targets. A folder that exists is replaced as a whole.
    """
    exported = {SAVED.get(name, name): modules[name] for name in names_of(modules, hparams)}
    odd = {n for n, module in exported.items() if not isinstance(module, KINDS[n])}
    odd |= {n for n, module in exported.items() if not hasattr(module, "sizes")} - {"ctc_output"}
    if getattr(tokens, "end", 2) != 2:  # its features and specials are not those of the templates
        odd.add("a recognizer of SpeechBrain's")
    if odd:
        logger.warning("No model folder: how to build %s is not known", ", ".join(sorted(odd)))
    if not exported or odd:
        return None
    folder, facts = Path(folder), facts_of(exported, hparams)
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name, module in exported.items():
        state = {key: value.cpu() for key, value in module.state_dict().items()}
        torch.save(state, aside / f"{name}.ckpt")
    if "enhancer" in exported:
        write_sizes(exported["enhancer"], aside / "enhancer.ckpt")  # for training on
    if "mel_bands" in facts["names"]:
        bank = exported["acoustic"].bank.T.contiguous().cpu()
        torch.save({"w.weight": bank}, aside / "mel_bands.ckpt")
    if "tokenizer" in facts["names"]:
        save_tokenizer(tokens, hparams["output_neurons"], aside / "tokenizer.ckpt")
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    templates = jinja2.Environment(loader=loader, trim_blocks=True, keep_trailing_newline=True)
    for file in ("hyperparams.yaml", "README.md"):
        write_text(aside / file, templates.get_template(f"{file}.jinja").render(facts))
    shutil.rmtree(folder, ignore_errors=True)
    aside.replace(folder)
    logger.info("Exported %s to %s (see its README.md)", ", ".join(exported), folder)
    return folder


def names_of(modules: dict[str, torch.nn.Module], hparams: dict) -> list[str]:
    """The modules to export: a recognizer with its front, or an enhancer alone; [] for neither."""
    front = "enhance_model" in modules and hparams["input_signal"] == "enhanced"
    outputs = [name for name in ("ctc_output", "attention_decoder") if name in modules]
    if hparams.get("targets") != "pieces":  # all that EncoderDecoderASR reads
        outputs = [name for name in outputs if name == "ctc_output"]
    return ["enhance_model"] * front + ["encoder", *outputs] * bool(outputs)


def facts_of(exported: dict[str, torch.nn.Module], hparams: dict) -> dict:
    """All that the templates ask for."""
    absent = dict.fromkeys(("enhancer", "acoustic", "decoder", "search", "interface"))
    facts = {**hparams, **absent, "scorers": {}}
    table = Path(hparams["output_folder"]) / "test_stats.txt"
    facts["figures"] = read_text(table).strip().split("\n\n")[0] if table.is_file() else None
    facts["data"] = Path(str(hparams.get("data_folder"))).name
    names, steps, exposed = list(exported), [], []
    if enhancer := exported.get("enhancer"):
        known = type(enhancer) is WideResnet and enhancer.mask_domain == "spectrum"
        name = f"{type(enhancer).__module__}.{type(enhancer).__qualname__}"
        # No class where SpeechBrain's own computes the same
        facts["enhancer"] = {"class": None if known else name, "sizes": enhancer.sizes}
        steps, exposed = ["enhance_model"], ["enhance_model"]
    if "acoustic" in exported:
        facts["acoustic"] = exported["acoustic"].sizes
        facts["ctc_size"] = exported["ctc_output"].w.in_features if "ctc_output" in exported else 0
        facts["decoder"] = getattr(exported.get("attention_decoder"), "sizes", None)
        search = hparams["decoding_by"]
        no_text = search == "ctc_beam" and hparams["targets"] == "phones"
        if no_text or search.startswith("attention") and "attention_decoder" not in exported:
            search = "ctc_greedy"  # all that SpeechBrain can do with these targets
        facts["search"] = search
        by_attention, facts["beam"] = search.startswith("attention"), BEAM | hparams["beam"]
        if search == "attention_beam":
            by_ctc = facts["beam"]["ctc_weight"] if "ctc_output" in exported else None
            shares = {"ctc": by_ctc, "coverage": facts["beam"]["coverage"]}
            facts["scorers"] = {name: share for name, share in shares.items() if share}
        facts["interface"] = "EncoderDecoderASR" if by_attention else "EncoderASR"
        mel_bands = ["mel_bands"] * bool(facts["acoustic"].get("mel_bands"))
        steps += ["compute_features", *["normalize"] * (facts["normalization"] != "none")]
        steps += [*mel_bands, "acoustic", *["ctc_output", "log_softmax"] * (not by_attention)]
        exposed += ["encoder", *["decoder"] * by_attention]
        names += [*mel_bands, "tokenizer"]
    return {**facts, "names": names, "steps": steps, "exposed": exposed}


def save_tokenizer(tokens, output_neurons: int, path: Path) -> None:
    """Write a sentencepiece model, or a CTCTextEncoder whose labels are text when joined."""
    if hasattr(tokens, "pieces"):
        path.write_bytes(tokens.pieces.serialized_model_proto())
        return
    encoder = CTCTextEncoder()
    encoder.insert_blank(index=0)
    for index in range(1, output_neurons):
        label = str(tokens.encoder.ind2lab.get(index, f"<unused {index}>"))
        if index > tokens.end:
            label = label + " " if tokens.field == "phones" else label.replace(SPACE, " ")
        encoder.add_label(label)
    encoder.save(path)
