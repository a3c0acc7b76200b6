"""What drives a finding is listed among the examples that the finding is about."""

import numpy as np

from audit.explore.query import rows
from audit.explore.shelf import Shelf
from audit.explore.views.finding import drivers, finding
from audit.pipeline import Run


def test_a_direction_is_driven_by_examples_of_its_true_class_alone(image_run: Run, text_run: Run) -> None:
    seen = set()
    for made in (image_run, text_run):
        shelf = Shelf(made.folder)
        for each in made.record.findings:
            if each.question != "direction" or "true class" not in each.details:
                continue
            wanted = each.details["true class"]
            for _, query in drivers(shelf, each):
                assert set(shelf.cells("label", rows(shelf, query))) == {wanted}
                seen.add(wanted)
    assert {"face", "not face"} & seen and {"fresh", "rotten"} & seen


def test_the_spread_of_a_direction_is_that_of_its_true_class(image_run: Run) -> None:
    shelf = Shelf(image_run.folder)
    each = next(each for each in image_run.record.findings if "true class" in each.details)
    label, net = np.array(shelf.column("label").to_pylist()), shelf.numbers(f"net.{each.details['region']}")
    n = int(np.isfinite(net[label == each.details["true class"]]).sum())
    figure = finding(shelf, [("id", each.id)])["spread"]
    assert f"n = {n:,}" in figure.alt and n < np.isfinite(net).sum()
