//! What Japanese acquirers have in common: Windows-31J, and the time of day.

use encoding_rs::SHIFT_JIS;
use ivrpay_payment::{AcquirerOrder, Currency, Intent, Parent};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use crate::BuildError;

/// `text` as Windows-31J, which the Encoding Standard calls Shift_JIS. `None` when it has no place for a character: a question mark
/// in the customer's statement is worse than a clear refusal.
pub(crate) fn encode(text: &str) -> Option<Vec<u8>> {
    let (bytes, _, lossy) = SHIFT_JIS.encode(text);
    (!lossy).then(|| bytes.into_owned())
}

/// Windows-31J as text; what is none becomes U+FFFD.
pub(crate) fn decode(bytes: &[u8]) -> String {
    SHIFT_JIS.decode_without_bom_handling(bytes).0.into_owned()
}

/// `yyyyMMddHHmmss` in Japan, which has no summer time.
pub(crate) fn stamp(unix_s: i64) -> String {
    let zone = TimeZone::fixed(Offset::constant(9));
    let at = Timestamp::from_second(unix_s).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned(zone).strftime("%Y%m%d%H%M%S").to_string()
}

/// Whether the amount fits into `field`: they have yen, and as many as `most`.
pub(crate) fn fits(op: &Intent, field: &'static str, most: u64) -> Result<(), BuildError> {
    if op.amount.currency() == Currency::Jpy && op.amount.minor() <= most {
        Ok(())
    } else {
        Err(BuildError::Field { field })
    }
}

/// The same of a later operation: no more than that of the operation that it is about, either.
pub(crate) fn fits_within(
    op: &Intent,
    parent: &Parent,
    field: &'static str,
    most: u64,
) -> Result<(), BuildError> {
    fits(op, field, most)?;
    let same = op.amount.currency() == parent.amount.currency();
    if same && op.amount.minor() <= parent.amount.minor() {
        Ok(())
    } else {
        Err(BuildError::Field { field })
    }
}

/// A name for a customer whose only card is stored: our order number, with letters between its digits, so that nothing takes it for a
/// card's. Letters and digits only, 20 characters.
pub(crate) fn member(order: AcquirerOrder) -> String {
    let digits = order.to_string();
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!("i{}v{}r{}", part(0, 6), part(6, 12), part(12, 17))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_no_card() {
        let order = AcquirerOrder::new(20_261_126_000_000_042).unwrap();
        assert_eq!(member(order), "i202611v260000r00042");
    }

    #[test]
    fn windows_31j() {
        assert_eq!(
            encode("電話注文"),
            Some(b"\x93\x64\x98\x62\x92\x8d\x95\xb6".to_vec())
        );
        // Wave dash and full-width minus: the places where Shift_JIS tables differ.
        assert_eq!(decode(&[0x81, 0x60, 0x81, 0x7c]), "～－");
        assert_eq!(encode("①髙"), Some(vec![0x87, 0x40, 0xfb, 0xfc]));
        assert_eq!(encode("😀"), None);
    }

    #[test]
    fn the_time_in_japan() {
        assert_eq!(stamp(1_775_012_400), "20260401120000");
    }
}
