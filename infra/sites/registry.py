"""Which class serves which cloud: a table of names, imported when asked for.

Provider SDKs are heavy, and an extra that isn't installed must not break another cloud.
"""

from __future__ import annotations

from importlib import import_module

from infra.core.errors import InvalidStack, Problem, Unsupported
from infra.sites.base import Site
from infra.spec import PlatformSpec

SITES: dict[str, tuple[str, str]] = {
    "local": ("infra.sites.local.site", "LocalSite"),
}
"""Cloud to (module, class)."""


def site_class(cloud: str) -> type[Site]:
    """The class of ``cloud``; ``Unsupported`` when this version has none."""
    try:
        module, name = SITES[cloud]
    except KeyError:
        raise Unsupported(
            Problem(
                f"this version of mlscale has no `{cloud}` sites",
                expected=f"one of {', '.join(sorted(SITES))}",
                fix="`mlscale support` prints what there is",
            )
        ) from None
    found: type[Site] = getattr(import_module(module), name)
    return found


def require_supported(platform: PlatformSpec) -> dict[str, type[Site]]:
    """The class of every site; ``Unsupported`` with everything that no site can serve, at once."""
    classes: dict[str, type[Site]] = {}
    problems: list[Problem] = []
    for name, site in platform.sites.items():
        try:
            classes[name] = site_class(site.cloud)
        except Unsupported as error:
            path = f"platform.sites.{name}.cloud"
            problems += [Problem(**{**one.as_json(), "path": path}) for one in error.problems]  # type: ignore[arg-type]
            continue
        problems += classes[name].refusals(platform, name)
    if problems:
        raise Unsupported(problems)
    return classes


def require_packages(platform: PlatformSpec) -> None:
    """Every package that is named exists and has a sound manifest; ``InvalidStack`` otherwise."""
    from workloads.package import check

    problems = [
        Problem(**{**problem.as_json(), "path": f"platform.training.{name}.package"})  # type: ignore[arg-type]
        for name, training in platform.training.items()
        for problem in check(training.package)
    ]
    if problems:
        raise InvalidStack(problems)
