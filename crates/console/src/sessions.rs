//! Who is signed in: the API's token stays here, in memory alone; the browser has a random number in a cookie.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::words::Lang;

/// People at once.
const SESSIONS_MAX: usize = 2_000;

/// 32 random bytes, as a cookie or a form has them.
pub(crate) fn random() -> String {
    let mut bytes = [0; 32];
    // A kernel without random numbers lets nobody in: what is made of it is thrown away by `open`.
    if getrandom::fill(&mut bytes).is_err() {
        return String::new();
    }
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// What a form has to say that was made for this cookie.
pub(crate) fn proof(cookie: &str) -> String {
    let hash = Sha256::new()
        .chain_update(b"ivrpay-console form ")
        .chain_update(cookie.as_bytes())
        .finalize();
    BASE64_URL_SAFE_NO_PAD.encode(hash)
}

pub(crate) fn same(one: &str, other: &str) -> bool {
    !one.is_empty() && bool::from(one.as_bytes().ct_eq(other.as_bytes()))
}

/// What the API says of who has signed in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Person {
    pub(crate) person: String,
    pub(crate) name: String,
    pub(crate) tenant: Option<String>,
    pub(crate) role: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) extension: Option<String>,
    pub(crate) language: Option<String>,
    pub(crate) idle_seconds: Option<u64>,
}

impl Person {
    /// Whether they may.
    pub(crate) fn may(&self, scope: &str) -> bool {
        /// What `payments` includes.
        const OF_PAYMENTS: [&str; 5] = [
            "payments:read",
            "captures",
            "refunds",
            "receipts",
            "disputes",
        ];
        let has = |scope: &str| self.scopes.iter().any(|s| s == scope);
        has(scope) || (OF_PAYMENTS.contains(&scope) && has("payments"))
    }

    /// As people are called.
    pub(crate) fn shown(&self) -> &str {
        match self.name.is_empty() {
            true => &self.person,
            false => &self.name,
        }
    }
}

/// A word for the next page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flash {
    pub(crate) good: bool,
    pub(crate) text: String,
    pub(crate) todo: String,
}

struct Session {
    person: Person,
    token: SecretString,
    lang: Lang,
    /// A key or a click.
    seen: Instant,
    idle: Duration,
    flash: Option<Flash>,
}

/// Who asks, and in which language he is answered.
#[derive(Clone)]
pub(crate) struct Signed {
    /// The cookie.
    pub(crate) id: String,
    pub(crate) person: Person,
    pub(crate) token: SecretString,
    pub(crate) lang: Lang,
    /// Seconds without a key or a click after which he is signed out.
    pub(crate) idle: u64,
}

impl Signed {
    /// What his forms carry.
    pub(crate) fn csrf(&self) -> String {
        proof(&self.id)
    }
}

/// A cookie that nobody could have kept: the map has its hash.
type Key = [u8; 32];

/// All sessions.
pub(crate) struct Sessions {
    all: Mutex<HashMap<Key, Session>>,
    idle: Duration,
}

fn key(id: &str) -> Key {
    Sha256::digest(id.as_bytes()).into()
}

