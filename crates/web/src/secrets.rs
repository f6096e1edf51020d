//! What people and programs prove themselves by: random tokens, keys with a checksum, passwords, codes of the second factor, and the seal on
//! what is kept of those.

use std::sync::{Arc, LazyLock};

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use data_encoding::BASE32_NOPAD;
use ivrpay_api::Secret;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

/// How a session's token begins.
pub(crate) const SESSION: &str = "ivs_";
/// How a program's key begins.
pub(crate) const KEY: &str = "ivk_";
/// Characters of a key that lists show: the kind and 48 of 256 bits.
const SHOWN: usize = 12;
/// Characters of 256 bits.
const BODY: usize = 43;
/// Bytes of a checksum.
const SUM: usize = 4;

/// The machine gives no random numbers.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the kernel gives no random numbers")]
pub(crate) struct NoChance;

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], NoChance> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoChance)?;
    Ok(bytes)
}

/// How a token or a key is kept: it has 256 bits of chance, so a plain hash is enough.
pub(crate) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// 256 bits that nobody can guess, as text.
pub(crate) fn chance() -> Result<String, NoChance> {
    Ok(URL_SAFE_NO_PAD.encode(random::<32>()?))
}

/// A session's token.
pub(crate) fn token() -> Result<Secret, NoChance> {
    Ok(Secret(format!("{SESSION}{}", chance()?)))
}

/// A program's key: a slip in it is noticed without looking for it, and a scanner of sources knows one when it sees it.
pub(crate) fn key() -> Result<Secret, NoChance> {
    let body = chance()?;
    Ok(Secret(format!("{KEY}{body}{}", checksum(&body))))
}

fn checksum(body: &str) -> String {
    let sum = Sha256::digest([KEY.as_bytes(), body.as_bytes()].concat());
    URL_SAFE_NO_PAD.encode(sum.get(..SUM).unwrap_or_default())
}

/// Whether it is written as a key of ours is.
pub(crate) fn is_key(text: &str) -> bool {
    text.strip_prefix(KEY)
        .and_then(|rest| rest.split_at_checked(BODY))
        .is_some_and(|(body, sum)| checksum(body) == sum)
}

/// What lists show of a key.
pub(crate) fn prefix(key: &Secret) -> String {
    key.0.chars().take(SHOWN).collect()
}

/// Passwords that are worked on at once: each takes 19 MiB.
const AT_ONCE: usize = 2;
/// And those that wait for it.
const WAITING_MAX: usize = 32;
/// Characters of a password.
const PASSWORD: std::ops::RangeInclusive<usize> = 12..=128;

/// Passwords, bounded in number. Argon2id with 19 MiB, 2 rounds and 1 lane, as OWASP's cheat sheet on password storage has it.
pub(crate) struct Passwords {
    working: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

/// Too many sign in at once.
pub(crate) struct Busy;

impl Default for Passwords {
    fn default() -> Self {
        Self {
            working: Arc::new(Semaphore::new(AT_ONCE)),
            places: Arc::new(Semaphore::new(AT_ONCE + WAITING_MAX)),
        }
    }
}

impl Passwords {
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Busy)?;
        let working = Arc::clone(&self.working).acquire_owned().await;
        let working = working.map_err(|_| Busy)?;
        // Whoever has hung up is still worked for: his places are free when that is over, and not before.
        let work = move || {
            let done = work();
            drop((place, working));
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Busy)
    }

    /// The hash of a password.
    pub(crate) async fn hash(&self, password: Secret) -> Result<Option<String>, Busy> {
        self.work(move || hashed(&password.0)).await
    }

    /// Whether it is that of this hash. Where there is none it takes as long, and is not.
    pub(crate) async fn is(&self, password: Secret, hash: Option<String>) -> Result<bool, Busy> {
        static NOBODYS: LazyLock<Option<String>> = LazyLock::new(|| hashed("nobody's password"));
        self.work(move || {
            let known = hash.is_some();
            let hash = hash.or_else(|| NOBODYS.clone()).unwrap_or_default();
            let is = Argon2::default().verify_password(password.0.as_bytes(), hash.as_str());
            known && is.is_ok()
        })
        .await
    }
}

fn hashed(password: &str) -> Option<String> {
    let hash = Argon2::default().hash_password(password.as_bytes()).ok()?;
    Some(hash.to_string())
}

