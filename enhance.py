"""Enhance sound files with the ready-made model, or with one of your own (--model).

python enhance.py noisy/ --output enhanced/
"""

import sys

from inference.command import carry_out
from inference.enhance import parser, run

if __name__ == "__main__":
    sys.exit(carry_out(parser(), run))