impl Sessions {
    pub(crate) fn new(idle: Duration) -> Self {
        Self {
            all: Mutex::default(),
            idle,
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Session>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session under a new number; `None` where there are too many.
    pub(crate) fn open(&self, person: Person, token: SecretString, lang: Lang) -> Option<String> {
        let id = random();
        let theirs = person.idle_seconds.map(Duration::from_secs);
        let session = Session {
            lang,
            seen: Instant::now(),
            idle: theirs.map_or(self.idle, |theirs| theirs.min(self.idle)),
            flash: None,
            person,
            token,
        };
        let mut all = self.locked();
        if id.is_empty() || all.len() >= SESSIONS_MAX {
            return None;
        }
        all.insert(key(&id), session);
        Some(id)
    }

    /// Who it is. `active`: he has pressed a key or clicked.
    pub(crate) fn find(&self, id: &str, active: bool) -> Option<Signed> {
        let mut all = self.locked();
        let session = all.get_mut(&key(id))?;
        // One that is over stays until the sweep has told the API.
        if session.seen.elapsed() > session.idle {
            return None;
        }
        if active {
            session.seen = Instant::now();
        }
        Some(Signed {
            id: id.to_owned(),
            person: session.person.clone(),
            token: session.token.clone(),
            lang: session.lang,
            idle: session.idle.as_secs(),
        })
    }

    /// Ends one; its token, to tell the API.
    pub(crate) fn close(&self, id: &str) -> Option<SecretString> {
        self.locked().remove(&key(id)).map(|session| session.token)
    }

    /// Ends those that were idle too long; their tokens.
    pub(crate) fn sweep(&self) -> Vec<SecretString> {
        let over = |_: &Key, session: &mut Session| session.seen.elapsed() > session.idle;
        let mut all = self.locked();
        all.extract_if(over)
            .map(|(_, session)| session.token)
            .collect()
    }

    /// All that are left; for the end of the process.
    pub(crate) fn drain(&self) -> Vec<SecretString> {
        self.locked()
            .drain()
            .map(|(_, session)| session.token)
            .collect()
    }

    pub(crate) fn speak(&self, id: &str, lang: Lang) {
        if let Some(session) = self.locked().get_mut(&key(id)) {
            session.lang = lang;
        }
    }

    pub(crate) fn flash(&self, id: &str, flash: Flash) {
        if let Some(session) = self.locked().get_mut(&key(id)) {
            session.flash = Some(flash);
        }
    }

    pub(crate) fn take_flash(&self, id: &str) -> Option<Flash> {
        self.locked().get_mut(&key(id))?.flash.take()
    }

    /// Somebody of this tenant who may hear what happens: of several who was active last.
    pub(crate) fn listener(&self, tenant: Option<&str>) -> Option<(String, SecretString)> {
        let all = self.locked();
        let may = all.iter().filter(|(_, session)| {
            session.person.tenant.as_deref() == tenant
                && session.person.may("events")
                && session.seen.elapsed() <= session.idle
        });
        may.max_by_key(|(_, session)| session.seen)
            .map(|(key, session)| (BASE64_URL_SAFE_NO_PAD.encode(key), session.token.clone()))
    }

    /// The API does not know a listener's token any more.
    pub(crate) fn forget(&self, listener: &str) {
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(listener).ok();
        if let Some(key) = decoded.and_then(|bytes| Key::try_from(bytes).ok()) {
            self.locked().remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(tenant: &str, scopes: &[&str]) -> Person {
        Person {
            person: "sato".into(),
            tenant: Some(tenant.into()),
            scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
            ..Person::default()
        }
    }

    #[test]
    fn a_session_is_over_behind_its_idle_time_and_is_told() {
        let sessions = Sessions::new(Duration::from_millis(40));
        let id = sessions
            .open(person("shop", &[]), "t".into(), Lang::Ja)
            .unwrap();
        assert!(sessions.find(&id, false).is_some());
        assert!(sessions.sweep().is_empty());
        std::thread::sleep(Duration::from_millis(60));
        // What a page does by itself, or too late, does not keep it.
        assert!(sessions.find(&id, true).is_none());
        assert_eq!(sessions.sweep().len(), 1);
        assert!(sessions.close(&id).is_none());
    }

    #[test]
    fn the_api_may_lock_sooner_and_not_later() {
        let sessions = Sessions::new(Duration::from_secs(900));
        for (theirs, is) in [(Some(60), 60), (Some(9_000), 900), (None, 900)] {
            let mut person = person("shop", &[]);
            person.idle_seconds = theirs;
            let id = sessions.open(person, "t".into(), Lang::Ja).unwrap();
            assert_eq!(sessions.find(&id, true).unwrap().idle, is);
        }
    }

    #[test]
    fn nobody_listens_for_another_tenant_or_without_the_scope() {
        let sessions = Sessions::new(Duration::from_secs(900));
        for (tenant, scopes) in [("shop", &["payments"][..]), ("other", &["events"])] {
            sessions.open(person(tenant, scopes), "t".into(), Lang::Ja);
        }
        assert!(sessions.listener(Some("shop")).is_none());
        assert!(sessions.listener(None).is_none());
        let (listener, _) = sessions.listener(Some("other")).unwrap();
        sessions.forget(&listener);
        assert!(sessions.listener(Some("other")).is_none());
    }

    #[test]
    fn ids_are_many_and_proofs_are_theirs() {
        let (one, other) = (random(), random());
        assert_eq!(one.len(), 43);
        assert_ne!(one, other);
        assert!(same(&proof(&one), &proof(&one)));
        assert!(!same(&proof(&one), &proof(&other)));
        assert!(!same("", ""));
    }
}
