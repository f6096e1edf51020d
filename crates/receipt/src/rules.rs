//! What a receipt may say, and has to.

use ivrpay_payment::Currency;
use jiff::civil::Date;

use crate::model::{Issuer, Kind, Language, Line, Original, Rate, Receipt, Sale, Sum, Wish};

/// Longest text, characters.
pub const TEXT_MAX: usize = 100;
/// Most lines.
pub const LINES_MAX: usize = 60;
/// Form of what is kept.
const VERSION: u8 = 1;

/// Why there is no receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The lines are not what was charged.
    #[error("lines: their sum is {sum}, and {charged} was charged: a receipt says what was paid")]
    Sum {
        /// Theirs, minor units.
        sum: i128,
        /// That of the payment, or of what was given back.
        charged: u64,
    },
    /// No rate is known.
    #[error("lines: name what was sold, each with its rate; [tenants.receipt] has no default rate")]
    NoRate,
    /// Too many.
    #[error("lines: at most {LINES_MAX}")]
    Lines,
    /// A discount of more than there is.
    #[error("lines: what is taxed at {0} % is below zero")]
    Negative(Rate),
    /// Japan has two.
    #[error(
        "lines: {0} % is no rate of Japan's consumption tax: 10, 8 (reduced), or 0 for what is not taxed"
    )]
    Rate(Rate),
    /// 適格請求書 without a recipient.
    #[error(
        "recipient: a qualified invoice names who gets it (宛名); only who may issue simplified ones ([tenants.receipt] simplified) may leave it out"
    )]
    Recipient,
    /// A text that is none.
    #[error("{field}: one line, 1 to {TEXT_MAX} characters")]
    Text {
        /// Which.
        field: &'static str,
    },
    /// A day that is none.
    #[error("sold_on: a day at most two years before the payment, and not behind today")]
    SoldOn,
    /// What a return says of its rates would no longer be true.
    #[error("lines: a return was issued of this receipt; its amounts by rate stay as they are")]
    Returned,
    /// Nothing was given back.
    #[error("nothing was given back that no return says already")]
    NothingBack,
    /// More than the receipt had.
    #[error(
        "lines: {back} at {rate} % are given back, and the receipt has {left} of it left: name the lines that were given back"
    )]
    MoreThanSold {
        /// The rate.
        rate: Rate,
        /// So much, minor units.
        back: u64,
        /// Of so much.
        left: u64,
    },
}

/// A receipt of what was charged, without number.
///
/// # Errors
/// [`Refused`].
pub fn issue(issuer: &Issuer, sale: &Sale, wish: &Wish, today: Date) -> Result<Receipt, Refused> {
    let language = wish.language.unwrap_or(issuer.language);
    let purpose = match (&wish.purpose, &issuer.purpose, language) {
        (Some(purpose), ..) => text("purpose", purpose)?,
        (None, Some(purpose), _) => purpose.clone(),
        (None, None, Language::Ja) => "お品代として".to_owned(),
        (None, None, Language::En) => "Goods".to_owned(),
    };
    let recipient = wish.recipient.as_deref();
    let recipient = recipient.map(|to| text("recipient", to)).transpose()?;
    let is_japanese = sale.currency == Currency::Jpy;
    // Goods that are ordered by telephone are mostly paid before they leave.
    let sold_on = wish.sold_on.unwrap_or(sale.paid_on);
    let days = sold_on.until(sale.paid_on).map(|span| span.get_days());
    if !days.is_ok_and(|days| days <= 731) || sold_on > today.max(sale.paid_on) {
        return Err(Refused::SoldOn);
    }
    let registration = issuer
        .registration
        .clone()
        .filter(|_| is_japanese && issuer.registered_on.is_none_or(|since| sold_on >= since));
    let issuer = &Issuer {
        registration,
        ..issuer.clone()
    };
    if recipient.is_none() && issuer.registration.is_some() && !issuer.simplified {
        return Err(Refused::Recipient);
    }
    let lines = if wish.lines.is_empty() {
        vec![Line {
            description: purpose.clone(),
            amount: i64::try_from(sale.amount).unwrap_or(i64::MAX),
            rate: issuer.rate.ok_or(Refused::NoRate)?,
        }]
    } else {
        wish.lines.clone()
    };
    let sums = sums(issuer, &lines, sale.amount, sale.currency)?;
    Ok(Receipt {
        version: VERSION,
        kind: Kind::Receipt,
        number: String::new(),
        issue: 1,
        issued_on: today,
        sold_on,
        paid_on: sale.paid_on,
        language,
        issuer: issuer.name.clone(),
        address: issuer.address.clone(),
        registration: issuer.registration.clone(),
        tax_id: issuer.tax_id.clone(),
        recipient,
        purpose,
        lines,
        sums,
        rounding: issuer.rounding,
        total: sale.amount,
        currency: sale.currency,
        card: sale.card.clone(),
        order: sale.order.clone(),
        payment: sale.payment.clone(),
        original: None,
        test: sale.test,
    })
}

/// Who issued that one, as it says itself: what the configuration has become meanwhile changes no document of before.
fn issuer_of(before: &Receipt, issuer: &Issuer) -> Issuer {
    Issuer {
        name: before.issuer.clone(),
        address: before.address.clone(),
        registration: before.registration.clone(),
        registered_on: None,
        tax_id: before.tax_id.clone(),
        rounding: before.rounding,
        ..issuer.clone()
    }
}

