//! Amounts and times as people read and write them.

use ivrpay_payment::{Currency, Money};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::words::Lang;

/// An amount of minor units: `¥1,200`, `12.00 USD`.
pub(crate) fn amount(minor: u64, currency: &str) -> String {
    let Ok(known) = currency.parse::<Currency>() else {
        return format!("{} {currency}", grouped(minor));
    };
    match known {
        Currency::Jpy => format!("¥{}", grouped(minor)),
        _ => format!("{} {currency}", plain(minor, known)),
    }
}

/// The same without its currency: `1,200`, `12.00`.
fn plain(minor: u64, currency: Currency) -> String {
    match 10_u64.pow(currency.exponent()) {
        1 => grouped(minor),
        unit => {
            let places = usize::try_from(currency.exponent()).unwrap_or_default();
            format!("{}.{:0places$}", grouped(minor / unit), minor % unit)
        }
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Minor units of what a person has written: `1,200`, `12.5`, also in full-width digits. No more places than the currency has.
pub(crate) fn read_amount(text: &str, currency: &str) -> Option<u64> {
    let currency: Currency = currency.parse().ok()?;
    let narrow: String = text
        .chars()
        .filter_map(|c| match c {
            '０'..='９' => char::from_u32(u32::from(c) - u32::from('０') + u32::from('0')),
            '．' => Some('.'),
            ',' | '，' | '、' | '¥' | '￥' | '円' | ' ' | '　' => None,
            other => Some(other),
        })
        .collect();
    let (whole, part) = narrow.split_once('.').unwrap_or((&narrow, ""));
    let places = usize::try_from(currency.exponent()).ok()?;
    if part.len() > places || (narrow.contains('.') && part.is_empty()) {
        return None;
    }
    let minor = format!("{whole}{part:0<places$}");
    Money::parse(&minor, currency).ok().map(Money::minor)
}

/// `2026-11-27 18:03`, in that zone; what is no time stays as it is.
pub(crate) fn time(text: &str, zone: &TimeZone) -> String {
    match text.parse::<Timestamp>() {
        Ok(at) => at
            .to_zoned(zone.clone())
            .strftime("%Y-%m-%d %H:%M")
            .to_string(),
        Err(_) => text.to_owned(),
    }
}

/// The same to the second.
pub(crate) fn second(text: &str, zone: &TimeZone) -> String {
    match text.parse::<Timestamp>() {
        Ok(at) => at
            .to_zoned(zone.clone())
            .strftime("%m-%d %H:%M:%S")
            .to_string(),
        Err(_) => text.to_owned(),
    }
}

/// How long ago: `3 min`, `2 h`, `4 d`.
pub(crate) fn age(text: &str, now: Timestamp, lang: Lang) -> String {
    let Ok(at) = text.parse::<Timestamp>() else {
        return String::new();
    };
    let minutes = (now.as_second() - at.as_second()).max(0) / 60;
    let (number, unit) = match minutes {
        0..120 => (minutes, ("分", " min")),
        120..2_880 => (minutes / 60, ("時間", " h")),
        _ => (minutes / 1_440, ("日", " d")),
    };
    format!("{number}{}", lang.of(unit))
}

/// Begin of a day of that zone as the API takes it; with `last`, the begin of the next one.
pub(crate) fn day(text: &str, zone: &TimeZone, last: bool) -> Option<String> {
    let date: jiff::civil::Date = text.parse().ok()?;
    let date = match last {
        true => date.tomorrow().ok()?,
        false => date,
    };
    Some(date.to_zoned(zone.clone()).ok()?.timestamp().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_places_of_their_currency() {
        for (minor, currency, shown) in [
            (0, "JPY", "¥0"),
            (1_200, "JPY", "¥1,200"),
            (12_345_678, "JPY", "¥12,345,678"),
            (1_205, "USD", "12.05 USD"),
            (123_456_700, "EUR", "1,234,567.00 EUR"),
            (5, "XXX", "5 XXX"),
        ] {
            assert_eq!(amount(minor, currency), shown);
        }
        for (text, currency, minor) in [
            ("1200", "JPY", Some(1_200)),
            ("¥1,200", "JPY", Some(1_200)),
            ("１，２００円", "JPY", Some(1_200)),
            ("12.5", "USD", Some(1_250)),
            ("12", "USD", Some(1_200)),
            ("12.05", "USD", Some(1_205)),
            ("12.055", "USD", None),
            ("12.5", "JPY", None),
            ("12.", "USD", None),
            ("0", "JPY", None),
            ("-5", "JPY", None),
            ("", "JPY", None),
            ("1e3", "JPY", None),
            ("99999999999999999999", "JPY", None),
            ("1200", "ZZZ", None),
        ] {
            assert_eq!(read_amount(text, currency), minor, "{text} {currency}");
        }
    }

    #[test]
    fn times_are_of_the_zone() {
        let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
        assert_eq!(time("2026-11-27T16:05:00Z", &tokyo), "2026-11-28 01:05");
        assert_eq!(time("soon", &tokyo), "soon");
        assert_eq!(
            day("2026-11-28", &tokyo, false).unwrap(),
            "2026-11-27T15:00:00Z"
        );
        assert_eq!(
            day("2026-11-28", &tokyo, true).unwrap(),
            "2026-11-28T15:00:00Z"
        );
        assert_eq!(day("yesterday", &tokyo, true), None);
        let now = "2026-11-27T16:05:00Z".parse().unwrap();
        for (at, shown) in [
            ("2026-11-27T16:04:30Z", "0 min"),
            ("2026-11-27T14:06:00Z", "119 min"),
            ("2026-11-27T12:00:00Z", "4 h"),
            ("2026-11-20T12:00:00Z", "7 d"),
            ("2027-01-01T00:00:00Z", "0 min"),
        ] {
            assert_eq!(age(at, now, Lang::En), shown);
        }
    }
}
