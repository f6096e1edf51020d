//! `[access]`: how people and programs are let in at the HTTP API.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use ivrpay_journal::Role;
use ivrpay_payment::OperationKind;
use ivrpay_web::{AccessOptions, Oidc, OidcAsk, OidcAsks, OidcOptions, RoleLimits, Seal};
use ivrpay_wire::Issuer;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::config::{ConfigError, Span, secret_text, span};
use crate::events;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawAccess {
    seal_key_file: Option<PathBuf>,
    idle: Span,
    longest: Span,
    approval: Span,
    audit_days: u32,
    oidc: Option<RawOidc>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOidc {
    issuer: String,
    client_id: String,
    client_secret_file: PathBuf,
    redirect_uri: String,
    #[serde(default = "mfa")]
    amr: Vec<String>,
    #[serde(default)]
    acr: Vec<String>,
    #[serde(default)]
    ca_file: Option<PathBuf>,
    #[serde(default = "five_seconds")]
    timeout: Span,
}

/// RFC 8176: several factors.
fn mfa() -> Vec<String> {
    vec!["mfa".to_owned()]
}

const fn five_seconds() -> Span {
    Span(Duration::from_secs(5))
}

/// `[access.oidc]`, checked.
struct SignOn {
    raw: RawOidc,
    secret: SecretString,
    issuer: Arc<Issuer>,
}

impl SignOn {
    fn checked(mut raw: RawOidc, folder: &Path) -> Result<Self, ConfigError> {
        raw.ca_file = raw.ca_file.map(|file| folder.join(file));
        let secret = secret_text(
            "access.oidc.client_secret_file",
            &folder.join(&raw.client_secret_file),
        )?;
        let timeout = span("access.oidc.timeout", raw.timeout, 100, 10_000)?;
        let issuer = Issuer::new(&raw.issuer, raw.ca_file.as_deref(), timeout)
            .map_err(|error| ConfigError::value("access.oidc.issuer", error))?;
        if raw.amr.is_empty() && raw.acr.is_empty() {
            return Err(ConfigError::value(
                "access.oidc.amr",
                "the issuer's word for a second factor, here or in acr",
            ));
        }
        Ok(Self {
            raw,
            secret,
            issuer: Arc::new(issuer),
        })
    }

    fn at_work(&self) -> Oidc {
        let (issuer, secret) = (Arc::clone(&self.issuer), self.secret.clone());
        let client_id = self.raw.client_id.clone();
        let ask: OidcAsk = Arc::new(move |asks| {
            let (issuer, secret) = (Arc::clone(&issuer), secret.clone());
            let client_id = client_id.clone();
            async move {
                let answer = match asks {
                    OidcAsks::Get(url) => issuer.get(&url).await,
                    OidcAsks::Post(url, form) => {
                        issuer.post(&url, &form, (&client_id, &secret)).await
                    }
                };
                answer.map_err(|error| error.to_string().into())
            }
            .boxed()
        });
        Oidc::new(OidcOptions {
            issuer: self.raw.issuer.clone(),
            client_id: self.raw.client_id.clone(),
            redirect_uri: self.raw.redirect_uri.clone(),
            amr: self.raw.amr.clone(),
            acr: self.raw.acr.clone(),
            ask,
        })
    }
}

impl Default for RawAccess {
    fn default() -> Self {
        Self {
            seal_key_file: None,
            idle: Span(Duration::from_secs(15 * 60)),
            longest: Span(Duration::from_secs(12 * 3_600)),
            approval: Span(Duration::from_secs(24 * 3_600)),
            audit_days: 400,
            oidc: None,
        }
    }
}

/// `[access]`, checked.
pub struct Access {
    /// What second factors are sealed with; without it nobody has one.
    seal: Option<SecretString>,
    oidc: Option<SignOn>,
    idle: Duration,
    longest: Duration,
    approval: Duration,
    behind_proxy: bool,
    requests_per_minute: u32,
    /// How long it is kept who did what; `None`: for ever.
    pub(crate) audit: Option<Duration>,
}

impl Access {
    pub(crate) fn checked(
        raw: RawAccess,
        folder: &Path,
        behind_proxy: bool,
        requests_per_minute: u32,
    ) -> Result<Self, ConfigError> {
        let key = "access.seal_key_file";
        let seal = raw
            .seal_key_file
            .map(|file| secret_text(key, &folder.join(file)))
            .transpose()?;
        if let Some(text) = &seal {
            Seal::new(text.expose_secret()).map_err(|error| ConfigError::value(key, error))?;
        }
        // A year is what PCI DSS v4.0.1, 10.5.1 asks for.
        if raw.audit_days != 0 && !(366..=36_500).contains(&raw.audit_days) {
            return Err(ConfigError::value(
                "access.audit_days",
                "366 to 36500, or 0 for ever",
            ));
        }
        let oidc = raw
            .oidc
            .map(|raw| SignOn::checked(raw, folder))
            .transpose()?;
        Ok(Self {
            seal,
            oidc,
            idle: span("access.idle", raw.idle, MINUTE_MS, 15 * MINUTE_MS)?,
            longest: span("access.longest", raw.longest, 10 * MINUTE_MS, 24 * HOUR_MS)?,
            approval: span("access.approval", raw.approval, MINUTE_MS, 7 * 24 * HOUR_MS)?,
            behind_proxy,
            requests_per_minute,
            audit: (raw.audit_days > 0)
                .then(|| Duration::from_secs(u64::from(raw.audit_days) * 24 * 3_600)),
        })
    }

    /// The port of the issuer of single sign-on, and the authority that it is known by.
    pub(crate) fn reach(&self) -> (Option<u16>, Option<&PathBuf>) {
        let oidc = self.oidc.as_ref();
        (
            oidc.and_then(|oidc| oidc.issuer.port()),
            oidc.and_then(|oidc| oidc.raw.ca_file.as_ref()),
        )
    }

    /// Whether anybody can sign in.
    pub(crate) const fn people_sign_in(&self) -> bool {
        self.seal.is_some() || self.oidc.is_some()
    }

    /// Whether a proxy says who asks.
    pub(crate) const fn behind_proxy(&self) -> bool {
        self.behind_proxy
    }

    /// For the doors of the API, all of which share it.
    pub(crate) fn at_work(&self) -> ivrpay_web::Access {
        let seal = self.seal.as_ref().map(|text| text.expose_secret());
        ivrpay_web::Access::new(AccessOptions {
            // It was looked at when it was read.
            seal: seal.and_then(|text| Seal::new(text).ok()),
            idle: self.idle,
            longest: self.longest,
            approval: self.approval,
            behind_proxy: self.behind_proxy,
            requests_per_minute: self.requests_per_minute,
            oidc: self.oidc.as_ref().map(SignOn::at_work),
            told: Arc::new(events::security),
        })
    }
}

/// `[tenants.roles.ROLE]`: minor units that a person of this role may ask of an acquirer alone.
#[derive(Deserialize, Default, Clone, Copy)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawLimits {
    capture_max: Option<u64>,
    change_max: Option<u64>,
    void_max: Option<u64>,
    refund_max: Option<u64>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawRoles {
    operator: RawLimits,
    supervisor: RawLimits,
    admin: RawLimits,
}

impl From<RawRoles> for RoleLimits {
    fn from(raw: RawRoles) -> Self {
        let roles = [
            (Role::Operator, raw.operator),
            (Role::Supervisor, raw.supervisor),
            (Role::Admin, raw.admin),
        ];
        let all = roles.into_iter().flat_map(|(role, limits)| {
            [
                (OperationKind::Capture, limits.capture_max),
                (OperationKind::Change, limits.change_max),
                (OperationKind::Void, limits.void_max),
                (OperationKind::Refund, limits.refund_max),
            ]
            .into_iter()
            .filter_map(move |(kind, most)| Some((role, kind, most?)))
        });
        Self(all.collect())
    }
}
