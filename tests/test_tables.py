"""The tables of README.md and the docs hold the figures of docs/tables/, which commands wrote.

``PYTHONPATH=. python tests/test_tables.py`` writes these tables again: after new files came there.
"""

import json
import re
from pathlib import Path

import pytest

from experiments.table import COLUMNS, as_table, difference_cell, estimate
from scoring.bootstrap import difference
from scoring.scoreboard import Scoreboard, intervals, means

ROOT = Path(__file__).resolve().parent.parent
FILES = ROOT / "docs" / "tables"
RESULTS, CARD = "docs/results.md", "pretrained/README.md"
PUBLISHED = {  # title -> PESQ, eSTOI, WER (adapted) of VoiceBank-DEMAND
    "clean (clean phase)": ("4.50", "100.0", "1.88"),
    "clean (noisy phase)": ("3.85", "94.6", "1.87"),
    "noisy": ("1.97", "78.7", "3.95"),
    "joint, MSE": ("2.72", "84.8", "3.32"),
    "joint, MSE + mimic": ("2.81", "85.1", "3.12"),
    "frozen, MSE": ("2.72", "84.8", "3.19"),
    "frozen, MSE + mimic": ("2.82", "85.2", "3.10"),
    "mimic - MSE": ("+0.10", "+0.4", "-0.09"),
    "mimic - MSE, joint": ("+0.09", "+0.3", "-0.20"),
}
SYSTEMS = {
    "noisy": "noisy",
    "ours": "`pretrained/`",
    "rnnoise": "RNNoise",
    "nsnet2": "NSNet2",
    "dtln": "DTLN",
    "gtcrn": "GTCRN",
    "deepfilternet3": "DeepFilterNet3",
    "clean": "clean",
}
DIGITS = {"estoi": 1, "si_sdr": 1, "wer": 1}  # two of the others


def of_plan(name, titles, columns, published=True):
    """Lines of cells out of what ``results.py --plan NAME`` wrote: rows and differences that
    have scores, by their titles; with the published figures in brackets."""
    found = json.loads((FILES / f"{name}.json").read_text(encoding="utf-8"))
    rows = {entry["title"]: entry for entry in [*found["rows"], *found["differences"]]}
    lines = []
    for title in (title for title in titles if any(rows[title]["metrics"].values())):
        known = dict(zip(("pesq", "estoi", "wer"), PUBLISHED.get(title, ()), strict=False))
        lines.append([title])
        for column in columns:
            score, digits = rows[title]["metrics"][column], COLUMNS[column][2]
            if "of" in rows[title]:
                text = difference_cell(score, digits).split(" [")[0]
            else:
                text = f"{score['value']:.{digits}f}"
            reference = f" ({known[column]})" if published and column in known else ""
            lines[-1].append(re.sub(r"[+-](0\.0+)\b", r"\1", text) + reference)
    return lines


def of_real(titles, columns):
    """As ``of_plan``, and the words of a foreign recognizer: ``score.py`` on folders ROW_SEED."""
    found = json.loads((FILES / "real.json").read_text(encoding="utf-8"))
    scores = {name: board.columns()["wer"] for name, board in boards("real_words").items()}
    words = {}  # title -> difference in word errors, paired by seed and utterance
    for entry in [entry for entry in found["differences"] if entry["title"] in titles]:
        a, b = (
            {seed: scores[x if x == "noisy" else f"{x}_{seed}"] for seed in found["seeds"]}
            for x in (entry["of"], entry["minus"])
        )
        words[entry["title"]] = difference_cell(estimate(difference(a, b)), 1).split(" [")[0]
    lines = of_plan("real", titles, columns, published=False)
    return [[*line, re.sub(r"[+-](0\.0)\b", r"\1", words[line[0]])] for line in lines]


