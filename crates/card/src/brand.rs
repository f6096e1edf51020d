//! Which numbers belong to which brand, and how long they are.
//!
//! Ranges are compared digit by digit, where the digits lie, to any depth: issuers have had eight digits since 2022
//! (ISO/IEC 7812-1:2017), so nothing here cuts at six.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use ivrpay_payment::Brand;

/// A range of issuer numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// First and last issuer number, of the same length, both within.
    pub(crate) from: Cow<'static, [u8]>,
    pub(crate) to: Cow<'static, [u8]>,
    /// Whose cards these are.
    pub brand: Brand,
    /// The second brand of these cards: taken as this where the merchant does not take the first.
    pub second: Option<Brand>,
    /// Lengths that exist, ascending.
    pub lengths: Cow<'static, [usize]>,
    /// The length that nearly all have.
    pub usual: usize,
}

/// Where [`ranges`] are from, when nothing else was installed.
pub const SOURCE: &str = "built in: what the brands publish of their issuer numbers (ISO/IEC 7812-1), as of November 2026";

/// Those that were read from a file.
static INSTALLED: OnceLock<Vec<Range>> = OnceLock::new();

/// The ranges that are in use, the more digits the earlier.
#[must_use]
pub fn ranges() -> &'static [Range] {
    INSTALLED.get().map_or(RANGES, Vec::as_slice)
}

impl Range {
    /// The range of a number that is keyed as far as its issuer number.
    pub(crate) fn of(digits: &[u8]) -> Option<&'static Self> {
        Self::among(ranges(), digits)
    }

    fn among<'a>(ranges: &'a [Self], digits: &[u8]) -> Option<&'a Self> {
        ranges.iter().find(|range| {
            digits
                .get(..range.from.len())
                .is_some_and(|issuer| *range.from <= *issuer && *issuer <= *range.to)
        })
    }

    /// First and last issuer number, as text.
    #[must_use]
    pub fn issuers(&self) -> (String, String) {
        let text = |digits: &[u8]| String::from_utf8_lossy(digits).into_owned();
        (text(&self.from), text(&self.to))
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.from.len() == other.from.len() && self.from <= other.to && other.from <= self.to
    }
}

/// Ranges from a file, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranges(Vec<Range>);

/// What is wrong with a file of ranges.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangesError {
    /// A line that is none.
    #[error("line {line}: {what}")]
    Line {
        /// From 1 on.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// Two that say different things of the same number.
    #[error("line {line} overlaps with line {other}")]
    Overlap {
        /// The later one.
        line: usize,
        /// The earlier one.
        other: usize,
    },
    /// Not one range, or too many.
    #[error("a file of ranges has 1 to {max} of them", max = Ranges::MAX)]
    Count,
}

impl RangesError {
    /// What to do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        "a line is `FROM-TO BRAND LENGTHS USUAL [SECOND]`, as `622126-622925 discover 16-19 16 unionpay`; `ivrpay card brands --built-in` prints one that is right"
    }
}

impl Ranges {
    /// Most of them: each key of a call looks through all.
    pub const MAX: usize = 1_000;
    /// Most digits of an issuer number (ISO/IEC 7812-1:2017).
    const ISSUER_MAX: usize = 8;

