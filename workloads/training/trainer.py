"""The training loop: data parallel over gloo, the same to the last bit however often it is cut.

What a step does depends on the seed, the step's number and the state that checkpoints hold
(weights, optimiser, each rank's generator, loss history) and on nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import IO, Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from infra.core.errors import BadInput, MlscaleError, Problem
from workloads.training.checkpoint import CheckpointStore
from workloads.training.context import TERMINATED_EXIT_CODE, RunContext
from workloads.training.definition import Definition
from workloads.training.sampler import BatchOrder
from workloads.training.weights import save_weights

WEIGHTS_NAME = "weights.pt"
_SETTLING_STEPS = 2


class _Vote(IntEnum):
    """What a process wants after a step; all do what the highest vote says."""

    GO_ON = 0
    TERMINATE = 1
    REFUSE = 2


class Trainer:
    """One process of a run. ``stop_requested`` is asked after each step (SIGTERM sets it).

    ``report`` is called on rank 0 with the status after each step.
    """

    def __init__(
        self,
        context: RunContext,
        definition: Definition,
        stop_requested: Callable[[], bool],
        report: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._context = context
        self._definition = definition
        self._stop_requested = stop_requested
        self._report = report
        self._features, self._labels = load_inputs(context)
        self._order = BatchOrder(len(self._labels), definition.batch_size, context.seed)
        self._steps = self._order.steps_per_epoch * definition.epochs
        if not self._steps:
            raise BadInput(
                Problem(
                    f"{len(self._labels)} training rows make no batch of {definition.batch_size}",
                    path="hyperparameters.batch_size",
                    expected=f"at most {len(self._labels)}",
                )
            )
        self._checkpoints = CheckpointStore(context.checkpoint_dir, context.checkpoint_keep)
        self._optimizer = definition.optimizer(definition.model)
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self._epoch_losses: list[float] = []
        self._loss_sum = 0.0
        self._refusal: MlscaleError | None = None

    def run(self) -> dict[str, Any]:
        """Train to the end from the last good checkpoint; the outcome is the same on every rank.

        Leaves with ``TERMINATED_EXIT_CODE`` after a checkpoint when asked to stop. Raises what
        rank 0 met in saving (a full disk) on rank 0 and ``MlscaleError`` on the others.
        """
        first = self._resume()
        model = self._parallel()
        model.train()
        for step in range(first, self._steps):
            loss = self._advance(model, step)
            done = step + 1
            vote = _Vote.TERMINATE if self._stop_requested() else _Vote.GO_ON
            loss, decision = self._agree(loss, _Vote.REFUSE if self._refusal else vote)
            self._record(loss, done)
            self._heed_refusal(decision)
            if done % self._context.checkpoint_every_steps == 0 or done == self._steps or decision:
                self._save(done)
            if decision is _Vote.TERMINATE:
                raise SystemExit(TERMINATED_EXIT_CODE)
        self._heed_refusal(self._agree(0.0, _Vote.REFUSE if self._refusal else _Vote.GO_ON)[1])
        return self._finish(first)

    def _advance(self, model: nn.Module, step: int) -> float:
        """One optimiser step; the local mean loss."""
        factor = self._definition.learning_rate_factor(step, self._steps)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        rows = self._order.indices(step, self._context.rank, self._context.world)
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._definition.loss(model, self._features[rows], self._labels[rows])
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return loss.item()

    def _agree(self, loss: float, vote: _Vote) -> tuple[float, _Vote]:
        """The mean loss over all processes, and what all of them do next."""
        if self._context.world == 1:
            return loss, vote
        values = torch.zeros(self._context.world + len(_Vote), dtype=torch.float64)
        values[self._context.rank] = loss
        values[self._context.world + vote] = 1
        dist.all_reduce(values)
        votes = values[self._context.world :].nonzero().max().item()
        return values[: self._context.world].mean().item(), _Vote(int(votes))

    def _record(self, loss: float, done: int) -> None:
        self._loss_sum += loss
        per_epoch = self._order.steps_per_epoch
        if done % per_epoch == 0:
            self._epoch_losses.append(self._loss_sum / per_epoch)
            self._loss_sum = 0.0
        if self._context.rank == 0:
            epoch = (done - 1) // per_epoch + 1
            status = {"step": done, "steps": self._steps, "epoch": epoch, "loss": loss}
            self._report({**status, "epochs": self._definition.epochs})

    def _heed_refusal(self, decision: _Vote) -> None:
        if decision is _Vote.REFUSE:
            raise self._refusal or MlscaleError("rank 0 refused to go on")

    def _save(self, done: int) -> None:
        """Rank 0 writes; what keeps it from writing is voted on after the next step."""
        generators = self._generators()
        if self._context.rank != 0:
            return
        state = {
            "model": self._definition.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "generators": generators,
            "epoch_losses": self._epoch_losses,
            "loss_sum": self._loss_sum,
        }

        def write(stream: IO[bytes]) -> None:
            torch.save(state, stream)

        try:
            self._checkpoints.save(done, write)
        except MlscaleError as error:
            self._refusal = error

    def _generators(self) -> list[Tensor]:
        """The state of each rank's global generator, by rank."""
        mine = torch.get_rng_state()
        if self._context.world == 1:
            return [mine]
        states = [torch.empty_like(mine) for _ in range(self._context.world)]
        dist.all_gather(states, mine)
        return states

    def _resume(self) -> int:
        """Load the last good checkpoint, the same on every rank; the number of steps done."""
        context = self._context
        newest = torch.tensor([-1])
        problem: MlscaleError | None = None
        if context.rank == 0:
            try:
                found = self._checkpoints.latest_good()
                newest[0] = found.step if found else 0
            except MlscaleError as error:
                problem = error
        if context.world > 1:
            dist.broadcast(newest, src=0)
        step = int(newest.item())
        if step < 0:
            raise problem or MlscaleError("rank 0 found no whole checkpoint")
        torch.manual_seed(context.seed * 1_000_003 + context.rank)
        if step == 0:
            return 0
        path = context.checkpoint_dir / f"step-{step:08d}.pt"
        state = torch.load(path, map_location="cpu", weights_only=True)
        self._definition.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._epoch_losses = list(state["epoch_losses"])
        self._loss_sum = state["loss_sum"]
        torch.set_rng_state(state["generators"][context.rank])
        return step

    def _parallel(self) -> nn.Module:
        """The model under DDP, with its buckets as they will be from now on.

        DDP lays its buckets anew after the first backward pass, and with more than two ranks the
        layout decides in which order numbers are added. So the first passes are thrown away:
        otherwise a resumed run's first step would differ from the same step of an uncut run.
        """
        if self._context.world == 1:
            return self._definition.model
        generator = torch.get_rng_state()
        model = self._definition.model
        kept = {name: value.clone() for name, value in model.state_dict().items()}
        parallel = DistributedDataParallel(model)
        rows = self._order.indices(0, self._context.rank, self._context.world)
        for _ in range(_SETTLING_STEPS):
            loss = self._definition.loss(parallel, self._features[rows], self._labels[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.zero_grad(set_to_none=True)
        model.load_state_dict(kept)
        torch.set_rng_state(generator)
        return parallel

    def _finish(self, first: int) -> dict[str, Any]:
        path = self._context.output_dir / WEIGHTS_NAME
        weights = self._definition.model.state_dict()
        digest = save_weights(weights, path) if self._context.rank == 0 else ""
        return {
            "weights": str(path),
            "weights_sha256": digest,
            "steps": self._steps,
            "resumed_from_step": first,
            "restarts": self._context.restarts,
            "metrics": {"loss": self._epoch_losses[-1]},
            "history": {"loss": self._epoch_losses},
        }


def make_deterministic(seed: int) -> None:
    """One thread a process, deterministic kernels, every generator seeded alike on all ranks."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def load_inputs(context: RunContext) -> tuple[Tensor, Tensor]:
    """Features and labels of the training rows, as the launcher laid them down."""
    with np.load(context.inputs) as arrays:
        return torch.from_numpy(arrays["features"]), torch.from_numpy(arrays["labels"])
