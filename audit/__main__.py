"""`python -m audit` is `lrp-audit`."""

from audit.cli import main

main(prog_name="lrp-audit")
