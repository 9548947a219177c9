"""Score enhanced speech of any system.

python score.py --clean clean/ noisy=noisy/ ours=enhanced/
python score.py enhanced/
"""

import sys

from inference.command import carry_out
from inference.score import parser, run

if __name__ == "__main__":
    sys.exit(carry_out(parser(), run))
