"""Manifests and packages: every mistake is one problem with its line and its way out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from infra.core.errors import BadInput, Problem
from tests.support.processes import ROOT
from tests.support.workload_packages import CODE, MANIFEST, write_package
from workloads.package import check, discover, load


def only_problem(root: Path, name: str = "toy") -> Problem:
    problems = check(name, [root])
    assert len(problems) == 1, problems
    with pytest.raises(BadInput) as refused:
        load(name, [root])
    assert refused.value.problems == tuple(problems)
    return problems[0]


def line_of(text: str, manifest: str = MANIFEST) -> int:
    return next(n for n, line in enumerate(manifest.splitlines(), 1) if text in line)


def test_digits_is_found_and_good() -> None:
    assert "digits" in discover()
    assert check("digits") == []
    package = load("digits")
    assert package.manifest.inputs[0].name == "pixels"
    assert [tensor.name for tensor in package.manifest.outputs] == ["label", "probabilities"]


def test_checking_a_package_imports_no_framework() -> None:
    script = (
        "import sys; from workloads.package import check; assert check('digits') == [];"
        "heavy = {'torch', 'sklearn', 'polars', 'pandera', 'mlflow', 'numpy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_unknown_package_suggests_the_nearest() -> None:
    (problem,) = check("digit")
    assert "did you mean 'digits'" in problem.message
    with pytest.raises(BadInput, match="did you mean 'digits'"):
        load("digit")


def test_folder_without_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    problem = only_problem(tmp_path)
    assert "no manifest" in problem.message
    assert problem.file == str(tmp_path / "toy" / "workload.yaml")
    assert problem.fix


def test_unknown_key_has_its_line_and_a_suggestion(tmp_path: Path) -> None:
    manifest = MANIFEST.replace("framework:", "framewrok:")
    problems = check("toy", [write_package(tmp_path, manifest=manifest)])
    unknown = next(each for each in problems if "unknown key" in each.message)
    assert "did you mean 'framework'" in unknown.message
    assert unknown.line == line_of("framewrok", manifest)
    missing = next(each for each in problems if each.message == "missing key")
    assert missing.path == "framework"


@pytest.mark.parametrize(
    ("before", "after", "path", "suggestion"),
    [
        ("unique: true", "uniqe: true", "dataset.columns.id.uniqe", "unique"),
        ("{by: [id]", "{bye: 1, by: [id]", "dataset.split.bye", "by"),
        ("dtype: float32, shape", "dtpe: 1, dtype: float32, shape", "inputs.0.dtpe", "dtype"),
        ("train: code", "trian: 'a:b'\n  train: code", "entry_points.trian", "train"),
    ],
)
def test_unknown_nested_key(
    tmp_path: Path, before: str, after: str, path: str, suggestion: str
) -> None:
    manifest = MANIFEST.replace(before, after)
    problem = only_problem(write_package(tmp_path, manifest=manifest))
    assert problem.path == path
    assert f"did you mean {suggestion!r}" in problem.message
    assert problem.line == line_of(path.rpartition(".")[2], manifest)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("framework: pytorch", "framework: torch", "'torch' is not allowed"),
        ("version: 0.1.0", "version: first", "'first' does not fit"),
        ("gate: {accuracy_min", "gate: {acuracy_min", "bounds no metric"),
        ("features: values", "features: value", "not one of the columns"),
        ("split: {by", "split: {column: id, by", "is also one of the columns"),
        ("default: 2,", "default: 11,", "the default 11 is not"),
        ("default: plain,", "default: odd,", "the default 'odd' is not"),
        ("label: {dtype: int64, minimum: 0", "label: {dtype: string, minimum: 0", "for numbers"),
        ("unique: true", "length: 2", "for lists"),
        ("keep: 2", "keep: 1", "greater than or equal to 2"),
        ("name: toy", "name: other", "calls the package 'other'"),
        ("train: code:define", "train: code:defin", "did you mean 'define'"),
        ("train: code:define", "train: cod:define", "a module that is not there"),
    ],
)
def test_wrong_value(tmp_path: Path, before: str, after: str, says: str) -> None:
    manifest = MANIFEST.replace(before, after)
    problem = only_problem(write_package(tmp_path, manifest=manifest))
    assert says in problem.message
    assert problem.line is not None
    assert problem.file == str(tmp_path / "toy" / "workload.yaml")


def test_every_problem_at_once(tmp_path: Path) -> None:
    manifest = MANIFEST.replace("framework: pytorch", "framework: 1").replace("0.1.0", "x")
    assert len(check("toy", [write_package(tmp_path, manifest=manifest)])) == 2


@pytest.mark.parametrize(
    ("manifest", "says"),
    [("name: [", "not readable as YAML"), ("", "empty manifest"), ("a: 1\na: 2\n", "duplicate")],
)
def test_file_that_is_no_mapping(tmp_path: Path, manifest: str, says: str) -> None:
    assert says in only_problem(write_package(tmp_path, manifest=manifest)).message


def test_entry_module_with_a_syntax_error(tmp_path: Path) -> None:
    root = write_package(tmp_path, code="def define(:\n")
    problems = check("toy", [root])
    assert {problem.line for problem in problems} == {1}
    assert all("not valid Python" in problem.message for problem in problems)


def test_entry_may_be_assigned_or_imported(tmp_path: Path) -> None:
    code = "from os import path as read\ndefine: object = 1\n"
    assert check("toy", [write_package(tmp_path, code=code)]) == []
    assert check("toy", [write_package(tmp_path / "b", code="read = define = 1\n")]) == []


def test_code_hash_follows_content_alone(tmp_path: Path) -> None:
    first = load("toy", [write_package(tmp_path / "a")])
    root = write_package(tmp_path / "b")
    cache = root / "toy" / "__pycache__"
    cache.mkdir()
    (cache / "code.cpython-311.pyc").write_bytes(b"x")
    (root / "toy" / ".hidden").write_text("x")
    assert load("toy", [root]).code_sha256 == first.code_sha256
    (root / "toy" / "more.py").write_text("")
    assert load("toy", [root]).code_sha256 != first.code_sha256


def test_moving_bytes_between_files_changes_the_hash(tmp_path: Path) -> None:
    hashes = set()
    for number, (one, two) in enumerate([("ab", "c"), ("a", "bc"), ("abc", "")]):
        root = write_package(tmp_path / str(number))
        (root / "toy" / "one.txt").write_text(one)
        (root / "toy" / "two.txt").write_text(two)
        hashes.add(load("toy", [root]).code_sha256)
    assert len(hashes) == 3


def test_entry_of_a_package_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_package(tmp_path, "far-away", MANIFEST.replace("name: toy", "name: far-away"))
    monkeypatch.setenv("MLSCALE_PACKAGES_PATH", str(root))
    package = load("far-away")
    assert package.entry("train")({"a": 1}) == {"a": 1}
    assert package.entry("train") is package.entry("train")
    with pytest.raises(BadInput, match="no entry point 'export'"):
        package.entry("export")


def test_hyperparameters(tmp_path: Path) -> None:
    package = load("toy", [write_package(tmp_path, code=CODE)])
    resolved = package.resolve_hyperparameters({"rate": 1, "kind": "fancy"})
    assert resolved == {"epochs": 2, "rate": 1.0, "kind": "fancy", "warm": True}
    assert isinstance(resolved["rate"], float)
    wrong = {"epochs": True, "rate": -1, "kind": "odd", "warm": 1, "epoch": 3}
    with pytest.raises(BadInput) as refused:
        package.resolve_hyperparameters(wrong)
    said = {problem.path: str(problem) for problem in refused.value.problems}
    assert set(said) == {f"hyperparameters.{name}" for name in wrong}
    assert "did you mean 'epochs'" in said["hyperparameters.epoch"]
    assert "at least 1, at most 10" in said["hyperparameters.epochs"]
