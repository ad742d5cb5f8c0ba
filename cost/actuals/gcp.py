"""Google Cloud's BigQuery billing export (standard and detailed) as FOCUS columns.

Source: Google Cloud billing documentation, structure of the standard and detailed usage cost
export. Rows nest; they arrive as JSON lines, as Parquet with structs, or as CSV with dotted (or
underscored) headers: :class:`_Fields` hides which. A row's credits are rows of their own in FOCUS.
"""

# ruff: noqa: S608  (names are this module's own; values go through _sql.literal)
from __future__ import annotations

import re
from collections.abc import Mapping

from ._sql import decimal, identifier, literal, moment, next_month, text_or_null
from .services import category_sql
from .sources import Opened, simplify

_PAIRS = '[{"key":"VARCHAR","value":"VARCHAR"}]'
_CREDITS = '[{"name":"VARCHAR","amount":"VARCHAR","type":"VARCHAR"}]'


class _Fields:
    """One way to a nested field for the three shapes of the export."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened

    def text(self, path: str) -> str:
        """A scalar as text; null when the export has no such field."""
        if self._opened.format == "json":
            dotted = ".".join(identifier(part) for part in path.split("."))
            return f"nullif(json->>{literal('$.' + dotted)}, '')"
        flat = self._opened.columns.get(simplify(path))
        if flat is not None:
            return text_or_null(flat)
        head, _, leaf = path.partition(".")
        held = self._opened.types.get(simplify(head), "")
        if leaf and re.search(rf'[( ]"?{re.escape(leaf)}"? ', held):
            return text_or_null(f"{self._opened.columns[simplify(head)]}.{identifier(leaf)}")
        return "NULL"

    def json(self, name: str) -> str:
        """A repeated field as JSON text."""
        if self._opened.format == "json":
            return f"CAST(json->{literal('$.' + name)} AS VARCHAR)"
        raw = self._opened.columns.get(simplify(name))
        if raw is None:
            return "NULL"
        if self._opened.format == "parquet" and self._opened.types[simplify(name)] != "VARCHAR":
            return f"CAST(to_json({raw}) AS VARCHAR)"
        return f"nullif({raw}, '')"


def _object(pairs: str) -> str:
    """``[{key, value}, …]`` as a JSON object."""
    listed = f"from_json({pairs}, {literal(_PAIRS)})"
    entries = f"list_transform({listed}, lambda e: struct_pack(k := e.key, v := e.value))"
    return (
        f"CASE WHEN json_array_length({pairs}) > 0 "
        f"THEN CAST(to_json(map_from_entries({entries})) AS VARCHAR) END"
    )


def relation(opened: Opened) -> str:
    """The file with each row's credits unfolded after it: ``credit`` is null on the charge itself."""
    fields = _Fields(opened)
    credits = f"coalesce(from_json({fields.json('credits')}, {literal(_CREDITS)}), [])"
    return f"(SELECT *, unnest(list_prepend(NULL, {credits})) AS credit FROM {opened.relation})"


