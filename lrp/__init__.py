"""Layer-wise Relevance Propagation for any PyTorch classifier: `lrp.attribute(model, inputs, target, composite)`."""

from lrp.attribution import attribute, attribute_each
from lrp.composites import Composite, Entry
from lrp.errors import BrokenRelevance, InputError, LrpError, UncoveredOperation
from lrp.handlers import cover
from lrp.presets import COMPOSITES
from lrp.rules import RULES
from lrp.types import Ledger, Relevance, TraceEntry

__all__ = [
    "COMPOSITES",
    "RULES",
    "BrokenRelevance",
    "Composite",
    "Entry",
    "InputError",
    "Ledger",
    "LrpError",
    "Relevance",
    "TraceEntry",
    "UncoveredOperation",
    "attribute",
    "attribute_each",
    "cover",
]