def boards(name="tools"):
    """System -> Scoreboard, out of what ``score.py --output`` wrote."""
    found = {}
    for line in (FILES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        found.setdefault(record.pop("system"), Scoreboard()).merge([record])
    return found


def of_tools(systems, columns):
    """Lines of cells: scores of systems on real pairs, and what ``other_tools`` printed of each."""
    text, scores = (FILES / "tools.txt").read_text(encoding="utf-8"), boards()
    costs = {name: cells for name, *cells in map(str.split, text.splitlines()[1:])}
    lines, noisy = [], scores["noisy"].columns()
    for system in systems:
        found, (count, rtf) = scores[system].summary(), costs.get(system, ("-", "-"))
        cells = {n: f"{value:.{DIGITS.get(n, 2)}f}" for n, value in found.items()} | {"rtf": rtf}
        cells["size"] = "-" if count == "-" else f"{int(count) / 1e6:.2f}"
        cells["si_sdr"] = "-" if system == "clean" else cells["si_sdr"]  # without an error: a cap
        pairs = difference(scores[system].columns(), noisy)
        low, high = intervals(pairs)["wer"]
        change = {"value": means(pairs)["wer"], "low": low, "high": high}
        if system != "noisy":
            cells["wer"] += f", {difference_cell(change, 1).split(' [')[0]}"
        lines.append([SYSTEMS[system], *(cells[column] for column in columns)])
    return lines


def of_start():
    """Lines of cells: the three commands' ``test_stats.txt``; noisy speech is the table's row."""
    ((_, *noisy),) = of_plan("mini", ["noisy"], ["pesq", "estoi", "wer"], published=False)
    lines = []
    for number, stage, score, label, unit, before in (
        ("1", "pretrain_perceptual", "per", "phone error rate, clean speech", " %", ""),
        ("2", "enhance_mimic", "pesq", "PESQ", "", noisy[0]),
        ("2", "enhance_mimic", "estoi", "extended STOI", " %", noisy[1] + " %"),
        ("3", "robust_asr", "wer", "word error rate", " %", noisy[2] + " %"),
    ):
        text = (FILES / f"{stage}.txt").read_text(encoding="utf-8")
        value = float(re.search(rf"^{score}: (\S+)", text, flags=re.M)[1])
        lines.append([number, label, before, f"{value:.{2 if score == 'pesq' else 1}f}{unit}"])
    return lines


QUALITY, WORDS = ("pesq", "estoi"), ("wer", "wer_independent")
SOUND = (*QUALITY, "si_sdr", "dnsmos_ovrl", "distillmos")
SEVEN = list(PUBLISHED)[:7]
MINI = [
    "MSE - noisy",
    "mimic - MSE, equal epochs",
    "mimic - MSE, equal compute",
    "trained - random perceptual model",
    "trained perceptual model - filter bank",
    "mimic - MSE, joint",
]
FULL = [*SEVEN[5:], "mimic - MSE", "mimic of unit norm - MSE", "mimic - MSE, joint"]
REAL = [
    "mimic - MSE, equal epochs",
    "PESQ loss, without mimic",
    "mimic, with PESQ loss",
]
FOUR = ["noisy", "gtcrn", "ours", "deepfilternet3"]
TABLES = {  # page, head of a table -> how its lines are made
    ("README.md", "stage | score | noisy | after training"): of_start,
    ("README.md", "row | PESQ | eSTOI | WER, adapted | WER, independent"): (
        lambda: of_plan("mini", SEVEN, (*QUALITY, *WORDS))
    ),
    ("README.md", "system | PESQ | eSTOI | DNSMOS | real-time factor"): (
        lambda: of_tools(FOUR, (*QUALITY, "dnsmos_ovrl", "rtf"))
    ),
    (RESULTS, "difference | PESQ | eSTOI | SI-SDR | WER, adapted | WER, independent"): (
        lambda: of_plan("mini", MINI, (*QUALITY, "si_sdr", *WORDS), published=False)
    ),
    (RESULTS, "row | PESQ | WER, adapted | WER, independent"): (
        lambda: of_plan("published", FULL, ("pesq", *WORDS))
    ),
    (RESULTS, "difference | PESQ | eSTOI | SI-SDR | WER, Moonshine"): (
        lambda: of_real(REAL, (*QUALITY, "si_sdr"))
    ),
    (RESULTS, "system | size | PESQ | eSTOI | SI-SDR | DNSMOS | DistillMOS | WER | RTF"): (
        lambda: of_tools(SYSTEMS, ("size", *SOUND, "wer", "rtf"))
    ),
    (CARD, "speech | PESQ | eSTOI | SI-SDR | DNSMOS | DistillMOS"): (
        lambda: of_tools(["noisy", "ours"], SOUND)
    ),
}
SENTENCES = {  # page, pattern -> (system, score, digits) of each figure in it
    (CARD, r"Moonshine tiny errs in (\S+) % of words, on\s+noisy speech in (\S+) %"): [
        ("ours", "wer", 1),
        ("noisy", "wer", 1),
    ],
    ("docs/inference.md", r"lowers PESQ from (\S+) to (\S+)\."): [
        ("noisy", "pesq", 2),
        ("mini", "pesq", 2),
    ],
}
WITHOUT_FIGURES = {"row | command", "data | share | licence"}


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def written(page):
    """Head -> text of each table of a page."""
    found = re.findall(r"^\|.*(?:\n\|.*)+", text_of(page), flags=re.M)
    return {table.splitlines()[0].strip("| "): table for table in found}


def expected(page, head):
    """The text of a table."""
    return as_table([head.split(" | "), *TABLES[page, head]()])


@pytest.mark.parametrize("page", sorted({page for page, _ in TABLES}))
def test_every_table_of_figures_is_made_from_files(page):
    heads = {head for name, head in TABLES if name == page}
    assert written(page).keys() - WITHOUT_FIGURES == heads


@pytest.mark.parametrize("page, head", TABLES)
def test_a_table_holds_the_figures_of_its_files(page, head):
    assert written(page)[head].splitlines() == expected(page, head).splitlines()


@pytest.mark.parametrize("page, pattern", SENTENCES)
def test_a_sentence_holds_the_figures_of_the_files(page, pattern):
    scores = boards()
    means = [(scores[system].summary()[score], n) for system, score, n in SENTENCES[page, pattern]]
    assert list(re.search(pattern, text_of(page)).groups()) == [f"{x:.{n}f}" for x, n in means]


@pytest.mark.parametrize("page", ["README.md", RESULTS])
def test_the_command_names_the_seeds_of_the_table(page):
    seeds = json.loads((FILES / "mini.json").read_text(encoding="utf-8"))["seeds"]
    (named,) = re.findall(r"--seeds ([\d ]+\d)", text_of(page))
    assert named.split() == [str(seed) for seed in seeds]


def test_the_text_names_how_many_pairs_and_words_were_scored():
    records, text = boards()["noisy"].records, text_of(RESULTS)
    assert f"{len(records)} VoiceBank-DEMAND test pairs" in text
    assert f"({sum(record['words'] for record in records)} words)" in text


def write():
    """Put the expected tables into the pages."""
    for page, head in TABLES:
        text = text_of(page).replace(written(page)[head], expected(page, head))
        (ROOT / page).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
