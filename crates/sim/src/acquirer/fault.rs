//! What is answered on demand: by published test card, and by the amount's last four digits.

use std::fmt::Write;

use super::trouble::{Cut, Trouble};

/// How an answer goes wrong. "Booked" is what the acquirer's books say afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    Slow,
    SilentUnbooked,
    SilentBooked,
    ClosedUnbooked,
    ClosedBooked,
    CutHead,
    CutBody,
    BrokenJson,
    Html,
    ErrorUnbooked,
    ErrorBooked,
    Huge,
    Doubled,
    OtherAmount,
    DeclinedBy402,
    RateLimit,
    Maintenance,
    Both,
    UnlistedCode,
    Dripping,
    OtherOrder,
    Redirect,
    Neither,
}

impl Fault {
    /// One that was asked for by the control port, in the words of the acquirers with a protocol of their own.
    pub(crate) const fn of(trouble: Trouble) -> Self {
        match (trouble.cut, trouble.booked) {
            (Cut::Slow, _) => Self::Slow,
            (Cut::Silent, false) => Self::SilentUnbooked,
            (Cut::Silent, true) => Self::SilentBooked,
            (Cut::Closed, false) => Self::ClosedUnbooked,
            (Cut::Closed, true) => Self::ClosedBooked,
            (Cut::Head, _) => Self::CutHead,
            (Cut::Body, _) => Self::CutBody,
            (Cut::Html, _) => Self::Html,
            (Cut::Error, false) => Self::ErrorUnbooked,
            (Cut::Error, true) => Self::ErrorBooked,
            (Cut::Huge, _) => Self::Huge,
            (Cut::Maintenance, _) => Self::Maintenance,
            (Cut::Throttled, _) => Self::RateLimit,
        }
    }

    /// Whether the request is lost before anybody looks at it.
    pub(crate) const fn loses(self) -> bool {
        matches!(
            self,
            Self::SilentUnbooked
                | Self::ClosedUnbooked
                | Self::ErrorUnbooked
                | Self::RateLimit
                | Self::Maintenance
        )
    }
}

/// Last four digits of the amount in minor units, what is done, and what it is.
pub(crate) const AMOUNTS: &[(u64, Fault, &str)] = &[
    (9001, Fault::Slow, "approves after 3 s"),
    (9002, Fault::SilentUnbooked, "never answers; not booked"),
    (9003, Fault::SilentBooked, "never answers; booked"),
    (
        9004,
        Fault::ClosedUnbooked,
        "closes the connection instead of an answer; not booked",
    ),
    (
        9005,
        Fault::ClosedBooked,
        "closes the connection instead of an answer; booked",
    ),
    (
        9006,
        Fault::CutHead,
        "cut in the middle of the head; booked",
    ),
    (
        9007,
        Fault::CutBody,
        "cut in the middle of the body; booked",
    ),
    (9008, Fault::BrokenJson, "200 with malformed JSON; booked"),
    (9009, Fault::Html, "200 with HTML; booked"),
    (9010, Fault::ErrorUnbooked, "500; not booked"),
    (9011, Fault::ErrorBooked, "500; booked"),
    (9012, Fault::Huge, "200 with a body of 10 MB; booked"),
    (
        9013,
        Fault::Doubled,
        "the approval twice on one connection; booked once",
    ),
    (
        9014,
        Fault::OtherAmount,
        "approves one minor unit more than was asked; booked",
    ),
    (
        9015,
        Fault::DeclinedBy402,
        "402 with JSON, card_declined; not booked",
    ),
    (
        9016,
        Fault::RateLimit,
        "429 with JSON, rate_limit; not booked",
    ),
    (9017, Fault::Maintenance, "503 with HTML; not booked"),
    (
        9018,
        Fault::Both,
        "200 with charge_id and error_code; booked",
    ),
    (
        9019,
        Fault::UnlistedCode,
        "200, error_code E-4711; not booked",
    ),
    (
        9020,
        Fault::Dripping,
        "approves at one byte a second; booked",
    ),
    (9021, Fault::OtherOrder, "approves another order; booked"),
    (9022, Fault::Redirect, "302 to another address; not booked"),
    (
        9023,
        Fault::Neither,
        "200, charge_id and error_code both null; not booked",
    ),
];

/// Published test cards of Stripe that are refused (docs.stripe.com/testing), and with which code.
pub(crate) const CARDS: &[(&str, &str)] = &[
    ("4000000000000002", "generic_decline"),
    ("4000000000009995", "insufficient_funds"),
    ("4000000000009987", "lost_card"),
    ("4000000000009979", "stolen_card"),
    ("4000000000000069", "expired_card"),
    ("4000000000000127", "incorrect_cvc"),
    ("4000000000000119", "processing_error"),
    ("4000000000006975", "card_velocity_exceeded"),
    ("4100000000000019", "fraudulent"),
    ("4000002500003155", "authentication_required"),
];

