//! The pages as a browser sees them, before an API that follows the document.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

#[path = "pages/api.rs"]
mod api;

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use self::api::{Api, CALL, HOSTILE, PAYMENT, payment, problem};
use ivrpay_console::{Config, Console};

/// A browser: keeps cookies, follows nothing by itself.
struct Browser {
    base: String,
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
    /// `Set-Cookie` of the last answer.
    set: Vec<String>,
}

struct Page {
    status: StatusCode,
    to: String,
    headers: header::HeaderMap,
    text: String,
}

async fn console(more: &str) -> (Api, Browser) {
    let (api, address) = Api::start().await;
    let text = format!(
        "language = \"en\"\ntime_zone = \"Asia/Tokyo\"\n{more}\n[api]\naddress = \"http://{address}\"\n"
    );
    let config: Config = toml::from_str(&text).unwrap();
    let console = Console::new(config).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, console.router()).await });
    (api, Browser::new(&base))
}

impl Browser {
    fn new(base: &str) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        Self {
            base: base.to_owned(),
            http: http.build().unwrap(),
            cookies: BTreeMap::new(),
            set: Vec::new(),
        }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        let request = self.http.request(method, format!("{}{path}", self.base));
        match cookies.is_empty() {
            true => request,
            false => request.header(header::COOKIE, cookies.join("; ")),
        }
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> Page {
        let answer = request.send().await.unwrap();
        let headers = answer.headers().clone();
        let text = |value: &header::HeaderValue| value.to_str().unwrap().to_owned();
        self.set = headers
            .get_all(header::SET_COOKIE)
            .iter()
            .map(text)
            .collect();
        for cookie in &self.set {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            match value.is_empty() {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        Page {
            status: answer.status(),
            to: headers.get(header::LOCATION).map(text).unwrap_or_default(),
            headers,
            text: answer.text().await.unwrap(),
        }
    }

    async fn get(&mut self, path: &str) -> Page {
        let request = self.request(Method::GET, path);
        self.send(request).await
    }

    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let request = self
            .request(Method::POST, path)
            .header("sec-fetch-site", "same-origin");
        let request = request
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form(fields));
        self.send(request).await
    }

    async fn enter(&mut self, person: &str, password: &str, code: &str) -> Page {
        let form = self.get("/sign-in").await;
        let csrf = hidden(&form.text, "csrf");
        let fields = [
            ("csrf", &*csrf),
            ("person", person),
            ("password", password),
            ("code", code),
            ("lang", "en"),
        ];
        self.post("/sign-in", &fields).await
    }