    /// Reads a file's text: a line a range, `#` begins a comment.
    ///
    /// # Errors
    /// [`RangesError`].
    pub fn read(text: &str) -> Result<Self, RangesError> {
        let mut all: Vec<(usize, Range)> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let range = row(line).map_err(|what| RangesError::Line { line: at + 1, what })?;
            if let Some((other, _)) = all.iter().find(|(_, before)| before.overlaps(&range)) {
                return Err(RangesError::Overlap {
                    line: at + 1,
                    other: *other,
                });
            }
            if all.len() == Self::MAX {
                return Err(RangesError::Count);
            }
            all.push((at + 1, range));
        }
        if all.is_empty() {
            return Err(RangesError::Count);
        }
        // The more digits, the earlier: a range within another one is an exception to it.
        all.sort_by_key(|(_, range)| std::cmp::Reverse(range.from.len()));
        Ok(Self(all.into_iter().map(|(_, range)| range).collect()))
    }

    /// As they are compared.
    #[must_use]
    pub fn rows(&self) -> &[Range] {
        &self.0
    }

    /// Whether a card of this brand can be known at all.
    #[must_use]
    pub fn knows(&self, brand: Brand) -> bool {
        let is = |range: &Range| range.brand == brand || range.second == Some(brand);
        self.0.iter().any(is)
    }

    /// Puts them in the place of those that are built in, for as long as the process lives. Once, before the first card: a second time
    /// changes nothing.
    pub fn install(self) {
        // An error gives them back.
        drop(INSTALLED.set(self.0));
    }
}

/// A line of a file: `FROM-TO BRAND LENGTHS USUAL [SECOND]`.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = self.issuers();
        let lengths: Vec<_> = self.lengths.iter().map(ToString::to_string).collect();
        write!(
            f,
            "{from}-{to} {} {} {}",
            self.brand.name(),
            lengths.join(","),
            self.usual
        )?;
        match self.second {
            Some(second) => write!(f, " {}", second.name()),
            None => Ok(()),
        }
    }
}

fn row(line: &str) -> Result<Range, &'static str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (issuers, brand, lengths, usual, second) = match words.as_slice() {
        [issuers, brand, lengths, usual] => (*issuers, *brand, *lengths, *usual, None),
        [issuers, brand, lengths, usual, second] => {
            (*issuers, *brand, *lengths, *usual, Some(*second))
        }
        _ => return Err("issuer numbers, brand, lengths and the usual length are expected"),
    };
    let (from, to) = issuers.split_once('-').unwrap_or((issuers, issuers));
    let digits = |text: &str| {
        (1..=Ranges::ISSUER_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    if !digits(from) || !digits(to) || from.len() != to.len() {
        return Err("issuer numbers have 1 to 8 digits, the first as many as the last");
    }
    if from > to {
        return Err("the first issuer number is greater than the last");
    }
    let named = |name: &str| {
        let brand = Brand::ALL.into_iter().find(|brand| brand.name() == name);
        brand.ok_or(
            "no such brand: amex, diners-club, discover, jcb, maestro, mastercard, unionpay, visa",
        )
    };
    let lengths =
        lengths_of(lengths).ok_or("lengths are 12 to 19, as `16`, `13,16,19` or `16-19`")?;
    let usual = usual.parse().ok().filter(|usual| lengths.contains(usual));
    let brand = named(brand)?;
    let second = second.map(named).transpose()?;
    if second == Some(brand) {
        return Err("the second brand is the first");
    }
    Ok(Range {
        from: from.as_bytes().to_vec().into(),
        to: to.as_bytes().to_vec().into(),
        brand,
        second,
        usual: usual.ok_or("the usual length is none of the lengths")?,
        lengths: lengths.into(),
    })
}

/// Ascending; `None` where they are none of a card's.
fn lengths_of(text: &str) -> Option<Vec<usize>> {
    let mut all = Vec::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (usize, usize) = (from.parse().ok()?, to.parse().ok()?);
        if from > to || from < 12 || to > 19 {
            return None;
        }
        all.extend(from..=to);
    }
    all.is_sorted_by(|a, b| a < b).then_some(all)
}

/// Whether the brand's numbers always have a check digit. Those of UnionPay need not (published: not all of them have one), so a number that fails is
/// no proof of a slip.
pub(crate) const fn has_luhn(brand: Brand) -> bool {
    !matches!(brand, Brand::Unionpay)
}