/// What is wrong with a password of this person.
pub(crate) fn unfit(password: &str, name: &str) -> Option<&'static str> {
    let length = password.chars().count();
    let (small, own) = (password.to_lowercase(), name.to_lowercase());
    if !PASSWORD.contains(&length) {
        Some("12 to 128 characters")
    } else if password.chars().any(char::is_control) {
        Some("no control characters")
    } else if small.contains(&own) && own.len() >= 3 || own.contains(&small) {
        Some("not the name of the person, and without it")
    } else if is_dull(&small) {
        Some("not the same few characters again and again")
    } else if ivrpay_journal::looks_like_card(password) {
        Some("no card number")
    } else {
        None
    }
}

/// Fewer than five characters that differ.
fn is_dull(text: &str) -> bool {
    let mut seen: Vec<char> = text.chars().collect();
    seen.sort_unstable();
    seen.dedup();
    seen.len() < 5
}

/// Seconds that a code is for.
const PERIOD: i64 = 30;
/// Codes have six digits.
const CODES: u32 = 1_000_000;
/// Bytes of the secret of a second factor, as RFC 4226, section 4 has it.
pub(crate) const FACTOR: usize = 20;

/// The step of this code that is good now, or was or will be within one (RFC 6238, section 5.2); none at or before `used`.
pub(crate) fn step(secret: &[u8], code: &str, now_ms: i64, used: i64) -> Option<i64> {
    let given: u32 = (code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()))
        .then(|| code.parse().ok())
        .flatten()?;
    let now = now_ms.div_euclid(1_000).div_euclid(PERIOD);
    // Each is worked out, whether one was found or not.
    (now - 1..=now + 1).fold(None, |found, step| {
        let is = totp(secret, step) == given && step > used;
        if is { Some(step) } else { found }
    })
}

fn totp(secret: &[u8], step: i64) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag.last().copied().unwrap_or_default() & 0xf);
    let four = tag.get(at..at + 4).unwrap_or_default();
    let number = four
        .iter()
        .fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
    (number & 0x7fff_ffff) % CODES
}

/// The secret as people type it.
pub(crate) fn base32(secret: &[u8]) -> String {
    BASE32_NOPAD.encode(secret)
}

/// What an authenticator's camera reads.
pub(crate) fn otpauth(name: &str, secret: &[u8]) -> String {
    let name = name.replace(['@', ':', '/'], "-");
    format!(
        "otpauth://totp/ivrpay:{name}?secret={}&issuer=ivrpay&algorithm=SHA1&digits=6&period={PERIOD}",
        base32(secret)
    )
}

/// Codes for the day that a factor is lost.
const RECOVERY: usize = 10;

/// Ten codes of 80 bits.
pub(crate) fn recovery_codes() -> Result<Vec<Secret>, NoChance> {
    (0..RECOVERY)
        .map(|_| {
            let text = BASE32_NOPAD.encode(&random::<10>()?).to_lowercase();
            let groups: Vec<String> = text
                .as_bytes()
                .chunks(4)
                .map(|four| String::from_utf8_lossy(four).into_owned())
                .collect();
            Ok(Secret(groups.join("-")))
        })
        .collect()
}

/// How such a code is kept, however it is written; `None`: it is none.
pub(crate) fn recovery_hash(code: &str) -> Option<[u8; 32]> {
    let plain: String = code
        .chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .collect::<String>()
        .to_lowercase();
    let is = plain.len() == 16 && plain.bytes().all(|b| b.is_ascii_alphanumeric());
    is.then(|| hash(&plain))
}

/// What second factors are sealed with, where they are kept.
pub struct Seal(LessSafeKey);

/// The text is too short for a key.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("it has fewer than 32 characters; make one with: openssl rand -base64 32")]
pub struct SealError;

impl Seal {
    /// Fewest characters of the file.
    const MIN: usize = 32;

