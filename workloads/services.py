"""Long-running programs: ``python -m <module> --config C.json``; a wrong config is refused.

A service leaves with code 0 after SIGTERM, with ``REFUSED_EXIT_CODE`` when no restart can cure
what is wrong (a bad config, a damaged model), with anything else when a restart may help.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from infra.core.errors import BadInput, MissingTool, MlscaleError, Problem
from workloads.jobs import REFUSED_EXIT_CODE


class ServiceConfig(BaseModel):
    """Base of a service's config file: unknown keys are errors, values don't change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


ConfigT = TypeVar("ConfigT", bound=BaseModel)


def load_config(path: Path, config_class: type[ConfigT]) -> ConfigT:
    """Read and check a service's config.

    Raises ``BadInput`` with every problem at once: file, line (of broken JSON), dotted path.
    """
    try:
        return config_class.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadInput(Problem(f"can't be read: {error.strerror}", file=str(path))) from None
    except json.JSONDecodeError as error:
        raise BadInput(Problem(f"not JSON: {error.msg}", str(path), error.lineno)) from None
    except UnicodeDecodeError:
        raise BadInput(Problem("not UTF-8 text", file=str(path), expected="JSON")) from None
    except ValidationError as error:
        raise explained(error, str(path)) from None


def explained(error: ValidationError, file: str) -> BadInput:
    """pydantic's findings as our problems, all of them; ``file`` is where the values stood."""
    return BadInput(
        Problem(
            item["msg"],
            file=file,
            path=".".join(map(str, item["loc"])) or None,
            expected=str(item["ctx"]["expected"]) if "expected" in item.get("ctx", {}) else None,
        )
        for item in error.errors(include_url=False, include_input=False)
    )


def main(
    serve: Callable[[ConfigT], None], config_class: type[ConfigT], argv: list[str] | None = None
) -> None:
    """Run ``serve`` as a program; never returns normally."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    arguments = parser.parse_args(argv)
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line a request is too many
    try:
        serve(load_config(arguments.config, config_class))
    except MissingTool as error:  # a taken port may be free at the next start
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except MlscaleError as error:
        print(error, file=sys.stderr)
        sys.exit(REFUSED_EXIT_CODE)
    sys.exit(0)
