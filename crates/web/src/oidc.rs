//! Single sign-on by OpenID Connect: authorization code with PKCE; state and nonce are good once, for ten minutes. The issuer must say that it
//! has looked at a second factor, and whom it names must be a person here already: nobody is made.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use ivrpay_api as api;
use ivrpay_journal::{BegunSignIn, SecondProof, Session};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::{Mutex, Semaphore};

use crate::Web;
use crate::access::Address;
use crate::error::ApiError;
use crate::request;
use crate::secrets;
use crate::sessions::{answered, open};

/// How long the issuer's documents stand.
const KNOWN: Duration = Duration::from_secs(3_600);
/// How often they are read anew for a key that nobody knows.
const AGAIN: Duration = Duration::from_secs(60);
/// How long an issuer that did not answer is not asked again.
const FAILED: Duration = Duration::from_secs(10);
/// How long one waits for another who asks it.
const WAIT: Duration = Duration::from_secs(2);
/// Codes that it is asked about at once: one that is silent keeps no more of our connections.
const CODES_MAX: usize = 16;
/// How far the issuer's clock may be from ours, seconds.
const SKEW: i64 = 60;
/// Longest code and state that are taken, bytes.
const TEXT_MAX: usize = 4_096;

/// What is asked of the issuer.
#[derive(Debug, Clone)]
pub enum OidcAsks {
    /// A document.
    Get(String),
    /// A form, in our own name.
    Post(String, Vec<(&'static str, String)>),
}

/// Who asks it; the error is for people.
pub type OidcAsk =
    Arc<dyn Fn(OidcAsks) -> BoxFuture<'static, Result<Vec<u8>, Cow<'static, str>>> + Send + Sync>;

/// How single sign-on is set up.
pub struct OidcOptions {
    /// The issuer, as it names itself.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// Where it sends browsers back to.
    pub redirect_uri: String,
    /// Words of `amr` one of which shows the second factor.
    pub amr: Vec<String>,
    /// Words of `acr` one of which shows it; asked for, too.
    pub acr: Vec<String>,
    /// Asks it.
    pub ask: OidcAsk,
}

/// Single sign-on.
pub struct Oidc {
    options: OidcOptions,
    found: Mutex<Found>,
    codes: Semaphore,
}

/// What is known of the issuer.
#[derive(Default)]
struct Found {
    known: Option<Known>,
    /// Since when, and why, it does not answer.
    failed: Option<(Instant, Cow<'static, str>)>,
}

#[derive(Clone)]
struct Known {
    at: Instant,
    provider: Arc<Provider>,
    keys: Arc<Vec<Jwk>>,
}

#[derive(Deserialize)]
struct Provider {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    r#use: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    nonce: Option<String>,
    #[serde(default)]
    amr: Vec<String>,
    acr: Option<String>,
    email: Option<String>,
    #[serde(default)]
    email_verified: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

impl Oidc {
    /// Asks nobody yet.
    #[must_use]
    pub fn new(options: OidcOptions) -> Self {
        Self {
            options,
            found: Mutex::default(),
            codes: Semaphore::new(CODES_MAX),
        }
    }

    async fn ask<T: for<'d> Deserialize<'d>>(
        &self,
        asks: OidcAsks,
    ) -> Result<T, Cow<'static, str>> {
        let answer = (self.options.ask)(asks).await?;
        serde_json::from_slice(&answer).map_err(|_| "the issuer's answer can't be read".into())
    }

    /// The issuer's documents, not older than that.
    async fn known(&self, age: Duration) -> Result<Known, ApiError> {
        let found = tokio::time::timeout(WAIT, self.found.lock()).await;
        let mut found = found.map_err(|_| busy())?;
        let known = found.known.as_ref();
        if let Some(known) = known.filter(|known| known.at.elapsed() < age) {
            return Ok(known.clone());
        }
        if let Some((at, why)) = &found.failed
            && at.elapsed() < FAILED
        {
            return Err(ApiError::unavailable(why.clone()));
        }
        match self.read().await {
            Ok(known) => {
                found.known = Some(known.clone());
                found.failed = None;
                Ok(known)
            }
            Err(why) => {
                found.failed = Some((Instant::now(), why.clone()));
                Err(ApiError::unavailable(why))
            }
        }
    }

    async fn read(&self) -> Result<Known, Cow<'static, str>> {
        let issuer = &self.options.issuer;
        let url = format!(
            "{}/.well-known/openid-configuration",
            issuer.trim_end_matches('/')
        );
        let provider: Provider = self.ask(OidcAsks::Get(url)).await?;
        if provider.issuer != *issuer {
            return Err(
                "the issuer names itself otherwise than [access.oidc] issuer: write it as it does"
                    .into(),
            );
        }
        let keys: Jwks = self.ask(OidcAsks::Get(provider.jwks_uri.clone())).await?;
        Ok(Known {
            at: Instant::now(),
            provider: Arc::new(provider),
            keys: Arc::new(keys.keys),
        })
    }

    /// What the issuer has signed about somebody.
    async fn claims(&self, token: &str, nonce: &str, now_s: i64) -> Result<Claims, ApiError> {
        let known = self.known(KNOWN).await?;
        let read = match read(token, &known.keys) {
            // It may have another key since.
            Err(Bad::Key) => read(token, &self.known(AGAIN).await?.keys),
            read => read,
        };
        let claims = read.map_err(|bad| bad.told())?;
        self.judge(&claims, nonce, now_s)
            .map_err(ApiError::sign_in_failed_since)?;
        Ok(claims)
    }

    fn judge(&self, claims: &Claims, nonce: &str, now_s: i64) -> Result<(), &'static str> {
        let own = &self.options.client_id;
        let audience = match &claims.aud {
            Audience::One(one) => one == own,
            Audience::Several(all) => {
                all.contains(own) && (all.len() == 1 || claims.azp.as_ref() == Some(own))
            }
        };
        let nonce_is = claims
            .nonce
            .as_ref()
            .is_some_and(|said| bool::from(said.as_bytes().ct_eq(nonce.as_bytes())));
        for (good, why) in [
            (claims.iss == self.options.issuer, "it is another issuer's"),
            (
                audience && claims.azp.as_ref().is_none_or(|azp| azp == own),
                "it is for somebody else",
            ),
            (claims.exp > now_s - SKEW, "its time is over"),
            (
                claims.iat <= now_s + SKEW && claims.nbf.is_none_or(|from| from <= now_s + SKEW),
                "its time has not come: look at both clocks",
            ),
            (nonce_is, "it is of another sign-in"),
            (
                (1..=255).contains(&claims.sub.len()) && !claims.sub.contains('\0'),
                "it names nobody",
            ),
        ] {
            if !good {
                return Err(why);
            }
        }
        Ok(())
    }

    /// Whether the issuer says that it has looked at a second factor.
    fn is_proven(&self, claims: &Claims) -> bool {
        let amr = claims
            .amr
            .iter()
            .any(|word| self.options.amr.contains(word));
        let acr = claims.acr.as_ref();
        amr || acr.is_some_and(|word| self.options.acr.contains(word))
    }
}

/// Why what was signed is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bad {
    /// It is signed in no way that we take.
    Way,
    /// By no key that the issuer has.
    Key,
    /// It can't be read, or its signature is none.
    Signature,
}

