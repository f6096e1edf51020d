//! Who comes in: keys of the journal and sessions, looked up without asking the journal for each request.
//!
//! What is known of a key or a session stands for [`FRESH`]: what another service has revoked or ended is known here then. Where the journal
//! can't be asked it stands for [`STALE`] at most, and then nobody comes in by it. What this service does itself it knows at once.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::serve::IncomingStream;
use ivrpay_journal::{Deed, Journal, ProgramKey, Session};
use ivrpay_payment::KeyId;
use tokio::net::UnixListener;

use crate::Web;
use crate::auth::{ApiKey, KeyHash, Scope, Who};
use crate::error::ApiError;
use crate::oidc::Oidc;
use crate::secrets::{self, Passwords, Seal};

/// How long a word of the journal on a key or a session stands.
const FRESH: Duration = Duration::from_secs(2);
/// How long where the journal can't be asked.
const STALE: Duration = Duration::from_secs(5);
/// When a session was last seen is written so often, milliseconds.
const SEEN_EACH_MS: i64 = 30_000;
/// When a key was last used is written so often, milliseconds.
const USED_EACH_MS: i64 = 60_000;
/// Sessions that are remembered.
const SESSIONS_MAX: usize = 10_000;
/// Tries to sign in, for each address and minute.
const SIGN_INS_PER_MINUTE: u32 = 30;

/// How many lines there are in a minute about who was refused: a storm does not fill the journal. Of one kind of them no other can take the room.
pub(crate) struct Refusals {
    name: &'static str,
    /// From one address.
    each: u32,
    /// From all.
    all: u32,
}

impl Refusals {
    /// A key, or a session's token.
    pub(crate) const KEY: Self = Self {
        name: "refused",
        each: 20,
        all: 200,
    };
    /// Sign-ins: of one address all that it may try.
    pub(crate) const SIGN_IN: Self = Self {
        name: "failed",
        each: SIGN_INS_PER_MINUTE,
        all: 600,
    };
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// An address.
    Net(IpAddr),
    /// A process of this user on this machine; `None`: the kernel does not say.
    Local(Option<u32>),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(address) => address.to_canonical().fmt(f),
            Self::Local(Some(uid)) => write!(f, "uid {uid}"),
            Self::Local(None) => f.write_str("local"),
        }
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self::Local(stream.io().peer_cred().ok().map(|peer| peer.uid()))
    }
}

/// What the service should be told of who comes in, and who does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Somebody has signed in.
    SignedIn,
    /// Somebody could not.
    SignInFailed,
    /// Nobody of a name may any more, for half an hour.
    Locked,
    /// A key, or a session's token, was none.
    Refused,
    /// What somebody wanted to do could not be kept, and was not done.
    NotKept,
    /// What came of it could not be kept, or was one of too many.
    ResultNotKept,
}

/// How people and programs are let in.
pub struct AccessOptions {
    /// What second factors are sealed with; without it nobody has one.
    pub seal: Option<Seal>,
    /// How long a session goes on without a request.
    pub idle: Duration,
    /// How long a session goes on at most.
    pub longest: Duration,
    /// A proxy of ours says in `X-Forwarded-For` who is at the other end.
    pub behind_proxy: bool,
    /// How often keys of the journal may ask that have no limit of their own.
    pub requests_per_minute: u32,
    /// How long a second person has time.
    pub approval: Duration,
    /// Single sign-on.
    pub oidc: Option<Oidc>,
    /// Who is told.
    pub told: Arc<dyn Fn(Security) + Send + Sync>,
}

impl Default for AccessOptions {
    fn default() -> Self {
        Self {
            seal: None,
            idle: Duration::from_secs(15 * 60),
            longest: Duration::from_secs(12 * 3_600),
            behind_proxy: false,
            requests_per_minute: 0,
            approval: Duration::from_secs(24 * 3_600),
            oidc: None,
            told: Arc::new(drop),
        }
    }
}

