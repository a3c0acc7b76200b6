"""Every wrong call of the engine ends in an error that names what was given, what is allowed and the cure."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

import lrp
from lrp.composites import Composite, Entry
from lrp.errors import InputError
from lrp.input_rules import ZBox
from lrp.propagation import Propagated
from lrp.resolving import resolve
from lrp.rules import RULES, Epsilon, Gamma
from lrp.testing import check_rule

MODEL = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)).eval()
X = torch.rand(2, 3, 8, 8)


class Returns(nn.Module):
    def __init__(self, wrap: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.body, self.wrap = MODEL, wrap

    def forward(self, x: Tensor) -> Any:
        return self.wrap(self.body(x))


def explain(composite: Any = "auto", target: Any = 0, model: nn.Module = MODEL) -> Any:
    return lrp.attribute(model, X, target, composite)


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "no composite": (lambda: explain(None), "composite None: give one of the names lrp_z, "),
    "a number": (lambda: explain(3), "composite 3: give one of the names"),
    "a function": (lambda: explain(lrp.COMPOSITES["epsilon"]), r"function or class: call it\): give one of the names"),
    "unknown name": (lambda: explain("epsilom"), "composite 'epsilom' does not exist; choose one of lrp_z"),
    "unknown parameter": (lambda: resolve({"name": "epsilon", "eps": 1}), "'epsilon' has no parameter 'eps'; its parameters: epsilon"),
    "missing parameter": (lambda: resolve({"name": "epsilon_gamma_box"}), "'epsilon_gamma_box' lacks low, high; its parameters"),
    "misspelt rules": (lambda: resolve({"name": "mine", "base": "epsilon", "rule": []}), "'mine' has a base and no rules"),
    "rules without base": (lambda: resolve({"name": "epsilon", "rules": [{"rule": "flat"}]}), "give base: epsilon, and a name"),
    "own without rules": (lambda: resolve({"name": "mine", "gamma": 1}), "an own composite needs base and rules"),
    "rule unknown": (lambda: resolve({"name": "m", "rules": [{"rule": "gama"}]}), "rule 'gama' does not exist; choose one of"),
    "rule parameter": (
        lambda: resolve({"name": "m", "rules": [{"rule": "gamma", "gama": 1}]}),
        "rule 'gamma' has no parameter 'gama'; its parameters: gamma; conditions: kind, parameter",
    ),
    "factors are fixed": (lambda: resolve({"name": "m", "rules": [{"rule": "halves", "factors": 1}]}), "its parameters: none"),
    "class for a rule": (lambda: Entry(Gamma), r"rule Gamma is a class: give one of it, Gamma\(\)"),
    "rule of another kind": (lambda: Entry(Gamma(), kind="softmax"), "rules that do: gradient, constant, halves"),
    "depth of words": (lambda: Entry(Gamma(), depth=("0", "1")), "give two numbers from 0"),
    "depth reversed": (lambda: Entry(Gamma(), depth=(1, 0)), "give two numbers from 0"),
    "parameter no name": (lambda: Entry(Gamma(), parameter=0), "parameter 0: give a pattern of a parameter's name"),
    "one entry": (lambda: Composite("m", {}, Entry(Gamma())), "give a tuple of lrp.Entry"),
    "unknown kind": (lambda: Composite("m", {"conv": Gamma()}), "kind 'conv' does not exist; choose one of linear"),
    "incomplete rules": (
        lambda: explain(Composite("m", {"linear": Epsilon()})),
        "no rule for kind 'convolution' .* start from those of lrp.COMPOSITES",
    ),
    "entry in vain": (
        lambda: explain(Composite("m", lrp.COMPOSITES["lrp_z"]().rules, (Entry(Gamma(), parameter="head.*"),))),
        r"matches no operation of this model; the model has convolution \(0.weight\), linear \(3.weight\)",
    ),
    "gamma of words": (lambda: RULES["gamma"]("a"), "gamma='a': give a number above 0"),
    "epsilon of 0": (lambda: RULES["epsilon"](0), "epsilon=0: give a number above 0"),
    "alpha alone": (lambda: RULES["alpha_beta"]("2", 1), "give alpha >= 1 and beta >= 0"),
    "box of words": (lambda: ZBox("a", 1.0), "low='a': give a number, or a tuple"),
    "box of two channels": (lambda: explain({"name": "epsilon_gamma_box", "low": [0, 0], "high": 1}), "2 values for 3 channels"),
    "infinite epsilon": (lambda: RULES["epsilon"](float("inf")), "epsilon=inf: give a number above 0"),
    "bounds of two lengths": (lambda: RULES["z_box"]((0.0, 0.0), (1.0,)), "as many values for low as for high"),
    "a word as bias": (lambda: RULES["z_plus"](bias="no"), "bias='no': give True or False"),
    "a list as kind": (lambda: Entry(Gamma(), kind=["linear"]), r"kind \['linear'\] does not exist"),
    "rules in a list": (lambda: Composite("m", [Gamma()]), "give a mapping from kind to rule"),
    "a rule of products": (lambda: Entry(RULES["halves"]()), "rule 'halves' does not fit .* rules that do: zero, epsilon"),
    "names as targets": (lambda: explain(target=["a", "b"]), "give class indices, not names; the model has classes 0 to 2"),
    "target of truth": (lambda: explain(target=True), "target True: give class indices, not truth values"),
    "complex logits": (lambda: explain(model=Returns(lambda y: y + 0j)), "complex logits .* wrap it to return real ones"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_call_is_told_what_to_do(name: str) -> None:
    call, message = BAD[name]
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "__init__" not in str(caught.value) and "Factors(" not in str(caught.value).partition("rules that do")[2]


def test_numbers_that_yaml_takes_for_text_are_numbers() -> None:
    given = yaml.safe_load("{name: epsilon, epsilon: 1e-6}")
    assert given["epsilon"] == "1e-6"
    assert resolve(given).rules["linear"] == Epsilon(1e-6)
    own = yaml.safe_load("{name: m, base: epsilon, rules: [{rule: gamma, gamma: 1e-1, depth: [0, 1e-1]}]}")
    assert resolve(own).entries[0] == Entry(Gamma(0.1), depth=(0, 0.1))


def test_logits_in_a_list_are_explained() -> None:
    assert torch.equal(explain(model=Returns(lambda y: [y])).values, explain().values)


def test_inputs_and_calls_inside_inference_mode_are_explained() -> None:
    with torch.inference_mode():
        x = X * 1
        inside = lrp.attribute(MODEL, x, 0)
    assert torch.equal(inside.values, explain().values) and torch.equal(
        lrp.attribute(MODEL, x, 0).values, inside.values
    )
    with torch.inference_mode():
        made = nn.Linear(3, 2)
    with pytest.raises(InputError, match=r"the model was made inside torch\.inference_mode"):
        lrp.attribute(made, torch.rand(1, 3), 0)


def test_rules_of_a_composite_cannot_be_changed() -> None:
    composite = lrp.COMPOSITES["epsilon"]()
    with pytest.raises(TypeError, match="does not support item assignment"):
        composite.rules["linear"] = Gamma()


def test_composites_can_be_copied_and_pickled() -> None:
    composite = lrp.COMPOSITES["epsilon_plus_flat"]()
    assert copy.deepcopy(composite) == pickle.loads(pickle.dumps(composite)) == composite


def test_targets_of_any_integer_type_are_taken() -> None:
    assert torch.equal(
        explain(target=torch.tensor([1, 2], dtype=torch.uint8)).values, explain(target=torch.tensor([1, 2])).values
    )


def test_relevance_is_shown_in_one_line() -> None:
    assert repr(explain("epsilon")).startswith(
        "Relevance(values (2, 3, 8, 8), target [0, 0], composite 'epsilon', closure "
    )


class Raising:
    gives_relevance = False

    def propagate(self, application: Any, c: Tensor) -> Propagated:
        raise ZeroDivisionError("never")


class Bare(Raising):
    def propagate(self, application: Any, c: Tensor) -> Any:
        return application.transpose(c)


@pytest.mark.parametrize(
    ("rule", "said"), [(Raising(), "ZeroDivisionError: never"), (Bare(), "returns lrp.propagation.Propagated")]
)
def test_a_rule_that_does_not_run_fails_one_check_and_says_why(rule: Any, said: str) -> None:
    (check,) = check_rule(rule)
    assert check.name == "runs" and check.passed is False and said in check.note