    /// Signed in; the proof that forms carry.
    async fn sign_in(&mut self, person: &str) -> String {
        let page = self.enter(person, "right horse", "123456").await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        let page = self.get(&page.to).await;
        attribute(&page.text, "data-csrf")
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    form.finish()
}

fn attribute(html: &str, name: &str) -> String {
    let (_, rest) = html.split_once(&format!("{name}=\"")).expect(name);
    rest.split('"').next().unwrap().to_owned()
}

fn hidden(html: &str, name: &str) -> String {
    let (_, rest) = html
        .split_once(&format!("name=\"{name}\" value=\""))
        .expect(name);
    rest.split('"').next().unwrap().to_owned()
}

/// Every page, and who may see it of: sato (operator), mori (supervisor), root (admin).
const PAGES: [(&str, &str); 9] = [
    ("/", "sato mori root"),
    ("/?order=A-1&amount=1200&extension=201", "sato mori root"),
    ("/wall", "mori root"),
    ("/payments?order=x", "sato mori root"),
    (
        "/payments/0193f000-0000-7000-8000-000000000001",
        "sato mori root",
    ),
    ("/tasks", "sato mori root"),
    ("/approvals", "mori root"),
    ("/health", "mori root"),
    ("/people", "root"),
];

/// Every form but the sign-in's.
const FORMS: [(&str, &[(&str, &str)]); 19] = [
    ("/alive", &[]),
    ("/language", &[("to", "ja")]),
    ("/sign-out", &[]),
    (
        "/call/start",
        &[
            ("amount", "1200"),
            ("currency", "JPY"),
            ("order", "A-1"),
            ("extension", "201"),
        ],
    ),
    ("/call/c1/ask", &[("for", "expiration-date")]),
    ("/call/c1/pause", &[]),
    ("/call/c1/resume", &[]),
    ("/call/c1/cancel", &[]),
    ("/call/c1/switch", &[("mode", "stay")]),
    ("/payments/p1/capture", &[("sure", "yes"), ("reason", "r")]),
    ("/payments/p1/void", &[("sure", "yes"), ("reason", "r")]),
    ("/payments/p1/refund", &[("sure", "yes"), ("reason", "r")]),
    ("/payments/p1/cancel", &[]),
    ("/payments/p1/inquire", &[]),
    ("/payments/p1/dispute", &[("reason", "r")]),
    ("/payments/p1/receipt", &[]),
    ("/tasks/t1/take", &[]),
    ("/tasks/t1/done", &[("note", "n")]),
    ("/approvals/a1/approve", &[]),
];

#[tokio::test]
async fn every_page_is_there_in_both_languages_for_whom_it_is() {
    for person in ["sato", "mori", "root"] {
        let (api, mut browser) = console("").await;
        let csrf = browser.sign_in(person).await;
        for lang in ["en", "ja"] {
            let page = browser
                .post(
                    "/language",
                    &[("csrf", &csrf), ("to", lang), ("back", "/tasks")],
                )
                .await;
            assert_eq!(page.to, "/tasks");
            for (path, who) in PAGES {
                api.posts();
                let page = browser.get(path).await;
                if who.contains(person) {
                    assert_eq!(
                        page.status,
                        StatusCode::OK,
                        "{path} for {person}: {}",
                        page.text
                    );
                } else {
                    assert_eq!(page.status, StatusCode::FORBIDDEN, "{path} for {person}");
                    assert!(api.asked().is_empty(), "{path}: the API was asked");
                }
                assert!(
                    page.text.contains(&format!("<html lang=\"{lang}\">")),
                    "{path}"
                );
                let menu = page
                    .text
                    .split("<nav")
                    .nth(1)
                    .unwrap()
                    .split("</nav>")
                    .next()
                    .unwrap();
                for (other, who) in PAGES
                    .iter()
                    .filter(|(p, _)| !p.trim_start_matches('/').contains(['/', '?']))
                {
                    let linked = menu.contains(&format!("href=\"{other}\""));
                    assert_eq!(
                        linked,
                        who.contains(person),
                        "{other} in the menu of {person}"
                    );
                }
                clean(path, &page);
            }
        }
    }
}

/// Nothing that a browser would run but our own files, and nothing of others but as text.
fn clean(path: &str, page: &Page) {
    let html = &page.text;
    for script in html.split("<script").skip(1) {
        assert!(
            script.starts_with(" type=\"module\" src=\"/assets/"),
            "{path}: <script{script:.80}"
        );
    }
    let bare: String = html
        .split('<')
        .skip(1)
        .filter_map(|tag| tag.split('>').next())
        .collect();
    for inline in [" style=", " onclick=", " onload=", "javascript:"] {
        assert!(!bare.contains(inline), "{path}: {inline}");
    }
    for raw in ["<img src=x", "</script><script>alert", "\"'&<"] {
        assert!(!html.contains(raw), "{path}: {raw}");
    }
    // It was there, as text.
    if page.status == StatusCode::OK {
        assert!(
            html.contains("&#60;img src=x onerror=alert(1)&#62;"),
            "{path}: {html}"
        );
    }
}

#[tokio::test]
async fn every_answer_tells_the_browser_what_it_may() {
    let (_api, mut browser) = console("").await;
    let csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
               base-uri 'none'; frame-ancestors 'none'";
    let asset = attribute(&browser.get("/sign-in").await.text, "stylesheet\" href");
    let paths = [
        "/sign-in",
        "/",
        "/payments",
        "/nowhere",
        "/live",
        "/healthz",
        "/x.php",
        &asset,
    ];
    for path in paths {
        let page = browser.get(path).await;
        let header = |name: &str| {
            page.headers
                .get(name)
                .map(|v| v.to_str().unwrap().to_owned())
        };
        for (name, value) in [
            ("content-security-policy", csp),
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(header(name).as_deref(), Some(value), "{path}: {name}");
        }
        let kept = header("cache-control").unwrap();
        match path.starts_with("/assets/") {
            true => assert!(kept.contains("immutable"), "{path}: {kept}"),
            false => assert_eq!(kept, "no-store", "{path}"),
        }
    }
    let embed = "[embed]\norigins = [\"https://crm.example.jp\", \"https://b.example:8443\"]";
    let (_api, mut browser) = console(embed).await;
    let page = browser.get("/sign-in").await;
    let csp = page.headers["content-security-policy"].to_str().unwrap();
    assert!(
        csp.ends_with("frame-ancestors 'self' https://crm.example.jp https://b.example:8443"),
        "{csp}"
    );
    assert!(!page.headers.contains_key("x-frame-options"));
}

#[tokio::test]
async fn nobody_gets_in_without_a_right_answer() {
    let (api, mut browser) = console("").await;
    for (person, password, code, status, says) in [
        ("sato", "wrong", "", 401, "Name, password or code is wrong."),
        ("mori", "right horse", "", 401, "Enter your one-time code."),
        ("eve", "right horse", "", 429, "Too many tries."),
        (
            "",
            "right horse",
            "",
            400,
            "Enter your name and your password.",
        ),
        ("sato", "", "", 400, "Enter your name and your password."),
    ] {
        let page = browser.enter(person, password, code).await;
        assert_eq!(page.status.as_u16(), status, "{person}");
        assert!(page.text.contains(says), "{person}: {}", page.text);
        assert!(!browser.cookies.contains_key("ivrpay-console"), "{person}");
        // What was entered does not come back.
        assert!(!page.text.contains("right horse"), "{person}");
    }
    // Signed in all the same, with a code of two groups.
    let page = browser.enter("mori", "right horse", "123 456").await;
    assert_eq!((page.status, &*page.to), (StatusCode::SEE_OTHER, "/"));
    drop(api);
}

#[tokio::test]
async fn a_session_has_a_new_number_and_its_cookie_is_closed() {
    let (_api, mut browser) = console("").await;
    // One that somebody else has put there opens nothing, and is not kept.
    browser
        .cookies
        .insert("ivrpay-console".into(), "planted".into());
    assert_eq!(browser.get("/").await.to, "/sign-in?next=%2F");
    browser.enter("sato", "right horse", "").await;
    let set = browser
        .set
        .iter()
        .find(|c| c.starts_with("ivrpay-console="))
        .unwrap();
    assert!(
        set.ends_with("; Path=/; HttpOnly; SameSite=Strict"),
        "{set}"
    );
    let first = browser.cookies["ivrpay-console"].clone();
    assert!(first != "planted" && first.len() == 43);
    // In again, as another: another number, and the old one is worth nothing.
    browser.cookies.remove("ivrpay-console");
    browser.enter("root", "right horse", "").await;
    let second = browser.cookies["ivrpay-console"].clone();
    assert_ne!(first, second);
    let csrf = attribute(&browser.get("/").await.text, "data-csrf");
    let out = browser.post("/sign-out", &[("csrf", &csrf)]).await;
    assert_eq!(out.to, "/sign-in");
    browser.cookies.insert("ivrpay-console".into(), second);
    assert_eq!(browser.get("/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_form_that_is_not_ours_does_nothing() {
    let (api, mut other) = console("").await;
    let base = other.base.clone();
    let foreign = other.sign_in("mori").await;
    let mut browser = Browser::new(&base);
    let csrf = browser.sign_in("sato").await;
    let mut cases = 0;
    for (path, fields) in FORMS {
        let with = |csrf: &str| {
            let mut all = fields.to_vec();
            all.push(("csrf", csrf));
            form(&all)
        };
        let kind = "application/x-www-form-urlencoded";
        for (why, body, kind, more) in [
            ("no proof", form(fields), kind, None),
            ("an empty proof", with(""), kind, None),
            ("a wrong proof", with("x"), kind, None),
            ("another session's proof", with(&foreign), kind, None),
            (
                "a page of another site",
                with(&csrf),
                kind,
                Some(("sec-fetch-site", "cross-site")),
            ),
            (
                "a page of a sister",
                with(&csrf),
                kind,
                Some(("sec-fetch-site", "same-site")),
            ),
            (
                "another origin",
                with(&csrf),
                kind,
                Some(("origin", "https://evil.example")),
            ),
            (
                "another kind",
                json!({"csrf": csrf}).to_string(),
                "application/json",
                None,
            ),
            ("plain text", with(&csrf), "text/plain", None),
            (
                "a huge one",
                format!("{}&x={}", with(&csrf), "x".repeat(20_000)),
                kind,
                None,
            ),
        ] {
            api.posts();
            let mut request = browser
                .request(Method::POST, path)
                .header(header::CONTENT_TYPE, kind)
                .body(body);
            if let Some((name, value)) = more {
                request = request.header(name, value);
            }
            let page = browser.send(request).await;
            assert!(
                page.status.is_client_error(),
                "{path}, {why}: {}",
                page.status
            );
            assert!(api.posts().is_empty(), "{path}, {why}: it was done");
            cases += 1;
        }
        // Nobody at all.
        let mut nobody = Browser::new(&base);
        let page = nobody.post(path, &[("csrf", &csrf)]).await;
        assert_eq!(page.to, "/sign-in?why=expired", "{path}");
        assert!(api.posts().is_empty(), "{path}");
        cases += 1;
    }
    // The sign-in itself, from elsewhere.
    let fields = [
        ("csrf", "x"),
        ("person", "sato"),
        ("password", "right horse"),
    ];
    let page = Browser::new(&base).post("/sign-in", &fields).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(
        page.headers
            .get(header::SET_COOKIE)
            .is_none_or(|c| !c.to_str().unwrap().starts_with("ivrpay-console="))
    );
    assert!(cases >= 200, "{cases}");
}

#[tokio::test]
async fn whoever_is_not_signed_in_sees_nothing_and_comes_back_behind_it() {
    let (api, mut browser) = console("").await;
    for (path, _) in PAGES {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}");
        let next = page.to.strip_prefix("/sign-in?next=").unwrap();
        let back: Vec<_> = form_urlencoded::parse(format!("n={next}").as_bytes())
            .into_owned()
            .collect();
        assert_eq!(back[0].1, path);
    }
    assert_eq!(browser.get("/live").await.status, StatusCode::UNAUTHORIZED);
    assert!(api.asked().iter().all(|a| a.path == "/v1/sign-in/oidc"));
    // By a link of a CRM strict cookies are not sent: once more, by ourselves.
    let link = "/?order=A-1&extension=201";
    let request = browser
        .request(Method::GET, link)
        .header("sec-fetch-site", "cross-site");
    let page = browser.send(request).await;
    assert!(
        page.text
            .contains("url=/?order=A-1&#38;extension=201&#38;moment=1"),
        "{}",
        page.text
    );
    // To another host nobody is sent.
    let form = browser.get("/sign-in?next=//evil.example/").await;
    let csrf = hidden(&form.text, "csrf");
    let fields = [
        ("csrf", &*csrf),
        ("next", "https://evil.example/"),
        ("person", "sato"),
        ("password", "right horse"),
    ];
    assert_eq!(browser.post("/sign-in", &fields).await.to, "/");
}

#[tokio::test]
async fn buttons_ask_the_api_as_the_person_and_once() {
    let (api, mut browser) = console("").await;
    let csrf = browser.sign_in("sato").await;
    api.posts();
    for (path, fields, asked, body) in [
        (
            "/call/start".to_owned(),
            vec![
                ("amount", "1,200"),
                ("currency", "JPY"),
                ("order", "A-1"),
                ("extension", "201"),
                ("mode", "stay"),
                ("once", "o1"),
            ],
            "/v1/captures".to_owned(),
            json!({"amount": 1200, "currency": "JPY", "order_id": "A-1", "operator": "sato", "operator_extension": "201", "mode": "stay"}),
        ),
        (
            format!("/call/{CALL}/ask"),
            vec![("for", "expiration-date"), ("once", "")],
            format!("/v1/calls/{CALL}/ask"),
            json!({"for": "expiration-date", "by": "sato"}),
        ),
        (
            format!("/call/{CALL}/cancel"),
            vec![("once", "")],
            format!("/v1/calls/{CALL}/cancel"),
            json!({"by": "sato"}),
        ),
        (
            format!("/payments/{PAYMENT}/refund"),
            vec![
                ("amount", "４００円"),
                ("reason", "returned"),
                ("sure", "yes"),
                ("once", "o2"),
            ],
            format!("/v1/payments/{PAYMENT}/refund"),
            json!({"amount": 400, "by": "sato", "reason": "returned"}),
        ),
        (
            "/tasks/t%2F1/done".to_owned(),
            vec![("note", "told her"), ("found", "charged"), ("once", "")],
            "/v1/tasks/t%2F1/done".to_owned(),
            json!({"by": "sato", "note": "told her", "found": "charged"}),
        ),
    ] {
        let mut fields = fields;
        let once = fields.iter().find(|(n, _)| *n == "once").unwrap().1;
        fields.push(("csrf", &csrf));
        let page = browser.post(&path, &fields).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}: {}", page.text);
        let posts = api.posts();
        assert_eq!(posts.len(), 1, "{path}");
        assert_eq!(
            (&*posts[0].path, &posts[0].body),
            (&*asked, &body),
            "{path}"
        );
        assert_eq!(
            (&*posts[0].token, &*posts[0].once),
            ("Bearer ivs_sato", once),
            "{path}"
        );
    }
    // What moves money wants a tick, a reason, and an amount that is one.
    let path = format!("/payments/{PAYMENT}/void");
    for fields in [
        vec![("reason", "r")],
        vec![("sure", "yes")],
        vec![("sure", "yes"), ("reason", "r"), ("amount", "12.5")],
    ] {
        let mut fields = fields;
        fields.push(("csrf", &csrf));
        browser.post(&path, &fields).await;
        assert!(api.posts().is_empty(), "{fields:?}");
        let page = browser.get("/tasks").await;
        assert!(
            page.text.contains("<p class=\"bad\"><strong>"),
            "{fields:?}: {}",
            page.text
        );
    }
}

#[tokio::test]
async fn what_the_api_says_is_a_sentence_and_what_to_do() {
    let (api, mut browser) = console("").await;
    let csrf = browser.sign_in("sato").await;
    let path = format!("/payments/{PAYMENT}/refund");
    let fields = [("csrf", &*csrf), ("reason", "r"), ("sure", "yes")];
    let operation = |state: &str| {
        (
            200,
            json!({"operation": {"state": state, "hint": "look there"}, "payment": payment("approved")}),
        )
    };
    for (answer, en, ja) in [
        (
            problem(409, "not-possible"),
            "what is wrong in English",
            "いまの状態では、できません。",
        ),
        (
            problem(503, "unavailable"),
            "what to do in English",
            "二重には行われません。",
        ),
        (
            problem(409, "of-a-later-version"),
            "what is wrong in English",
            "what is wrong in English",
        ),
        (
            (500, json!("no problem")),
            "can&#39;t be read",
            "答えを読めません",
        ),
        (
            (202, json!({"approval_id": "a1"})),
            "second person",
            "もう一人の承認",
        ),
        (
            operation("approved"),
            "The acquirer has done it.",
            "カード会社が受け付けました。",
        ),
        (
            operation("declined"),
            "The acquirer has refused it.",
            "断られました",
        ),
        (operation("unknown"), "Do not repeat it", "もう一度行わず"),
        (operation("not-charged"), "look there", "行われませんでした"),
    ] {
        for (lang, says) in [("en", en), ("ja", ja)] {
            browser
                .post("/language", &[("csrf", &csrf), ("to", lang)])
                .await;
            api.answers(answer.0, answer.1.clone());
            browser.post(&path, &fields).await;
            let page = browser.get("/tasks").await;
            assert!(page.text.contains(says), "{says}: {}", page.text);
            // Once, and not on the next page.
            assert!(!browser.get("/tasks").await.text.contains(says), "{says}");
        }
    }
    // Whose token is worth nothing any more signs in again.
    let (status, body) = problem(401, "unauthorized");
    api.answers(status, body);
    assert_eq!(
        browser.post(&path, &fields).await.to,
        "/sign-in?why=expired"
    );
    assert!(!browser.cookies.contains_key("ivrpay-console"));
}

#[tokio::test]
async fn files_are_saved_and_never_shown() {
    let (_api, mut browser) = console("").await;
    browser.sign_in("sato").await;
    for path in [
        "receipts/R-1.pdf",
        "evidence/evidence.pdf",
        "evidence/evidence.json",
    ] {
        let page = browser.get(&format!("/payments/{PAYMENT}/{path}")).await;
        let disposition = page.headers[header::CONTENT_DISPOSITION].to_str().unwrap();
        assert!(disposition.starts_with("attachment; filename=\""), "{path}");
        assert_eq!(page.text, "a file");
    }
}

fn event(kind: &str, more: Value) -> Value {
    let mut event = json!({
        "seq": 1, "at": "2026-11-27T09:00:00Z", "call_id": CALL, "sip_call_id": null, "tenant": "shop", "event": kind, "payment_id": PAYMENT,
    });
    event
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    event
}

/// Reads a stream until something is told of which this is true.
async fn told(
    stream: &mut reqwest::Response,
    text: &mut String,
    is: impl Fn(&Value) -> bool,
) -> Value {
    let until = async {
        loop {
            while let Some((line, rest)) = text.split_once('\n') {
                let data: Option<Value> = line
                    .strip_prefix("data: ")
                    .and_then(|d| serde_json::from_str(d).ok());
                *text = rest.to_owned();
                if let Some(data) = data.filter(&is) {
                    return data;
                }
            }
            let more = stream.chunk().await.unwrap().expect("the stream goes on");
            text.push_str(std::str::from_utf8(&more).unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(10), until)
        .await
        .expect("told in time")
}

#[tokio::test]
async fn a_page_follows_its_extension_from_wherever_the_call_is() {
    let (api, mut browser) = console("").await;
    let csrf = browser.sign_in("sato").await;
    browser
        .post("/language", &[("csrf", &csrf), ("to", "ja")])
        .await;
    // It is in the middle already.
    *api.captures.lock().unwrap() = vec![json!({
        "call_id": CALL, "payment_id": PAYMENT, "tenant": "shop", "order_id": HOSTILE, "amount": 1200, "currency": "JPY",
        "operator": "sato", "operator_extension": "201", "mode": "hold", "step": "payment-card-number", "digits": 5, "attempt": 2,
        "seconds_left": 40, "brand": null, "last4": null, "began_at": "2026-11-27T09:00:00Z", "entered_by": "caller",
    })];
    let mut stream = browser
        .request(Method::GET, "/live?extension=201")
        .send()
        .await
        .unwrap();
    let mut text = String::new();
    let on = |view: &Value| view["state"] == "on";
    let view = told(&mut stream, &mut text, on).await;
    assert_eq!(view["step"], "カード番号");
    assert_eq!(view["amount"], "¥1,200");
    assert_eq!(view["order"], HOSTILE);
    assert_eq!(view["attempt"], "2 回目");
    assert!((38..=40).contains(&view["seconds"].as_u64().unwrap()));
    let field = &view["fields"][1];
    assert_eq!(
        (&field["state"], &field["keyed"], &field["dots"]),
        (&json!("now"), &json!("5 桁"), &json!(5))
    );
    // Another extension's page shows nothing of it.
    let mut other = browser
        .request(Method::GET, "/live?extension=299")
        .send()
        .await
        .unwrap();
    let mut other_text = String::new();
    let view = told(&mut other, &mut other_text, |view| {
        view["connected"] == true
    })
    .await;
    assert_eq!(view["state"], "waiting");
    // Keys come, the code without a count, then the end.
    api.captures.lock().unwrap().clear();
    for (kind, more) in [
        (
            "digits",
            json!({"step": "payment-card-number", "digits": 9, "attempt": 2}),
        ),
        ("step", json!({"step": "security-code", "attempt": 1})),
        ("call-ended", json!({"result": "payment-connector-error"})),
    ] {
        api.events.send(event(kind, more)).unwrap();
        let step = match kind {
            "digits" => told(&mut stream, &mut text, |v| v["fields"][1]["dots"] == 9).await,
            "step" => {
                told(&mut stream, &mut text, |v| {
                    v["step_code"] == "security-code"
                })
                .await
            }
            _ => {
                told(&mut stream, &mut text, |v| {
                    v["state"] == "ended" && v["tone"] == "good"
                })
                .await
            }
        };
        match kind {
            "step" => {
                assert_eq!(step["fields"][3]["keyed"], "入力中");
                assert_eq!(step["fields"][3]["dots"], 0);
            }
            // The payment behind it was approved, whatever the call says: the journal is believed.
            "call-ended" => assert_eq!(
                step["result"],
                "お支払いは完了しています (カード、使えません)"
            ),
            _ => {}
        }
    }
}