impl Bad {
    fn told(self) -> ApiError {
        ApiError::sign_in_failed_since(match self {
            Self::Way => "it is signed in another way than RS256, ES256 or EdDSA",
            Self::Key => "it is signed by no key of the issuer's",
            Self::Signature => "its signature is not the issuer's",
        })
    }
}

/// What is signed, by one of these keys. The way is the key's, and the token's word on it must be the same: `none` and ways with a shared
/// secret are no way.
fn read(token: &str, keys: &[Jwk]) -> Result<Claims, Bad> {
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| Bad::Signature);
    let (signed, signature) = token.rsplit_once('.').ok_or(Bad::Signature)?;
    let (head, claims) = signed.split_once('.').ok_or(Bad::Signature)?;
    let head: Head = serde_json::from_slice(&bytes(head)?).map_err(|_| Bad::Signature)?;
    let (kty, crv) = match head.alg.as_str() {
        "RS256" => ("RSA", None),
        "ES256" => ("EC", Some("P-256")),
        "EdDSA" => ("OKP", Some("Ed25519")),
        _ => return Err(Bad::Way),
    };
    let signature = bytes(signature)?;
    let fit = |key: &&Jwk| {
        let of_use = key.r#use.as_deref().is_none_or(|of| of == "sig");
        let named = head.kid.is_none() || key.kid == head.kid;
        key.kty == kty && of_use && named && (crv.is_none() || key.crv.as_deref() == crv)
    };
    let mut keys = keys.iter().filter(fit).peekable();
    if keys.peek().is_none() {
        return Err(Bad::Key);
    }
    let good = keys.any(|key| is_signed(key, signed.as_bytes(), &signature).unwrap_or_default());
    if !good {
        return Err(Bad::Signature);
    }
    serde_json::from_slice(&bytes(claims)?).map_err(|_| Bad::Signature)
}

