"""Manifests of a corpus in VoiceBank's layout: train, valid (training speakers withheld) and test."""

from collections import Counter
from dataclasses import dataclass, field

from corpus.inspection import inspect_all
from corpus.layout import TEST, TRAIN, find_log, find_utterances
from corpus.pronunciations import unknown_words_message
from corpus.spelling import as_words
from errors import listed

RATE_REMEDY = "16 kHz versions are made by: python data_prep.py resample --data_folder={folder}"
FOLDER_REMEDY = (
    "VoiceBank-DEMAND is fetched by: python data_prep.py download --data_folder={folder}\n"
    "A small corpus of one's own is made by: python data_prep.py mini (or mix) --help"
)


@dataclass
class Survey:
    """The manifests of a corpus (name -> utterance -> entry) and everything that is wrong with it."""

    manifests: dict = field(default_factory=lambda: {"train": {}, "valid": {}, "test": {}})
    missing: list = field(default_factory=list)  # folders
    files: list = field(default_factory=list)  # problems of single utterances
    speakers: list = field(default_factory=list)  # problems of the split
    unknown_words: dict = field(default_factory=dict)  # word -> an utterance where it occurs

    def message(self, data_folder, template):
        """Return all problems as one text, or an empty one."""
        parts = []
        if self.missing:
            parts.append(
                f"{data_folder}:\n{listed(self.missing)}\n{FOLDER_REMEDY.format(folder=data_folder)}"
            )
        if self.files:
            parts.append(
                f"{data_folder}: {len(self.files)} problem(s) with the files:\n{listed(self.files)}"
            )
            if any("sample rate" in problem for problem in self.files):
                parts.append(RATE_REMEDY.format(folder=data_folder))
        parts += self.speakers
        if self.unknown_words:
            parts.append(unknown_words_message(self.unknown_words, template))
        return "\n".join(parts)


def survey(data_folder, lexicon, valid_speakers, test_speakers, max_seconds):
    """Inspect the whole corpus and return its Survey; nothing is raised or written."""
    result = Survey()
    inspected = {}
    for part in (TRAIN, TEST):
        utterances, missing = find_utterances(data_folder, part)
        result.missing += missing
        if part is TEST and test_speakers and utterances:
            utterances = _only(utterances, test_speakers, result.speakers)
        inspected[part] = inspect_all(utterances, max_seconds)
        result.files += [problem for found in inspected[part] for problem in found.problems]
    if not result.missing:
        _check_split(inspected, valid_speakers, result)
    for part, utterances in inspected.items():
        _fill(
            result,
            part,
            utterances,
            _conditions(find_log(data_folder, part)),
            valid_speakers,
            lexicon,
        )
    return result


def _fill(result, part, inspected, conditions, valid_speakers, lexicon):
    """Write the entries of one part into the manifests, and collect the words without phones."""
    for found in inspected:
        utterance = found.utterance
        phones = [lexicon.phones(token) for token in found.tokens]
        for token, known in zip(found.tokens, phones):
            if not known:
                result.unknown_words.setdefault(token, utterance.name)
        if found.problems or not all(phones):
            continue
        manifest = "valid" if part is TRAIN and utterance.speaker in valid_speakers else part.name
        result.manifests[manifest][utterance.name] = _entry(found, phones) | conditions.get(
            utterance.name, {}
        )


def _entry(found, phones):
    return {
        "noisy_wav": _rooted(found.utterance.noisy),
        "clean_wav": _rooted(found.utterance.clean),
        "length": found.seconds,
        "words": as_words(found.tokens),
        "phones": " ".join(phone for word in phones for phone in word),
        "speaker": found.utterance.speaker,
    }


def _rooted(path):
    return f"{{data_root}}/{path.parent.name}/{path.name}"


def _conditions(log):
    """Read a log file, lines ``utterance noise snr``, as utterance -> noise kind and SNR in dB."""
    conditions = {}
    for line in log.read_text(encoding="utf-8").splitlines() if log else ():
        fields = line.split()
        if len(fields) == 3:
            try:
                conditions[fields[0]] = {"noise": fields[1], "snr": float(fields[2])}
            except ValueError:
                continue  # a heading
    return conditions


def _only(utterances, speakers, problems):
    """Keep the utterances of these speakers; a speaker without any is a problem."""
    counts = Counter(utterance.speaker for utterance in utterances)
    unknown = [speaker for speaker in speakers if speaker not in counts]
    if unknown:
        problems.append(
            f"test_speakers: {', '.join(unknown)} not in the test folders, which hold {_names(counts)}."
        )
    return [utterance for utterance in utterances if utterance.speaker in speakers]


def _check_split(inspected, valid_speakers, result):
    counts = Counter(found.utterance.speaker for found in inspected[TRAIN])
    there = f"The training folders hold {_names(counts)}."
    remedy = "Training and validation need two speakers at least."
    if len(counts) > 1:
        remedy = f"Withhold some speakers, not all, for example --valid_speakers=[{min(counts)}]"
    unknown = [speaker for speaker in valid_speakers if speaker not in counts]
    if not counts:
        result.speakers.append("The training folders hold no wav files.")
    elif unknown:
        result.speakers.append(
            f"valid_speakers: no speaker {', '.join(unknown)} to withhold. {there} {remedy}"
        )
    elif not valid_speakers:
        result.speakers.append(f"valid_speakers is empty: nothing to validate on. {there} {remedy}")
    elif set(counts) <= set(valid_speakers):
        result.speakers.append(
            f"No utterance is left to train on: all are withheld. {there} {remedy}"
        )
    if not inspected[TEST]:
        result.speakers.append("The test folders hold no utterance to test on.")
    _check_leak(inspected, result.speakers)


def _check_leak(inspected, problems):
    trained = {found.utterance.name for found in inspected[TRAIN]}
    both = [found.utterance.name for found in inspected[TEST] if found.utterance.name in trained]
    if both:
        problems.append(
            f"{len(both)} utterance(s) stand in the training and in the test folders:\n{listed(both)}"
        )


def _names(counts, shown=12):
    names = [f"{speaker} ({count})" for speaker, count in sorted(counts.items())]
    more = [f"{len(names) - shown} more"] if len(names) > shown else []
    return ", ".join(names[:shown] + more) if names else "no speaker"
