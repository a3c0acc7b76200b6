"""The closed schema of an audit config: frozen pydantic models, one per block of the YAML file."""

from audit.config.base import BUILTIN, OUTSIDE, OWN, Block, Box, Channels, Fraction, Name, Pixel, Positive, Side
from audit.config.baseline import Baseline
from audit.config.compliance import Compliance, Declarations
from audit.config.data import Columns, Data
from audit.config.engine import Engine
from audit.config.features import REGION_KINDS, Groups, Region
from audit.config.model import Model, Preprocessing, Target
from audit.config.notify import DELIVERY, Notify
from audit.config.output import Debug, People, Report
from audit.config.relevance import (
    DEFAULTS,
    IMAGE_COMPOSITES,
    IMAGE_WITNESSES,
    LRP,
    METHODS,
    TEXT_COMPOSITES,
    TEXT_WITNESSES,
    Composite,
    Relevance,
)
from audit.config.statistics import FEWEST_TWINS, Checks, Margins, Statistics
from audit.config.whole import GATES, IMAGE_GATES, Config, Gated

__all__ = [
    "BUILTIN",
    "DEFAULTS",
    "DELIVERY",
    "FEWEST_TWINS",
    "GATES",
    "IMAGE_COMPOSITES",
    "IMAGE_GATES",
    "IMAGE_WITNESSES",
    "LRP",
    "METHODS",
    "OUTSIDE",
    "OWN",
    "REGION_KINDS",
    "TEXT_COMPOSITES",
    "TEXT_WITNESSES",
    "Baseline",
    "Block",
    "Box",
    "Channels",
    "Checks",
    "Columns",
    "Compliance",
    "Composite",
    "Config",
    "Data",
    "Debug",
    "Declarations",
    "Engine",
    "Fraction",
    "Gated",
    "Groups",
    "Margins",
    "Model",
    "Name",
    "Notify",
    "People",
    "Pixel",
    "Positive",
    "Preprocessing",
    "Region",
    "Relevance",
    "Report",
    "Side",
    "Statistics",
    "Target",
]
