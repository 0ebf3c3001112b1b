"""`python -m cirtlib` is `cirt`."""

import sys

from cirtlib.cli import main

if __name__ == "__main__":
    sys.exit(main())