/// The more digits, the earlier; Maestro's "all else that begins with 6" is last.
static RANGES: &[Range] = &[
    // Issued as UnionPay, accepted in the Discover network.
    both(
        range(b"622126", b"622925", Brand::Discover, SIXTEEN_UP, 16),
        Brand::Unionpay,
    ),
    range(b"2221", b"2720", Brand::Mastercard, &[16], 16),
    range(b"3095", b"3095", Brand::DinersClub, &[14, 16], 14),
    range(b"3528", b"3589", Brand::Jcb, SIXTEEN_UP, 16),
    range(b"6011", b"6011", Brand::Discover, SIXTEEN_UP, 16),
    range(b"300", b"305", Brand::DinersClub, &[14, 16], 14),
    range(b"644", b"649", Brand::Discover, SIXTEEN_UP, 16),
    range(b"34", b"34", Brand::Amex, &[15], 15),
    range(
        b"36",
        b"36",
        Brand::DinersClub,
        &[14, 15, 16, 17, 18, 19],
        14,
    ),
    range(b"37", b"37", Brand::Amex, &[15], 15),
    range(b"38", b"39", Brand::DinersClub, &[14, 16], 14),
    range(b"50", b"50", Brand::Maestro, TWELVE_UP, 16),
    range(b"51", b"55", Brand::Mastercard, &[16], 16),
    range(b"56", b"58", Brand::Maestro, TWELVE_UP, 16),
    range(b"62", b"62", Brand::Unionpay, SIXTEEN_UP, 16),
    range(b"65", b"65", Brand::Discover, SIXTEEN_UP, 16),
    range(b"81", b"81", Brand::Unionpay, SIXTEEN_UP, 16),
    range(b"4", b"4", Brand::Visa, &[13, 16, 19], 16),
    range(b"6", b"6", Brand::Maestro, TWELVE_UP, 16),
];

const SIXTEEN_UP: &[usize] = &[16, 17, 18, 19];
const TWELVE_UP: &[usize] = &[12, 13, 14, 15, 16, 17, 18, 19];

const fn range(
    from: &'static [u8],
    to: &'static [u8],
    brand: Brand,
    lengths: &'static [usize],
    usual: usize,
) -> Range {
    Range {
        from: Cow::Borrowed(from),
        to: Cow::Borrowed(to),
        brand,
        second: None,
        lengths: Cow::Borrowed(lengths),
        usual,
    }
}

