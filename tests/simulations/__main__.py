"""`python -m tests.simulations [--full]`: simulate every scenario, print the rows as they are found, write docs/simulations.md."""

import argparse
import sys
from pathlib import Path

from tests.simulations.page import PROFILES, page


def main() -> None:
    """Run one profile."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulations", description=__doc__)
    parser.add_argument("--full", action="store_true", help="as many replicates as the claims need: an hour")
    profile = PROFILES["full" if parser.parse_args().full else "small"]
    found = page(profile, tell=lambda row: (sys.stdout.write(row), sys.stdout.flush()))
    (Path(__file__).parents[2] / "docs" / "simulations.md").write_text(found, encoding="utf-8")


if __name__ == "__main__":
    main()
