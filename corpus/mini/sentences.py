"""The sentences of the mini corpus: a grammar of words that have neighbours one phone away.

A recognizer cannot guess them (pin, bin, tin, ten, pen). Upper case, as in the manifests.
"""

import numpy as np

SLOTS = {
    "name": "PAT MATT KATE JAKE BILL JILL BEN DAN PAM SAM TIM KIM",
    "did": "TOOK SHOOK MET LET HELD SOLD LOST TOSSED BOUGHT CAUGHT SAW SOUGHT HID HIT FOUND BOUND",
    "do": "TAKE BRING SEND SPEND FIND MIND SELL TELL",
    "rested": "SAT STOOD LAY STAYED PLAYED FELL",
    "which": "THE A THIS THAT HIS HER MY NO",
    "how": "BIG PINK THICK THIN RED DEAD WET WHITE WIDE TALL SMALL COLD OLD BOLD FINE KIND",
    "thing": "CAT CAP CAB HAT BAT MAT MAP PEN PIN BIN TIN FIN SHIP CHIP SHEEP SEAT BOAT COAT GOAT "
    "NOTE BELL BALL BOWL POLE COAL GOAL BAG PACK BOOK HOOK SOCK ROCK LOCK LOG DOG DUCK DOCK CUP",
    "where": "NEAR UNDER OVER BEHIND BY ON IN WITH",
    "when": "TODAY TONIGHT NOW SOON THEN AGAIN",
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


def sentence(rng: np.random.Generator) -> str:
    """Draw a sentence: 5 to 9 upper-case words with blanks between."""
    template = TEMPLATES[rng.integers(len(TEMPLATES))]
    return " ".join(
        str(rng.choice(SLOTS[slot].split())) if slot in SLOTS else slot for slot in template.split()
    )
