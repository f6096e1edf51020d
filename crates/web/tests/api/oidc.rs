//! Single sign-on, against an issuer of the test's own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ivrpay_web::{OidcAsk, OidcAsks, OidcOptions};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::*;

const ISSUER: &str = "https://id.example.com";

/// What it says of whoever signs in, and what it was asked.
pub(super) struct Issuer {
    key: Ed25519KeyPair,
    /// What is other than it should be in the next claims.
    other: Mutex<Value>,
    nonce: Mutex<String>,
    asked: Mutex<Vec<(&'static str, String)>>,
    /// It does not answer, and how often it was asked then.
    down: AtomicBool,
    asks: AtomicU64,
}

impl Issuer {
    pub(super) fn new() -> Arc<Self> {
        let document = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
        Arc::new(Self {
            key: Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap(),
            other: Mutex::new(json!({})),
            nonce: Mutex::default(),
            asked: Mutex::default(),
            down: AtomicBool::default(),
            asks: AtomicU64::default(),
        })
    }

    pub(super) fn options(self: &Arc<Self>) -> OidcOptions {
        let issuer = Arc::clone(self);
        let ask: OidcAsk = Arc::new(move |asks| {
            let answer = if issuer.down.load(Ordering::SeqCst) {
                issuer.asks.fetch_add(1, Ordering::SeqCst);
                Err("it does not answer".into())
            } else {
                Ok(issuer.answer(asks).to_string().into_bytes())
            };
            std::future::ready(answer).boxed()
        });
        OidcOptions {
            issuer: ISSUER.into(),
            client_id: "ivrpay".into(),
            redirect_uri: "https://pay.example.com/back".into(),
            amr: vec!["mfa".into()],
            acr: vec!["two".into()],
            ask,
        }
    }

    fn answer(&self, asks: OidcAsks) -> Value {
        match asks {
            OidcAsks::Get(url) if url.ends_with("/.well-known/openid-configuration") => json!({
                "issuer": ISSUER, "authorization_endpoint": format!("{ISSUER}/ask"),
                "token_endpoint": format!("{ISSUER}/token"), "jwks_uri": format!("{ISSUER}/keys"),
            }),
            OidcAsks::Get(_) => {
                let x = URL_SAFE_NO_PAD.encode(self.key.public_key().as_ref());
                json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "use": "sig", "x": x}]})
            }
            OidcAsks::Post(_, form) => {
                *self.asked.lock().unwrap() = form;
                json!({"id_token": self.token(), "access_token": "x", "token_type": "Bearer"})
            }
        }
    }

    fn token(&self) -> String {
        let now = NOW_MS / 1_000;
        let mut claims = json!({"iss": ISSUER, "aud": "ivrpay", "sub": "sato-1", "exp": now + 300, "iat": now,
            "nonce": *self.nonce.lock().unwrap(), "amr": ["pwd", "mfa"]});
        let other = self.other.lock().unwrap();
        for (name, value) in other.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let head = json!({"alg": "EdDSA", "kid": "1"}).to_string();
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(head),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// What stands in a URL under this name.
fn part<'u>(url: &'u str, name: &str) -> &'u str {
    let rest = url.split_once(&format!("{name}=")).unwrap().1;
    rest.split('&').next().unwrap()
}

