"""`python -m benchmarks`: see `suite`.

Processes that a benchmark starts import this module anew, so that it imports nothing for itself.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # the scripts here import each other by their names

if __name__ == "__main__":
    from suite import main

    main()
