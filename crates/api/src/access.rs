//! Who may what: signing in, people, keys, what a second person allows, and who did what.

use std::fmt;

use ivrpay_payment::{ApprovalId, KeyId, OperationId, PaymentId, PersonId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A password, a code or a key: it stands in no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Body of `POST /v1/sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The name to sign in with.
    pub person: String,
    /// His password.
    #[schema(value_type = String, format = "password")]
    pub password: Secret,
    /// Six digits of the second factor, or one of the codes for the day that it is lost. Asked for (`code-required`) where the password is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "password")]
    pub code: Option<Secret>,
}

/// Body of `POST /v1/sessions/oidc`: what the issuer has sent the browser back with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInOidc {
    /// `code` of it.
    #[schema(value_type = String, format = "password")]
    pub code: Secret,
    /// `state` of it; once, and for ten minutes.
    #[schema(value_type = String, format = "password")]
    pub state: Secret,
}

/// Answer of `GET /v1/sign-in/oidc`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OidcBegun {
    /// Where the browser has to go.
    pub url: String,
    /// What it comes back with; keep it with the browser, and take no other.
    #[schema(value_type = String, format = "password")]
    pub state: Secret,
}

/// Somebody who has signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// For `Authorization: Bearer`; only where the session begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "password")]
    pub token: Option<Secret>,
    /// The name that he signs in with, and that stands where he does something.
    pub person: String,
    /// How he is called on a screen.
    pub name: String,
    /// The only merchant whose things he sees; absent: all.
    #[serde(default)]
    pub tenant: Option<String>,
    /// `operator`, `supervisor` or `admin`.
    pub role: String,
    /// What he may do.
    pub scopes: Vec<String>,
    /// His extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    /// The language that he reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// When it ends, whatever happens, RFC 3339.
    pub expires_at: String,
    /// Seconds without a request after which it ends.
    pub idle_seconds: u64,
}

/// Body of `POST /v1/session/password`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The password that he has.
    #[schema(value_type = String, format = "password")]
    pub old: Secret,
    /// The one that he wants: 12 characters or more.
    #[schema(value_type = String, format = "password")]
    pub new: Secret,
}

/// Body of `POST /v1/people`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePerson {
    /// The name to sign in with: letters, digits and `-_.@:/`, at most 64. Never given twice.
    pub name: String,
    /// How he is called on a screen; the name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
    /// The only merchant whose things he sees; absent for an admin who sees all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// `operator`, `supervisor` or `admin`.
    pub role: String,
    /// The extension of his telephone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    /// `ja` or `en`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// His address, by which single sign-on may know him.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// How the issuer of single sign-on names him (`sub`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Who makes him; left out by a person who has signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Somebody who may sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Person {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: PersonId,
    /// The name to sign in with.
    pub name: String,
    /// How he is called on a screen.
    pub shown: String,
    /// The only merchant whose things he sees; absent: all.
    #[serde(default)]
    pub tenant: Option<String>,
    /// `operator`, `supervisor` or `admin`.
    pub role: String,
    /// His extension.
    #[serde(default)]
    pub extension: Option<String>,
    /// The language that he reads.
    #[serde(default)]
    pub language: Option<String>,
    /// His address.
    #[serde(default)]
    pub email: Option<String>,
    /// Whether the issuer of single sign-on names him.
    pub single_sign_on: bool,
    /// Whether he has a password.
    pub password: bool,
    /// Whether his second factor is confirmed. Without one he can't sign in with a password.
    pub second_factor: bool,
    /// Since when he may not sign in any more, RFC 3339.
    #[serde(default)]
    pub disabled_at: Option<String>,
    /// Until when nobody of his name may try, RFC 3339.
    #[serde(default)]
    pub locked_until: Option<String>,
    /// Since when, RFC 3339.
    pub created_at: String,
    /// Who made him.
    pub created_by: String,
}

/// Answer of `GET /v1/people`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct People {
    /// By their names.
    pub people: Vec<Person>,
}

/// Body of what is done to a person or a key, or decided, and needs no more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WhoAsks {
    /// Who does it; left out by a person who has signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Body of `POST /v1/people/{id}/password`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPassword {
    /// 12 characters or more, and not the name. He changes it himself with `POST /v1/session/password`.
    #[schema(value_type = String, format = "password")]
    pub password: Secret,
    /// Who does it; left out by a person who has signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Answer of `POST /v1/people/{id}/second-factor`: shown once. It counts when it is confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecondFactor {
    /// For an authenticator's camera, as a QR code.
    #[schema(value_type = String, format = "password")]
    pub uri: Secret,
    /// The same to be typed.
    #[schema(value_type = String, format = "password")]
    pub secret: Secret,
}

/// Body of `POST /v1/people/{id}/second-factor/confirm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmFactor {
    /// The six digits that the authenticator shows now.
    #[schema(value_type = String, format = "password")]
    pub code: Secret,
    /// Who does it; left out by a person who has signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Answer of `POST /v1/people/{id}/second-factor/confirm`: shown once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecoveryCodes {
    /// Each signs in once, where the authenticator is lost.
    #[schema(value_type = Vec<String>)]
    pub codes: Vec<Secret>,
}

/// Body of `POST /v1/keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// The merchant; left out by whoever has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Who this is, 1 to 64 characters.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// From when on it is none any more, RFC 3339; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// How often it may ask; that of `[http]` when absent, 0 as often as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// Who makes it; left out by a person who has signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Body of `POST /v1/keys/{id}/rotate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// How long the old one is still good, 0 to 720; 24 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_hours: Option<u32>,
    /// From when on the new one is none any more, RFC 3339; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Who does it; left out by a person who has signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A key of the journal. Those of `[[http.keys]]` are not among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Key {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: KeyId,
    /// Merchant.
    pub tenant: String,
    /// Who this is.
    pub name: String,
    /// How it begins.
    pub prefix: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// `good`, `expired` or `revoked`.
    pub state: String,
    /// How often it may ask, where it has a limit of its own.
    #[serde(default)]
    pub requests_per_minute: Option<u32>,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// By whom.
    pub created_by: String,
    /// From when on it is none any more, RFC 3339.
    #[serde(default)]
    pub expires_at: Option<String>,
    /// When it was last used, to the minute, RFC 3339.
    #[serde(default)]
    pub used_at: Option<String>,
    /// When it was taken away, RFC 3339.
    #[serde(default)]
    pub revoked_at: Option<String>,
}

