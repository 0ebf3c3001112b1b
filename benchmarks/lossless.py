"""Ten thousand damaged files: the property tests of tests/test_lossless.py, with ten times the cases of CI.

CIRT_CASES=100000 python benchmarks/lossless.py        # or any other number
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    environment = {"CIRT_CASES": "10000", **os.environ}
    command = [sys.executable, "-m", "pytest", "-q", "-m", "integration", "tests/test_lossless.py"]
    sys.exit(subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode)
