//! How what a receipt says is written: words, amounts and days of a language, and the places of a template.

use ivrpay_payment::Currency;
use jiff::civil::Date;

use crate::model::{Card, Kind, Language, Line, Rate, Receipt, Sum};

/// Names of the places of a template, with what stands there.
pub(crate) const PLACES: [&str; 21] = [
    "address",
    "again",
    "card",
    "issued_on",
    "issuer",
    "note",
    "number",
    "order",
    "original",
    "original_sold_on",
    "paid_on",
    "payment",
    "purpose",
    "recipient",
    "registration",
    "sold_on",
    "stamp",
    "tax_id",
    "test",
    "title",
    "total",
];

/// What stands in a place; nothing where there is nothing to say.
pub(crate) fn place(receipt: &Receipt, name: &str) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let is_ja = receipt.language == Language::Ja;
    let original = receipt.original.as_ref();
    match name {
        "address" => receipt.address.join("\n"),
        "again" => match (receipt.issue, is_ja) {
            (0 | 1, _) => String::new(),
            (2, true) => "再発行".to_owned(),
            (n, true) => format!("再発行（{}回目）", n - 1),
            (n, false) => format!("Issued again ({n})"),
        },
        "card" => receipt
            .card
            .as_ref()
            .map(|c| card(c, receipt.language))
            .unwrap_or_default(),
        "issued_on" => day(receipt.issued_on, receipt.language),
        "issuer" => receipt.issuer.clone(),
        "note" => note(receipt),
        "number" => receipt.number.clone(),
        "order" => text(&receipt.order),
        "original" => original.map(|o| o.number.clone()).unwrap_or_default(),
        "original_sold_on" => original
            .map(|o| day(o.sold_on, receipt.language))
            .unwrap_or_default(),
        "paid_on" => day(receipt.paid_on, receipt.language),
        "payment" => receipt.payment.clone(),
        "purpose" => receipt.purpose.clone(),
        "recipient" => recipient(receipt),
        "registration" => receipt
            .registration
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        "sold_on" => day(receipt.sold_on, receipt.language),
        "stamp"
            if is_ja
                && receipt.is_japanese()
                && receipt.card.is_some()
                && receipt.kind == Kind::Receipt =>
        {
            "クレジットカードでのお支払いのため、収入印紙は貼付しておりません。".to_owned()
        }
        "tax_id" => text(&receipt.tax_id),
        "test" if receipt.test => if is_ja {
            "見本（テスト決済・無効）"
        } else {
            "SPECIMEN: test payment, not valid"
        }
        .to_owned(),
        "title" => title(receipt).to_owned(),
        "total" => amount(
            i64::try_from(receipt.total).unwrap_or(i64::MAX),
            receipt.currency,
        ),
        _ => String::new(),
    }
}

/// What it is called.
pub(crate) fn title(receipt: &Receipt) -> &'static str {
    match (receipt.kind, receipt.language, &receipt.registration) {
        (Kind::Receipt, Language::Ja, _) => "領収書",
        (Kind::Receipt, Language::En, _) => "Receipt",
        (Kind::Return, Language::Ja, Some(_)) => "適格返還請求書",
        (Kind::Return, Language::Ja, None) => "返金明細書",
        (Kind::Return, Language::En, _) => "Credit note",
    }
}

/// 宛名 with 様, unless somebody has written what belongs there.
fn recipient(receipt: &Receipt) -> String {
    let Some(to) = &receipt.recipient else {
        return String::new();
    };
    let is_whole = ["様", "御中", "殿", "先生"]
        .iter()
        .any(|end| to.ends_with(end));
    if receipt.language == Language::Ja && !is_whole {
        format!("{to}　様")
    } else {
        to.clone()
    }
}

fn note(receipt: &Receipt) -> String {
    let marked = receipt
        .lines
        .iter()
        .any(|line| receipt.is_reduced(line.rate));
    match (marked, receipt.language) {
        (true, Language::Ja) => "※は軽減税率（8%）対象です。".to_owned(),
        (true, Language::En) => "※ reduced tax rate (8%).".to_owned(),
        _ => String::new(),
    }
}

/// As a card's brand is written.
fn brand(name: &str) -> &str {
    match name {
        "visa" => "VISA",
        "mastercard" => "Mastercard",
        "jcb" => "JCB",
        "amex" => "American Express",
        "diners-club" => "Diners Club",
        "discover" => "Discover",
        "unionpay" => "UnionPay",
        "maestro" => "Maestro",
        other => other,
    }
}

