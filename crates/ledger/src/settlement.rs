//! Rows of an acquirer's settlement file, by a map of its columns.

use ivrpay_payment::Currency;
use serde::Deserialize;

/// Which column of a settlement file is what. Names are those of its header line, as they stand there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Columns {
    /// Our order number at the acquirer, 17 digits (`acquirer_order`).
    pub order: Option<String>,
    /// The acquirer's reference of the payment (`acquirer_ref`).
    pub reference: Option<String>,
    /// What the row is; without it a plus is a sale and a minus a refund.
    pub kind: Option<String>,
    /// How much; a minus is a refund where no kind is said.
    pub amount: Option<String>,
    /// How much comes to the merchant, where that has a column of its own.
    pub credit: Option<String>,
    /// How much goes back, the same.
    pub debit: Option<String>,
    /// ISO 4217; without it the merchant's.
    pub currency: Option<String>,
}

/// In what an amount is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// `12.34`, `1,500`.
    #[default]
    Major,
    /// `1234`: cents, or yen.
    Minor,
}

/// How the bytes of a file are letters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Encoding {
    #[default]
    Utf8,
    /// Windows-31J, which Shift_JIS files are.
    Cp932,
}

/// How a settlement file is read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// Its columns.
    pub columns: Columns,
    /// Words of the column `kind` that are sales.
    #[serde(default)]
    pub sales: Vec<String>,
    /// Words of the column `kind` that are refunds, and cancellations of what was taken.
    #[serde(default)]
    pub refunds: Vec<String>,
    /// In what amounts are written.
    #[serde(default)]
    pub unit: Unit,
    /// How its bytes are letters.
    #[serde(default)]
    pub encoding: Encoding,
    /// Between two fields.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// Lines before the header line.
    #[serde(default)]
    pub skip_lines: usize,
}

const fn comma() -> char {
    ','
}

/// A map that can't be used, or a row that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettlementError {
    /// The amount is none.
    #[error(
        "the amount is no number of {currency} (digits, with {digits} behind the point at most)"
    )]
    Amount {
        /// Of which currency.
        currency: Currency,
        /// How many it has behind the point.
        digits: u32,
    },
    /// The file lacks a column of the map.
    #[error("the file has no column \"{0}\", which the map names")]
    Column(String),
    /// Not one that we know.
    #[error("the currency is none of those that ivrpay knows")]
    Currency,
    /// Neither order nor reference is there to find a payment by.
    #[error("neither the order nor the reference says which payment it is")]
    Key,
    /// The map lacks what nothing goes without.
    #[error("the map needs {0}")]
    Map(&'static str),
    /// The row is shorter than the header.
    #[error("the row is shorter than the header line")]
    Short,
}

/// What a row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Kind {
    Sale,
    Refund,
}

/// A row of a settlement file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Its line, or its number.
    pub line: u64,
    /// Our order number there.
    pub order: Option<String>,
    /// The acquirer's reference.
    pub reference: Option<String>,
    /// Sale or refund.
    pub kind: Kind,
    /// How much, minor units, without a sign.
    pub minor: u64,
    /// In what.
    pub currency: Currency,
}

/// A row that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// It is about a payment.
    Settled(Settled),
    /// It is of another kind: fees, payouts, chargebacks. Its word for that.
    Other(String),
}

/// A map and where its columns stand in a file.
#[derive(Debug, Clone)]
pub struct Reader<'m> {
    map: &'m Map,
    order: Option<usize>,
    reference: Option<usize>,
    kind: Option<usize>,
    amount: Option<usize>,
    credit: Option<usize>,
    debit: Option<usize>,
    currency: Option<usize>,
}