fn is_signed(key: &Jwk, signed: &[u8], signature: &[u8]) -> Option<bool> {
    let part = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
    let verified = match key.kty.as_str() {
        "RSA" => RsaPublicKeyComponents {
            n: part(&key.n)?,
            e: part(&key.e)?,
        }
        .verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature),
        "EC" => {
            let point = [vec![4], part(&key.x)?, part(&key.y)?].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature)
        }
        "OKP" => UnparsedPublicKey::new(&ED25519, part(&key.x)?).verify(signed, signature),
        _ => return None,
    };
    Some(verified.is_ok())
}

fn busy() -> ApiError {
    ApiError::unavailable(
        "the issuer of single sign-on takes long to answer: try again in a moment",
    )
}

fn set_up(web: &Web) -> Result<&Oidc, ApiError> {
    let oidc = web.access.options().oidc.as_ref();
    oidc.ok_or_else(|| ApiError::not_found("there is no single sign-on: see [access.oidc]"))
}

/// Single sign-on begins: where the browser has to go.
#[utoipa::path(get, path = "/v1/sign-in/oidc", responses((status = 200, body = api::OidcBegun)))]
pub(crate) async fn begin(
    State(web): State<Web>,
    Extension(address): Extension<Address>,
) -> Result<Json<api::OidcBegun>, ApiError> {
    let oidc = set_up(&web)?;
    web.access.may_sign_in(&web, &address.0)?;
    let known = oidc.known(KNOWN).await?;
    let (state, nonce, verifier) = (secrets::chance()?, secrets::chance()?, secrets::chance()?);
    let begun = BegunSignIn { nonce, verifier };
    web.journal.begin_sign_in(&state, &begun).await?;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(begun.verifier.as_bytes()));
    let options = &oidc.options;
    let mut query = vec![
        ("response_type", "code"),
        ("scope", "openid email"),
        ("client_id", &options.client_id),
        ("redirect_uri", &options.redirect_uri),
        ("state", &state),
        ("nonce", &begun.nonce),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let acr = options.acr.join(" ");
    if !acr.is_empty() {
        query.push(("acr_values", &acr));
    }
    let query: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{name}={}", percent(value)))
        .collect();
    let at = &known.provider.authorization_endpoint;
    let joint = if at.contains('?') { '&' } else { '?' };
    Ok(Json(api::OidcBegun {
        url: format!("{at}{joint}{}", query.join("&")),
        state: api::Secret(state),
    }))
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

/// Single sign-on ends: what the issuer has sent the browser back with.
#[utoipa::path(post, path = "/v1/sessions/oidc", request_body = api::SignInOidc, responses((status = 201, body = api::Session)))]
pub(crate) async fn end(
    State(web): State<Web>,
    Extension(address): Extension<Address>,
    body: Result<Json<api::SignInOidc>, JsonRejection>,
) -> Result<Response, ApiError> {
    set_up(&web)?;
    web.access.may_sign_in(&web, &address.0)?;
    let Json(body) = body?;
    if body.code.0.len() > TEXT_MAX || body.state.0.len() > TEXT_MAX {
        return Err(ApiError::invalid("code, state: at most 4096 bytes"));
    }
    // Whoever hangs up has tried all the same.
    let done = request::to_its_end(async move {
        let signed_in = sign_in(&web, &address, body).await;
        answered(&web, &address, "", signed_in).await
    });
    done.await.unwrap_or_else(|_| Err(ApiError::internal()))
}

async fn sign_in(
    web: &Web,
    address: &Address,
    body: api::SignInOidc,
) -> Result<(api::Secret, Session), ApiError> {
    let oidc = set_up(web)?;
    let begun = web.journal.take_sign_in(&body.state.0).await?;
    let begun = begun.ok_or_else(|| {
        ApiError::sign_in_failed_since("it was begun by nobody here, or more than ten minutes ago")
    })?;
    let known = oidc.known(KNOWN).await?;
    let form = vec![
        ("grant_type", "authorization_code".to_owned()),
        ("code", body.code.0),
        ("redirect_uri", oidc.options.redirect_uri.clone()),
        ("client_id", oidc.options.client_id.clone()),
        ("code_verifier", begun.verifier),
    ];
    let at = known.provider.token_endpoint.clone();
    let asking = oidc.codes.try_acquire().map_err(|_| busy())?;
    let tokens = oidc.ask(OidcAsks::Post(at, form)).await;
    let tokens: Tokens = tokens.map_err(ApiError::unavailable)?;
    drop(asking);
    let now_s = web.now_ms().div_euclid(1_000);
    let claims = oidc.claims(&tokens.id_token, &begun.nonce, now_s).await?;
    if !oidc.is_proven(&claims) {
        return Err(ApiError::second_factor_missing(
            "the issuer does not say that it has looked at a second factor: have it ask for one, or name its word for that in [access.oidc] amr or acr",
        ));
    }
    let email = claims
        .email
        .filter(|email| claims.email_verified && !email.contains('\0'));
    let person = web.journal.person_of(&claims.sub, email.as_deref()).await?;
    let person = person.ok_or_else(|| {
        ApiError::sign_in_failed_since(
            "nobody here has this subject or email: make that person first",
        )
    })?;
    open(web, address, person, SecondProof::SingleSignOn, None)
        .await?
        .ok_or_else(ApiError::sign_in_failed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    /// Made with openssl; its private key is gone.
    const N: &str = concat!(
        "qLcGr_n55Z9xA8D7llwXu6NCRBcLJ66CAc614U6AbVn2CczbMwuHd4aC_W53XIE6JVka6UiUqwJjN849PEuEaHC-ksRd4Qo6hMTr",
        "jdxVcu5WHdcOVvhQM01FpgJh4So5quO63k3P4T5l1hjaIl7yQK--dX9t-sICz5WrRpix4JWsEMf4o4G65fgdZHIzt13kRQDWarH1",
        "1g0NaDvRG5vgSmnWnezSi32L5paEYMCw1BDQBNaNc_fUyX6co6c0YXS2vA-sIiW-MKVmf7aG09peBXpaGKGMhqKY72t5m_OL4CCX",
        "AUBPGB4wmy443VoIoNVWIxZlLbreTJf5gQCXHUTZ-Q",
    );
    const TOKEN: &str = concat!(
        "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInIifQ.eyJpc3MiOiAiaSIsICJzdWIiOiAicyIsICJhdWQiOiAiYSIsICJleHAiOiAxL",
        "CAiaWF0IjogMX0.Ogw5C4iKs2-ey6XwvqYDScmuICatAjaTyepGyQ91dWPvKObpJk-zKCga9jJx5HfTSH3cr08Fa5kICmHaI5Bb1",
        "TwEFuChZuElJESo1zh8DBk_1tOlDZA-Q32WNkFgqXceiWlre09r-XVbwBvge9HTcKY_E3GnZLyaYhtzzUYj9NfK3Gl2AIK-4lMo_",
        "7W_CVArGrVzHFvi8_NZ4FOFMto5ThGO-YEwO0zDO-ffnI9JLvaS0z6ida_G0SKqL_5lbNve8A2U-z4xAERQ2wyNApa8NHlUyA0UP",
        "qJEaLE_iM_TOM9ZIDIlXs2IXTb7X2x-1GmmG8_GJ-X2TqP5or8-S9qugg",
    );

    fn key(kid: &str, kty: &str) -> Jwk {
        Jwk {
            kty: kty.into(),
            kid: Some(kid.into()),
            n: Some(N.into()),
            e: Some("AQAB".into()),
            ..Jwk::default()
        }
    }

    #[test]
    fn what_another_program_has_signed_is_read_and_nothing_else() {
        assert_eq!(read(TOKEN, &[key("r", "RSA")]).unwrap().sub, "s");
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let (_, rest) = TOKEN.split_once('.').unwrap();
        let (claims, signature) = rest.split_once('.').unwrap();
        let (head, _) = TOKEN.split_once('.').unwrap();
        let with = |head: &str| format!("{}.{claims}.{signature}", encode(head));
        let other = encode(r#"{"iss":"i","sub":"eve","aud":"a","exp":1,"iat":1}"#);
        for (token, bad) in [
            (with(r#"{"alg":"none"}"#), Bad::Way),
            (with(r#"{"alg":"HS256","kid":"r"}"#), Bad::Way),
            (with(r#"{"alg":"RS512","kid":"r"}"#), Bad::Way),
            (with(r#"{"alg":"ES256","kid":"r"}"#), Bad::Key),
            (with(r#"{"alg":"RS256","kid":"q"}"#), Bad::Key),
            (with(r#"{"alg":"RS256"}"#), Bad::Signature),
            (format!("{head}.{other}.{signature}"), Bad::Signature),
            (format!("{head}.{claims}."), Bad::Signature),
            (format!("{head}.{claims}"), Bad::Signature),
            (String::new(), Bad::Signature),
            ("a.b.c".into(), Bad::Signature),
        ] {
            assert_eq!(read(&token, &[key("r", "RSA")]).err(), Some(bad), "{token}");
        }
        assert_eq!(read(TOKEN, &[]).err(), Some(Bad::Key));
    }
}