/// A key that was made: shown once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MadeKey {
    /// The key itself, for `Authorization: Bearer`.
    #[schema(value_type = String, format = "password")]
    pub key: Secret,
    /// How it is known from now on.
    #[serde(flatten)]
    pub of: Key,
}

/// Answer of `GET /v1/keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Keys {
    /// The newest first.
    pub keys: Vec<Key>,
}

/// What somebody did, or wanted to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its place; what is later has a larger one.
    pub id: i64,
    /// When, RFC 3339.
    pub at: String,
    /// The person, or the key's name; empty where nobody is known.
    pub who: String,
    /// By which door: `key`, `session`, `socket` or `sign-in`.
    pub via: String,
    /// The person whom a key's request names.
    #[serde(default)]
    pub by: Option<String>,
    /// Why, as the request says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where he was.
    #[serde(default)]
    pub address: Option<String>,
    /// The merchant, where it is about one.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Method and path, or a word.
    pub what: String,
    /// `begun`; then what came of it: an HTTP status with the error's code, or what was made.
    pub result: String,
    /// By which the service's log has it.
    #[serde(default)]
    pub request_id: Option<String>,
}

/// Answer of `GET /v1/audit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditLog {
    /// With `after` the oldest first, else the newest.
    pub entries: Vec<AuditEntry>,
    /// `after`, or `before`, of the next page; absent: that was all. Whoever reads on for ever asks again with the last id as `after`.
    #[serde(default)]
    pub next: Option<i64>,
}

/// Answer 202 of what needs a second person: nothing was done yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalNeeded {
    /// What another person approves or refuses at `/v1/approvals`.
    #[schema(value_type = String, format = "uuid")]
    pub approval_id: ApprovalId,
    /// Until when, RFC 3339.
    pub until: String,
}

/// What needs a second person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: ApprovalId,
    /// `open`, `approved` (and not done yet: approve it again to have it done), `refused`, `done` or `lapsed`.
    pub state: String,
    /// Merchant.
    pub tenant: String,
    /// The payment that it is about.
    #[schema(value_type = String, format = "uuid")]
    pub payment_id: PaymentId,
    /// `capture`, `change`, `void` or `refund`.
    pub kind: String,
    /// Minor units.
    pub amount: u64,
    /// ISO 4217.
    pub currency: String,
    /// Who asked.
    pub asked_by: String,
    /// When, RFC 3339.
    pub asked_at: String,
    /// Until when, RFC 3339.
    pub until: String,
    /// Who decided.
    #[serde(default)]
    pub decided_by: Option<String>,
    /// When, RFC 3339.
    #[serde(default)]
    pub decided_at: Option<String>,
    /// The operation that came of it.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub operation_id: Option<OperationId>,
}

/// Answer of `GET /v1/approvals`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Approvals {
    /// The newest first.
    pub approvals: Vec<Approval>,
    /// `after` of the next page; absent: that was all.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub next: Option<ApprovalId>,
}
