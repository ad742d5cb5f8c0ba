"""A preview -> an estimate, resource by resource."""

from __future__ import annotations

import importlib
from functools import cache

from cost.estimate.bill import Bill, CannotPrice, Stack
from cost.estimate.model import Estimate, Priced, Resource
from cost.estimate.preview import Preview
from cost.estimate.pricebook import PriceBook
from cost.estimate.regions import region_of
from cost.estimate.registry import resolver_of, why_free

_CLOUDS = (
    "local",
    "settings",
    "kubernetes",
    "aws",
    "aws_data",
    "gcp",
    "gcp_data",
    "azure",
    "azure_data",
)


@cache
def load_resolvers() -> None:
    """Imports every module that registers resolvers."""
    for name in _CLOUDS:
        importlib.import_module(f"cost.estimate.{name}")


def estimate(preview: Preview, book: PriceBook) -> Estimate:
    """Price every resource of a preview; an unknown type is refused, never zero."""
    load_resolvers()
    stack = Stack(preview.resources, preview.config)
    priced = tuple(price_one(resource, stack, book) for resource in preview.resources)
    return Estimate(preview.stack, priced, book.usage.unused())


def price_one(resource: Resource, stack: Stack, book: PriceBook) -> Priced:
    """Price one resource."""
    bill = Bill(resource, stack, book, region_of(resource, stack))
    resolver = resolver_of(resource.type)
    if not resource.custom and resolver is None:
        bill.free("a component: its children are priced")
    elif resource.op.startswith("read"):
        bill.free("read, not made: billed where it is made")
    elif resolver is not None:
        try:
            resolver(bill)
        except CannotPrice as refusal:
            bill.refuse(str(refusal))
        except (AttributeError, IndexError, KeyError, TypeError, ArithmeticError) as error:
            bill.refuse(f"its inputs aren't of the documented shape ({error!r})")
    elif reason := why_free(resource.type):
        bill.free(reason)
    else:
        bill.refuse(f"no resolver for {resource.type}")
    return bill.result()