def select(opened: Opened) -> Mapping[str, str]:
    """FOCUS column -> SQL expression over :func:`relation`."""
    f = _Fields(opened)
    is_credit, kind = "credit IS NOT NULL", f"coalesce({f.text('cost_type')}, 'regular')"
    service = f.text("service.description")
    category, subcategory = category_sql(service)
    cost = decimal(f.text("cost"))
    amount = f"CASE WHEN {is_credit} THEN {decimal('credit.amount')} ELSE {cost} END"
    listed = f"coalesce({decimal(f.text('cost_at_list'))}, {cost})"
    quantity = decimal(f.text("usage.amount_in_pricing_units"))
    month = f"try_strptime({f.text('invoice.month')}, '%Y%m')"
    month = f"coalesce({month}, date_trunc('month', {moment(f.text('usage_start_time'))}))"
    unit = _unit(f.text("usage.pricing_unit"))
    return {
        "BilledCost": amount,
        "EffectiveCost": amount,
        "ContractedCost": amount,
        "ListCost": f"CASE WHEN {is_credit} THEN {decimal('credit.amount')} ELSE {listed} END",
        "ListUnitPrice": f"CASE WHEN {is_credit} THEN NULL ELSE {listed} / nullif({quantity}, 0) END",
        "ContractedUnitPrice": f"CASE WHEN {is_credit} THEN NULL ELSE {cost} / nullif({quantity}, 0) END",
        "BillingAccountId": f.text("billing_account_id"),
        "BillingAccountType": "'Billing Account'",
        "BillingCurrency": f.text("currency"),
        "BillingPeriodStart": month,
        "BillingPeriodEnd": next_month(month),
        "ChargePeriodStart": moment(f.text("usage_start_time")),
        "ChargePeriodEnd": moment(f.text("usage_end_time")),
        "ChargeCategory": f"CASE WHEN {is_credit} THEN 'Credit' WHEN {kind} = 'tax' THEN 'Tax' "
        f"WHEN {kind} IN ('adjustment','rounding_error') THEN 'Adjustment' ELSE 'Usage' END",
        "ChargeClass": f"CASE WHEN {kind} = 'adjustment' THEN 'Correction' END",
        "ChargeDescription": f"coalesce(credit.name, {f.text('sku.description')})",
        "ChargeFrequency": f"CASE WHEN {is_credit} OR {kind} <> 'regular' THEN 'One-Time' "
        "ELSE 'Usage-Based' END",
        "PricingCategory": f"CASE WHEN contains(lower({f.text('sku.description')}), 'spot') "
        f"OR contains(lower({f.text('sku.description')}), 'preemptible') THEN 'Dynamic' "
        "ELSE 'Standard' END",
        "PricingQuantity": f"CASE WHEN {is_credit} THEN NULL ELSE {quantity} END",
        "PricingUnit": unit,
        "ConsumedQuantity": decimal(f.text("usage.amount")),
        "ConsumedUnit": f.text("usage.unit"),
        "InvoiceIssuerName": "'Google Cloud'",
        "ProviderName": "'Google Cloud'",
        "PublisherName": f"coalesce({f.text('seller_name')}, 'Google Cloud')",
        "ServiceName": service,
        "ServiceCategory": category,
        "ServiceSubcategory": subcategory,
        "SkuId": f.text("sku.id"),
        "SkuPriceId": f.text("sku.id"),
        "SkuMeter": f.text("sku.description"),
        "SkuPriceDetails": _details(_object(f.json("system_labels"))),
        "RegionId": f.text("location.region"),
        "AvailabilityZone": f.text("location.zone"),
        "ResourceId": f"coalesce({f.text('resource.global_name')}, {f.text('resource.name')})",
        "ResourceName": f.text("resource.name"),
        "SubAccountId": f.text("project.id"),
        "SubAccountName": f.text("project.name"),
        "SubAccountType": "'Project'",
        "Tags": _object(f.json("labels")),
    }


def _details(labels: str) -> str:
    """Machine type and its GPUs from the label ``machine_spec``: ``a3-highgpu-8g`` has 8."""
    if labels.startswith("CASE WHEN json_array_length(NULL)"):
        return "NULL"
    spec = f"json_extract_string({labels}, '$.\"compute.googleapis.com/machine_spec\"')"
    gpus = f"TRY_CAST(regexp_extract({spec}, '^[ag].*-([0-9]+)g$', 1) AS INTEGER)"
    pairs = f"json_object('InstanceType', {spec}, 'GpuCount', {gpus})"
    return (
        f"CASE WHEN {spec} IS NOT NULL THEN CAST(json_merge_patch('{{}}', {pairs}) AS VARCHAR) END"
    )


def _unit(expression: str) -> str:
    """Google writes ``hour``, ``gibibyte month`` where FOCUS writes ``Hours``, ``GiB-Months``."""
    return (
        f"CASE lower({expression}) WHEN 'hour' THEN 'Hours' WHEN 'gibibyte' THEN 'GiB' "
        f"WHEN 'gibibyte month' THEN 'GiB-Months' WHEN 'gibibyte hour' THEN 'GiB-Hours' "
        f"WHEN 'month' THEN 'Months' WHEN 'count' THEN 'Units' ELSE {expression} END"
    )