impl<'m> Reader<'m> {
    /// By the header line.
    ///
    /// # Errors
    /// [`SettlementError::Map`], [`SettlementError::Column`].
    pub fn new<'h>(
        map: &'m Map,
        header: impl IntoIterator<Item = &'h str>,
    ) -> Result<Self, SettlementError> {
        let Columns {
            order,
            reference,
            kind,
            amount,
            credit,
            debit,
            currency,
        } = &map.columns;
        if order.is_none() && reference.is_none() {
            return Err(SettlementError::Map("columns.order or columns.reference"));
        }
        match (amount, credit, debit) {
            (Some(_), None, None) | (None, Some(_), Some(_)) => {}
            _ => {
                return Err(SettlementError::Map(
                    "columns.amount, or columns.credit and columns.debit",
                ));
            }
        }
        if kind.is_some() && map.sales.is_empty() && map.refunds.is_empty() {
            return Err(SettlementError::Map(
                "sales and refunds: the words of columns.kind",
            ));
        }
        // Files from Windows begin with a mark that is no letter of the first name.
        let names: Vec<&str> = header
            .into_iter()
            .map(|name| name.trim_start_matches('\u{feff}').trim())
            .collect();
        let at = |name: &Option<String>| match name {
            None => Ok(None),
            Some(name) => match names.iter().position(|n| n == name) {
                Some(at) => Ok(Some(at)),
                None => Err(SettlementError::Column(name.clone())),
            },
        };
        Ok(Self {
            map,
            order: at(order)?,
            reference: at(reference)?,
            kind: at(kind)?,
            amount: at(amount)?,
            credit: at(credit)?,
            debit: at(debit)?,
            currency: at(currency)?,
        })
    }

    /// Reads a row; `merchant`: the currency where the file says none.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(
        &self,
        line: u64,
        row: &[&str],
        merchant: Currency,
    ) -> Result<Read, SettlementError> {
        let field = |at: Option<usize>| match at {
            None => Ok(""),
            Some(at) => row.get(at).map(|f| f.trim()).ok_or(SettlementError::Short),
        };
        let said = match self.kind {
            None => None,
            Some(_) => {
                let word = field(self.kind)?;
                let is = |words: &[String]| words.iter().any(|w| w == word);
                if is(&self.map.sales) {
                    Some(Kind::Sale)
                } else if is(&self.map.refunds) {
                    Some(Kind::Refund)
                } else {
                    return Ok(Read::Other(word.to_owned()));
                }
            }
        };
        let currency = match field(self.currency)? {
            "" if self.currency.is_none() => merchant,
            code => code.parse().map_err(|_| SettlementError::Currency)?,
        };
        let minor = |at| -> Result<i64, SettlementError> {
            let text = field(at)?;
            let wrong = SettlementError::Amount {
                currency,
                digits: currency.exponent(),
            };
            minor(text, currency, self.map.unit).ok_or(wrong)
        };
        let signed = match (self.amount, self.credit, self.debit) {
            (Some(_), ..) => minor(self.amount)?,
            _ => {
                let or_none = |at| match field(at)? {
                    "" => Ok(0),
                    _ => minor(at),
                };
                or_none(self.credit)?.saturating_sub(or_none(self.debit)?)
            }
        };
        let some = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
        let (order, reference) = (some(field(self.order)?), some(field(self.reference)?));
        if order.is_none() && reference.is_none() {
            return Err(SettlementError::Key);
        }
        // A sale with a minus goes back, and a refund that stands where sales do comes to the merchant; a refund's own sign is the file's habit.
        let kind = match said {
            Some(Kind::Refund) if self.credit.is_none() || signed < 0 => Kind::Refund,
            _ if signed < 0 => Kind::Refund,
            _ => Kind::Sale,
        };
        Ok(Read::Settled(Settled {
            line,
            order,
            reference,
            kind,
            minor: signed.unsigned_abs(),
            currency,
        }))
    }
}

