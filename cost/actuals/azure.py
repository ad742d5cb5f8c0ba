"""Azure cost exports (actual and amortised; EA, MCA, pay-as-you-go) as FOCUS columns.

Source: Microsoft Learn, Cost Management automation schemas. Header sets differ by agreement,
case and language; :func:`cost.actuals.sources.simplify` makes them one. An amortised export
spreads reservations over their use: its covered rows cost nothing on the invoice.
"""

from __future__ import annotations

from collections.abc import Mapping

from ._sql import decimal, literal, moment, month_start, next_month, text_or_null
from .services import category_sql
from .sources import Opened

_COMMITTED = "('reservation','savingsplan','savings plan')"


class _Fields:
    """Columns by any of the names that Azure has given them."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened

    def text(self, *names: str) -> str:
        found = [text_or_null(self._opened.columns[n]) for n in names if n in self._opened.columns]
        if not found:
            return "NULL"
        return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"

    def number(self, *names: str) -> str:
        return decimal(self.text(*names), comma=self._opened.comma)

    def moment(self, *names: str) -> str:
        return moment(self.text(*names), day_first=self._opened.comma)


def select(opened: Opened) -> Mapping[str, str]:
    """FOCUS column -> SQL expression over the export's own columns."""
    f = _Fields(opened)
    kind = f"lower(coalesce({f.text('chargetype')}, 'usage'))"
    committed = f"lower({f.text('pricingmodel')}) IN {_COMMITTED}"
    unused = f"{kind} IN ('unusedreservation','unusedsavingsplan')"
    cost = f.number("costinbillingcurrency", "cost", "pretaxcost")
    amortised = opened.kind == "azure-amortized"
    billed = f"CASE WHEN {committed} OR {unused} THEN 0 ELSE {cost} END" if amortised else cost
    effective = (
        cost
        if amortised
        else f"CASE WHEN {kind} = 'purchase' AND {f.text('reservationid', 'benefitid')} IS NOT NULL "
        f"THEN 0 ELSE {cost} END"
    )
    quantity = f.number("quantity", "usagequantity", "consumedquantity")
    unit_price = f.number("effectiveprice", "unitprice", "resourcerate")
    list_price = f"coalesce({f.number('paygprice')}, {unit_price})"
    unit = _unit(f.text("unitofmeasure"))
    service = f.text("metercategory", "servicename", "consumedservice")
    category, subcategory = category_sql(service)
    reservation = f.text("reservationid", "benefitid")
    return {
        **_periods(f),
        **_parties(f),
        "BilledCost": billed,
        "EffectiveCost": effective,
        "ContractedCost": cost,
        "ContractedUnitPrice": unit_price,
        "ListUnitPrice": list_price,
        "ListCost": f"coalesce({f.number('paygcostinbillingcurrency')}, {list_price} * {quantity}, {cost})",
        "ChargeCategory": f"CASE WHEN {kind} = 'usage' OR {unused} THEN 'Usage' "
        f"WHEN {kind} = 'purchase' THEN 'Purchase' WHEN {kind} = 'tax' THEN 'Tax' "
        f"WHEN {kind} = 'credit' THEN 'Credit' ELSE 'Adjustment' END",
        "ChargeClass": f"CASE WHEN {kind} = 'refund' THEN 'Correction' END",
        "ChargeDescription": f.text("productname", "product", "metername"),
        "ChargeFrequency": f"CASE lower({f.text('frequency')}) WHEN 'onetime' THEN 'One-Time' "
        f"WHEN 'recurring' THEN 'Recurring' ELSE CASE WHEN {kind} IN ('purchase','refund','tax') "
        "THEN 'One-Time' ELSE 'Usage-Based' END END",
        "PricingCategory": f"CASE WHEN {committed} OR {unused} THEN 'Committed' WHEN "
        f"lower({f.text('pricingmodel')}) = 'spot' THEN 'Dynamic' ELSE 'Standard' END",
        "PricingQuantity": quantity,
        "PricingUnit": unit,
        "ConsumedQuantity": quantity,
        "ConsumedUnit": unit,
        "PricingCurrency": f.text("pricingcurrency"),
        "CommitmentDiscountId": reservation,
        "CommitmentDiscountName": f.text("reservationname", "benefitname"),
        "CommitmentDiscountCategory": f"CASE WHEN {reservation} IS NOT NULL THEN 'Usage' END",
        "CommitmentDiscountType": f"CASE WHEN {reservation} IS NOT NULL THEN 'Reservation' END",
        "CommitmentDiscountStatus": f"CASE WHEN {reservation} IS NULL THEN NULL "
        f"WHEN {unused} THEN 'Unused' WHEN {kind} = 'usage' THEN 'Used' END",
        "ServiceName": service,
        "ServiceCategory": category,
        "ServiceSubcategory": subcategory,
        "SkuId": f.text("meterid"),
        "SkuPriceId": f"coalesce({f.text('partnumber', 'productid')}, {f.text('meterid')})",
        "SkuMeter": f.text("metername"),
        "RegionId": f"lower({f.text('resourcelocation', 'location', 'meterregion')})",
        "ResourceId": f.text("resourceid", "instanceid", "instancename"),
        "ResourceName": f"regexp_extract({f.text('resourceid', 'instanceid', 'instancename')}, '[^/]+$')",
        "ResourceType": f.text("resourcetype", "consumedservice"),
        "Tags": _tags(f.text("tags")),
    }


def _periods(f: _Fields) -> dict[str, str]:
    day = f.moment("date", "usagedatetime", "usagedate")
    start = f"coalesce({f.moment('billingperiodstartdate', 'billingperiodstart')}, {day})"
    return {
        "BillingPeriodStart": month_start(start),
        "BillingPeriodEnd": next_month(start),
        "ChargePeriodStart": day,
        "ChargePeriodEnd": f"{day} + INTERVAL 1 DAY",
        "BillingCurrency": f.text(
            "billingcurrency", "billingcurrencycode", "currency", "currencycode"
        ),
    }


def _parties(f: _Fields) -> dict[str, str]:
    account = f.text("billingaccountid", "accountownerid", "customertenantid", "subscriptionguid")
    subscription = f.text("subscriptionid", "subscriptionguid")
    return {
        "BillingAccountId": f"coalesce({account}, {subscription})",
        "BillingAccountName": f.text("billingaccountname", "customername"),
        "BillingAccountType": "'Billing Account'",
        "InvoiceId": f.text("invoiceid"),
        "InvoiceIssuerName": "'Microsoft'",
        "ProviderName": "'Microsoft'",
        "PublisherName": f"coalesce({f.text('publishername')}, 'Microsoft')",
        "SubAccountId": subscription,
        "SubAccountName": f.text("subscriptionname"),
        "SubAccountType": "'Subscription'",
    }


def _unit(expression: str) -> str:
    """``1 Hour`` -> ``Hours``, ``1 GB/Month`` -> ``GB-Months``, ``100 Hours`` -> ``100 Hours``."""
    return (
        f"CASE {expression} WHEN '1 Hour' THEN 'Hours' WHEN '1 GB' THEN 'GB' "
        f"WHEN '1 GB/Month' THEN 'GB-Months' WHEN '1/Month' THEN 'Months' ELSE {expression} END"
    )


def _tags(expression: str) -> str:
    """Tags as a JSON object; some exports leave the outer braces out."""
    braced = (
        f"CASE WHEN starts_with(ltrim({expression}), {literal('{')}) THEN {expression} "
        f"ELSE concat('{{', {expression}, '}}') END"
    )
    return f"CASE WHEN json_valid({braced}) AND {expression} IS NOT NULL THEN {braced} END"
