"""Impact ratios in plain words: a section of docs/statistics.md."""

from typing import Final

from audit.config import Compliance
from audit.questions import ADVERSE
from audit.stats.impact import DRAWS

RATIOS: Final = f"""\
## Impact ratios

`record.impact`: for every attribute column of the data, and for sex crossed with race and ethnicity where `compliance.axes` says which
columns these are, how many of each category are predicted favourable (`compliance.output: score`: have log odds of the favoured class
strictly above the median of all examples), and their rate over that of the reference, which is the highest (6 RCNY 5-300 to 5-304;
29 CFR 1607.4 D). They are figures that reports must carry, and no verdict or exit code rests on them.

* Unknown groups are counted and are no category; a category of less than `compliance.exclude_below` ({Compliance().exclude_below:g}) of the
  known examples has a rate and no ratio. Of equal rates the first in the order of names is the reference; the others have the ratio 1
  too, and a check says so.
* Four fifths are compared in whole numbers, never as decimals: 16 of 100 over 20 of 100 is not below.
* Intervals hold the ratios that a score test does not reject (Koopman 1984, Biometrics 40; odds: Cornfield 1956, Miettinen and Nurminen
  1985, Statistics in Medicine 4), in clusters at an effective sample size. Between two fixed categories they cover .94 to .96, of 15 as of
  200 a side; the reference is chosen by the data, so the ratio is biased below 1, and no interval mends that.
* So the smallest ratio to expect stands beside the observed one: of {DRAWS:,} draws of as many selected from all categories alike
  (multivariate hypergeometric), median, 95 % range, how often it is below four fifths, and p. At a rate of .3 and no difference it is
  below four fifths in 46 % of tables of two categories of 50, and in 99 % of seven. The smallest ratio of small tables takes few values,
  so how often it is below four fifths jumps with the number selected.
* p is that of two rates, as for outcome gaps: exact below expected counts of 10, corrected by Holm over the table. Deviations are the
  pooled score statistic. One selection more or less, of whichever category, is tried for whether it moves the ratio across four fifths.
* Of the unknown it is known who is selected: lowest and highest are the exact extremes over all categories that they could belong to.
* `compliance.strata` asks again within the groups of an attribute (Mantel and Haenszel; Breslow and Day with Tarone), with rows as if
  independent.
* Published tables are whole, or, where a count below `report.smallest_cell` could be computed, names and readings;
  `lrp-audit report RUN --smallest-cell 1 --output DIR` shows all to whoever may see it.

| reading | when |
|---|---|
"""


def about_ratios() -> str:
    """The section, with what each reading says."""
    return RATIOS + "\n".join(f"| {name} | {said} |" for name, said in ADVERSE.items() if name) + "\n"