/// The same once more: what is not wished otherwise stays, and it says that it was issued again. `returned`: there is a return of it.
///
/// # Errors
/// [`Refused`].
pub fn reissue(
    issuer: &Issuer,
    sale: &Sale,
    wish: &Wish,
    before: &Receipt,
    returned: bool,
    today: Date,
) -> Result<Receipt, Refused> {
    let wish = Wish {
        recipient: wish.recipient.clone().or_else(|| before.recipient.clone()),
        purpose: wish
            .purpose
            .clone()
            .or_else(|| Some(before.purpose.clone())),
        lines: if wish.lines.is_empty() {
            before.lines.clone()
        } else {
            wish.lines.clone()
        },
        sold_on: wish.sold_on.or(Some(before.sold_on)),
        language: wish.language.or(Some(before.language)),
    };
    let again = issue(&issuer_of(before, issuer), sale, &wish, today)?;
    if returned && again.sums != before.sums {
        return Err(Refused::Returned);
    }
    Ok(Receipt {
        number: before.number.clone(),
        issue: before.issue.saturating_add(1),
        ..again
    })
}

/// What was given back of a receipt, and by no return before: so much, on that day.
///
/// # Errors
/// [`Refused`].
pub fn give_back(
    issuer: &Issuer,
    receipt: &Receipt,
    returns: &[Receipt],
    (back, back_on): (u64, Date),
    wish: &Wish,
    today: Date,
) -> Result<Receipt, Refused> {
    if back == 0 {
        return Err(Refused::NothingBack);
    }
    let left: Vec<(Rate, u64)> = receipt
        .sums
        .iter()
        .map(|sum| {
            let of = returns
                .iter()
                .flat_map(|r| &r.sums)
                .filter(|s| s.rate == sum.rate);
            (
                sum.rate,
                sum.gross.saturating_sub(of.map(|s| s.gross).sum()),
            )
        })
        .collect();
    let whole = back == receipt.total && returns.is_empty();
    let lines = match (&*wish.lines, &*left) {
        ([], _) if whole => receipt.lines.clone(),
        // Nothing else can be meant.
        ([], [(rate, _)]) => vec![Line {
            description: receipt.purpose.clone(),
            amount: i64::try_from(back).unwrap_or(i64::MAX),
            rate: *rate,
        }],
        ([], _) => return Err(Refused::NoRate),
        (lines, _) => lines.to_vec(),
    };
    let sums = sums(&issuer_of(receipt, issuer), &lines, back, receipt.currency)?;
    for sum in &sums {
        let of = left.iter().find(|(rate, _)| *rate == sum.rate);
        let left = of.map_or(0, |(_, left)| *left);
        if sum.gross > left {
            return Err(Refused::MoreThanSold {
                rate: sum.rate,
                back: sum.gross,
                left,
            });
        }
    }
    let purpose = wish
        .purpose
        .as_deref()
        .map(|purpose| text("purpose", purpose));
    let recipient = wish.recipient.as_deref().map(|to| text("recipient", to));
    Ok(Receipt {
        kind: Kind::Return,
        number: String::new(),
        issue: 1,
        issued_on: today,
        sold_on: back_on,
        language: wish.language.unwrap_or(receipt.language),
        recipient: recipient.transpose()?.or_else(|| receipt.recipient.clone()),
        purpose: purpose
            .transpose()?
            .unwrap_or_else(|| receipt.purpose.clone()),
        lines,
        sums,
        total: back,
        original: Some(Original {
            number: receipt.number.clone(),
            sold_on: receipt.sold_on,
        }),
        ..receipt.clone()
    })
}

/// One rounding for each rate of the document.
fn sums(
    issuer: &Issuer,
    lines: &[Line],
    charged: u64,
    currency: Currency,
) -> Result<Vec<Sum>, Refused> {
    if lines.len() > LINES_MAX {
        return Err(Refused::Lines);
    }
    let is_japanese = currency == Currency::Jpy;
    // Wide enough for any lines: a sum that stops at its end would be another one.
    let mut sum: i128 = 0;
    let mut by_rate: Vec<(Rate, i128)> = Vec::new();
    for line in lines {
        text("lines", &line.description)?;
        if is_japanese && ![Rate::STANDARD, Rate::REDUCED, Rate::NONE].contains(&line.rate) {
            return Err(Refused::Rate(line.rate));
        }
        let amount = i128::from(line.amount);
        sum = sum.saturating_add(amount);
        match by_rate.iter_mut().find(|(rate, _)| *rate == line.rate) {
            Some((_, of)) => *of = of.saturating_add(amount),
            None => by_rate.push((line.rate, amount)),
        }
    }
    if sum != i128::from(charged) {
        return Err(Refused::Sum { sum, charged });
    }
    // Who is not registered may not show what could be taken for a deductible tax.
    let shows_tax = !is_japanese || issuer.registration.is_some();
    by_rate.sort_by_key(|(rate, _)| std::cmp::Reverse(*rate));
    by_rate
        .into_iter()
        .map(|(rate, gross)| {
            let gross = u64::try_from(gross).map_err(|_| Refused::Negative(rate))?;
            let tax = shows_tax.then(|| rate.within(gross, issuer.rounding));
            Ok(Sum { rate, gross, tax })
        })
        .collect()
}

fn text(field: &'static str, text: &str) -> Result<String, Refused> {
    let text = text.trim();
    let bad =
        text.is_empty() || text.chars().count() > TEXT_MAX || text.chars().any(char::is_control);
    if bad {
        return Err(Refused::Text { field });
    }
    Ok(text.to_owned())
}
