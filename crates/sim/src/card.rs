//! A card number for a test: made at run time inside a published test BIN, so that it stands in no source, and can be searched for.

/// Print `PAN MMYY CODE`: a made-up card inside a published test BIN, with a right check digit.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// First digits, of a published test number; no three equal ones in a row.
    #[arg(long, default_value = "424242", value_parser = beginning)]
    bin: String,
    /// Digits in all.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u8).range(14..=19))]
    length: u8,
    /// How many cards, one a line.
    #[arg(long, default_value_t = 1)]
    count: u32,
}

fn beginning(text: &str) -> Result<String, String> {
    let digits = text.as_bytes();
    let good = (4..=8).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    // A search for such a number would find others.
    let even = digits.windows(3).any(|w| w[0] == w[1] && w[1] == w[2]);
    if good && !even {
        Ok(text.to_owned())
    } else {
        Err("4 to 8 digits, no three equal ones in a row".into())
    }
}

pub(crate) fn run(args: &Args) -> u8 {
    for _ in 0..args.count {
        println!("{}", card(&args.bin, usize::from(args.length)));
    }
    0
}

/// At least seven distinct digits and no run over two, so that a search for it finds nothing else; no zero behind the
/// beginning, so that a search among zeroes is quick.
pub(crate) fn card(bin: &str, length: usize) -> String {
    loop {
        let random = uuid::Uuid::new_v4().as_u128();
        let mut digits: Vec<u8> = bin
            .bytes()
            .filter(u8::is_ascii_digit)
            .map(|b| b - b'0')
            .collect();
        let mut rest = random;
        while digits.len() < length - 1 {
            digits.push(u8::try_from(rest % 9 + 1).unwrap_or(1));
            rest /= 9;
        }
        digits.push(check_digit(&digits));
        let distinct = (0..10).filter(|d| digits.contains(d)).count();
        if distinct >= 7 && !digits.windows(3).any(|w| w[0] == w[1] && w[1] == w[2]) {
            let pan: String = digits.iter().map(|d| char::from(b'0' + d)).collect();
            // American Express: 15 digits, and a code of four.
            let code = match length {
                15 => 1_000 + (random >> 90) % 9_000,
                _ => 100 + (random >> 90) % 900,
            };
            return format!(
                "{pan} {:02}{:02} {code}",
                random >> 100 & 7 | 1,
                30 + (random >> 110 & 7)
            );
        }
    }
}

/// Luhn (ISO/IEC 7812-1).
fn check_digit(digits: &[u8]) -> u8 {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, d)| {
            let d = u32::from(*d) * if i % 2 == 0 { 2 } else { 1 };
            if d > 9 { d - 9 } else { d }
        })
        .sum();
    u8::try_from((10 - sum % 10) % 10).unwrap_or(0)
}