/// The same, taken as the second brand where the merchant does not take the first.
const fn both(mut range: Range, second: Brand) -> Range {
    range.second = Some(second);
    range
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(issuer: &str, expected: Option<Brand>) {
        assert_eq!(
            Range::of(issuer.as_bytes()).map(|range| range.brand),
            expected,
            "{issuer}"
        );
    }

    #[test]
    fn the_edges_of_every_range() {
        use Brand::{Amex, DinersClub, Discover, Jcb, Maestro, Mastercard, Unionpay, Visa};
        for (issuer, brand) in [
            ("40000000", Some(Visa)),
            ("49999999", Some(Visa)),
            ("22209999", None),
            ("22210000", Some(Mastercard)),
            ("27209999", Some(Mastercard)),
            ("27210000", None),
            ("50999999", Some(Maestro)),
            ("51000000", Some(Mastercard)),
            ("55999999", Some(Mastercard)),
            ("56000000", Some(Maestro)),
            ("58999999", Some(Maestro)),
            ("59000000", None),
            ("35279999", None),
            ("35280000", Some(Jcb)),
            ("35899999", Some(Jcb)),
            ("35900000", None),
            ("33999999", None),
            ("34000000", Some(Amex)),
            ("34999999", Some(Amex)),
            ("37000000", Some(Amex)),
            ("37999999", Some(Amex)),
            ("30000000", Some(DinersClub)),
            ("30599999", Some(DinersClub)),
            ("30600000", None),
            ("30949999", None),
            ("30950000", Some(DinersClub)),
            ("30959999", Some(DinersClub)),
            ("30960000", None),
            ("36000000", Some(DinersClub)),
            ("38000000", Some(DinersClub)),
            ("39999999", Some(DinersClub)),
            ("60109999", Some(Maestro)),
            ("60110000", Some(Discover)),
            ("60119999", Some(Discover)),
            ("60120000", Some(Maestro)),
            ("62212599", Some(Unionpay)),
            ("62212600", Some(Discover)),
            ("62292599", Some(Discover)),
            ("62292600", Some(Unionpay)),
            ("64399999", Some(Maestro)),
            ("64400000", Some(Discover)),
            ("64999999", Some(Discover)),
            ("65999999", Some(Discover)),
            ("66000000", Some(Maestro)),
            ("80999999", None),
            ("81000000", Some(Unionpay)),
            ("82000000", None),
            ("00000000", None),
            ("19999999", None),
            ("70000000", None),
            ("99999999", None),
            ("", None),
            ("3", None),
        ] {
            check(issuer, brand);
        }
    }

    /// A range further down must not be hidden by a less exact one above it.
    #[test]
    fn more_digits_come_first() {
        assert!(RANGES.is_sorted_by(|a, b| a.from.len() >= b.from.len()));
        for range in RANGES {
            assert_eq!(range.from.len(), range.to.len());
            assert!(range.lengths.is_sorted() && range.lengths.contains(&range.usual));
            assert!(Range::of(&range.from).is_some_and(|found| std::ptr::eq(found, range)));
        }
    }

    /// What `ivrpay card brands` prints is a file that reads back as what is built in.
    #[test]
    fn the_built_in_ranges_read_back() {
        let text: String = RANGES.iter().map(|range| format!("{range}\n")).collect();
        assert_eq!(Ranges::read(&text).unwrap().rows(), RANGES);
    }

    #[test]
    fn a_file_of_ranges_is_checked() {
        let read =
            Ranges::read("# ours\n4 visa 16 16\n\n411111-411112 jcb 16-19 16 # within the other\n")
                .unwrap();
        let of = |digits: &[u8]| Range::among(read.rows(), digits).map(|range| range.brand);
        assert_eq!(
            (of(b"4111110"), of(b"4111130"), of(b"5")),
            (Some(Brand::Jcb), Some(Brand::Visa), None)
        );
        assert!(read.knows(Brand::Jcb) && !read.knows(Brand::Amex));
        for (text, line) in [
            ("4 visa 16", 1),
            ("\n4x visa 16 16", 2),
            ("4-50 visa 16 16", 1),
            ("5-4 visa 16 16", 1),
            ("123456789 visa 16 16", 1),
            ("4 vida 16 16", 1),
            ("4 visa 11-16 16", 1),
            ("4 visa 16-20 16", 1),
            ("4 visa 16,13 16", 1),
            ("4 visa 16,16 16", 1),
            ("4 visa 13,16 15", 1),
            ("4 visa 16 16 visa", 1),
            ("4 visa 16 16 jcb amex", 1),
        ] {
            let wrong = Ranges::read(text);
            assert!(
                matches!(wrong, Err(RangesError::Line { line: at, .. }) if at == line),
                "{text}: {wrong:?}"
            );
        }
        assert_eq!(
            Ranges::read("51-55 mastercard 16 16\n4 visa 16 16\n55-56 maestro 16 16"),
            Err(RangesError::Overlap { line: 3, other: 1 })
        );
        assert_eq!(Ranges::read("# nothing"), Err(RangesError::Count));
        let many: String = (0..=Ranges::MAX)
            .map(|n| format!("4{n:04} visa 16 16\n"))
            .collect();
        assert_eq!(Ranges::read(&many), Err(RangesError::Count));
    }

    #[test]
    fn every_brand_has_a_range() {
        for brand in Brand::ALL {
            assert!(RANGES.iter().any(|range| range.brand == brand), "{brand}");
        }
    }
}