/// Published test numbers that are approved (docs.stripe.com/testing).
const APPROVED: &[&str] = &[
    "30569309025904",
    "3530111333300000",
    "3566002020360505",
    "36227206271667",
    "371449635398431",
    "378282246310005",
    "4000056655665556",
    "4111111111111111",
    "4242424242424242",
    "5105105105105100",
    "5200828282828210",
    "5555555555554444",
    "6011000990139424",
    "6011111111111117",
    "6200000000000005",
];

/// Whether this is a published test number.
pub(crate) fn is_published(number: &str) -> bool {
    APPROVED.contains(&number) || CARDS.iter().any(|row| row.0 == number)
}

/// Codes that neither a test card nor an issuer's code asks for, by the amount's last four digits.
const CODES: &[(u64, &str)] = &[(9501, "duplicate_transaction")];

/// Issuer codes of CAFIS/CARDNET by amount: 9402 answers G02 and so on.
const ISSUER: &[u64] = &[
    2, 3, 4, 5, 6, 7, 12, 22, 30, 42, 44, 45, 46, 54, 55, 56, 60, 61, 65, 67, 68, 69, 70, 71, 72,
    73, 74, 75, 76, 77, 78, 79, 80, 81, 83, 84, 85, 91, 92, 94, 95, 96, 97, 98, 99,
];

/// The fault that an amount asks for.
pub(crate) fn by_amount(minor: u64) -> Option<Fault> {
    AMOUNTS
        .iter()
        .find(|row| row.0 == minor % 10_000)
        .map(|row| row.1)
}

/// The code that refuses this card or this amount.
pub(crate) fn refusal(number: &str, minor: u64) -> Option<String> {
    let last = minor % 10_000;
    CARDS
        .iter()
        .find(|row| row.0 == number)
        .map(|row| row.1.to_owned())
        .or_else(|| {
            let code = CODES.iter().find(|row| row.0 == last);
            code.map(|row| row.1.to_owned())
        })
        .or_else(|| {
            (last / 100 == 94 && ISSUER.contains(&(last % 100)))
                .then(|| format!("G{:02}", last % 100))
        })
}

/// Both tables as text.
pub(crate) fn table() -> String {
    let mut text = String::from("Approves, but for these cards:\n");
    let mut line = |a: &str, b: &str| {
        // To write into a `String` can't fail.
        writeln!(text, "  {a:<18} {b}").unwrap_or_default();
    };
    for (card, code) in CARDS {
        line(card, code);
    }
    line("wrong check digit", "invalid_number");
    line("date in the past", "expired_card");
    line("code of 000", "incorrect_cvc");
    line("", "");
    line(
        "and these last four",
        "digits of the amount (minor units: yen, cents):",
    );
    for (amount, _, what) in AMOUNTS {
        line(&amount.to_string(), what);
    }
    for (amount, code) in CODES {
        line(&amount.to_string(), &format!("200, {code}; not booked"));
    }
    line("94nn", "200, issuer code Gnn (9412 is G12); not booked");
    line("", "");
    line(
        "Acquirers with",
        "a protocol of their own, by the amount of what takes the card, or by POST /fault:",
    );
    for (amount, _, name) in super::trouble::TROUBLES {
        line(&amount.to_string(), name);
    }
    line("", "");
    line(
        "POST /fault",
        "{\"acquirer\": \"gmo\", \"request\": \"ExecTran\", \"fault\": \"silent-booked\", \"times\": 1}; GET /settings names acquirers",
    );
    line("", "");
    line(
        "POST /webhook",
        "{\"acquirer\": \"adyen\", \"url\": \"http://127.0.0.1:PORT/PATH\", \"user\", \"password\"}: where they go;",
    );
    line("", &super::hooks::help());
    line(
        "",
        "{\"acquirer\": \"adyen\", \"event\", \"order\"}: DELAY_OVER (what is captured by itself hours later is), CAPTURE_FAILED, REFUND_FAILED,",
    );
    line(
        "",
        "REFUNDED_REVERSED (what was asked of it last has failed)",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_usable_in_yen_and_cents() {
        for (amount, fault, _) in AMOUNTS {
            assert_eq!(by_amount(*amount), Some(*fault));
            assert_eq!(
                by_amount(amount + 120_000),
                Some(*fault),
                "120,000 yen more"
            );
        }
        assert_eq!(by_amount(1500), None);
        assert_eq!(refusal("4242424242424242", 9412).as_deref(), Some("G12"));
        assert_eq!(refusal("4242424242424242", 9413), None, "no such code");
        for part in ["9014", "silent-booked", "DELAY_OVER", "out-of-order"] {
            assert!(table().contains(part), "{part}");
        }
    }
}
