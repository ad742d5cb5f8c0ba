"""The generated schema and page are up to date, and the schema judges as the models do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.core.errors import InvalidStack
from infra.spec import docs, schema
from infra.spec.platform import PlatformSpec
from infra.spec.shape import fields_of
from tests.unit.spec.json_schema import accepts
from tests.unit.spec.spec_corpus import files, schema_verdict, source_of

ROOT = Path(__file__).parents[3]
ALL = [*files("happy"), *files("error")]


@pytest.fixture(scope="module")
def stack_schema() -> dict[str, Any]:
    return schema.stack_schema()


def test_the_schema_in_the_tree_is_up_to_date() -> None:
    text = (ROOT / schema.SCHEMA_FILE).read_text(encoding="utf-8")
    assert text == schema.schema_text(), "run: python -m infra.spec.schema"


def test_the_page_in_the_tree_is_up_to_date() -> None:
    text = (ROOT / schema.DOCS_FILE).read_text(encoding="utf-8")
    assert text == docs.page(), "run: python -m infra.spec.schema --docs"


def test_the_page_has_every_subject_and_unit() -> None:
    page = docs.page()
    for key in fields_of(PlatformSpec):
        assert f"| `{key}` |" in page
    assert "| `deadline_hours` | number > 0, ≤ 8,760 | hours |" in page
    assert "| `partitions` | integer ≥ 1, ≤ 10,000 |  | `1` |" in page


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_the_schema_accepts_exactly_what_it_should(
    path: Path, stack_schema: dict[str, Any]
) -> None:
    verdict = schema_verdict(path)
    if verdict == "unreadable":
        with pytest.raises(InvalidStack):
            source_of(path)
        return
    assert accepts(stack_schema, source_of(path).document, stack_schema) is (verdict == "accepts")


def test_every_happy_file_is_one_that_the_schema_accepts() -> None:
    assert {schema_verdict(path) for path in files("happy")} == {"accepts"}


def test_the_schema_is_a_whole_2020_12_document(stack_schema: dict[str, Any]) -> None:
    assert stack_schema["$schema"] == schema.DIALECT
    references = {
        part.partition('"')[0] for part in json.dumps(stack_schema).split('"#/$defs/')[1:]
    }
    assert references <= set(stack_schema["$defs"])


@pytest.mark.parametrize(
    ("words", "file"), [([], schema.SCHEMA_FILE), (["--docs"], schema.DOCS_FILE)]
)
def test_the_command_writes_the_file(
    tmp_path: Path, words: list[str], file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    schema.main([*words, "--root", str(tmp_path)])
    assert (tmp_path / file).read_text(encoding="utf-8") == (ROOT / file).read_text(
        encoding="utf-8"
    )
    assert file in capsys.readouterr().out
