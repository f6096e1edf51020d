//! What every acquirer knows of cards.

pub(crate) fn luhn(number: &str) -> bool {
    let sum: u32 = number
        .bytes()
        .rev()
        .map(|b| u32::from(b - b'0'))
        .enumerate()
        .map(|(place, d)| {
            if place % 2 == 0 {
                d
            } else {
                d * 2 / 10 + d * 2 % 10
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// All that is kept of a number.
pub(crate) fn last4(number: &str) -> String {
    let from = number.len().saturating_sub(4);
    number.chars().skip(from).collect()
}

/// A time of day, `HHmmss` from noon on: another one for each of an acquirer's first 12 hours of orders.
pub(crate) fn time_of_day(serial: u64) -> String {
    let s = serial % (12 * 3_600);
    format!("{:02}{:02}{:02}", 12 + s / 3_600, s / 60 % 60, s % 60)
}

pub(crate) fn brand(number: &str) -> &'static str {
    let head = |digits: usize| {
        number
            .chars()
            .take(digits)
            .collect::<String>()
            .parse::<u32>()
            .unwrap_or(0)
    };
    match (head(2), head(4)) {
        (34 | 37, _) => "amex",
        (36 | 38 | 39, _) | (_, 3000..=3059 | 3095) => "diners-club",
        (_, 3528..=3589) => "jcb",
        (51..=55, _) | (_, 2221..=2720) => "mastercard",
        (62, _) => "unionpay",
        (64 | 65, _) | (_, 6011) => "discover",
        (40..=49, _) => "visa",
        _ => "maestro",
    }
}

/// Year and month of this machine's clock (UTC): the civil calendar from days (Gregorian, proleptic).
pub(crate) fn this_month() -> (u32, u32) {
    let days = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |t| t.as_secs() / 86_400);
    month_of(days)
}

fn month_of(days_since_1970: u64) -> (u32, u32) {
    let leap = |year: u32| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut month, mut days) = (1970, 1, days_since_1970);
    loop {
        let length = match month {
            4 | 6 | 9 | 11 => 30,
            2 if leap(year) => 29,
            2 => 28,
            _ => 31,
        };
        if days < length {
            return (year, month);
        }
        days -= length;
        (year, month) = if month == 12 {
            (year + 1, 1)
        } else {
            (year, month + 1)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_exist() {
        for (serial, time) in [
            (0, "120000"),
            (59, "120059"),
            (60, "120100"),
            (43_199, "235959"),
            (43_200, "120000"),
        ] {
            assert_eq!(time_of_day(serial), time);
        }
    }

    #[test]
    fn months() {
        for (days, month) in [
            (0, (1970, 1)),
            (58, (1970, 2)),
            (59, (1970, 3)),
            (19_782, (2024, 2)),
            (20_780, (2026, 11)),
        ] {
            assert_eq!(month_of(days), month, "{days}");
        }
    }
}
