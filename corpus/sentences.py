"""The sentences of the mini corpus: a grammar in which every slot can hold many, easily confused words.

A recognizer must hear the words: the slots are wide, and most words have neighbours one phone away (pin, bin, tin,
ten, pen). Letters are upper case as in CMUdict and in the manifests of VoiceBank.
"""

import numpy as np

SLOTS = {
    "name": "PAT MATT KATE JAKE BILL JILL BEN DAN PAM SAM TIM KIM".split(),
    "did": "TOOK SHOOK MET LET HELD SOLD LOST TOSSED BOUGHT CAUGHT SAW SOUGHT HID HIT FOUND BOUND".split(),
    "do": "TAKE BRING SEND SPEND FIND MIND SELL TELL".split(),
    "rested": "SAT STOOD LAY STAYED PLAYED FELL".split(),
    "which": "THE A THIS THAT HIS HER MY NO".split(),
    "how": "BIG PINK THICK THIN RED DEAD WET WHITE WIDE TALL SMALL COLD OLD BOLD FINE KIND".split(),
    "thing": (
        "CAT CAP CAB HAT BAT MAT MAP PEN PIN BIN TIN FIN SHIP CHIP SHEEP SEAT BOAT COAT GOAT NOTE "
        "BELL BALL BOWL POLE COAL GOAL BAG PACK BOOK HOOK SOCK ROCK LOCK LOG DOG DUCK DOCK CUP"
    ).split(),
    "where": "NEAR UNDER OVER BEHIND BY ON IN WITH".split(),
    "when": "TODAY TONIGHT NOW SOON THEN AGAIN".split(),
}

TEMPLATES = [
    "name did which how thing",
    "name did which how thing when",
    "which how thing did which thing when",
    "name did which thing where which how thing",
    "do which how thing where which thing",
    "which thing AND which thing rested where which thing",
    "DID name do which thing where which thing",
    "name AND name did which thing",
]

VOCABULARY = sorted({word for words in SLOTS.values() for word in words} | {"AND", "DID"})


def sentence(rng):
    """Draw a sentence: upper-case words, 5 to 9 of them, parted by blanks. ``rng``: numpy Generator."""
    template = TEMPLATES[rng.integers(len(TEMPLATES))]
    return " ".join(_word(slot, rng) for slot in template.split())


def _word(slot, rng):
    """A random word of the slot, or the template's own word."""
    return str(rng.choice(SLOTS[slot])) if slot in SLOTS else slot


def perplexity():
    """Words that a listener who knows the grammar must still choose between, geometric mean per word."""
    lengths = [len(template.split()) for template in TEMPLATES]
    choices = [
        np.log(len(SLOTS.get(slot, "1"))) for template in TEMPLATES for slot in template.split()
    ]
    template_choice = len(TEMPLATES) * np.log(len(TEMPLATES))
    return float(np.exp((sum(choices) + template_choice) / sum(lengths)))
