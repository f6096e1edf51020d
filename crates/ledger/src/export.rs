//! One row an operation, for accounting.

use jiff::tz::TimeZone;

use crate::{Entry, decimal};

/// Names of the columns. `amount` and `moved` are in major units; `moved` is what went to the merchant, with a minus what went back.
pub const COLUMNS: [&str; 19] = [
    "date",
    "time",
    "tenant",
    "site",
    "operator",
    "order_id",
    "part",
    "kind",
    "amount",
    "moved",
    "currency",
    "brand",
    "last4",
    "plan",
    "approval_code",
    "connector",
    "acquirer_order",
    "acquirer_ref",
    "payment_id",
];

/// The same in Japanese.
pub const COLUMNS_JA: [&str; COLUMNS.len()] = [
    "日付",
    "時刻",
    "加盟店",
    "拠点",
    "担当者",
    "注文番号",
    "枝番",
    "種別",
    "金額",
    "入出金額",
    "通貨",
    "ブランド",
    "下4桁",
    "支払方法",
    "承認番号",
    "接続先",
    "決済会社注文番号",
    "決済会社参照番号",
    "決済ID",
];

/// A row, with date and time at the merchant's place.
#[must_use]
pub fn row(entry: &Entry, zone: &TimeZone) -> [String; COLUMNS.len()] {
    let at = entry.at.to_zoned(zone.clone());
    let currency = entry.amount.currency();
    let text = |text: Option<String>| text.map(|text| harmless(&text)).unwrap_or_default();
    [
        at.strftime("%Y-%m-%d").to_string(),
        at.strftime("%H:%M:%S%:z").to_string(),
        entry.tenant.to_string(),
        text(entry.site.as_ref().map(ToString::to_string)),
        text(entry.operator.as_ref().map(ToString::to_string)),
        text(entry.order.as_ref().map(ToString::to_string)),
        entry.part.to_string(),
        entry.kind.name().to_owned(),
        entry.amount.decimal(),
        decimal(entry.moved(), currency),
        currency.to_string(),
        entry.card.brand.to_string(),
        entry.card.last4_text(),
        entry.plan.to_string(),
        text(entry.approval_code.clone()),
        entry.connector.clone(),
        entry.acquirer_order.clone(),
        text(entry.acquirer_ref.clone()),
        entry.payment.to_string(),
    ]
}

/// A spreadsheet takes a field that begins so for a formula and runs it; behind an apostrophe it is text (OWASP, CSV Injection).
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}
