//! The security code.

use ivrpay_payment::Brand;

use crate::digits::Digits;

/// Security code. Lives until the request has been written out, and is never kept after that, in no form
/// (PCI DSS v4.0.1, 3.3.1.2).
pub struct SecurityCode(Digits);

/// Not the number of digits that the brand has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the number of digits that the brand has")]
pub struct SecurityCodeError;

impl SecurityCode {
    /// Digits of the brand's code: 4 for American Express, else 3.
    #[must_use]
    pub const fn digits(brand: Brand) -> usize {
        if matches!(brand, Brand::Amex) { 4 } else { 3 }
    }

    /// Checks the length.
    ///
    /// # Errors
    /// [`SecurityCodeError`]; the digits are wiped.
    pub fn parse(digits: Digits, brand: Brand) -> Result<Self, SecurityCodeError> {
        if digits.len() == Self::digits(brand) {
            Ok(Self(digits))
        } else {
            Err(SecurityCodeError)
        }
    }

    /// Lends the digits.
    pub fn expose<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        self.0.expose(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digits::keyed;

    #[test]
    fn the_length_is_the_brands() {
        for brand in Brand::ALL {
            for text in ["", "7", "12", "737", "7373", "73737"] {
                let fits = text.len() == if brand == Brand::Amex { 4 } else { 3 };
                let parsed = SecurityCode::parse(keyed(text), brand);
                assert_eq!(parsed.is_ok(), fits, "{brand}, {} digits", text.len());
                if let Ok(code) = parsed {
                    assert!(
                        code.expose(|d| d == text.as_bytes()),
                        "other digits than were keyed"
                    );
                }
            }
        }
    }
}
