"""A pretrained recognizer of real speech where no hub can be reached: Moonshine tiny, out of a wheel, as a transformers folder.

    pip install transformers onnxruntime
    pip download --no-deps moonshine-voice==0.1.0
    python benchmarks/moonshine.py moonshine_voice-0.1.0-*.whl moonshine_tiny

The wheel (MIT licence) holds the English model of 27 million parameters in 8 bits (Jeffries et al. 2024, "Moonshine: Speech
recognition for live transcription and voice commands"), in the format of ONNX Runtime. Its matrices are brought back to
32 bit; with the hub at hand, ``UsefulSensors/moonshine-tiny`` is the same model before it was rounded.
"""

import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch

TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64}  # ONNX's numbers
MERGED = re.compile(
    r"_merged_\d+"
)  # the decoder's two branches, with and without a cache, share parameters
UNNAMED = {"onnx::Mul_2080": "groupnorm.weight", "onnx::Add_2081": "groupnorm.bias"}


def graph_of(data):
    """The graph of an .ort file's bytes."""
    import onnxruntime.tools.ort_format_model.utils  # noqa: F401, makes the next package known
    from ort_flatbuffers_py.fbs.InferenceSession import InferenceSession

    return InferenceSession.GetRootAsInferenceSession(bytearray(data), 0).Model().Graph()


def constants(graph):
    """Name -> array of a graph's parameters."""
    found = {}
    for tensor in (graph.Initializers(i) for i in range(graph.InitializersLength())):
        shape = [tensor.Dims(i) for i in range(tensor.DimsLength())]
        if tensor.RawDataLength():
            array = np.frombuffer(tensor.RawDataAsNumpy().tobytes(), TYPES[tensor.DataType()])
            found[tensor.Name().decode()] = array.reshape(shape)
    return found


def nodes(graph):
    """(name, inputs) of each operation, those in branches too."""
    for node in (graph.Nodes(i) for i in range(graph.NodesLength())):
        yield node.Name().decode(), [node.Inputs(i).decode() for i in range(node.InputsLength())]
        for attribute in (node.Attributes(i) for i in range(node.AttributesLength())):
            if attribute.G():
                yield from nodes(attribute.G())


def full(found, base):
    """A matrix of 8 bits in 32 bits."""
    zero, scale = found[f"{base}_zero_point"].astype(np.float32), found[f"{base}_scale"]
    return torch.from_numpy((found[f"{base}_quantized"].astype(np.float32) - zero) * scale)


def parameters(graph):
    """Name in transformers -> tensor."""
    found, state = constants(graph), {}
    for name, inputs in nodes(graph):
        product = re.match(r"/(.*)/MatMul", name)
        for base in [
            text.removesuffix("_quantized")
            for text in inputs
            if text.endswith("_quantized") and text in found
        ]:
            if product:
                state[product[1].replace("/", ".") + ".weight"] = full(found, base).T.contiguous()
    for name, array in found.items():
        if "embed_tokens.weight" in name and name.endswith("_quantized"):
            state[MERGED.sub("", name.removesuffix("_quantized"))] = full(
                found, name.removesuffix("_quantized")
            )
        name = UNNAMED.get(name, MERGED.sub("", name)).removesuffix("_add_tensor")
        if name.endswith((".weight", ".bias")):
            state[name] = torch.from_numpy(
                array.squeeze().copy() if "groupnorm" in name else array.copy()
            )
    return state


def pieces(data):
    """The tokens' bytes: each has its length in front, in one byte or (from 128 on) in two."""
    place, found = 0, []
    while place < len(data):
        length, place = data[place], place + 1
        if length >= 128:
            length, place = (length - 128) + 128 * data[place], place + 1
        found.append(data[place : place + length])
        place += length
    return found


def tokenizer(data):
    """A tokenizer that can read (not split) the model's tokens."""
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = {}
    for number, piece in enumerate(pieces(data)):
        text = (
            f"<0x{number - 3:02X}>" if 3 <= number < 259 else piece.decode("utf-8", "replace")
        )  # the single bytes come first
        vocabulary[text if text not in vocabulary else f"<again {number}>"] = number
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def convert(wheel, folder):
    """Write the model of a wheel to a folder that transformers loads."""
    from transformers import (
        MoonshineConfig,
        MoonshineForConditionalGeneration,
        Wav2Vec2FeatureExtractor,
    )

    with zipfile.ZipFile(wheel) as archive:
        encoder, decoder, tokens = (
            archive.read(f"moonshine_voice/assets/tiny-en/{name}")
            for name in ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin")
        )
    state = {
        f"model.encoder.{name}": value for name, value in parameters(graph_of(encoder)).items()
    }
    state.update(parameters(graph_of(decoder)))
    model = MoonshineForConditionalGeneration(MoonshineConfig())
    state["proj_out.weight"] = state["model.decoder.embed_tokens.weight"]  # one matrix
    model.load_state_dict(
        {name: value for name, value in state.items() if name in model.state_dict()}
    )
    model.generation_config.max_length = 194
    model.save_pretrained(folder)
    tokenizer(tokens).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(
        sampling_rate=16000, do_normalize=False, return_attention_mask=True
    ).save_pretrained(folder)


if __name__ == "__main__":
    convert(*map(Path, sys.argv[1:3]))
