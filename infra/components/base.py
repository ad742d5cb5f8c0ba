"""What every component has in common: its token, its parent, its typed outputs."""

from __future__ import annotations

from typing import Any, ClassVar

import pulumi


class Place(pulumi.ComponentResource):
    """A site's own component: the parent of everything that stands on the site."""

    def __init__(self, name: str, cloud: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlscale:platform:Site", name, {}, opts)
        self.register_outputs({"cloud": cloud})


class Component(pulumi.ComponentResource):
    """One subject of a stack on one site.

    A site makes the component first, its resources with ``opts()`` after it, and ends with
    ``tells``: exactly the outputs that the class names, so that every site keeps the same promise.
    """

    token: ClassVar[str]
    promised: ClassVar[frozenset[str]]

    def __init__(self, name: str, place: Place) -> None:
        super().__init__(self.token, name, {}, pulumi.ResourceOptions(parent=place))
        self.subject = name

    def opts(self, *depends_on: pulumi.Resource, **more: Any) -> pulumi.ResourceOptions:
        """Options of a resource of this component: parent and order, nothing inherited by hand."""
        return pulumi.ResourceOptions(parent=self, depends_on=list(depends_on), **more)

    def tells(self, **outputs: pulumi.Input[Any]) -> None:
        """End the component with its outputs."""
        if outputs.keys() != self.promised:
            wrong = sorted(outputs.keys() ^ self.promised)
            raise TypeError(f"{type(self).__name__} promises {sorted(self.promised)}, not {wrong}")
        for name, value in outputs.items():
            setattr(self, name, pulumi.Output.from_input(value))
        self.register_outputs(outputs)
