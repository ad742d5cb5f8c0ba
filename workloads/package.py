"""Workload packages: a folder with ``workload.yaml`` and the code it names.

Packages live in ``workloads/packages`` and in the folders that the environment variable
``MLSCALE_PACKAGES_PATH`` names (``os.pathsep`` between them; those come first). A package's
folder is its name with ``-`` written as ``_``. Nothing here imports a package's code before
``Package.entry`` is called, so a stack is validated without torch.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib
import importlib.machinery
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from infra.core.errors import BadInput, MlscaleError, Problem
from workloads.manifest import Manifest

# CPython 3.11 miscounts its recursion depth when two threads build syntax trees at once
# (python/cpython#106905).
_PARSING = threading.Lock()

MANIFEST_NAME = "workload.yaml"
PACKAGES_PATH_VARIABLE = "MLSCALE_PACKAGES_PATH"
_BUILT_IN = Path(__file__).parent / "packages"
_CACHES = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".ipynb_checkpoints"}


@dataclass(frozen=True)
class Package:
    """A package whose manifest was read and found good."""

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.manifest.name

    @cached_property
    def code_sha256(self) -> str:
        """Content hash of the package: its files' paths and bytes, in sorted order.

        Caches, compiled and hidden files don't count, nor do modes and times, so that the same
        sources give the same hash on every machine.
        """
        digest = hashlib.sha256()
        for path in _source_files(self.folder):
            name = path.relative_to(self.folder).as_posix().encode()
            content = hashlib.sha256(path.read_bytes()).digest()
            digest.update(len(name).to_bytes(8, "big") + name + content)
        return digest.hexdigest()

    def entry(self, role: str) -> Any:
        """Import and return what ``entry_points.<role>`` names.

        Raises ``BadInput`` where the manifest gives no such entry point.
        """
        target = getattr(self.manifest.entry_points, role)
        if target is None:
            raise BadInput(
                Problem(
                    f"the package {self.name!r} has no entry point {role!r}",
                    file=str(self.folder / MANIFEST_NAME),
                    path=f"entry_points.{role}",
                    fix=f"add `{role}: module:function` under entry_points",
                )
            )
        module, _, attribute = target.partition(":")
        return getattr(importlib.import_module(f"{self._import_root()}.{module}"), attribute)

    def resolve_hyperparameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The defaults overlaid with ``given``; raises ``BadInput`` naming every misfit."""
        declared = self.manifest.hyperparameters
        problems = []
        for name, value in given.items():
            if name not in declared:
                message = f"the package {self.name!r} has no hyperparameter {name!r}"
                problems.append(
                    Problem(
                        message + _suggestion(name, declared),
                        path=f"hyperparameters.{name}",
                        expected=f"one of {', '.join(declared)}" if declared else "none",
                    )
                )
                continue
            expected = declared[name].complaint(value)
            if expected:
                problems.append(
                    Problem(
                        f"{value!r} does not fit", path=f"hyperparameters.{name}", expected=expected
                    )
                )
        if problems:
            raise BadInput(problems)
        resolved = {name: given.get(name, spec.default) for name, spec in declared.items()}
        return {
            name: float(value) if declared[name].type == "number" else value
            for name, value in resolved.items()
        }

    def _import_root(self) -> str:
        if self.folder.parent == _BUILT_IN:
            return f"workloads.packages.{self.folder.name}"
        return _import_by_location(self.folder)


def discover(roots: Sequence[Path] | None = None) -> dict[str, Path]:
    """Name -> folder of every package there is; a folder without a manifest is not one."""
    found: dict[str, Path] = {}
    for root in _roots(roots):
        for folder in sorted(root.iterdir()) if root.is_dir() else ():
            if (folder / MANIFEST_NAME).is_file():
                found.setdefault(folder.name.replace("_", "-"), folder)
    return found


def load(name: str, roots: Sequence[Path] | None = None) -> Package:
    """Read the package ``name``; raises ``BadInput`` with every problem of its manifest at once."""
    folder, problems = _find(name, roots)
    if folder is None:
        raise BadInput(problems)
    manifest, problems = _read(folder, name)
    if manifest is None:
        raise BadInput(problems)
    return Package(folder, manifest)


def check(name: str, roots: Sequence[Path] | None = None) -> list[Problem]:
    """Everything wrong with the package, without importing its code; empty where it is good."""
    folder, problems = _find(name, roots)
    return _read(folder, name)[1] if folder else problems


def _roots(roots: Sequence[Path] | None) -> list[Path]:
    if roots is not None:
        return list(roots)
    extra = os.environ.get(PACKAGES_PATH_VARIABLE, "")
    return [*(Path(part).resolve() for part in extra.split(os.pathsep) if part), _BUILT_IN]


def _find(name: str, roots: Sequence[Path] | None) -> tuple[Path | None, list[Problem]]:
    known = discover(roots)
    if name in known:
        return known[name], []
    for root in _roots(roots):
        folder = root / name.replace("-", "_")
        if folder.is_dir():
            problem = Problem(
                f"the package {name!r} has no manifest",
                file=str(folder / MANIFEST_NAME),
                expected=f"a file {MANIFEST_NAME}",
                fix="write one; docs/packages.md has the keys",
            )
            return None, [problem]
    message = f"there is no workload package {name!r}{_suggestion(name, known)}"
    return None, [Problem(message, expected=f"one of {', '.join(known) or '(none)'}")]


