"""What a run and a check share: a config's task with its model and data loaded, and the hash of its protocol."""

import hashlib
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from audit.config import Config
from audit.loading import LoadedConfig
from audit.tasks.images import load_image_task
from audit.tasks.task import Task
from audit.tasks.texts import load_text_task

UNHASHED: Final = {"output", "report"}
TASKS: Final[Mapping[str, Callable[[LoadedConfig], Task[Any]]]] = MappingProxyType(
    {"text": load_text_task, "image": load_image_task}
)


def prepare(loaded: LoadedConfig) -> Task[Any]:
    """Everything that is known before the first example is explained."""
    return TASKS[loaded.config.task](loaded)


def protocol_sha256(config: Config) -> str:
    """Hash of everything in the config that decides the result, taken before the first example is explained."""
    document = config.model_dump(mode="json", exclude=UNHASHED)
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
