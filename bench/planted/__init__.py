"""The planted-bias benchmark: classifiers whose reliance is known by intervention, audited by the shipped pipeline."""
