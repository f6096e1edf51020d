//! The cards of a test: published ones, or the merchant's own from a file.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use ivrpay_acquirer::{Sandbox, TestCard};
use ivrpay_card::{Card, Digits, Expiry, Month, Pan, Rules, SecurityCode};
use ivrpay_payment::Brand;
use ivrpay_secret::{Buffer, Full};

/// Longest file of cards, bytes.
const FILE_MAX: usize = 1_024;

/// What a card is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Which {
    /// It is approved.
    Approved,
    /// It is refused.
    Declined,
}

/// Digits of a card, kept in secret memory, from which each operation gets a card of its own.
struct Source {
    number: Digits,
    expiry: Digits,
    code: Option<Digits>,
}

/// The cards of a test.
pub struct Cards {
    approved: Option<Source>,
    declined: Option<Source>,
    now: Month,
}

/// Why a file of cards can't be used. No text of the file.
#[derive(Debug, thiserror::Error)]
pub enum CardsError {
    /// It can't be read.
    #[error("the file of cards can't be read: {0}")]
    Read(#[from] std::io::Error),
    /// Others may read it.
    #[error("the file of cards may be read by others (mode {mode:03o})")]
    Open {
        /// Its mode.
        mode: u32,
    },
    /// Too long.
    #[error("the file of cards is longer than {FILE_MAX} bytes")]
    Long,
    /// A line that is none.
    #[error("line {line} of the file of cards is wrong: {what}")]
    Line {
        /// From 1 on.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// No locked memory.
    #[error("no locked memory for the cards")]
    Full(#[from] Full),
}

impl CardsError {
    /// What to do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Read(_) => "look at its name and owner",
            Self::Open { .. } => "chmod 600 it: a sandbox's cards are the merchant's own",
            Self::Long | Self::Line { .. } => {
                "each line is `approved NUMBER MMYY CODE` or `declined NUMBER MMYY CODE`; the code may be left out"
            }
            Self::Full(_) => "raise the limit of locked memory (LimitMEMLOCK, ulimit -l)",
        }
    }
}

impl Cards {
    /// The published ones of a sandbox, in the place of those that `file` has none of.
    ///
    /// # Errors
    /// [`CardsError`].
    pub fn of(sandbox: &Sandbox, file: Option<&Path>, now: Month) -> Result<Self, CardsError> {
        let mut cards = Self {
            approved: None,
            declined: None,
            now,
        };
        if let Some(file) = file {
            cards.read(file)?;
        }
        for (place, published) in [
            (&mut cards.approved, sandbox.approved),
            (&mut cards.declined, sandbox.declined),
        ] {
            if let (None, Some(card)) = (&place, published) {
                *place = Some(Source::published(card, now)?);
            }
        }
        Ok(cards)
    }

    fn read(&mut self, path: &Path) -> Result<(), CardsError> {
        let mut file = File::open(path)?;
        let mode = file.metadata()?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(CardsError::Open { mode });
        }
        // One byte more than it may have; read where it is locked, and nowhere else.
        let mut text = Buffer::take(FILE_MAX + 1)?;
        text.fill(|room| {
            let mut have = 0;
            while let Some(rest) = room.get_mut(have..).filter(|rest| !rest.is_empty()) {
                match file.read(rest) {
                    Ok(0) => break,
                    Ok(n) => have += n,
                    Err(error) => return (have, Err(error)),
                }
            }
            (have, Ok(()))
        })?;
        if text.len() > FILE_MAX {
            return Err(CardsError::Long);
        }
        text.expose(|text| {
            let lines = text.split(|b| *b == b'\n').enumerate();
            for (at, line) in lines {
                self.line(line.trim_ascii())
                    .map_err(|what| CardsError::Line { line: at + 1, what })?;
            }
            Ok(())
        })
    }

    fn line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        if line.is_empty() || line.starts_with(b"#") {
            return Ok(());
        }
        let mut words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        let place = match words.next() {
            Some(b"approved") => &mut self.approved,
            Some(b"declined") => &mut self.declined,
            _ => return Err("it begins with `approved` or `declined`"),
        };
        let (Some(number), Some(expiry), code, None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("number, MMYY and perhaps the security code are expected");
        };
        let source = Source {
            number: digits(number)?,
            expiry: digits(expiry)?,
            code: code.map(digits).transpose()?,
        };
        // Told now, not by each case.
        source.card(self.now)?;
        *place = Some(source);
        Ok(())
    }

    /// One of them, where there is one.
    pub(super) fn get(&self, which: Which) -> Option<Result<Card, &'static str>> {
        let source = match which {
            Which::Approved => &self.approved,
            Which::Declined => &self.declined,
        };
        source.as_ref().map(|source| source.card(self.now))
    }
}

