"""`make bench`: every figure is a ratio within one run, with its floor; nothing here is a timed test."""

import sys

from bench import engine, faithfulness, image_stage, real_model, stage
from bench.geco import __main__ as geco

if __name__ == "__main__":
    small = "--small" in sys.argv
    engine.main(small=small)
    stage.main(small=small)
    image_stage.main(small=small)
    real_model.main(small=small)
    faithfulness.main(small=small)
    geco.main(small=small)