fn card(card: &Card, language: Language) -> String {
    let (brand, last4) = (brand(&card.brand), &card.last4);
    let count = card
        .count
        .map(|count| count.to_string())
        .unwrap_or_default();
    match language {
        Language::Ja => {
            let plan = match &*card.plan {
                "lump_sum" => "1回払い".to_owned(),
                "installments" => format!("分割払い {count}回"),
                "bonus" => "ボーナス一括払い".to_owned(),
                "bonus_installments" => format!("ボーナス分割払い {count}回"),
                "revolving" => "リボ払い".to_owned(),
                other => other.to_owned(),
            };
            format!("クレジットカード利用（{brand} 下4桁 {last4}・{plan}）")
        }
        Language::En => {
            let plan = match &*card.plan {
                "lump_sum" => "one payment".to_owned(),
                "installments" => format!("{count} instalments"),
                "bonus" => "bonus payment".to_owned(),
                "bonus_installments" => format!("{count} bonus payments"),
                other => other.to_owned(),
            };
            format!("Paid by credit card ({brand} ending {last4}, {plan})")
        }
    }
}

/// `¥1,200`, `EUR 12.00`; below zero with a minus in front.
pub(crate) fn amount(minor: i64, currency: Currency) -> String {
    let (sign, minor) = (if minor < 0 { "-" } else { "" }, minor.unsigned_abs());
    let (whole, part) = match currency.exponent() {
        0 => (minor, String::new()),
        digits => {
            let one = 10_u64.pow(digits);
            let width = usize::try_from(digits).unwrap_or(2);
            (minor / one, format!(".{:0width$}", minor % one))
        }
    };
    let digits = whole.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match currency {
        Currency::Jpy => format!("{sign}¥{grouped}{part}"),
        other => format!("{sign}{other} {grouped}{part}"),
    }
}

pub(crate) fn day(day: Date, language: Language) -> String {
    match language {
        Language::Ja => format!("{}年{}月{}日", day.year(), day.month(), day.day()),
        Language::En => {
            let month = usize::try_from(day.month() - 1).unwrap_or_default();
            let names = [
                "January",
                "February",
                "March",
                "April",
                "May",
                "June",
                "July",
                "August",
                "September",
                "October",
                "November",
                "December",
            ];
            format!(
                "{} {} {}",
                day.day(),
                names.get(month).copied().unwrap_or_default(),
                day.year()
            )
        }
    }
}

/// Heads of the table of what was sold.
pub(crate) fn line_heads(language: Language) -> [&'static str; 3] {
    match language {
        Language::Ja => ["内容", "税率", "金額（税込）"],
        Language::En => ["Description", "Tax", "Amount incl. tax"],
    }
}

/// A row of it.
pub(crate) fn line(receipt: &Receipt, line: &Line) -> [String; 3] {
    let mark = if receipt.is_reduced(line.rate) {
        " ※"
    } else {
        ""
    };
    [
        format!("{}{mark}", line.description),
        rate(line.rate, receipt.language),
        amount(line.amount, receipt.currency),
    ]
}

fn rate(rate: Rate, language: Language) -> String {
    match (rate, language) {
        (Rate::NONE, Language::Ja) => "対象外".to_owned(),
        (Rate::NONE, Language::En) => "none".to_owned(),
        (rate, _) => format!("{rate}%"),
    }
}

/// Heads of the table of rates.
pub(crate) fn sum_heads(language: Language) -> [&'static str; 4] {
    match language {
        Language::Ja => ["税率区分", "税抜金額", "消費税額等", "税込金額"],
        Language::En => ["Tax rate", "Net", "Tax", "Gross"],
    }
}

/// A row of it.
pub(crate) fn sum(receipt: &Receipt, sum: &Sum) -> [String; 4] {
    let name = match (sum.rate, receipt.language) {
        (Rate::NONE, Language::Ja) => "消費税対象外".to_owned(),
        (rate, Language::Ja) if receipt.is_reduced(rate) => format!("{rate}%対象 ※"),
        (rate, Language::Ja) => format!("{rate}%対象"),
        (rate, Language::En) => self::rate(rate, receipt.language),
    };
    let of = |minor: u64| amount(i64::try_from(minor).unwrap_or(i64::MAX), receipt.currency);
    let (net, tax) = match sum.tax {
        Some(tax) => (of(sum.gross - tax.min(sum.gross)), of(tax)),
        None => (String::new(), String::new()),
    };
    [name, net, tax, of(sum.gross)]
}
