//! Bearer keys: stored as SHA-256 of a random key (a key has 256 bits of chance, so a plain hash is enough), compared in
//! constant time.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ivrpay_payment::TenantId;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::Web;
use crate::error::ApiError;
use crate::limit::Left;
use crate::request::AskedBy;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// Listen to `/v1/events`.
    Events,
    /// Read `/metrics`.
    Metrics,
    /// Read what `ivrpay check` and `ivrpay audit` find.
    Health,
    /// Create and read payments.
    Payments,
    /// Read payments, their stories and what is on now.
    #[doc(alias = "payments:read")]
    PaymentsRead,
    /// Issue and read receipts.
    Receipts,
    /// Say that a payment is disputed.
    Disputes,
    /// Read, promise, take and close tasks.
    Tasks,
}

impl Scope {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Metrics => "metrics",
            Self::Health => "health",
            Self::Payments => "payments",
            Self::PaymentsRead => "payments:read",
            Self::Receipts => "receipts",
            Self::Disputes => "disputes",
            Self::Tasks => "tasks",
        }
    }

    /// Whether who has this may do that.
    #[must_use]
    pub fn includes(self, other: Self) -> bool {
        self == other
            || matches!(
                (self, other),
                (
                    Self::Payments,
                    Self::PaymentsRead | Self::Receipts | Self::Disputes
                )
            )
    }
}

/// SHA-256 of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHash([u8; 32]);

/// Not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the SHA-256 of a key is 64 hexadecimal digits; make one with: printf %s \"$KEY\" | sha256sum"
)]
pub struct KeyHashError;

impl std::str::FromStr for KeyHash {
    type Err = KeyHashError;

    fn from_str(text: &str) -> Result<Self, KeyHashError> {
        if text.len() != 64 || !text.is_ascii() {
            return Err(KeyHashError);
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| KeyHashError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| KeyHashError)?;
        }
        Ok(Self(hash))
    }
}

/// One key of the configuration.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// For the audit: who this is.
    pub name: String,
    /// The only tenant that it sees.
    pub tenant: TenantId,
    /// SHA-256 of the key.
    pub hash: KeyHash,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// How often it may ask; 0: as often as it likes.
    pub requests_per_minute: u32,
}

/// All keys.
#[derive(Debug, Clone, Default)]
pub struct Keys(pub Vec<ApiKey>);

impl Keys {
    fn find(&self, key: &str) -> Option<&ApiKey> {
        let hash = Sha256::digest(key.as_bytes());
        // Every key is compared, whether one was found or not.
        self.0.iter().fold(None, |found, known| {
            if bool::from(known.hash.0.as_slice().ct_eq(hash.as_slice())) {
                Some(known)
            } else {
                found
            }
        })
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    Admin,
    Key(ApiKey),
}

impl Who {
    pub(crate) fn need(&self, scope: Scope) -> Result<(), ApiError> {
        match self {
            Self::Admin => Ok(()),
            Self::Key(key) if key.scopes.iter().any(|own| own.includes(scope)) => Ok(()),
            Self::Key(_) => Err(ApiError::forbidden(format!(
                "this key lacks the scope {}; add it under [[http.keys]] scopes",
                scope.name()
            ))),
        }
    }

    pub(crate) fn sees(&self, tenant: &str) -> bool {
        match self {
            Self::Admin => true,
            Self::Key(key) => key.tenant.as_str() == tenant,
        }
    }

    /// For the journal: by which door somebody came.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Admin => "admin",
            Self::Key(key) => &key.name,
        }
    }

    pub(crate) fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::Admin => None,
            Self::Key(key) => Some(&key.tenant),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        parts
            .extensions
            .get::<Who>()
            .cloned()
            .ok_or_else(ApiError::unauthorized)
    }
}

pub(crate) async fn bearer(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let key = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .and_then(|(_, key)| web.keys.find(key.trim()).cloned());
    let Some(key) = key else {
        return ApiError::unauthorized().into_response();
    };
    let (name, per_minute) = (key.name.clone(), key.requests_per_minute);
    // Names are each merchant's own.
    let whose = format!("{}/{name}", key.tenant);
    let left = (per_minute > 0).then(|| web.limits.take(&whose, per_minute));
    let mut response = match left {
        Some(Err(wait)) => ApiError::rate_limited(per_minute, wait).into_response(),
        _ => {
            request.extensions_mut().insert(Who::Key(key));
            next.run(request).await
        }
    };
    if let Some(left) = left {
        left.unwrap_or(Left::none(per_minute)).tell(&mut response);
    }
    response.extensions_mut().insert(AskedBy(name));
    response
}

pub(crate) async fn admin(mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Who::Admin);
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_64_hexadecimal_digits() {
        for bad in ["", "ab", &"g".repeat(64), &"é".repeat(32)] {
            assert!(bad.parse::<KeyHash>().is_err(), "{bad}");
        }
        let hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
            .parse()
            .unwrap();
        let key = ApiKey {
            name: "shop".into(),
            tenant: TenantId::new("demo").unwrap(),
            hash,
            scopes: vec![Scope::Payments],
            requests_per_minute: 0,
        };
        let keys = Keys(vec![key]);
        assert!(keys.find("secret").is_some());
        assert!(keys.find("secret ").is_none());
        assert!(keys.find("").is_none());
    }
}