/// The same at work.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    options: AccessOptions,
    passwords: Passwords,
    keys: RwLock<Option<Loaded>>,
    /// Held while they are read.
    loading: tokio::sync::Mutex<()>,
    /// Grows when this service has changed a key: what was read before it is not kept.
    key_changes: AtomicU64,
    used: Mutex<HashMap<KeyId, i64>>,
    sessions: Mutex<HashMap<[u8; 32], Known>>,
    /// Grows when this service has changed somebody: what was read before it is not kept.
    changes: AtomicU64,
}

struct Loaded {
    at: Instant,
    keys: Arc<HashMap<[u8; 32], ProgramKey>>,
}

#[derive(Clone)]
struct Known {
    at: Instant,
    session: Arc<Session>,
    /// When he was last seen here.
    seen_ms: i64,
    /// As the journal has it.
    written_ms: i64,
}

impl Access {
    /// To be shared by all doors.
    #[must_use]
    pub fn new(options: AccessOptions) -> Self {
        Self(Arc::new(Inner {
            options,
            passwords: Passwords::default(),
            keys: RwLock::default(),
            loading: tokio::sync::Mutex::default(),
            key_changes: AtomicU64::default(),
            used: Mutex::default(),
            sessions: Mutex::default(),
            changes: AtomicU64::default(),
        }))
    }

    pub(crate) fn options(&self) -> &AccessOptions {
        &self.0.options
    }

    pub(crate) fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    pub(crate) fn tell(&self, what: Security) {
        (self.0.options.told)(what);
    }

