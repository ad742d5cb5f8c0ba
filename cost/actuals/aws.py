"""AWS Cost and Usage Report 2.0 (Data Exports) as FOCUS columns.

Source: AWS Data Exports user guide, table dictionary of CUR 2.0. Savings Plans appear in it at
the on-demand rate with a negation beside them; both rows are kept, so that the billed total is
the bill's own, and the effective cost is the commitment's.
"""

from __future__ import annotations

from collections.abc import Mapping

from ._sql import decimal, moment, text_or_null
from .services import category_sql
from .sources import Opened

_TYPE = "lineitemlineitemtype"
_CATEGORY = """CASE
 WHEN {t} IN ('Usage','DiscountedUsage','SavingsPlanCoveredUsage') THEN 'Usage'
 WHEN {t} IN ('Fee','RIFee','SavingsPlanUpfrontFee','SavingsPlanRecurringFee') THEN 'Purchase'
 WHEN {t} = 'Tax' THEN 'Tax' WHEN {t} = 'Credit' THEN 'Credit' ELSE 'Adjustment' END"""
_EFFECTIVE = """CASE
 WHEN {t} = 'SavingsPlanCoveredUsage' THEN {sp_effective}
 WHEN {t} = 'DiscountedUsage' THEN {ri_effective}
 WHEN {t} IN ('SavingsPlanNegation','SavingsPlanUpfrontFee') THEN 0
 WHEN {t} = 'SavingsPlanRecurringFee' THEN {sp_total} - {sp_used}
 WHEN {t} = 'RIFee' THEN {ri_upfront} + {ri_recurring}
 WHEN {t} = 'Fee' AND {ri_arn} IS NOT NULL THEN 0
 ELSE {cost} END"""


class _Fields:
    """The CUR's columns by their documented names, null where an export leaves them out."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened

    def raw(self, name: str) -> str:
        return self._opened.columns.get(name.replace("_", ""), "NULL")

    def text(self, name: str) -> str:
        return text_or_null(self.raw(name))

    def number(self, name: str) -> str:
        return decimal(text_or_null(self.raw(name)), comma=self._opened.comma)

    def or_zero(self, name: str) -> str:
        return f"coalesce({self.number(name)}, 0)"

    def nested(self, name: str, key: str) -> str:
        """A key of a nested column: a MAP in Parquet, JSON text in CSV."""
        held = self._opened.types.get(name.replace("_", ""), "VARCHAR")
        raw = self.raw(name)
        if raw == "NULL":
            return "NULL"
        if held.startswith("MAP"):
            return f"{raw}['{key}']"
        return f"json_extract_string(nullif({raw}, ''), '$.{key}')"

    def tags(self) -> str:
        """User tags as a JSON object without the report's ``user_`` prefix."""
        raw = self.raw("resource_tags")
        held = self._opened.types.get("resourcetags", "VARCHAR")
        if raw == "NULL":
            return "NULL"
        text = f"CAST(to_json({raw}) AS VARCHAR)" if held.startswith("MAP") else text_or_null(raw)
        return f"regexp_replace({text}, '\"user[_:]', '\"', 'g')"


