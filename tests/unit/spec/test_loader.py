"""Files that can't be read, stacks that aren't there, and data that comes from the engine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from infra.core.errors import InvalidStack, Problem, Unsupported
from infra.spec import load, parse, read, stacks_in
from infra.spec.loader import declaration
from scripts.cli import validate
from tests.unit.spec.spec_corpus import FOLDER, source_of

_WHOLE = (FOLDER / "happy.local-whole.yaml").read_text(encoding="utf-8")

# What any version's local site serves: without the sinks of the whole one.
_SERVABLE = "\n".join(line for line in _WHOLE.splitlines() if "sinks:" not in line) + "\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "stacks").mkdir()
    _put(tmp_path, "local", _WHOLE)
    return tmp_path


def _put(root: Path, stack: str, content: str | bytes) -> None:
    raw = content.encode() if isinstance(content, str) else content
    (root / "stacks" / f"Pulumi.{stack}.yaml").write_bytes(raw)


def _only_problem(stack: str, root: Path) -> Problem:
    with pytest.raises(InvalidStack) as caught:
        load(stack, root)
    assert len(caught.value.problems) == 1
    return caught.value.problems[0]


class TestLoad:
    def test_reads_a_stack(self, root: Path) -> None:
        assert load("local", root).endpoints["digits"].model_name == "digits"
        assert load("organization/mlscale/local", root) == load("local", root)

    def test_names_the_stacks_that_exist(self, root: Path) -> None:
        _put(root, "aws-prod", _WHOLE)
        problem = _only_problem("locl", root)
        assert problem.file == "stacks/Pulumi.locl.yaml"
        assert problem.expected == "one of aws-prod, local"
        assert problem.fix == "write `local`"
        assert stacks_in(root) == ["aws-prod", "local"]

    def test_says_which_file_to_write_where_there_is_no_stack(self, tmp_path: Path) -> None:
        problem = _only_problem("local", tmp_path)
        assert problem.fix == "write stacks/Pulumi.local.yaml"

    @pytest.mark.parametrize("name", ["", "..", "a b", "x/../"])
    def test_refuses_what_is_no_stack_name(self, root: Path, name: str) -> None:
        assert "is not a stack's name" in _only_problem(name, root).message

    def test_an_unreadable_file(self, root: Path) -> None:
        (root / "stacks" / "Pulumi.local.yaml").unlink()
        (root / "stacks" / "Pulumi.local.yaml").symlink_to(root)
        assert "there is no stack" in _only_problem("local", root).message

    def test_text_that_is_not_utf8(self, root: Path) -> None:
        _put(root, "latin", b"config:\n  # caf\xe9\n")
        problem = _only_problem("latin", root)
        assert (problem.line, problem.message) == (2, "is not UTF-8: byte 0xe9")

    def test_a_byte_order_mark_is_no_problem(self, root: Path) -> None:
        _put(root, "marked", b"\xef\xbb\xbf" + _WHOLE.encode())
        assert load("marked", root) == load("local", root)

    def test_an_empty_file(self, root: Path) -> None:
        _put(root, "empty", "")
        assert _only_problem("empty", root).message == "is empty"

    def test_a_file_that_is_a_list(self, root: Path) -> None:
        _put(root, "list", "- config\n")
        assert _only_problem("list", root).message == "is not a mapping"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[" * 1500, "nested too deeply"),
            ("config: {a: 1} {b: 2}", "is not YAML"),
            ("a: 1\n---\nb: 2\n", "is not YAML"),
            ("config: *nowhere\n", "is not YAML"),
            ("config: \x01\n", "is not YAML"),
            ('config: "\\ud800"\n', "is no character"),
            ("config: " + "9" * 5000 + "\n", "is no int"),
            ("a: &a {<<: *a}\n", "merges something that is no mapping"),
        ],
    )
    def test_text_that_is_no_yaml(self, root: Path, text: str, message: str) -> None:
        _put(root, "odd", text)
        assert message in _only_problem("odd", root).message

    def test_anchors_that_explode(self, root: Path) -> None:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        for level in range(1, 9):
            lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]")
        _put(root, "bomb", "\n".join(lines))
        assert "grow to more than" in _only_problem("bomb", root).message


class TestParse:
    def test_data_of_the_engine_with_the_lines_of_the_file(self, root: Path) -> None:
        source = read("local", root)
        data = json.loads(json.dumps(declaration(source)))
        assert parse(data, source) == load("local", root)
        data["training"]["digits"]["seed"] = -1
        with pytest.raises(InvalidStack) as caught:
            parse(data, source)
        (problem,) = caught.value.problems
        assert problem.path == "platform.training.digits.seed"
        assert problem.line == _WHOLE.splitlines().index("        seed: 7") + 1

    def test_a_place_that_is_not_in_the_file_gets_the_line_around_it(self, root: Path) -> None:
        source = read("local", root)
        data = json.loads(json.dumps(declaration(source)))
        data["endpoints"]["other"] = {}
        with pytest.raises(InvalidStack) as caught:
            parse(data, source)
        line = _WHOLE.splitlines().index("    endpoints:") + 1
        assert {problem.line for problem in caught.value.problems} == {line}

    def test_without_a_file_there_are_paths_only(self) -> None:
        with pytest.raises(InvalidStack) as caught:
            parse({"name": "x"})
        assert {(p.file, p.line) for p in caught.value.problems} == {(None, None)}
        assert len(caught.value.problems) == 3

    @pytest.mark.parametrize("data", [None, [], "text", 3])
    def test_what_is_no_mapping(self, data: object) -> None:
        with pytest.raises(InvalidStack, match="`mlscale:platform` is"):
            parse(data)

    def test_numbers_as_the_engine_may_hand_them_on(self) -> None:
        source = source_of(FOLDER / "happy.whole-design.yaml")
        data = json.loads(json.dumps(declaration(source)).replace("7000000000.0", "7e+09"))
        assert parse(data, source) == parse(declaration(source), source)

    def test_a_secret_that_an_environment_of_the_engine_brings(self, root: Path) -> None:
        text = _WHOLE.replace("  mlscale:datadog-key: {secure: AAABAE1pbmltYWw=}\n", "")
        _put(root, "without", text)
        assert "`datadog-key` is not set" in _only_problem("without", root).message
        _put(root, "service", f"environment: [team/keys]\n{text}")
        assert load("service", root) == load("local", root)


class TestCommand:
    @pytest.fixture
    def app(self) -> typer.Typer:
        app = typer.Typer()
        app.command()(validate.command)
        return app

    def test_says_what_a_stack_declares(self, app: typer.Typer, root: Path) -> None:
        _put(root, "small", _SERVABLE)
        result = CliRunner().invoke(app, ["small", "--root", str(root)])
        assert result.exit_code == 0
        assert "valid  small: local, dev, owned by research" in result.stdout
        assert "endpoints  digits" in result.stdout
        assert "12.5 USD a month" in result.stdout

    def test_says_it_for_scripts(self, app: typer.Typer, root: Path) -> None:
        _put(root, "small", _SERVABLE)
        result = CliRunner().invoke(app, ["small", "--root", str(root), "--json"])
        told = json.loads(result.stdout)
        assert told["valid"] is True
        assert told["declares"]["clouds"] == ["local"]
        assert told["declares"]["endpoints"] == 1

    def test_says_what_a_site_can_not_serve(self, app: typer.Typer, root: Path) -> None:
        _put(root, "asking", _SERVABLE.replace("models:/digits@", "models:/unheard-of@"))
        result = CliRunner().invoke(app, ["asking", "--root", str(root)])
        assert result.exit_code == Unsupported.exit_code
        assert "platform.endpoints.digits.model" in result.stderr

    def test_prints_every_problem(self, app: typer.Typer, root: Path) -> None:
        _put(root, "bad", (FOLDER / "error.references.yaml").read_bytes())
        result = CliRunner().invoke(app, ["bad", "--root", str(root)])
        assert result.exit_code == InvalidStack.exit_code
        assert "error  stacks/Pulumi.bad.yaml:8  platform.stores.lake.site" in result.stderr
        assert "fix: write `here`" in result.stderr
        assert "10 problems, nothing was touched" in result.stderr
        assert not result.stdout

    def test_leaves_problems_to_the_command_line_for_scripts(
        self, app: typer.Typer, root: Path
    ) -> None:
        result = CliRunner().invoke(app, ["nowhere", "--root", str(root), "--json"])
        assert isinstance(result.exception, InvalidStack)


def test_the_door_costs_nothing_until_it_is_used() -> None:
    code = "import sys, infra.spec; print([m for m in ('pydantic', 'ruamel', 'pulumi') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_door_has_what_it_names() -> None:
    import infra.spec as door

    assert set(door.__all__) <= set(dir(door))
    assert all(getattr(door, name) is not None for name in door.__all__)
    with pytest.raises(AttributeError):
        _ = door.nothing