    /// Whose this is.
    pub(crate) async fn who(&self, web: &Web, secret: &str) -> Result<Who, ApiError> {
        if let Some(key) = web.keys.find(secret) {
            return Ok(Who::Key(key.clone()));
        }
        if secret.starts_with(secrets::SESSION) {
            return self.session(web, &secrets::hash(secret)).await;
        }
        if !secrets::is_key(secret) {
            return Err(ApiError::unauthorized());
        }
        let hash = secrets::hash(secret);
        let keys = self.keys(&web.journal).await?;
        let key = keys.get(&hash).ok_or_else(ApiError::unauthorized)?;
        let now_ms = web.now_ms();
        if key.expires_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            return Err(ApiError::key_expired());
        }
        if self.is_to_be_written(key, now_ms) {
            // To be late with it costs nobody anything.
            web.journal.key_used(key.id, now_ms).await.ok();
        }
        Ok(Who::Key(self.api_key(key)))
    }

    fn is_to_be_written(&self, key: &ProgramKey, now_ms: i64) -> bool {
        let mut used = self.0.used.lock().unwrap_or_else(PoisonError::into_inner);
        let last = used.get(&key.id).copied().or(key.used_ms);
        let is = last.is_none_or(|last| now_ms.saturating_sub(last) >= USED_EACH_MS);
        if is {
            used.insert(key.id, now_ms);
        }
        is
    }

    fn api_key(&self, key: &ProgramKey) -> ApiKey {
        ApiKey {
            name: key.name.clone(),
            tenant: key.tenant.clone(),
            hash: KeyHash::new(key.hash),
            scopes: key
                .scopes
                .iter()
                .filter_map(|s| Scope::from_name(s))
                .collect(),
            requests_per_minute: key.per_minute.unwrap_or(self.0.options.requests_per_minute),
        }
    }

    fn loaded(&self, fresh: Duration) -> Option<Arc<HashMap<[u8; 32], ProgramKey>>> {
        let loaded = self.0.keys.read().unwrap_or_else(PoisonError::into_inner);
        let loaded = loaded.as_ref()?;
        (loaded.at.elapsed() < fresh).then(|| Arc::clone(&loaded.keys))
    }

    async fn keys(
        &self,
        journal: &Journal,
    ) -> Result<Arc<HashMap<[u8; 32], ProgramKey>>, ApiError> {
        if let Some(keys) = self.loaded(FRESH) {
            return Ok(keys);
        }
        let _loading = self.0.loading.lock().await;
        if let Some(keys) = self.loaded(FRESH) {
            return Ok(keys);
        }
        let (at, changes) = (Instant::now(), self.0.key_changes.load(Ordering::SeqCst));
        match journal.live_keys().await {
            Ok(all) => {
                let keys = Arc::new(all.into_iter().map(|key| (key.hash, key)).collect());
                let mut loaded = self.0.keys.write().unwrap_or_else(PoisonError::into_inner);
                if changes == self.0.key_changes.load(Ordering::SeqCst) {
                    *loaded = Some(Loaded {
                        at,
                        keys: Arc::clone(&keys),
                    });
                }
                Ok(keys)
            }
            Err(error) => self.loaded(STALE).ok_or_else(|| error.into()),
        }
    }

    /// This service has changed a key.
    pub(crate) fn forget_keys(&self) {
        self.0.key_changes.fetch_add(1, Ordering::SeqCst);
        *self.0.keys.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// This service has changed a person, or ended a session.
    pub(crate) fn forget_sessions(&self) {
        self.0.changes.fetch_add(1, Ordering::SeqCst);
        self.sessions().clear();
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Known>> {
        self.0
            .sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn known(&self, journal: &Journal, hash: &[u8; 32]) -> Result<Known, ApiError> {
        let known = self.sessions().get(hash).cloned();
        if let Some(known) = &known
            && known.at.elapsed() < FRESH
        {
            return Ok(known.clone());
        }
        let (at, changes) = (Instant::now(), self.0.changes.load(Ordering::SeqCst));
        let found = match (journal.session(hash).await, known) {
            (Ok(found), _) => found,
            (Err(_), Some(known)) if known.at.elapsed() < STALE => return Ok(known),
            (Err(error), _) => return Err(error.into()),
        };
        let mut sessions = self.sessions();
        let Some(session) = found else {
            sessions.remove(hash);
            return Err(ApiError::session_ended());
        };
        if sessions.len() >= SESSIONS_MAX {
            sessions.retain(|_, known| known.at.elapsed() < FRESH);
        }
        let before = sessions.get(hash).map_or(0, |known| known.seen_ms);
        let known = Known {
            at,
            seen_ms: before.max(session.seen_ms),
            written_ms: session.seen_ms,
            session: Arc::new(session),
        };
        if changes == self.0.changes.load(Ordering::SeqCst) && sessions.len() < SESSIONS_MAX {
            sessions.insert(*hash, known.clone());
        }
        Ok(known)
    }

    fn is_idle(&self, known: &Known, now_ms: i64) -> bool {
        let idle = i64::try_from(self.0.options.idle.as_millis()).unwrap_or(i64::MAX);
        now_ms.saturating_sub(known.seen_ms) > idle || known.session.expires_ms <= now_ms
    }

    async fn session(&self, web: &Web, hash: &[u8; 32]) -> Result<Who, ApiError> {
        let known = self.known(&web.journal, hash).await?;
        let now_ms = web.now_ms();
        if self.is_idle(&known, now_ms) {
            self.forget_sessions();
            web.journal.end_session(hash).await?;
            return Err(ApiError::session_ended());
        }
        let is_written = now_ms.saturating_sub(known.written_ms) < SEEN_EACH_MS;
        if let Some(kept) = self.sessions().get_mut(hash) {
            kept.seen_ms = kept.seen_ms.max(now_ms);
            if !is_written {
                kept.written_ms = now_ms;
            }
        }
        if !is_written {
            web.journal.seen(hash, now_ms).await?;
        }
        Ok(Who::Person(known.session))
    }

    /// Whether whoever came in could do so now; what he hears does not count as a request.
    pub(crate) async fn is_still(&self, web: &Web, who: &Who) -> bool {
        match who {
            Who::Admin(_) => true,
            Who::Key(key) if web.keys.has(key) => true,
            Who::Key(key) => {
                let keys = self.keys(&web.journal).await;
                keys.is_ok_and(|keys| {
                    let known = keys.get(key.hash.bytes());
                    known.is_some_and(|k| k.expires_ms.is_none_or(|at| at > web.now_ms()))
                })
            }
            Who::Person(session) => {
                let known = self.known(&web.journal, &session.hash).await;
                known.is_ok_and(|known| !self.is_idle(&known, web.now_ms()))
            }
        }
    }

    /// Takes one try to sign in from this address.
    pub(crate) fn may_sign_in(&self, web: &Web, address: &str) -> Result<(), ApiError> {
        let key = format!("sign-in {}", net(address));
        let taken = web.limits.take(&key, SIGN_INS_PER_MINUTE);
        taken.map(drop).map_err(|wait| {
            ApiError::locked("too many have tried to sign in from this address", wait)
        })
    }

    /// Keeps who was refused, up to a number; the rest is counted alone.
    pub(crate) async fn note_refused(&self, web: &Web, deed: &Deed, of: Refusals) {
        let address = net(deed.address.as_deref().unwrap_or_default());
        let each = format!("{} {address}", of.name);
        let is_kept = web.limits.take(&each, of.each).is_ok()
            && web.limits.take(of.name, of.all).is_ok()
            && web.journal.note_deed(deed).await.is_ok();
        if !is_kept {
            self.tell(Security::ResultNotKept);
        }
    }
}

/// Who is at the other end, as a text.
#[derive(Debug, Clone)]
pub(crate) struct Address(pub(crate) Arc<str>);

/// Whose an address is: who has one of IPv6 has 2^64 of them.
fn net(address: &str) -> String {
    match address.parse::<IpAddr>().map(|a| a.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Ok(address) => address.to_string(),
        Err(_) => address.to_owned(),
    }
}

/// An address as proxies write it: with a port, or without.
fn written(text: &str) -> Option<IpAddr> {
    let plain = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let address = plain.unwrap_or(text).parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|at| at.ip()));
    address.map(|address| address.to_canonical())
}

