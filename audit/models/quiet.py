"""Keeps transformers to itself: no messages, warnings or progress bars (what matters is raised), no bots."""

import logging as stdlib_logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

CONVERSION = "DISABLE_SAFETENSORS_CONVERSION"  # unset, loading pickled hub weights asks a hub bot to convert them


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers inside the block and restore its settings afterwards (process-wide, so not for threads)."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    conversion = os.environ.get(CONVERSION)
    os.environ[CONVERSION] = "1"
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub_level = hub_logging.get_verbosity()
    hub_logging.set_verbosity(stdlib_logging.CRITICAL)  # it reports each of its tries to connect
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        hub_logging.set_verbosity(hub_level)
        if bars:
            logging.enable_progress_bar()
        if conversion is None:
            del os.environ[CONVERSION]
        else:
            os.environ[CONVERSION] = conversion
