//! Bearer keys: stored as SHA-256 of a random key (a key has 256 bits of chance, so a plain hash is enough), compared in
//! constant time.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ivrpay_journal::{Deed, Person, Role, Session};
use ivrpay_payment::TenantId;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::Web;
use crate::access::{Address, Refusals, Security};
use crate::error::ApiError;
use crate::limit::Left;
use crate::request::AskedBy;

/// What a key or a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Scope {
    /// Listen to `/v1/events`.
    Events,
    /// Read `/metrics` and `/v1/pools`.
    Metrics,
    /// All of payments.
    Payments,
    /// Read payments, calls and orders.
    PaymentsRead,
    /// Announce payments, ring customers, and lead a capture.
    Captures,
    /// Capture, change, void, refund and inquire.
    Refunds,
    /// Make receipts.
    Receipts,
    /// Say that a payment is disputed.
    Disputes,
    /// Read, promise, take and close tasks.
    Tasks,
    /// Read what `ivrpay check` and `ivrpay audit` say.
    Health,
    /// Keep people.
    People,
    /// Keep keys.
    Keys,
    /// Read who did what.
    Audit,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Events,
        Self::Metrics,
        Self::Payments,
        Self::PaymentsRead,
        Self::Captures,
        Self::Refunds,
        Self::Receipts,
        Self::Disputes,
        Self::Tasks,
        Self::Health,
        Self::People,
        Self::Keys,
        Self::Audit,
    ];
    /// What an operator may.
    const OPERATOR: [Self; 6] = [
        Self::Events,
        Self::PaymentsRead,
        Self::Captures,
        Self::Refunds,
        Self::Receipts,
        Self::Tasks,
    ];
    /// What a supervisor may.
    const SUPERVISOR: [Self; 10] = [
        Self::Events,
        Self::PaymentsRead,
        Self::Captures,
        Self::Refunds,
        Self::Receipts,
        Self::Tasks,
        Self::Disputes,
        Self::Health,
        Self::Metrics,
        Self::Audit,
    ];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Metrics => "metrics",
            Self::Payments => "payments",
            Self::PaymentsRead => "payments:read",
            Self::Captures => "captures",
            Self::Refunds => "refunds",
            Self::Receipts => "receipts",
            Self::Disputes => "disputes",
            Self::Tasks => "tasks",
            Self::Health => "health",
            Self::People => "people",
            Self::Keys => "keys",
            Self::Audit => "audit",
        }
    }

    /// By its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    /// Whether who has this one may what the other one says.
    #[must_use]
    pub const fn includes(self, other: Self) -> bool {
        let of_payments = matches!(
            other,
            Self::PaymentsRead | Self::Captures | Self::Refunds | Self::Receipts | Self::Disputes
        );
        self as u8 == other as u8 || matches!(self, Self::Payments) && of_payments
    }

    /// What a role may.
    #[must_use]
    pub const fn of(role: Role) -> &'static [Self] {
        match role {
            Role::Operator => &Self::OPERATOR,
            Role::Supervisor => &Self::SUPERVISOR,
            Role::Admin => &Self::ALL,
        }
    }
}