impl Source {
    fn published(card: TestCard, now: Month) -> Result<Self, Full> {
        let take = |text: &str| digits(text.as_bytes()).map_err(|_| Full);
        // December of the year after the next.
        let later = format!("12{:02}", (now.year + 2) % 100);
        Ok(Self {
            number: take(card.number)?,
            expiry: take(card.expiry.unwrap_or(&later))?,
            code: Some(take(card.code)?),
        })
    }

    /// A card of its own for one operation. Test systems have numbers without a right check digit.
    fn card(&self, now: Month) -> Result<Card, &'static str> {
        let rules = Rules {
            brands: Brand::ALL.to_vec(),
            luhn: false,
        };
        let pan = Pan::parse(copy(&self.number)?, &rules).map_err(|_| "no card number")?;
        let expiry = Expiry::parse(copy(&self.expiry)?, now)
            .map_err(|_| "MMYY is no month from now on: give a card by --card-file")?;
        let code = match &self.code {
            Some(code) => Some(
                SecurityCode::parse(copy(code)?, pan.brand())
                    .map_err(|_| "the security code has another length at this brand")?,
            ),
            None => None,
        };
        Ok(Card { pan, expiry, code })
    }
}

fn digits(text: &[u8]) -> Result<Digits, &'static str> {
    const NO_ROOM: &str = "it is too long, or there is no locked memory";
    let mut digits = Digits::take().map_err(|_| NO_ROOM)?;
    for byte in text {
        if !byte.is_ascii_digit() {
            return Err("digits are expected");
        }
        digits.push(byte - b'0').map_err(|_| NO_ROOM)?;
    }
    Ok(digits)
}

fn copy(of: &Digits) -> Result<Digits, &'static str> {
    of.expose(digits)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    const NOW: Month = Month {
        year: 2026,
        month: 11,
    };

    #[track_caller]
    fn read(text: &str) -> Result<Cards, CardsError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::set_permissions(file.path(), Permissions::from_mode(0o600)).unwrap();
        std::fs::write(file.path(), text).unwrap();
        Cards::of(&Sandbox::NO_CARDS, Some(file.path()), NOW)
    }

    #[test]
    fn a_file_of_cards() {
        let cards = read(
            "# ours\n\napproved 4111111111111111 1230 123\n declined  4999000000000002 1230\n",
        )
        .unwrap();
        assert!(matches!(cards.get(Which::Approved), Some(Ok(card)) if card.code.is_some()));
        assert!(matches!(cards.get(Which::Declined), Some(Ok(card)) if card.code.is_none()));
        for (text, line) in [
            ("4111111111111111 1230 123", 1),
            ("\napproved 4111111111111111", 2),
            ("approved 4111111111111111 1230 123 1", 1),
            ("approved 411111111111111x 1230 123", 1),
            ("approved 4111111111111111 1226 12", 1),
            ("approved 4111111111111111 1026 123", 1),
            ("approved 9111111111111111 1230 123", 1),
        ] {
            let wrong = read(text).err();
            assert!(
                matches!(&wrong, Some(CardsError::Line { line: at, .. }) if *at == line),
                "{wrong:?}"
            );
        }
        assert!(matches!(read(&"#\n".repeat(600)), Err(CardsError::Long)));
        let open = tempfile::NamedTempFile::new().unwrap();
        std::fs::set_permissions(open.path(), Permissions::from_mode(0o644)).unwrap();
        let wrong = Cards::of(&Sandbox::NO_CARDS, Some(open.path()), NOW).err();
        assert!(matches!(wrong, Some(CardsError::Open { mode: 0o644 })));
    }

    /// A published card whose only date has passed would fail every case.
    #[test]
    fn published_cards_are_cards() {
        for kind in ivrpay_acquirer::Kind::all() {
            let cards = Cards::of(&kind.about().sandbox, None, NOW).unwrap();
            for which in [Which::Approved, Which::Declined] {
                assert!(!matches!(cards.get(which), Some(Err(_))), "{kind}");
            }
        }
    }
}
