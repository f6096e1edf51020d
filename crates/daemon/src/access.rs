//! `[access]`: how people and programs are let in at the HTTP API.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ivrpay_journal::Role;
use ivrpay_payment::OperationKind;
use ivrpay_web::{AccessOptions, RoleLimits, Seal};
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
}

impl Default for RawAccess {
    fn default() -> Self {
        Self {
            seal_key_file: None,
            idle: Span(Duration::from_secs(15 * 60)),
            longest: Span(Duration::from_secs(12 * 3_600)),
            approval: Span(Duration::from_secs(24 * 3_600)),
            audit_days: 400,
        }
    }
}

/// `[access]`, checked.
pub struct Access {
    /// What second factors are sealed with; without it nobody has one.
    seal: Option<SecretString>,
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
        Ok(Self {
            seal,
            idle: span("access.idle", raw.idle, MINUTE_MS, 15 * MINUTE_MS)?,
            longest: span("access.longest", raw.longest, 10 * MINUTE_MS, 24 * HOUR_MS)?,
            approval: span("access.approval", raw.approval, MINUTE_MS, 7 * 24 * HOUR_MS)?,
            behind_proxy,
            requests_per_minute,
            audit: (raw.audit_days > 0)
                .then(|| Duration::from_secs(u64::from(raw.audit_days) * 24 * 3_600)),
        })
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
            oidc: None,
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
