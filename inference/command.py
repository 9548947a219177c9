"""What the command-line scripts share: exit codes."""

import sys

from errors import RecipeError


def carry_out(parser, run, arguments=None):
    """Parse and run; returns the exit code: 0, 2 after an error that the user can mend, 130 after Ctrl-C."""
    options = parser.parse_args(arguments)
    try:
        run(options)
    except RecipeError as problem:
        print(f"{parser.prog}: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted; the same command goes on from here.", file=sys.stderr)
        return 130
    return 0
