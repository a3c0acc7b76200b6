"""What the engine cannot explain it refuses in words that say why and what to do; and threads may share a model."""

import threading

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import lrp
from lrp import handlers, opening, operations
from lrp.propagation import Propagated

N = 6


class Between(nn.Module):
    """`function` between two linear layers; with `after` its result is the output."""

    def __init__(self, function, *, after=False):
        super().__init__()
        torch.manual_seed(0)
        self.function, self.after, self.first, self.last = function, after, nn.Linear(4, N), nn.Linear(N, 2)

    def forward(self, x):
        if self.after:
            return self.function(self.last(self.first(x)))
        return self.last(self.function(self.first(x)))


def features(batch=2):
    return torch.randn(batch, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def tables():
    """The tables as they were, whatever a test covers."""
    functions, passes, opened = dict(handlers.HANDLERS), set(operations.PASSES), dict(opening.OPENED)
    yield
    for table, before in ((handlers.HANDLERS, functions), (opening.OPENED, opened)):
        table.clear()
        table.update(before)
    operations.PASSES.intersection_update(passes)


@pytest.mark.usefixtures("tables")
def test_a_covered_activation_that_is_not_finite_at_0_is_refused():
    lrp.cover(torch.lgamma, like=torch.tanh)
    with pytest.raises(lrp.UncoveredOperation, match=r"lgamma with f\(0\) = inf[\s\S]*finite at 0, so write a handler"):
        lrp.attribute(Between(torch.lgamma), features(), 0)
    relevance = lrp.attribute(Between(torch.lgamma), features(), 0, strict=False)
    assert "uncovered" in {entry.kind for entry in relevance.trace} and relevance.values.isfinite().all()


def test_a_ledger_that_is_not_finite_raises_and_carries_what_was_found():
    model = Between(nn.Identity())
    undefined = lrp.Composite("nan", {**lrp.COMPOSITES["lrp_z"]().rules, "linear": Undefined()})
    with pytest.raises(
        lrp.BrokenRelevance, match=r"NaN or infinite for 2 of 2 examples, the first is 0 \(entries inputs\)"
    ) as caught:
        lrp.attribute(model, features(), 0, undefined)
    assert caught.value.relevance.values.isnan().all()


class Undefined:
    """A rule that gives NaN."""

    gives_relevance = False

    def propagate(self, application, c):
        return Propagated(application.transpose(c) * float("nan"))


@pytest.mark.parametrize("composite", ["lrp_z", "epsilon"])
def test_an_uncovered_operation_on_the_input_itself_gets_gradient_times_input(composite):
    model = nn.Sequential(First(lambda x: torch.diff(x, prepend=x[:, :1])), nn.Linear(4, 2)).double()
    relevance = lrp.attribute(model, features().double(), 0, composite, strict=False)
    assert [entry.operation for entry in relevance.trace if entry.kind == "uncovered"] == ["diff"]
    assert relevance.ledger.closure.max() < 1e-12


class First(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize("function", ["asin", nn.Tanh(), nn.Tanh, 3])
def test_only_functions_can_be_covered(function):
    with pytest.raises(lrp.InputError, match=r"the first argument is .*: give a function, such as torch.asin"):
        lrp.cover(function, like=torch.tanh)
    with pytest.raises(lrp.InputError, match=r"like is .*: give a function"):
        lrp.cover(torch.asin, like=function)


@pytest.mark.usefixtures("tables")
def test_a_covered_function_written_in_python_is_seen_as_one_call():
    lrp.cover(F.tanhshrink, like=torch.tanh)
    trace = lrp.attribute(Between(F.tanhshrink), features(), 0).trace
    assert "tanhshrink" in {entry.operation for entry in trace}


STOPPING = {
    "exp": lambda y: y.exp(),
    "__rdiv__": lambda y: 1 / y,
    "detach": lambda y: y.detach(),
}


@pytest.mark.parametrize("name", STOPPING)
def test_where_no_relevance_arrives_the_operation_that_stops_it_is_named(name):
    with pytest.raises(lrp.InputError, match=rf"does not depend on inputs\['inputs'\][\s\S]*it stops at .*{name}"):
        lrp.attribute(Between(STOPPING[name]), features(), 0)


@pytest.mark.parametrize("head", [lambda y: F.log_softmax(y, 1), lambda y: y.log_softmax(-1), nn.LogSoftmax(1)])
def test_a_log_softmax_at_the_end_is_told_to_be_left_out(head):
    with pytest.raises(
        lrp.UncoveredOperation, match=r"Cure: explain the logits: return them from the model instead of their"
    ):
        lrp.attribute(Between(head, after=True), features(), 0)


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
def test_a_loss_is_told_to_be_left_out(loss):
    labels = torch.zeros(2, dtype=torch.long)
    with pytest.raises(
        lrp.UncoveredOperation, match=r"instead of the loss, and leave out labels|instead of their log_softmax"
    ):
        lrp.attribute(Between(lambda y: y + loss(y, labels), after=True), features(), 0)


def test_a_step_of_a_recurrent_cell_is_in_the_trace_and_auto_knows_it():
    class Steps(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.cell, self.last = nn.Conv1d(4, 4, 3), nn.LSTMCell(4, 5), nn.Linear(5, 2)

        def forward(self, x):
            h = c = x.new_zeros(len(x), 5)
            for step in self.conv(x).unbind(2):
                h, c = self.cell(step, (h, c))
            return self.last(h)

    x = torch.randn(2, 4, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    relevance = lrp.attribute(Steps().double(), x, 0)
    assert "recurrent" in {entry.kind for entry in relevance.trace}
    assert "for attention or recurrence with convolutions" in relevance.composite
    assert relevance.ledger.closure.max() < 1e-12


def test_threads_may_share_a_model_in_training_mode():
    model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 2)).double().train()
    x, found = features().double(), []
    expected = lrp.attribute(model, x, 0, "epsilon").values

    def explain():
        found.extend(lrp.attribute(model, x, 0, "epsilon").values for _ in range(40))

    threads = [threading.Thread(target=explain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 160 and all(torch.equal(values, expected) for values in found)
    assert all(module.training for module in model.modules()) and all(p.requires_grad for p in model.parameters())