/// SHA-256 of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// That of a key.
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Whether it is the key's, compared in constant time.
    pub(crate) fn is_of(&self, key: &str) -> bool {
        bool::from(self.0.as_slice().ct_eq(Self::of(key).0.as_slice()))
    }

    pub(crate) const fn new(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

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
    /// By its name. Of those that a `[[twilio]]` names the settings let no other one have it.
    pub(crate) fn named(&self, name: &str) -> Option<&ApiKey> {
        self.0.iter().find(|key| key.name == name)
    }

    pub(crate) fn has(&self, key: &ApiKey) -> bool {
        self.0.iter().any(|known| known.hash == key.hash)
    }

    pub(crate) fn find(&self, key: &str) -> Option<&ApiKey> {
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
    /// Whoever may open the Unix socket.
    Admin(Address),
    Key(ApiKey),
    /// Somebody who has signed in.
    Person(Arc<Session>),
}

impl Who {
    pub(crate) fn need(&self, scope: Scope) -> Result<(), ApiError> {
        if self.may(scope) {
            return Ok(());
        }
        let name = scope.name();
        Err(ApiError::forbidden(match self {
            Self::Person(session) => {
                let role = session.person.role.name();
                format!("the role {role} lacks the scope {name}; an admin gives roles")
            }
            _ => format!(
                "this key lacks the scope {name}; add it under [[http.keys]] scopes, or make a key that has it: ivrpay key create"
            ),
        }))
    }

    pub(crate) fn may(&self, scope: Scope) -> bool {
        match self {
            Self::Admin(_) => true,
            Self::Key(key) => key.scopes.iter().any(|has| has.includes(scope)),
            Self::Person(session) => {
                let mut has = Scope::of(session.person.role).iter();
                has.any(|has| has.includes(scope))
            }
        }
    }

    pub(crate) fn sees(&self, tenant: &str) -> bool {
        self.tenant().is_none_or(|own| own.as_str() == tenant)
    }

    /// For the journal: by which door somebody came.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Admin(_) => "admin",
            Self::Key(key) => &key.name,
            Self::Person(_) => "session",
        }
    }

    /// For who did what: the kind of door.
    pub(crate) const fn door(&self) -> &'static str {
        match self {
            Self::Admin(_) => "socket",
            Self::Key(_) => "key",
            Self::Person(_) => "session",
        }
    }

    /// For who did what.
    pub(crate) fn person_or_key(&self) -> String {
        match self {
            Self::Admin(address) => address.0.to_string(),
            Self::Key(key) => key.name.clone(),
            Self::Person(session) => session.person.name.to_string(),
        }
    }

    /// Who has signed in.
    pub(crate) fn person(&self) -> Option<&Person> {
        match self {
            Self::Person(session) => Some(&session.person),
            _ => None,
        }
    }

    /// The session of who has signed in.
    pub(crate) fn session(&self) -> Result<&Arc<Session>, ApiError> {
        match self {
            Self::Person(session) => Ok(session),
            _ => Err(ApiError::forbidden(
                "this is for people: send the token of a session, not a key",
            )),
        }
    }

    pub(crate) fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::Admin(_) => None,
            Self::Key(key) => Some(&key.tenant),
            Self::Person(session) => session.person.tenant.as_ref(),
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

/// How often a person may ask: a page that polls is far below it.
const PERSON_PER_MINUTE: u32 = 1_200;

pub(crate) async fn bearer(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let secret = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, secret)| secret.trim().to_owned());
    let who = match &secret {
        Some(secret) => web.access.who(&web, secret).await,
        None => Err(ApiError::unauthorized()),
    };
    let who = match who {
        Ok(who) => who,
        Err(error) => {
            if secret.is_some() && error.is_about_who() {
                web.access.tell(Security::Refused);
                let what = crate::trail::path(&request);
                web.access
                    .note_refused(&web, &refused(&request, &what, &error), Refusals::KEY)
                    .await;
            }
            return error.into_response();
        }
    };
    // Names are each merchant's own.
    let (name, per_minute, whose) = match &who {
        Who::Key(key) => (
            key.name.clone(),
            key.requests_per_minute,
            format!("{}/{}", key.tenant, key.name),
        ),
        Who::Person(session) => (
            session.person.name.to_string(),
            PERSON_PER_MINUTE,
            format!("person {}", session.person.id),
        ),
        Who::Admin(_) => ("admin".to_owned(), 0, String::new()),
    };
    let left = (per_minute > 0).then(|| web.limits.take(&whose, per_minute));
    let mut response = match left {
        Some(Err(wait)) => ApiError::rate_limited(per_minute, wait).into_response(),
        _ => {
            request.extensions_mut().insert(who);
            next.run(request).await
        }
    };
    if let Some(left) = left {
        left.unwrap_or(Left::none(per_minute)).tell(&mut response);
    }
    response.extensions_mut().insert(AskedBy(name));
    response
}

/// For who did what: somebody whom nobody knows.
pub(crate) fn refused(request: &Request, what: &str, error: &ApiError) -> Deed {
    let address = request.extensions().get::<Address>();
    Deed {
        address: address.map(|address| address.0.to_string()),
        request: crate::request::id(),
        result: format!("401 {}", error.code().name()),
        via: "key".to_owned(),
        what: what.chars().take(100).collect(),
        ..Deed::default()
    }
}

pub(crate) async fn admin(mut request: Request, next: Next) -> Response {
    let address = request.extensions().get::<Address>().cloned();
    let address = address.unwrap_or_else(|| Address("".into()));
    request.extensions_mut().insert(Who::Admin(address));
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_more_may_all_that_who_may_less() {
        let [operator, supervisor, admin] = Role::ALL.map(Scope::of);
        assert!(operator.iter().all(|scope| supervisor.contains(scope)));
        assert!(supervisor.iter().all(|scope| admin.contains(scope)));
        for scope in Scope::ALL {
            assert_eq!(Scope::from_name(scope.name()), Some(scope));
        }
        assert!(
            Scope::Payments.includes(Scope::Refunds) && !Scope::Refunds.includes(Scope::Payments)
        );
        assert!(
            !Scope::Payments.includes(Scope::People)
                && !Scope::PaymentsRead.includes(Scope::Captures)
        );
    }

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
