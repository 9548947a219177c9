"""Word errors and CPU seconds of searches over the validation set, for a finished run with an attention decoder.

    PYTHONPATH=. python benchmarks/beam.py hparams/robust_asr.yaml --output_folder=results/attention [the run's overrides]

The recognizer is loaded once, as it was scored; what the encoder takes is in each row's seconds. Nothing in the run's
folder changes.
"""

import sys
import time

import train
from benchmarks.step import merged
from training import stopping
from training.bad_sound import collate
from training.data import build_dataset
from training.decoding import Decoding

BEAM = {"kind": "attention_beam", "temperature": 1.0}
WITH_CTC = {**BEAM, "beam_size": 8, "ctc_weight": 0.4}
SEARCHES = {
    "CTC, greedy": {"kind": "ctc_greedy"},
    "attention, greedy": {"kind": "attention_greedy"},
    "beam 8, end 1.5, shift 60": {
        **BEAM,
        "beam_size": 8,
        "eos_threshold": 1.5,
        "max_attention_shift": 60,
    },
    "beam 8": {**BEAM, "beam_size": 8},
    "beam 8, temperature 1.25": {**BEAM, "beam_size": 8, "temperature": 1.25},
    "beam 8, coverage 1.5": {**BEAM, "beam_size": 8, "coverage_weight": 1.5},
    "beam 8, CTC 0.2": {**WITH_CTC, "ctc_weight": 0.2},
    "beam 8, CTC 0.4": WITH_CTC,
    "beam 8, CTC 0.6": {**WITH_CTC, "ctc_weight": 0.6},
    "beam 8, CTC 0.4, end 1.5": {**WITH_CTC, "eos_threshold": 1.5},
    "beam 8, CTC 0.4, shift 60": {**WITH_CTC, "max_attention_shift": 60},
    "beam 4, CTC 0.4": {**WITH_CTC, "beam_size": 4},
    "beam 16, CTC 0.4": {**WITH_CTC, "beam_size": 16},
}


class Searching(train.MimicBrain):
    """Gives the scores back and writes nothing."""

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Keep the scores of the set."""
        self.found = self.collect_scores(stage)

    def search(self, settings, data, options):
        """(word error rate in %, seconds) of one search."""
        self.hparams.decoding, self.decode = Decoding(**settings), None
        self.aliases = train.aliases_of(
            self.hparams.input_signal, self.hparams.decoding, self.hparams.judge_hears
        )
        begin = time.process_time()
        self.evaluate(data, progressbar=False, test_loader_kwargs=dict(options))
        return self.found["wer"], time.process_time() - begin


def main(arguments):
    """Print a row for each search."""
    train.MimicBrain = Searching
    hparams, run_opts, _ = train.checked_settings(
        merged(arguments, ["--test_only", "--test_metrics=[wer]"])
    )
    train.prepare_data(hparams)
    tokens = train.prepare_tokens(hparams)
    brain = train.build_brain(hparams, run_opts, tokens, stopping.Stopper())
    brain.load_for_scoring()
    data = build_dataset(
        hparams["valid_annotation"],
        hparams["data_folder"],
        tokens,
        hparams["sample_rate"],
        "ascending",
        None,
        hparams["max_seconds"],
    )
    options = {"batch_size": hparams["valid_batch_size"], "collate_fn": collate}
    print(
        f"{len(data)} utterances, batches of {hparams['valid_batch_size']}\n| search | WER % | CPU s |\n|---|---|---|",
        flush=True,
    )
    brain.search(SEARCHES["CTC, greedy"], data, options)  # warm
    for name, settings in SEARCHES.items():
        wer, seconds = brain.search(settings, data, options)
        print(f"| {name} | {wer:.2f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