def _read(folder: Path, name: str) -> tuple[Manifest | None, list[Problem]]:
    path = folder / MANIFEST_NAME
    try:
        document = _parse_yaml(path)
    except MlscaleError as error:
        return None, list(error.problems)
    try:
        manifest = Manifest.model_validate(_plain(document))
    except ValidationError as error:
        return None, [_as_problem(issue, document, path) for issue in error.errors()]
    problems = list(_entry_problems(folder, manifest, document))
    if manifest.name != name:
        problems.append(
            Problem(
                f"the manifest calls the package {manifest.name!r}",
                file=str(path),
                line=_line(document, ("name",)),
                path="name",
                expected=f"{name!r}, as its folder {folder.name}",
            )
        )
    return (None if problems else manifest), problems


def _parse_yaml(path: Path) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        document = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError, OSError) as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        reason = (error.problem if isinstance(error, MarkedYAMLError) else None) or str(error)
        raise BadInput(
            Problem(
                f"not readable as YAML: {reason}",
                file=str(path),
                line=mark.line + 1 if mark else None,
                expected="a UTF-8 YAML document",
            )
        ) from error
    if not isinstance(document, Mapping):
        raise BadInput(Problem("empty manifest", file=str(path), line=1, expected="a mapping"))
    return document


def _plain(value: Any) -> Any:
    """The parsed document without the parser's own types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _as_problem(issue: Any, document: Any, path: Path) -> Problem:
    location = tuple(issue["loc"])
    message, expected, fix = issue["msg"], None, None
    if issue["type"] == "extra_forbidden":
        allowed = _fields_at(location[:-1])
        message = f"unknown key {location[-1]!r}{_suggestion(str(location[-1]), allowed)}"
        expected = f"one of {', '.join(allowed)}"
    elif issue["type"] == "missing":
        message, fix = "missing key", f"add `{location[-1]}:`"
    elif issue["type"] == "string_pattern_mismatch":
        message = f"{issue['input']!r} does not fit"
        expected = f"text like {issue['ctx']['pattern']}"
    elif issue["type"] == "literal_error":
        message, expected = f"{issue['input']!r} is not allowed", issue["ctx"]["expected"]
    return Problem(
        message.removeprefix("Value error, "),
        file=str(path),
        line=_line(document, location),
        path=".".join(map(str, location)) or None,
        expected=expected,
        fix=fix,
    )


def _fields_at(location: tuple[Any, ...]) -> list[str]:
    """The keys that the manifest allows at ``location``."""
    annotation: Any = Manifest
    for part in location:
        if _is_model(annotation):
            field = annotation.model_fields.get(part)
            annotation = field.annotation if field else None
        else:  # a list's index or a mapping's key
            annotation = (getattr(annotation, "__args__", None) or (None,))[-1]
    return list(annotation.model_fields) if _is_model(annotation) else []


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _line(document: Any, location: tuple[Any, ...]) -> int | None:
    """1-based line of the deepest part of ``location`` that the document has."""
    node: Any = document
    line = 1
    for part in location:
        try:
            marks = node.lc
            position = marks.item(part) if isinstance(part, int) else marks.key(part)
            node = node[part]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
        line = position[0] + 1
    return line


def _entry_problems(folder: Path, manifest: Manifest, document: Any) -> Iterator[Problem]:
    for role, target in manifest.entry_points.model_dump(exclude_none=True).items():
        module, _, attribute = target.partition(":")
        source = folder.joinpath(*module.split(".")).with_suffix(".py")
        where = partial(
            Problem,
            file=str(folder / MANIFEST_NAME),
            line=_line(document, ("entry_points", role)),
            path=f"entry_points.{role}",
        )
        if not source.is_file():
            yield where(f"{target!r} names a module that is not there", expected=str(source))
            continue
        try:
            text = source.read_text(encoding="utf-8")
            with _PARSING:
                tree = ast.parse(text)
        except (SyntaxError, UnicodeDecodeError) as error:
            yield Problem(
                f"{target!r}: {source.name} is not valid Python: {error}",
                file=str(source),
                line=getattr(error, "lineno", None),
                path=f"entry_points.{role}",
            )
            continue
        names = _top_level_names(tree)
        if attribute not in names:
            message = f"{target!r} names nothing in {source.name}{_suggestion(attribute, names)}"
            yield where(message, expected=f"a top-level `{attribute}` in {source}")


def _top_level_names(tree: ast.Module) -> list[str]:
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names += [alias.asname or alias.name for alias in node.names]
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.append(node.target.id)
    return names


def _suggestion(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _source_files(folder: Path) -> list[Path]:
    def counts(path: Path) -> bool:
        parts = path.relative_to(folder).parts
        hidden = any(part in _CACHES or part.startswith(".") for part in parts)
        return path.is_file() and not hidden and path.suffix not in {".pyc", ".pyo"}

    files = [path for path in folder.rglob("*") if counts(path)]
    return sorted(files, key=lambda path: path.relative_to(folder).as_posix())


def _import_by_location(folder: Path) -> str:
    """Make a package outside ``workloads/packages`` importable under a name of its own."""
    tag = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    name = f"mlscale_package_{folder.name}_{tag}"
    if name not in sys.modules:
        spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        sys.modules[name] = importlib.util.module_from_spec(spec)
    return name