/// Longest that one is.
const ADDRESS_MAX: usize = 64;

pub(crate) fn address(request: &Request, behind_proxy: bool) -> Address {
    let extensions = request.extensions();
    let peer = extensions.get::<Peer>().copied();
    let peer = peer.or_else(|| extensions.get::<ConnectInfo<Peer>>().map(|info| info.0));
    let forwarded = || {
        // What a client has written itself stands in front of what our proxy has.
        let last = request
            .headers()
            .get_all("x-forwarded-for")
            .iter()
            .next_back()?;
        let last = last.to_str().ok()?.rsplit(',').next()?.trim();
        written(last).map(|address| address.to_string())
    };
    let text = match peer {
        Some(Peer::Net(_)) if behind_proxy => forwarded(),
        _ => None,
    };
    let text = text.or_else(|| peer.map(|peer| peer.to_string()));
    let text: String = text.unwrap_or_default().chars().take(ADDRESS_MAX).collect();
    Address(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_proxies_write_it_and_counted_with_its_neighbours() {
        for (text, address, counted) in [
            ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
            ("192.0.2.7:5678", "192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"),
            ("[2001:db8::1]:443", "2001:db8::1", "2001:db8:0:0::/64"),
            ("[2001:db8::1]", "2001:db8::1", "2001:db8:0:0::/64"),
            ("2001:db8::ff:1", "2001:db8::ff:1", "2001:db8:0:0::/64"),
            ("2001:db8:0:1::1", "2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ] {
            let found = written(text).map(|found| found.to_string());
            assert_eq!(found.as_deref(), Some(address), "{text}");
            assert_eq!(net(address), counted, "{text}");
        }
        for none in ["", "unknown", "_hidden", "192.0.2.7:x", "[192.0.2.7"] {
            assert_eq!(written(none), None, "{none}");
        }
        assert_eq!(net("uid 1000"), "uid 1000");
    }
}
