//! A receipt as plain text, for a message or a letter.

use crate::model::{Kind, Language, Receipt};
use crate::words::{line, place, sum, title};

/// All that the law wants of a receipt, line by line.
#[must_use]
pub fn plain(receipt: &Receipt) -> String {
    let is_ja = receipt.language == Language::Ja;
    let mut lines = Vec::new();
    let named = |ja: &str, en: &str, value: String| {
        let name = if is_ja { ja } else { en };
        (!value.is_empty()).then(|| format!("{name}: {value}"))
    };
    let of = |name: &str| place(receipt, name);
    let marks: Vec<String> = ["again", "test"]
        .map(of)
        .into_iter()
        .filter(|m| !m.is_empty())
        .collect();
    lines.push(match &*marks.join(" ") {
        "" => title(receipt).to_owned(),
        marks => format!("{} [{marks}]", title(receipt)),
    });
    lines.extend(named("番号", "Number", of("number")));
    lines.extend(named("発行日", "Issued", of("issued_on")));
    lines.extend(named("宛名", "To", of("recipient")));
    lines.extend(named("金額", "Amount", of("total")));
    lines.extend(named("但し", "For", of("purpose")));
    lines.extend(match receipt.kind {
        Kind::Receipt => named("取引日", "Date of supply", of("sold_on")),
        Kind::Return => named("返金日", "Given back", of("sold_on")),
    });
    lines.extend(named(
        "元の取引日",
        "Originally supplied",
        of("original_sold_on"),
    ));
    lines.extend(named("元の番号", "Original number", of("original")));
    for one in &receipt.lines {
        let [what, rate, amount] = line(receipt, one);
        lines.push(format!("- {what}  {rate}  {amount}"));
    }
    for one in &receipt.sums {
        let [name, net, tax, gross] = sum(receipt, one);
        lines.push(match (&*tax, is_ja) {
            ("", _) => format!("{name} {gross}"),
            (tax, true) => format!("{name} {gross}（税抜 {net}、消費税 {tax}）"),
            (tax, false) => format!("Tax {name}: {gross} (net {net}, tax {tax})"),
        });
    }
    lines.extend(
        [of("note"), of("card"), of("stamp")]
            .into_iter()
            .filter(|text| !text.is_empty()),
    );
    lines.push(of("issuer"));
    lines.extend(receipt.address.iter().cloned());
    lines.extend(named("登録番号", "Registration number", of("registration")));
    lines.extend(Some(of("tax_id")).filter(|id| !id.is_empty()));
    lines.extend(named("注文番号", "Order", of("order")));
    lines.push(String::new());
    lines.join("\n")
}
