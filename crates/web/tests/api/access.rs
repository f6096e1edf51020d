//! Who may what: people sign in with two factors, programs with keys that end, and everything that somebody does is kept.

use super::*;

const WORD: &str = "correct horse battery";

/// Somebody of tokyo's with a password and a second factor; the socket has made him.
pub(super) struct Someone {
    pub(super) id: String,
    name: String,
    secret: Vec<u8>,
    recovery: Vec<String>,
}

/// The code of a second factor (RFC 6238).
fn code(secret: &[u8], at_ms: i64) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let step = at_ms / 30_000;
    let tag = ring::hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[19] & 0xf);
    let number = u32::from_be_bytes(tag[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

impl Server {
    fn now(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    pub(super) fn wait(&self, seconds: i64) {
        self.now_ms.fetch_add(seconds * 1_000, Ordering::SeqCst);
        // Tries by address have a limit of their own.
        let ms = u64::try_from(seconds * 1_000).unwrap();
        self.steady_ms.fetch_add(ms, Ordering::Relaxed);
    }

    pub(super) async fn someone(&self, name: &str, role: &str, tenant: Option<&str>) -> Someone {
        self.someone_by("", name, role, tenant).await
    }

    /// Made by who has this token; by the socket where there is none.
    async fn someone_by(
        &self,
        maker: &str,
        name: &str,
        role: &str,
        tenant: Option<&str>,
    ) -> Someone {
        let by = maker.is_empty().then_some("root");
        let body =
            json!({"name": name, "role": role, "tenant": tenant, "extension": "201", "by": by});
        let made = self.send(maker, "/v1/people", body).await;
        assert_eq!(made.status, 201, "{made:?}");
        let id = made.body["id"].as_str().unwrap().to_owned();
        let password = json!({"password": WORD, "by": by});
        let path = format!("/v1/people/{id}/password");
        assert_eq!(self.send(maker, &path, password).await.status, 200);
        let path = format!("/v1/people/{id}/second-factor");
        let factor = self.send(maker, &path, json!({"by": by})).await;
        let secret = factor.body["secret"].as_str().unwrap();
        let secret = data_encoding::BASE32_NOPAD
            .decode(secret.as_bytes())
            .unwrap();
        assert!(
            factor.body["uri"]
                .as_str()
                .unwrap()
                .starts_with("otpauth://totp/ivrpay:")
        );
        let confirm = json!({"code": code(&secret, self.now() - 30_000), "by": by});
        let codes = self.send(maker, &format!("{path}/confirm"), confirm).await;
        assert_eq!(codes.status, 200, "{codes:?}");
        let codes = codes.body["codes"].as_array().unwrap().iter();
        Someone {
            id,
            name: name.into(),
            secret,
            recovery: codes.map(|c| c.as_str().unwrap().to_owned()).collect(),
        }
    }

    async fn try_in(&self, name: &str, password: &str, code: Option<&str>) -> Answer {
        let mut body = json!({"person": name, "password": password});
        if let Some(code) = code {
            body["code"] = code.into();
        }
        let head = "content-type: application/json\r\n";
        ask(
            self.api,
            "POST",
            "/v1/sessions",
            "",
            head,
            &body.to_string(),
        )
        .await
    }

    /// The token of a session.
    pub(super) async fn sign_in(&self, someone: &Someone) -> String {
        self.wait(30);
        let code = code(&someone.secret, self.now());
        let answer = self.try_in(&someone.name, WORD, Some(&code)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body["token"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_person_signs_in_with_two_factors_and_out() {
    let server = Server::start().await;
    let sato = server.someone("Sato", "operator", Some("tokyo")).await;
    server.wait(30);
    let right = code(&sato.secret, server.now());
    let answer = server.try_in("sato", WORD, None).await;
    assert_eq!((answer.status, answer.code()), (401, "code-required"));
    for (name, password, code) in [
        ("sato", "another horse battery", Some(&*right)),
        ("sato", WORD, Some("000000")),
        ("nobody", WORD, Some(&*right)),
        ("sato", WORD, Some("")),
    ] {
        let zero = server.try_in(&format!("{name}\0"), password, code).await;
        assert_eq!(zero.status, 400, "{zero:?}");
        let answer = server.try_in(name, password, code).await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "sign-in-failed"),
            "{name}"
        );
    }
    let answer = server.try_in("SATO", WORD, Some(&right)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let token = answer.body["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("ivs_"));
    for (field, value) in [
        ("person", json!("sato")),
        ("tenant", json!("tokyo")),
        ("role", json!("operator")),
        ("extension", json!("201")),
        ("idle_seconds", json!(900)),
    ] {
        assert_eq!(answer.body[field], value, "{field}");
    }
    // The same code is good once.
    let again = server.try_in("sato", WORD, Some(&right)).await;
    assert_eq!(again.code(), "sign-in-failed");
    let session = server.get(&token, "/v1/session").await;
    assert_eq!(session.body["person"], "sato");
    assert!(session.body["token"].is_null());
    // He does what his role may, in his own name.
    let order = json!({"amount": 1200, "order_id": "P-1"});
    let made = server.send(&token, "/v1/payments", order).await;
    assert_eq!(made.status, 201, "{made:?}");
    let cancel = format!("/v1/payments/{}/cancel", made.body["id"].as_str().unwrap());
    let other = server.send(&token, &cancel, json!({"by": "tanaka"})).await;
    assert_eq!((other.status, other.code()), (403, "forbidden"));
    assert_eq!(server.send(&token, &cancel, json!({})).await.status, 200);
    for path in ["/v1/people", "/v1/keys", "/v1/audit", "/metrics"] {
        assert_eq!(server.get(&token, path).await.status, 403, "{path}");
    }
    // A recovery code signs in once.
    let lost = server.try_in("sato", WORD, Some(&sato.recovery[0])).await;
    assert_eq!(lost.status, 201);
    let lost = server.try_in("sato", WORD, Some(&sato.recovery[0])).await;
    assert_eq!(lost.code(), "sign-in-failed");
    let end = ask(server.api, "POST", "/v1/session/end", &token, "", "").await;
    assert_eq!(end.status, 204);
    let ended = server.get(&token, "/v1/session").await;
    assert_eq!((ended.status, ended.code()), (401, "session-ended"));
}

#[tokio::test]
async fn a_session_ends_by_its_time_and_by_what_becomes_of_its_person() {
    let server = Server::start().await;
    let sato = server.someone("sato", "operator", Some("tokyo")).await;
    let see = async |token: &str| server.get(token, "/v1/session").await.status;
    // Fourteen minutes again and again are none too many, sixteen are.
    let token = server.sign_in(&sato).await;
    for _ in 0..3 {
        server.wait(14 * 60);
        assert_eq!(see(&token).await, 200);
    }
    server.wait(16 * 60);
    assert_eq!(see(&token).await, 401);
    // Twelve hours are enough, however busy.
    let token = server.sign_in(&sato).await;
    for _ in 0..(12 * 5) {
        server.wait(12 * 60);
        see(&token).await;
    }
    assert_eq!(see(&token).await, 401);
    let of = |what: &str| format!("/v1/people/{}/{what}", sato.id);
    for (what, body) in [
        ("password", json!({"password": WORD, "by": "root"})),
        ("disable", json!({"by": "root"})),
    ] {
        let token = server.sign_in(&sato).await;
        assert_eq!(see(&token).await, 200);
        assert_eq!(server.send("", &of(what), body).await.status, 200, "{what}");
        assert_eq!(see(&token).await, 401, "{what}");
    }
    server.wait(30);
    let right = code(&sato.secret, server.now());
    let disabled = server.try_in("sato", WORD, Some(&right)).await;
    assert_eq!(disabled.code(), "sign-in-failed");
    assert_eq!(
        server
            .send("", &of("enable"), json!({"by": "root"}))
            .await
            .status,
        200
    );
    // His own password, by himself.
    let token = server.sign_in(&sato).await;
    let change = async |old: &str, new: &str| {
        let body = json!({"old": old, "new": new});
        server.send(&token, "/v1/session/password", body).await
    };
    assert_eq!(
        change("wrong horse battery", "another fine word")
            .await
            .status,
        403
    );
    for bad in ["short", "i am sato and long", WORD] {
        assert_eq!(change(WORD, bad).await.status, 400, "{bad}");
    }
    assert_eq!(change(WORD, "another fine word").await.status, 204);
    assert_eq!(see(&token).await, 401);
}

#[tokio::test]
async fn ten_tries_lock_a_name_whoever_has_it() {
    let server = Server::start().await;
    let sato = server.someone("sato", "operator", Some("tokyo")).await;
    for name in ["sato", "nobody"] {
        let mut answers = Vec::new();
        for _ in 0..12 {
            let answer = server.try_in(name, "wrong horse battery", None).await;
            answers.push((answer.status, answer.code().to_owned()));
            server.wait(2);
        }
        let (tries, locked) = answers.split_at(10);
        assert!(
            tries.iter().all(|a| *a == (401, "sign-in-failed".into())),
            "{answers:?}"
        );
        assert!(
            locked.iter().all(|a| *a == (429, "locked".into())),
            "{answers:?}"
        );
    }
    // The right one does not help, and says nothing.
    let right = code(&sato.secret, server.now());
    let answer = server.try_in("sato", WORD, Some(&right)).await;
    assert_eq!(answer.code(), "locked");
    assert!(answer.header("retry-after").is_some());
    server.wait(31 * 60);
    server.sign_in(&sato).await;
    // Codes are guessed no better: the right password takes nothing back.
    for _ in 0..10 {
        assert_eq!(
            server.try_in("sato", WORD, Some("000000")).await.code(),
            "sign-in-failed"
        );
        server.wait(2);
    }
    assert_eq!(server.try_in("sato", WORD, None).await.code(), "locked");
    let unlock = format!("/v1/people/{}/unlock", sato.id);
    assert_eq!(
        server.send("", &unlock, json!({"by": "root"})).await.status,
        200
    );
    server.sign_in(&sato).await;
    // As many at once as one likes are not more.
    let at_once = (0..30).map(|_| server.try_in("tanaka", "wrong horse battery", None));
    let answers = futures_util::future::join_all(at_once).await;
    let tried = answers
        .iter()
        .filter(|a| a.code() == "sign-in-failed")
        .count();
    assert!(tried <= 10, "{tried}");
}

#[tokio::test]
async fn a_key_is_shown_once_rotated_and_ends() {
    let server = Server::start().await;
    let body = json!({"tenant": "tokyo", "name": "crm", "scopes": ["payments:read"], "by": "root",
        "expires_at": "2027-01-01T00:00:00Z"});
    let made = server.send("", "/v1/keys", body.clone()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let (key, id) = (
        made.body["key"].as_str().unwrap(),
        made.body["id"].as_str().unwrap(),
    );
    assert!(key.starts_with("ivk_") && key.starts_with(made.body["prefix"].as_str().unwrap()));
    let list = async |key: &str| server.get(key, "/v1/payments").await;
    assert_eq!(list(key).await.status, 200);
    // It reads, and does no more.
    let order = json!({"amount": 1200, "order_id": "K-1"});
    assert_eq!(server.send(key, "/v1/payments", order).await.status, 403);
    let shown = server.get("tokyo-key", "/v1/keys").await;
    assert!(!shown.body.to_string().contains(key));
    assert!(shown.body["keys"][0]["used_at"].is_string(), "{shown:?}");
    assert_eq!(
        server.get("paris-key", "/v1/keys").await.body["keys"],
        json!([])
    );
    let other = format!("/v1/keys/{id}/revoke");
    assert_eq!(
        server
            .send("paris-key", &other, json!({"by": "eve"}))
            .await
            .status,
        404
    );
    // Nobody makes one that may more than he does.
    let mut more = body.clone();
    more["scopes"] = json!(["payments", "keys"]);
    let lesser = json!({"tenant": "tokyo", "name": "l", "scopes": ["keys"], "by": "root"});
    let lesser = server.send("", "/v1/keys", lesser).await;
    let lesser = lesser.body["key"].as_str().unwrap();
    assert_eq!(server.send(lesser, "/v1/keys", more).await.status, 403);
    for (field, bad) in [
        ("scopes", json!([])),
        ("scopes", json!(["everything"])),
        ("tenant", json!("ghost")),
        ("expires_at", json!("2020-01-01T00:00:00Z")),
        ("name", json!("4111111111111111")),
        ("name", json!("approved by mori")),
        ("name", json!("Session")),
        ("name", json!("recovery")),
    ] {
        let mut body = body.clone();
        body[field] = bad;
        assert_eq!(
            server.send("", "/v1/keys", body).await.status,
            400,
            "{field}"
        );
    }
    // Nobody takes his own limit off.
    let mut own =
        json!({"name": "own", "scopes": ["events"], "requests_per_minute": 0, "by": "eve"});
    assert_eq!(
        server
            .send("slow-key", "/v1/keys", own.clone())
            .await
            .status,
        403
    );
    own.as_object_mut().unwrap().remove("requests_per_minute");
    let own = server.send("slow-key", "/v1/keys", own).await;
    assert_eq!(own.body["requests_per_minute"], 3, "{own:?}");
    // Both are good for a while.
    let rotate = json!({"overlap_hours": 1, "by": "root"});
    let rotated = server
        .send("", &format!("/v1/keys/{id}/rotate"), rotate)
        .await;
    let new = rotated.body["key"].as_str().unwrap();
    assert_eq!((list(key).await.status, list(new).await.status), (200, 200));
    server.wait(3_601);
    let old = list(key).await;
    assert_eq!((old.status, old.code()), (401, "key-expired"));
    assert_eq!(list(new).await.status, 200);
    let id = rotated.body["id"].as_str().unwrap();
    let revoked = server
        .send("", &format!("/v1/keys/{id}/revoke"), json!({"by": "root"}))
        .await;
    assert_eq!(revoked.body["state"], "revoked");
    assert_eq!(list(new).await.code(), "unauthorized");
}

#[tokio::test]
async fn nobody_makes_or_gets_hold_of_somebody_who_may_more() {
    let server = Server::start().await;
    let admin = server.someone("admin", "admin", Some("tokyo")).await;
    let all = server.someone("chief", "admin", None).await;
    let sato = server.someone("sato", "operator", Some("tokyo")).await;
    let eve = server.someone("eve", "operator", Some("paris")).await;
    let token = server.sign_in(&admin).await;
    let people = server.get(&token, "/v1/people").await;
    let names: Vec<_> = people.body["people"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["name"].clone())
        .collect();
    assert_eq!(names, ["admin", "sato"]);
    let password = json!({"password": "an entirely other word"});
    for (whose, status) in [(&sato, 200), (&admin, 403), (&all, 404), (&eve, 404)] {
        let path = format!("/v1/people/{}/password", whose.id);
        let answer = server.send(&token, &path, password.clone()).await;
        assert_eq!(answer.status, status, "{}", whose.name);
    }
    for (body, status) in [
        (json!({"name": "b", "role": "operator"}), 201),
        (json!({"name": "b", "role": "operator"}), 409),
        (json!({"name": "c", "role": "king"}), 400),
        (
            json!({"name": "c", "role": "operator", "tenant": "paris"}),
            403,
        ),
        (json!({"name": "c d", "role": "operator"}), 400),
        (json!({"name": "c", "role": "operator", "by": "root"}), 403),
    ] {
        let answer = server.send(&token, "/v1/people", body.clone()).await;
        assert_eq!(answer.status, status, "{body}");
    }
    // A key for people that may little makes nobody who may more.
    let key = json!({"tenant": "tokyo", "name": "hr", "scopes": ["people"], "by": "root"});
    let key = server.send("", "/v1/keys", key).await;
    let key = key.body["key"].as_str().unwrap();
    let body = json!({"name": "d", "role": "admin", "by": "hr"});
    assert_eq!(server.send(key, "/v1/people", body).await.status, 403);
    let path = format!("/v1/people/{}/password", admin.id);
    let password = json!({"password": "an entirely other word", "by": "hr"});
    assert_eq!(server.send(key, &path, password).await.status, 403);
    // Without a second factor nobody comes in.
    let path = format!("/v1/people/{}/second-factor", sato.id);
    assert_eq!(
        server.send("", &path, json!({"by": "root"})).await.status,
        200
    );
    let answer = server
        .try_in("sato", "an entirely other word", Some("123456"))
        .await;
    assert_eq!(
        (answer.status, answer.code()),
        (403, "second-factor-missing")
    );
}

#[tokio::test]
async fn everything_that_somebody_does_is_kept_without_a_secret() {
    let server = Server::start().await;
    let admin = server.someone("admin", "admin", None).await;
    let token = server.sign_in(&admin).await;
    let order = json!({"amount": 1200, "order_id": "T-1"});
    let made = server.send("tokyo-key", "/v1/payments", order).await;
    let id = made.body["id"].as_str().unwrap();
    let cancel = format!("/v1/payments/{id}/cancel");
    server
        .send("tokyo-key", &cancel, json!({"by": "sato"}))
        .await;
    server.try_in("admin", "wrong horse battery", None).await;
    server
        .try_in("my secret password", "wrong horse battery", None)
        .await;
    server.get("ivs_nobodys", "/v1/payments").await;
    server
        .send(
            "tokyo-key",
            "/v1/payments/4111111111111111/cancel",
            json!({"by": "sato"}),
        )
        .await;
    // Nobody needs a key to be refused.
    let card = "4111%2D1111%2D1111%2D1111";
    server
        .get("ivs_nobodys", &format!("/v1/payments/{card}"))
        .await;
    let path = format!("/v1/payments/{card}/cancel");
    server.send("tokyo-key", &path, json!({"by": "sato"})).await;
    let log = server.get(&token, "/v1/audit?limit=200").await;
    let entries = log.body["entries"].as_array().unwrap();
    let has = |who: &str, via: &str, what: &str, result: &str| {
        let found = entries.iter().any(|e| {
            e["who"] == who
                && e["via"] == via
                && e["what"] == what
                && e["result"].as_str().unwrap().starts_with(result)
        });
        assert!(found, "{who} {via} {what} {result}: {entries:#?}");
    };
    has("", "socket", "POST /v1/people", "begun");
    has("", "socket", "POST /v1/people", "201 /v1/people/");
    has("admin", "sign-in", "sign in", "201");
    has("admin", "sign-in", "sign in", "sign-in-failed");
    has("", "sign-in", "sign in", "sign-in-failed");
    has("tokyo-key", "key", &format!("POST {cancel}"), "begun");
    has("tokyo-key", "key", &format!("POST {cancel}"), "200");
    has("", "key", "GET /v1/payments", "401 session-ended");
    has("", "key", "GET /v1/payments/{id}", "401 session-ended");
    has("tokyo-key", "key", "POST /v1/payments/{id}/cancel", "400");
    assert!(
        entries
            .iter()
            .any(|e| e["by"] == "sato" && e["tenant"] == "tokyo")
    );
    let text = log.body.to_string();
    for secret in [
        WORD,
        "my secret password",
        "wrong horse",
        &token,
        "4111111111111111",
        "4111%2D",
        &admin.recovery[0],
    ] {
        assert!(!text.contains(secret), "{secret}");
    }
    // Read on for ever, page by page.
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let page = server
            .get(&token, &format!("/v1/audit?after={after}&limit=7"))
            .await;
        let page = page.body["entries"].as_array().unwrap().clone();
        let Some(last) = page.last() else { break };
        after = last["id"].as_i64().unwrap();
        seen.extend(page);
    }
    let mut newest: Vec<_> = entries.clone();
    newest.reverse();
    assert_eq!(seen, newest);
    // A merchant's own alone.
    let own = server.get("tokyo-key", "/v1/audit").await;
    let own = own.body["entries"].as_array().unwrap();
    assert!(!own.is_empty() && own.iter().all(|e| e["tenant"] == "tokyo"));
    assert!(server.journal.verify().await.unwrap().is_sound());
}

/// A payment of tokyo's that is paid, whole or over the limits of its people.
async fn paid(server: &Server, order: &str, amount: u64) -> String {
    approved(server, order, amount, "charge").await
}

async fn approved(server: &Server, order: &str, amount: u64, kind: &str) -> String {
    approved_of(server, "tokyo-key", order, amount, kind).await
}

async fn approved_of(server: &Server, key: &str, order: &str, amount: u64, kind: &str) -> String {
    let body = json!({"amount": amount, "order_id": order, "transaction_type": kind});
    let made = server.send(key, "/v1/payments", body).await;
    let id: PaymentId = made.body["id"].as_str().unwrap().parse().unwrap();
    let claim = server.journal.claim(id, call_id()).await.unwrap();
    let draft = draft(&claim);
    let intent = server.journal.write_intent(id, draft).await.unwrap();
    server.journal.write_outcome(&intent, &yes()).await.unwrap();
    server
        .journal
        .release(&claim, "success", json!([]))
        .await
        .unwrap();
    id.to_string()
}

#[tokio::test]
async fn above_the_limit_of_a_role_a_second_person_decides() {
    let server = Server::start().await;
    let sato = server.someone("sato", "operator", Some("tokyo")).await;
    let suzuki = server.someone("suzuki", "supervisor", Some("tokyo")).await;
    let admin = server.someone("admin", "admin", Some("tokyo")).await;
    let eve = server.someone("eve", "admin", Some("paris")).await;
    let (sato, suzuki) = (server.sign_in(&sato).await, server.sign_in(&suzuki).await);
    let (admin, eve) = (server.sign_in(&admin).await, server.sign_in(&eve).await);
    let small = paid(&server, "A-1", 1_000).await;
    let large = paid(&server, "A-2", 3_000).await;
    let huge = paid(&server, "A-3", 9_000).await;
    let refund = async |who: &str, id: &str| {
        server
            .send(who, &format!("/v1/payments/{id}/refund"), json!({}))
            .await
    };
    let refunded = async |id: &str| {
        let payment = server.get("tokyo-key", &format!("/v1/payments/{id}")).await;
        payment.body["refunded"].as_u64().unwrap_or_default()
    };
    assert_eq!(refund(&sato, &small).await.status, 200);
    let asked = refund(&sato, &large).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    // The same wish is the same.
    assert_eq!(refund(&sato, &large).await.body, asked.body);
    assert_eq!(refunded(&large).await, 0);
    let id = asked.body["approval_id"].as_str().unwrap();
    let approve = format!("/v1/approvals/{id}/approve");
    for (who, body, status) in [
        (&*sato, json!({}), 403),
        (&*eve, json!({}), 404),
        ("tokyo-key", json!({"by": "tanaka"}), 403),
    ] {
        assert_eq!(
            server.send(who, &approve, body).await.status,
            status,
            "{who}"
        );
    }
    // On the machine too nobody allows what he has asked for.
    let own = server.send("", &approve, json!({"by": "sato"})).await;
    assert_eq!(own.status, 403);
    let shown = server.get(&suzuki, "/v1/approvals?state=open").await;
    assert_eq!(shown.body["approvals"][0]["amount"], 3_000);
    let done = server.send(&suzuki, &approve, json!({})).await;
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(done.body["operation"]["by"], "sato");
    assert_eq!(refunded(&large).await, 3_000);
    // Once.
    assert_eq!(server.send(&admin, &approve, json!({})).await.status, 409);
    assert_eq!(refunded(&large).await, 3_000);
    // Above the supervisor's own limit an admin decides.
    let asked = refund(&suzuki, &huge).await;
    assert_eq!(asked.status, 202);
    let id = asked.body["approval_id"].as_str().unwrap();
    let approve = format!("/v1/approvals/{id}/approve");
    assert_eq!(server.send(&sato, &approve, json!({})).await.status, 403);
    let refuse = format!("/v1/approvals/{id}/refuse");
    let refused = server.send(&admin, &refuse, json!({})).await;
    assert_eq!(refused.body["state"], "refused");
    assert_eq!(server.send(&admin, &approve, json!({})).await.status, 409);
    // What nobody has decided in time is over.
    let asked = refund(&sato, &huge).await;
    let id = asked.body["approval_id"].as_str().unwrap();
    server.wait(24 * 3_600 + 1);
    let late = server
        .send(
            "",
            &format!("/v1/approvals/{id}/approve"),
            json!({"by": "root"}),
        )
        .await;
    assert_eq!((late.status, late.code()), (409, "not-possible"));
    assert_eq!(refunded(&huge).await, 0);
    assert!(server.journal.verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn what_lets_money_go_counts_whatever_it_is_called() {
    let server = Server::start().await;
    let sato = server.someone("sato", "operator", Some("tokyo")).await;
    let sato = server.sign_in(&sato).await;
    // To refund 1000 is his to decide. Of what is reserved, to let go of more is not, and a charge is not voided instead.
    for (n, (amount, kind, what, asked, status)) in [
        (3_000, "authorize", "capture", Some(900), 202),
        (1_500, "authorize", "capture", Some(900), 200),
        (3_000, "authorize", "change", Some(900), 202),
        (1_500, "authorize", "change", Some(900), 200),
        (3_000, "authorize", "void", None, 200),
        (3_000, "charge", "void", None, 202),
        (1_000, "charge", "void", None, 200),
    ]
    .into_iter()
    .enumerate()
    {
        let id = approved(&server, &format!("L-{n}"), amount, kind).await;
        let body = json!({"amount": asked});
        let path = format!("/v1/payments/{id}/{what}");
        let answer = server.send(&sato, &path, body).await;
        assert_eq!(answer.status, status, "{n} {what} of {amount}: {answer:?}");
    }
}

#[tokio::test]
async fn a_key_of_a_request_is_one_persons_or_programs_own() {
    let server = Server::start().await;
    let body = json!({"tenant": "tokyo", "name": "crm", "scopes": ["payments"], "by": "root"});
    let made = server.send("", "/v1/keys", body).await;
    let (key, id) = (
        made.body["key"].as_str().unwrap(),
        made.body["id"].as_str().unwrap(),
    );
    let head = "content-type: application/json\r\nidempotency-key: once-1\r\n";
    let order = json!({"amount": 1200, "order_id": "I-1"}).to_string();
    let create = async |key: &str| ask(server.api, "POST", "/v1/payments", key, head, &order).await;
    let first = create(key).await;
    assert_eq!(first.status, 201, "{first:?}");
    // Who may not even ask gets no answer of it.
    assert_eq!(create("watcher-key").await.code(), "idempotency-reused");
    // A key that takes the place of another is the same program.
    let rotate = format!("/v1/keys/{id}/rotate");
    let rotated = server.send("", &rotate, json!({"by": "root"})).await;
    let again = create(rotated.body["key"].as_str().unwrap()).await;
    assert_eq!((again.status, &again.body), (201, &first.body));
}

/// What was begun is done, and what came of it is kept, whether somebody waits for the answer or not.
#[tokio::test]
async fn who_hangs_up_hides_nothing() {
    let server = Server::start().await;
    server.someone("sato", "operator", Some("tokyo")).await;
    let body = json!({"person": "sato", "password": "wrong horse battery"}).to_string();
    let text = format!(
        "POST /v1/sessions HTTP/1.1\r\nhost: ivrpay\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(server.api).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    drop(stream);
    let kept = async {
        loop {
            let all = server.get("tokyo-key", "/v1/audit?who=sato").await;
            if all.body["entries"][0]["result"] == "sign-in-failed" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let kept = tokio::time::timeout(Duration::from_secs(20), kept).await;
    assert!(kept.is_ok(), "the try stands nowhere");
}

/// Whom somebody has made, or given what he signs in with, is no second person beside him.
#[tokio::test]
async fn nobody_is_his_own_second_person_and_no_key_is() {
    let server = Server::start().await;
    let boss = server.someone("boss", "admin", Some("paris")).await;
    let boss = server.sign_in(&boss).await;
    let aunt = server.someone_by(&boss, "aunt", "admin", None).await;
    let aunt = server.sign_in(&aunt).await;
    let puppet = server.someone_by(&boss, "puppet", "supervisor", None).await;
    let second = server.someone_by(&aunt, "second", "supervisor", None).await;
    let carol = server.someone("carol", "supervisor", Some("paris")).await;
    let id = approved_of(&server, "paris-key", "H-1", 3_000, "charge").await;
    let refund = format!("/v1/payments/{id}/refund");
    let asked = server.send(&boss, &refund, json!({})).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let id = asked.body["approval_id"].as_str().unwrap();
    let approve = format!("/v1/approvals/{id}/approve");
    for (who, status) in [(&puppet, 403), (&second, 403), (&carol, 200)] {
        let token = server.sign_in(who).await;
        let answer = server.send(&token, &approve, json!({})).await;
        assert_eq!(answer.status, status, "{}: {answer:?}", who.name);
    }
    // A key has no limit: nobody gets one who has.
    let key = |scope: &str| json!({"name": "k", "scopes": [scope], "tenant": "paris"});
    for (scope, status) in [("payments", 403), ("refunds", 403), ("payments:read", 201)] {
        let made = server.send(&boss, "/v1/keys", key(scope)).await;
        assert_eq!(made.status, status, "{scope}: {made:?}");
    }
    let mut others = key("refunds");
    others["by"] = "root".into();
    let others = server.send("", "/v1/keys", others).await;
    let rotate = format!("/v1/keys/{}/rotate", others.body["id"].as_str().unwrap());
    assert_eq!(server.send(&boss, &rotate, json!({})).await.status, 403);
}

#[tokio::test]
async fn what_is_of_all_merchants_is_shown_to_nobody_of_one() {
    let server = Server::start().await;
    let suzuki = server.someone("suzuki", "supervisor", Some("tokyo")).await;
    let chief = server.someone("chief", "admin", None).await;
    let (suzuki, chief) = (server.sign_in(&suzuki).await, server.sign_in(&chief).await);
    let key = json!({"tenant": "tokyo", "name": "prometheus", "scopes": ["metrics", "health"], "by": "root"});
    let key = server.send("", "/v1/keys", key).await;
    let key = key.body["key"].as_str().unwrap();
    for path in ["/metrics", "/v1/health/findings"] {
        for (who, status) in [
            (&*suzuki, 403),
            (key, 403),
            (&*chief, 200),
            ("tokyo-key", 200),
        ] {
            assert_eq!(server.get(who, path).await.status, status, "{path}");
        }
    }
}

/// Who knocks with bad keys takes no room from what is written of those who try to sign in.
#[tokio::test]
async fn a_storm_of_refusals_hides_no_sign_in() {
    let server = Server::start().await;
    server.someone("sato", "operator", Some("tokyo")).await;
    for _ in 0..25 {
        server.get("ivs_nobodys", "/v1/payments").await;
    }
    server.try_in("sato", "wrong horse battery", None).await;
    let kept = server.get("tokyo-key", "/v1/audit?who=sato").await;
    assert_eq!(kept.body["entries"][0]["result"], "sign-in-failed");
}
