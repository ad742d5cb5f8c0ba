"""``pulumi-resource-mlscale``: the provider of the local site, a process of its own."""
