"""The vertical-against-horizontal answer in words, with the numbers that decided it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cost.sizing.hardware import devices
from cost.sizing.space import TrainingWork
from cost.sizing.spot import monthly_interruption, node_hours_between_interruptions

if TYPE_CHECKING:
    from cost.sizing.planner import TrainingChoice


def reasons(
    work: TrainingWork,
    choice: TrainingChoice,
    front: Sequence[TrainingChoice],
    compared: Sequence[TrainingChoice],
    meets: bool,
    within: bool,
) -> tuple[str, ...]:
    """Sentences, most telling first: the choice, larger or more, memory, network, bubble, spot."""
    said = [
        _headline(work, choice, meets, within),
        _larger_or_more(choice, compared),
        _memory(work, choice),
    ]
    said += [_network(choice), _bubble(choice), _purchase(choice), _edges(front)]
    said.append(_price(choice))
    return tuple(sentence for sentence in said if sentence)


def _headline(work: TrainingWork, choice: TrainingChoice, meets: bool, within: bool) -> str:
    where = f"{choice.nodes} x {choice.instance_type} ({choice.provider} {choice.region})"
    cost = f"{choice.usd} USD ({choice.usd_low} to {choice.usd_high})"
    hours = f"{choice.hours:.3g} h ({choice.hours_low:.3g} to {choice.hours_high:.3g})"
    text = f"{where} does it in {hours} for {cost}"
    if work.deadline_hours and not meets:
        text += f"; the deadline of {work.deadline_hours:g} h is missed: nothing on offer meets it"
    elif work.deadline_hours:
        text += f", within the deadline of {work.deadline_hours:g} h even at the upper end"
    if work.budget_usd and not within:
        text += f"; the budget of {work.budget_usd:g} USD is exceeded: nothing within it is in time"
    return text + "."


def _larger_or_more(choice: TrainingChoice, compared: Sequence[TrainingChoice]) -> str:
    size = choice.accelerators // choice.nodes
    others = [one for one in compared if one.accelerators // one.nodes != size]
    close = [one for one in others if one.accelerators == choice.accelerators] or others
    own = choice.usd_per_accelerator_hour
    if not close:
        return (
            f"{choice.accelerator} comes in nodes of {size} only here, at {own:.3f} USD an "
            "accelerator and hour: more of them is the only way up."
        )
    other = close[0]
    their_size = other.accelerators // other.nodes
    way = "larger machines" if size > their_size else "more machines"
    return (
        f"{way.capitalize()}: nodes of {size} cost {own:.3f} USD an accelerator and hour and take "
        f"{choice.step_seconds:.3g} s a step on {choice.accelerators} accelerators; nodes of "
        f"{their_size} ({other.instance_type}) cost {other.usd_per_accelerator_hour:.3f} and take "
        f"{other.step_seconds:.3g} s on {other.accelerators}: {other.usd} USD in {other.hours:.3g} h."
    )


def _memory(work: TrainingWork, choice: TrainingChoice) -> str:
    device = devices()[choice.accelerator]
    floor = 16 * work.parameters / device.memory_bytes
    held = f"{choice.memory_gib:.1f} of {device.memory_gib:g} GiB"
    text = f"Memory: model and optimizer alone need {floor:.2g} {choice.accelerator}"
    how = f"ZeRO-{choice.zero}" if choice.data > 1 else "no sharding"
    if choice.recompute:
        how += " with recomputation"
    return f"{text}; with {how} the fullest accelerator holds {held}."


def _network(choice: TrainingChoice) -> str:
    if choice.nodes == 1:
        return "Network: one node, so nothing leaves it and no node waits for another."
    device = devices()[choice.accelerator]
    size = choice.accelerators // choice.nodes
    return (
        f"Network: {device.link_gb_s:g} GB/s between accelerators of a node, and "
        f"{choice.fabric_gb_s / size:.3g} GB/s an accelerator between nodes of {size}."
    )


def _bubble(choice: TrainingChoice) -> str:
    if choice.pipeline == 1:
        return ""
    return f"Pipeline: {choice.pipeline} stages, each idle for {choice.bubble_share:.1%} of a step."


def _purchase(choice: TrainingChoice) -> str:
    if not choice.spot:
        return ""
    monthly = monthly_interruption(choice.provider, choice.region, choice.instance_type)
    taken = choice.nodes - choice.base_nodes
    hours = float(node_hours_between_interruptions(monthly)) / taken
    kept = f", {choice.base_nodes} kept on demand" if choice.base_nodes else ""
    return (
        f"Spot: {monthly:.0%} of such nodes are reclaimed in a month, so a gang with {taken} of them"
        f"{kept} is interrupted every {hours:.3g} h; a checkpoint every "
        f"{choice.checkpoint_seconds:.0f} s; the hours above contain that."
    )


def _price(choice: TrainingChoice) -> str:
    if not choice.stale_price:
        return ""
    return f"The price is stale: it stands for {choice.as_of}; check it before buying."


def _edges(front: Sequence[TrainingChoice]) -> str:
    fastest, least = front[0], front[-1]
    return (
        f"Otherwise: fastest {fastest.hours:.3g} h for {fastest.usd} USD on {fastest.nodes} x "
        f"{fastest.instance_type}; cheapest {least.usd} USD in {least.hours:.3g} h on {least.nodes} "
        f"x {least.instance_type}; {len(front)} "
        f"{'choice' if len(front) == 1 else 'choices'} on the front."
    )