def select(opened: Opened) -> Mapping[str, str]:
    """FOCUS column -> SQL expression over the report's own columns."""
    f = _Fields(opened)
    kind = f.text(_TYPE)
    service = f"coalesce({f.nested('product', 'product_name')}, {f.text('line_item_product_code')})"
    category, subcategory = category_sql(
        f"concat_ws(' ', {f.text('line_item_product_code')}, {service})"
    )
    cost = f.number("line_item_unblended_cost")
    ri_arn, sp_arn = (
        f.text("reservation_reservation_a_r_n"),
        f.text("savings_plan_savings_plan_a_r_n"),
    )
    effective = _EFFECTIVE.format(
        t=kind,
        sp_effective=f.or_zero("savings_plan_savings_plan_effective_cost"),
        ri_effective=f.or_zero("reservation_effective_cost"),
        sp_total=f.or_zero("savings_plan_total_commitment_to_date"),
        sp_used=f.or_zero("savings_plan_used_commitment"),
        ri_upfront=f.or_zero("reservation_unused_amortized_upfront_fee_for_billing_period"),
        ri_recurring=f.or_zero("reservation_unused_recurring_fee"),
        ri_arn=ri_arn,
        cost=cost,
    )
    covered = f"{kind} IN ('DiscountedUsage','SavingsPlanCoveredUsage')"
    quantity = f.number("line_item_usage_amount")
    return {
        **_parties(f),
        **_commitment(f"coalesce({ri_arn}, {sp_arn})", sp_arn, covered),
        "BilledCost": cost,
        "EffectiveCost": effective,
        "ListCost": f"coalesce({f.number('pricing_public_on_demand_cost')}, {cost})",
        "ListUnitPrice": f.number("pricing_public_on_demand_rate"),
        "ContractedCost": cost,
        "ContractedUnitPrice": f.number("line_item_unblended_rate"),
        "ChargeCategory": _CATEGORY.format(t=kind),
        "ChargeClass": f"CASE WHEN {kind} = 'Refund' THEN 'Correction' END",
        "ChargeDescription": f.text("line_item_line_item_description"),
        "ChargeFrequency": f"CASE WHEN {kind} IN ('RIFee','SavingsPlanRecurringFee') THEN 'Recurring' "
        f"WHEN {kind} IN ('Fee','SavingsPlanUpfrontFee','Tax','Credit','Refund') THEN 'One-Time' "
        "ELSE 'Usage-Based' END",
        "PricingCategory": f"CASE WHEN {covered} THEN 'Committed' WHEN "
        f"contains({f.text('line_item_usage_type')}, 'SpotUsage') THEN 'Dynamic' ELSE 'Standard' END",
        "PricingQuantity": quantity,
        "PricingUnit": _unit(f.text("pricing_unit")),
        "ConsumedQuantity": quantity,
        "ConsumedUnit": _unit(f.text("pricing_unit")),
        "ServiceName": service,
        "ServiceCategory": category,
        "ServiceSubcategory": subcategory,
        "SkuId": f.text("product_sku"),
        "SkuPriceId": f"coalesce({f.text('pricing_rate_code')}, {f.text('product_sku')})",
        "SkuMeter": f.text("line_item_usage_type"),
        "SkuPriceDetails": _details(f),
        "RegionId": f"coalesce({f.text('product_region_code')}, {f.nested('product', 'region')})",
        "AvailabilityZone": f.text("line_item_availability_zone"),
        "ResourceId": f.text("line_item_resource_id"),
        "ResourceType": f.text("product_product_family"),
        "Tags": f.tags(),
    }


def _parties(f: _Fields) -> dict[str, str]:
    publisher = "'Amazon Web Services, Inc.'"
    return {
        "BillingAccountId": f.text("bill_payer_account_id"),
        "BillingAccountName": f.text("bill_payer_account_name"),
        "BillingAccountType": "'Management Account'",
        "BillingCurrency": f.text("line_item_currency_code"),
        "BillingPeriodStart": moment(f.text("bill_billing_period_start_date")),
        "BillingPeriodEnd": moment(f.text("bill_billing_period_end_date")),
        "ChargePeriodStart": moment(f.text("line_item_usage_start_date")),
        "ChargePeriodEnd": moment(f.text("line_item_usage_end_date")),
        "InvoiceId": f.text("bill_invoice_id"),
        "InvoiceIssuerName": f"coalesce({f.text('bill_invoicing_entity')}, {publisher})",
        "ProviderName": "'AWS'",
        "PublisherName": f"coalesce({f.text('line_item_legal_entity')}, {publisher})",
        "SubAccountId": f.text("line_item_usage_account_id"),
        "SubAccountName": f.text("line_item_usage_account_name"),
        "SubAccountType": "'Account'",
    }


def _commitment(identity: str, plan: str, covered: str) -> dict[str, str]:
    return {
        "CommitmentDiscountId": identity,
        "CommitmentDiscountCategory": f"CASE WHEN {plan} IS NOT NULL THEN 'Spend' "
        f"WHEN {identity} IS NOT NULL THEN 'Usage' END",
        "CommitmentDiscountType": f"CASE WHEN {plan} IS NOT NULL THEN 'Savings Plan' "
        f"WHEN {identity} IS NOT NULL THEN 'Reserved Instance' END",
        "CommitmentDiscountStatus": f"CASE WHEN {covered} THEN 'Used' END",
    }


def _unit(expression: str) -> str:
    """AWS writes ``Hrs`` where FOCUS writes ``Hours``."""
    return f"CASE WHEN lower({expression}) IN ('hrs','hour') THEN 'Hours' ELSE {expression} END"


def _details(f: _Fields) -> str:
    """Instance type and accelerators as the FOCUS-defined properties."""
    instance, gpus = f.nested("product", "instance_type"), f.nested("product", "gpu")
    if instance == "NULL":
        return "NULL"
    return (
        f"CASE WHEN {instance} IS NOT NULL THEN CAST(json_merge_patch('{{}}', json_object("
        f"'InstanceType', {instance}, 'GpuCount', TRY_CAST({gpus} AS INTEGER))) AS VARCHAR) END"
    )