#[tokio::test]
async fn an_issuer_says_who_it_is_and_that_it_has_looked_twice() {
    let server = Server::start().await;
    let person = json!({"name": "sato", "role": "operator", "tenant": "tokyo", "subject": "sato-1", "by": "root"});
    let sato = server.send("", "/v1/people", person).await;
    let mori = json!({"name": "mori", "role": "operator", "tenant": "tokyo", "email": "Mori@Example.com", "by": "root"});
    server.send("", "/v1/people", mori).await;
    let end = async |state: &str| {
        let body = json!({"code": "c-1", "state": state});
        server.send_open("/v1/sessions/oidc", body).await
    };
    let begin = async || {
        let begun = server.get("", "/v1/sign-in/oidc").await;
        let url = begun.body["url"].as_str().unwrap().to_owned();
        *server.issuer.nonce.lock().unwrap() = part(&url, "nonce").to_owned();
        (url, begun.body["state"].as_str().unwrap().to_owned())
    };
    let (url, state) = begin().await;
    assert!(
        url.starts_with("https://id.example.com/ask?response_type=code&"),
        "{url}"
    );
    assert!(
        url.contains("redirect_uri=https%3A%2F%2Fpay.example.com%2Fback"),
        "{url}"
    );
    assert_eq!(part(&url, "state"), state);
    let answer = end(&state).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.body["person"], "sato");
    // We were the ones who began.
    let asked = server.issuer.asked.lock().unwrap().clone();
    let verifier = &asked
        .iter()
        .find(|(name, _)| *name == "code_verifier")
        .unwrap()
        .1;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    assert_eq!(part(&url, "code_challenge"), challenge);
    let token = answer.body["token"].as_str().unwrap();
    assert_eq!(server.get(token, "/v1/session").await.status, 200);
    // Once.
    assert_eq!(end(&state).await.code(), "sign-in-failed");
    assert_eq!(end("of-my-own").await.code(), "sign-in-failed");
    let now = NOW_MS / 1_000;
    for (other, code) in [
        (json!({"amr": ["pwd"]}), "second-factor-missing"),
        (json!({"amr": []}), "second-factor-missing"),
        (json!({"amr": ["pwd"], "acr": "two"}), ""),
        (json!({"iss": "https://evil.example.com"}), "sign-in-failed"),
        (json!({"aud": "another"}), "sign-in-failed"),
        (json!({"aud": ["ivrpay", "another"]}), "sign-in-failed"),
        (json!({"aud": ["ivrpay", "another"], "azp": "ivrpay"}), ""),
        (json!({"azp": "another"}), "sign-in-failed"),
        (json!({"exp": now - 61}), "sign-in-failed"),
        (json!({"iat": now + 3_600}), "sign-in-failed"),
        (json!({"nonce": "another"}), "sign-in-failed"),
        (json!({"nonce": null}), "sign-in-failed"),
        (json!({"sub": "nobody"}), "sign-in-failed"),
        // An address that it has not looked at is nobody's, and one of who has a subject is not his.
        (
            json!({"sub": "m-1", "email": "mori@example.com"}),
            "sign-in-failed",
        ),
        (
            json!({"sub": "m-1", "email": "mori@example.com", "email_verified": true}),
            "",
        ),
    ] {
        *server.issuer.other.lock().unwrap() = other.clone();
        let (_, state) = begin().await;
        let answer = end(&state).await;
        let status = match code {
            "" => 201,
            "second-factor-missing" => 403,
            _ => 401,
        };
        assert_eq!(
            (answer.status, answer.code()),
            (status, code),
            "{other}: {answer:?}"
        );
        server.steady_ms.fetch_add(10_000, Ordering::Relaxed);
    }
    *server.issuer.other.lock().unwrap() = json!({});
    // Nobody comes in who may not any more, and nothing that was begun too long ago.
    let (_, late) = begin().await;
    let path = format!("/v1/people/{}/disable", sato.body["id"].as_str().unwrap());
    server.send("", &path, json!({"by": "root"})).await;
    let (_, state) = begin().await;
    assert_eq!(end(&state).await.code(), "sign-in-failed");
    server.now_ms.fetch_add(601_000, Ordering::SeqCst);
    assert_eq!(end(&late).await.code(), "sign-in-failed");
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_is_left_alone_for_a_while() {
    let server = Server::start().await;
    server.issuer.down.store(true, Ordering::SeqCst);
    for _ in 0..5 {
        let begun = server.get("", "/v1/sign-in/oidc").await;
        assert_eq!((begun.status, begun.code()), (503, "unavailable"));
    }
    assert_eq!(server.issuer.asks.load(Ordering::SeqCst), 1);
}