    /// From a file's text.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn new(text: &str) -> Result<Self, SealError> {
        if text.len() < Self::MIN {
            return Err(SealError);
        }
        let key = Sha256::digest([b"ivrpay second factors\0", text.as_bytes()].concat());
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).map_err(|_| SealError)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// `whose`: what is sealed for one opens for no other.
    pub(crate) fn seal(&self, whose: &str, plain: &[u8]) -> Result<Vec<u8>, NoChance> {
        let nonce = random::<NONCE_LEN>()?;
        let mut text = plain.to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(whose.as_bytes()),
                &mut text,
            )
            .map_err(|_| NoChance)?;
        Ok([nonce.as_slice(), &text].concat())
    }

    /// `None`: it was sealed with another key, or for somebody else.
    pub(crate) fn open(&self, whose: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let plain = self
            .0
            .open_in_place(nonce, Aad::from(whose.as_bytes()), &mut text)
            .ok()?;
        Some(plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::string_slice, reason = "a test may panic")]

    use super::*;

    #[tokio::test]
    async fn who_hangs_up_keeps_his_place_until_the_work_is_over() {
        let passwords = Passwords::default();
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let (begun, has_begun) = std::sync::mpsc::channel();
        let work = passwords.work(move || {
            begun.send(()).unwrap();
            wait.recv().ok();
        });
        let hung_up = tokio::time::timeout(std::time::Duration::from_millis(1), work).await;
        assert!(hung_up.is_err());
        has_begun.recv().unwrap();
        assert_eq!(passwords.working.available_permits(), AT_ONCE - 1);
        drop(end);
        let all = u32::try_from(AT_ONCE).unwrap();
        drop(passwords.working.acquire_many(all).await.unwrap());
    }

    #[test]
    fn a_key_has_a_checksum_and_shows_little() {
        let key = key().unwrap();
        assert!(is_key(&key.0));
        assert_eq!((key.0.len(), prefix(&key).len()), (4 + 43 + 6, 12));
        let mut other = key.0.clone().into_bytes();
        other[10] = if other[10] == b'A' { b'B' } else { b'A' };
        for bad in [
            String::from_utf8(other).unwrap(),
            key.0[..key.0.len() - 1].to_owned(),
            format!("{}x", key.0),
            String::new(),
            "ivk_é".repeat(20),
        ] {
            assert!(!is_key(&bad), "{bad}");
        }
        assert!(!format!("{key:?}").contains(&key.0[8..]));
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        let secret = b"12345678901234567890";
        // Appendix B has eight digits; the last six are ours.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let ms: i64 = seconds * 1_000;
            let at = seconds / 30;
            for (moved, found) in [
                (-60_000, false),
                (-30_000, true),
                (0, true),
                (30_000, true),
                (60_000, false),
            ] {
                let got = step(secret, code, ms + moved, 0);
                assert_eq!(got, found.then_some(at), "{code} {moved}");
            }
            // Once.
            assert_eq!(step(secret, code, ms, at), None);
        }
        for bad in ["", "28708", "2870820", "28708a", "２８７０８２", "+87082"] {
            assert_eq!(step(secret, bad, 59_000, 0), None, "{bad}");
        }
    }

    #[test]
    fn what_is_sealed_opens_for_its_owner_alone() {
        let seal = Seal::new(&"k".repeat(32)).unwrap();
        let sealed = seal.seal("a", b"secret").unwrap();
        assert_eq!(seal.open("a", &sealed).unwrap(), b"secret");
        assert!(seal.open("b", &sealed).is_none());
        assert!(
            Seal::new(&"l".repeat(32))
                .unwrap()
                .open("a", &sealed)
                .is_none()
        );
        assert!(seal.open("a", &sealed[..20]).is_none());
        assert!(Seal::new("short").is_err());
    }

    #[test]
    fn passwords_that_are_no_good() {
        for (password, bad) in [
            ("correct horse battery", false),
            ("short", true),
            ("sato-taro-2026", true),
            ("aaaaaaaaaaaaa", true),
            ("121212121212", true),
            ("4111111111111111", true),
            ("tab\there is one", true),
            ("とても長いパスワードです", false),
            (&"x1y2z3".repeat(30), true),
        ] {
            assert_eq!(unfit(password, "sato").is_some(), bad, "{password}");
        }
    }

    #[test]
    fn a_recovery_code_is_read_however_it_is_written() {
        let codes = recovery_codes().unwrap();
        assert_eq!(codes.len(), 10);
        let code = &codes[0].0;
        let hash = recovery_hash(code).unwrap();
        assert_eq!(
            recovery_hash(&code.to_uppercase().replace('-', " ")),
            Some(hash)
        );
        assert_eq!(recovery_hash("123456"), None);
    }

    #[tokio::test]
    async fn a_password_is_told_from_another_and_nobodys_is_none() {
        let passwords = Passwords::default();
        let word = || Secret("correct horse battery".into());
        let Ok(Some(hash)) = passwords.hash(word()).await else {
            panic!("no hash");
        };
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        let is = async |word, hash| passwords.is(word, hash).await.is_ok_and(|is| is);
        assert!(is(word(), Some(hash.clone())).await);
        assert!(!is(Secret("correct horse batterx".into()), Some(hash)).await);
        assert!(!is(Secret("nobody's password".into()), None).await);
    }
}
