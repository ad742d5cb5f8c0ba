"""What a workload package's ``workload.yaml`` may say.

The models carry no behaviour beyond their own checks: reading the file, line numbers and
suggestions are ``workloads.package``'s work.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=63)]
EntryPoint = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")]
Scalar = bool | int | float | str
Dtype = Literal[
    "int32", "int64", "float32", "float64", "string", "boolean", "list[float64]", "list[int64]"
]
TensorDtype = Literal["float32", "float64", "int32", "int64", "bool"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EntryPoints(_Strict):
    """Where the package's code starts, each as ``module:name`` inside the package.

    ``train(hyperparameters) -> workloads.training.definition.Definition``;
    ``source(path or None) -> polars.DataFrame`` reads the raw rows, bad ones included;
    ``export(model) -> torch.nn.Module`` wraps a trained model for serving.
    """

    train: EntryPoint
    source: EntryPoint | None = None
    export: EntryPoint | None = None


class CheckpointContract(_Strict):
    """How often a run saves itself and how many saves are kept."""

    every_steps: int = Field(50, ge=1)
    keep: int = Field(3, ge=2, description="the one before a damaged one must still be there")


class Tensor(_Strict):
    """One input or output of the served model. ``batch`` stands for the free first dimension."""

    name: str
    dtype: TensorDtype
    shape: list[int | Literal["batch"]] = Field(min_length=1)


class Metric(_Strict):
    """A number that a run is judged by."""

    name: str
    goal: Literal["maximize", "minimize"]


class Image(_Strict):
    """What a container image of the package starts from."""

    base: str
    extras: list[str] = []


class Column(_Strict):
    """One column of the dataset; every bound is inclusive."""

    dtype: Dtype
    nullable: bool = False
    unique: bool = False
    minimum: float | None = None
    maximum: float | None = None
    one_of: list[Scalar] | None = None
    pattern: str | None = None
    length: int | None = Field(None, ge=1, description="elements in each list")
    element_minimum: float | None = None
    element_maximum: float | None = None

    @model_validator(mode="after")
    def _rules_fit_the_dtype(self) -> Column:
        is_list = self.dtype.startswith("list")
        of_lists = (self.length, self.element_minimum, self.element_maximum)
        if not is_list and any(rule is not None for rule in of_lists):
            raise ValueError(
                f"length, element_minimum and element_maximum are for lists, not {self.dtype}"
            )
        of_numbers = (self.minimum, self.maximum)
        if not self.dtype.startswith(("int", "float")) and any(
            rule is not None for rule in of_numbers
        ):
            raise ValueError(f"minimum and maximum are for numbers, not {self.dtype}")
        return self


class Split(_Strict):
    """Which rows are held out: decided by a hash of ``by``, so equal rows fall on one side."""

    column: str = "split"
    by: list[str] = Field(min_length=1)
    test_fraction: float = Field(gt=0, lt=1)


class Dataset(_Strict):
    """The contract of the table that the package trains on. Columns not named are refused."""

    table: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    columns: dict[str, Column] = Field(min_length=1)
    split: Split
    features: str
    label: str

    @model_validator(mode="after")
    def _names_are_columns(self) -> Dataset:
        named = {"features": self.features, "label": self.label}
        named |= {f"split.by[{index}]": name for index, name in enumerate(self.split.by)}
        for where, name in named.items():
            if name not in self.columns:
                raise ValueError(f"{where} names {name!r}, which is not one of the columns")
        if self.split.column in self.columns:
            raise ValueError(f"split.column {self.split.column!r} is also one of the columns")
        return self


class Hyperparameter(_Strict):
    """A number or a choice that a run may set."""

    type: Literal["integer", "number", "boolean", "string"]
    default: Scalar
    minimum: float | None = None
    maximum: float | None = None
    choices: list[Scalar] | None = None
    description: str = ""

    def complaint(self, value: object) -> str | None:
        """What ``value`` should have been, or None where it fits."""
        kinds = {"integer": int, "number": (int, float), "boolean": bool, "string": str}
        fits = isinstance(value, kinds[self.type])  # type: ignore[arg-type]
        if isinstance(value, bool) and self.type != "boolean":
            fits = False
        if self.choices is not None:
            fits = fits and value in self.choices
        if fits and isinstance(value, int | float):
            fits = not (
                (self.minimum is not None and value < self.minimum)
                or (self.maximum is not None and value > self.maximum)
            )
        return None if fits else self._expected()

    def _expected(self) -> str:
        text = f"a value of type {self.type}"
        if self.minimum is not None:
            text += f", at least {self.minimum:g}"
        if self.maximum is not None:
            text += f", at most {self.maximum:g}"
        if self.choices is not None:
            text += f", one of {', '.join(map(repr, self.choices))}"
        return text

    @model_validator(mode="after")
    def _default_fits(self) -> Hyperparameter:
        complaint = self.complaint(self.default)
        if complaint:
            raise ValueError(f"the default {self.default!r} is not {complaint}")
        return self


class Manifest(_Strict):
    """A whole ``workload.yaml``."""

    name: Identifier
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    description: str = Field(min_length=1)
    framework: Literal["pytorch", "tensorflow", "jax", "horovod", "sklearn"]
    entry_points: EntryPoints
    parallelism: list[Literal["ddp", "fsdp", "tensor", "pipeline", "context", "single"]] = Field(
        min_length=1
    )
    checkpoint: CheckpointContract
    inputs: list[Tensor] = Field(min_length=1)
    outputs: list[Tensor] = Field(min_length=1)
    metrics: list[Metric] = Field(min_length=1)
    gate: dict[str, float] = {}
    image: Image
    dataset: Dataset
    hyperparameters: dict[str, Hyperparameter] = {}

    @model_validator(mode="after")
    def _gate_names_metrics(self) -> Manifest:
        allowed = [f"{metric.name}_{bound}" for metric in self.metrics for bound in ("min", "max")]
        for name in self.gate:
            if name not in allowed:
                raise ValueError(
                    f"gate {name!r} bounds no metric; expected one of {', '.join(allowed)}"
                )
        return self
