"""Transcribe sound files with a trained recognizer.

python transcribe.py --model results/robust_asr/1 recordings/ --output transcripts.csv
"""

import sys

from inference.command import carry_out
from inference.transcribe import parser, run

if __name__ == "__main__":
    sys.exit(carry_out(parser(), run))
