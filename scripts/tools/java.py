"""Java 17 or later, for the Kafka broker of the local site."""

from __future__ import annotations

from infra.core.errors import MissingTool
from scripts.tools._tool import Finding, Tool, output_of, version_tuple


def find() -> Finding:
    """The Java that the broker will run on."""
    from workloads.streaming.broker import find_java

    try:
        path = str(find_java())
    except MissingTool as error:
        problem = error.problems[0]
        return Finding("", problem.file, missing=problem.message, fix=problem.fix)
    version = version_tuple(output_of([path, "-version"]))
    return Finding("", path, ".".join(map(str, version)))


JAVA = Tool("java", "runs the Kafka broker of the local site", find)