/// An amount as files write it: digits, thousands with a comma between, a minus before, ¥ or \ before.
fn minor(text: &str, currency: Currency, unit: Unit) -> Option<i64> {
    let (negative, text) = match text.strip_prefix(['-', '\u{2212}', '▲', '△']) {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let text = text.trim_start_matches(['¥', '￥', '\\', '$', '€', '£']);
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let groups: Vec<&str> = whole.split(',').collect();
    let is_grouped = match groups.as_slice() {
        [_] => true,
        [first, others @ ..] => {
            (1..=3).contains(&first.len()) && others.iter().all(|o| o.len() == 3)
        }
        [] => false,
    };
    let whole = groups.concat();
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !is_grouped || whole.is_empty() || whole.len() > 15 || !digits(&whole) || !digits(rest) {
        return None;
    }
    let places = match unit {
        Unit::Major => currency.exponent() as usize,
        Unit::Minor => 0,
    };
    // More digits than the currency has are rounding that somebody has done, or has not; noughts are neither.
    let (kept, over) = rest.split_at_checked(places).unwrap_or((rest, ""));
    if !over.bytes().all(|b| b == b'0') {
        return None;
    }
    let minor: i64 = format!("{whole}{kept:0<places$}").parse().ok()?;
    Some(if negative { -minor } else { minor })
}

/// Maps that come with ivrpay, by name.
///
/// `ivrpay`: the form that `docs/accounting.md` documents, for whoever makes the file. `stripe`: the itemised payout reconciliation report, with the
/// column of our order number (docs.stripe.com/reports/payout-reconciliation). `adyen`: the settlement details report
/// (docs.adyen.com/reporting/settlement-reconciliation/transaction-level/settlement-details-report).
#[must_use]
pub fn built_in(name: &str) -> Option<Map> {
    let some = |text: &str| Some(text.to_owned());
    let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
    let map = |columns, sales, refunds| Map {
        columns,
        sales,
        refunds,
        unit: Unit::Major,
        encoding: Encoding::Utf8,
        delimiter: ',',
        skip_lines: 0,
    };
    Some(match name {
        "ivrpay" => map(
            Columns {
                order: some("order"),
                reference: some("reference"),
                kind: some("kind"),
                amount: some("amount"),
                currency: some("currency"),
                ..Columns::default()
            },
            words(&["sale"]),
            words(&["refund"]),
        ),
        "stripe" => map(
            Columns {
                order: None,
                reference: some("payment_intent_id"),
                kind: some("reporting_category"),
                amount: some("gross"),
                currency: some("currency"),
                ..Columns::default()
            },
            words(&["charge"]),
            words(&["refund"]),
        ),
        "adyen" => map(
            Columns {
                order: some("Merchant Reference"),
                reference: some("Psp Reference"),
                kind: some("Type"),
                credit: some("Gross Credit (GC)"),
                debit: some("Gross Debit (GC)"),
                currency: some("Gross Currency"),
                ..Columns::default()
            },
            words(&["Settled"]),
            words(&["Refunded"]),
        ),
        _ => return None,
    })
}

/// Names of [`built_in`].
pub const BUILT_IN: [&str; 3] = ["adyen", "ivrpay", "stripe"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_or_refused() {
        use Currency::{Jpy, Usd};
        for (text, currency, unit, read) in [
            ("1500", Jpy, Unit::Major, Some(1500)),
            ("1,500", Jpy, Unit::Major, Some(1500)),
            ("1,234,567.80", Usd, Unit::Major, Some(123_456_780)),
            ("¥1,500", Jpy, Unit::Major, Some(1500)),
            ("-12.3", Usd, Unit::Major, Some(-1230)),
            ("▲1500", Jpy, Unit::Major, Some(-1500)),
            ("0.05", Usd, Unit::Major, Some(5)),
            ("12", Usd, Unit::Minor, Some(12)),
            ("1500.00", Jpy, Unit::Major, Some(1500)),
            ("1500.50", Jpy, Unit::Major, None),
            ("12.345", Usd, Unit::Major, None),
            ("1,50", Jpy, Unit::Major, None),
            ("1.500,00", Usd, Unit::Major, None),
            ("", Jpy, Unit::Major, None),
            ("-", Jpy, Unit::Major, None),
            ("１５００", Jpy, Unit::Major, None),
            ("1e3", Jpy, Unit::Major, None),
            ("9999999999999999", Jpy, Unit::Major, None),
        ] {
            assert_eq!(minor(text, currency, unit), read, "{text} {currency}");
        }
    }

    #[test]
    fn a_map_says_what_it_lacks() {
        let map: Map = toml::from_str("columns = { order = \"受注番号\" }").unwrap();
        let error = Reader::new(&map, ["受注番号"]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the map needs columns.amount"),
            "{error}"
        );
        let text = "columns = { order = \"受注番号\", amount = \"金額\", kind = \"区分\" }\nsales = [\"売上\"]\nrefunds = [\"取消\"]\nencoding = \"cp932\"";
        let map: Map = toml::from_str(text).unwrap();
        let error = Reader::new(&map, ["受注番号", "金額"]).unwrap_err();
        assert_eq!(error, SettlementError::Column("区分".into()));
        let reader = Reader::new(&map, ["\u{feff}受注番号", "金額 ", "区分"]).unwrap();
        let read = |row: &[&str]| reader.read(2, row, Currency::Jpy);
        let Ok(Read::Settled(row)) = read(&["17954352000001234", "1,500", "取消"]) else {
            panic!("it is a refund");
        };
        assert_eq!((row.kind, row.minor), (Kind::Refund, 1500));
        let Ok(Read::Settled(row)) = read(&["17954352000001234", "-1,500", "売上"]) else {
            panic!("it goes back");
        };
        assert_eq!((row.kind, row.minor), (Kind::Refund, 1500));
        assert_eq!(
            read(&["1", "1", "手数料"]),
            Ok(Read::Other("手数料".into()))
        );
        assert_eq!(read(&["", "1", "売上"]), Err(SettlementError::Key));
        assert_eq!(read(&["1", "1"]), Err(SettlementError::Short));
    }
}
