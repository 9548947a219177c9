"""Enhance sound files with a trained model.

python enhance.py --model results/enhance_mimic/1 noisy/ --output enhanced/
"""

import sys

from inference.command import carry_out
from inference.enhance import parser, run

if __name__ == "__main__":
    sys.exit(carry_out(parser(), run))
