//! The server over real HTTPS, with a client that knows the contract and not our connector.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;

mod adyen;
mod ask;
mod conformance;
mod gmo;
mod hyperswitch;
mod kept;
mod kuroneko;
mod matrix;
mod mistakes;
mod sbps;
mod stripe;
mod veritrans;
mod zeus;

struct Lab {
    running: Running,
    client: reqwest::Client,
    _dir: tempfile::TempDir,
}

impl Lab {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (cert, password) = (dir.path().join("ca.pem"), dir.path().join("password"));
        std::fs::write(&password, "secret\n").unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let running = Running::start(Args {
            listen: any,
            control: any,
            cert_out: Some(cert.clone()),
            user: Some("shop".into()),
            password_file: Some(password),
            ready_file: Some(dir.path().join("ready")),
            table: false,
        })
        .await
        .unwrap();
        assert!(dir.path().join("ready").exists());
        let mut roots = rustls::RootCertStore::empty();
        use rustls::pki_types::pem::PemObject;
        roots
            .add(rustls::pki_types::CertificateDer::from_pem_file(cert).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        Self {
            running,
            client,
            _dir: dir,
        }
    }

    async fn send(&self, body: &Value) -> Result<(u16, String), reqwest::Error> {
        let answer = self
            .client
            .post(format!("https://{}/", self.running.listen))
            .basic_auth("shop", Some("secret"))
            .header("content-type", "application/json")
            .body(body.to_string())
            .timeout(Duration::from_secs(2))
            .send()
            .await?;
        let status = answer.status().as_u16();
        Ok((status, answer.text().await?))
    }

    async fn log(&self) -> Value {
        let url = format!("http://{}/log", self.running.control);
        let text = self
            .client
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

fn charge(id: &str, number: &str, amount: u64) -> Value {
    json!({
        "method": "charge", "transaction_id": id, "cardnumber": number, "cvv": "123", "expiry_month": "12",
        "expiry_year": "40", "amount": amount.to_string(), "currency_code": "JPY", "parameters": {"order": "A-1"},
    })
}

const VISA: &str = "4242424242424242";

#[tokio::test]
async fn approves_books_once_and_keeps_no_number() {
    let lab = Lab::start().await;
    let (status, first) = lab.send(&charge("t1", VISA, 1500)).await.unwrap();
    let (_, second) = lab.send(&charge("t1", VISA, 1500)).await.unwrap();
    assert_eq!(
        (status, &first),
        (200, &second),
        "the same id, the same answer"
    );
    let body: Value = serde_json::from_str(&first).unwrap();
    assert!(body["charge_id"].is_string() && body["error_code"].is_null());
    let (status, other) = lab.send(&charge("t1", VISA, 1501)).await.unwrap();
    assert_eq!(status, 409);
    assert!(other.contains("idempotency_error"));
    let log = lab.log().await;
    assert_eq!(
        (&log["requests"], &log["booked"], &log["booked_amount"]),
        (&json!(3), &json!(1), &json!(1500))
    );
    assert_eq!(log["transactions"][0]["last4"], "4242");
    assert_eq!(log["transactions"][0]["brand"], "visa");
    assert!(!log.to_string().contains(VISA));
}

#[tokio::test]
async fn refuses_what_the_contract_does_not_have() {
    let lab = Lab::start().await;
    for (name, value) in [
        ("method", json!("tokenise")),
        ("transaction_id", Value::Null),
        ("cardnumber", json!("4242 4242 4242 4242")),
        ("cvv", json!("12")),
        ("expiry_month", json!("13")),
        ("expiry_year", json!("230")),
        ("amount", json!(1500)),
        ("amount", json!("0")),
        ("currency_code", json!("yen")),
        ("parameters", json!({"a": 1})),
        ("bankaccountnumber", json!("1")),
    ] {
        let mut body = charge("t", VISA, 1500);
        body[name] = value;
        let (status, text) = lab.send(&body).await.unwrap();
        assert_eq!(status, 400, "{name}");
        assert!(text.contains("invalid_request_error"), "{name}: {text}");
    }
    let url = format!("https://{}/", lab.running.listen);
    let body = charge("t", VISA, 1500).to_string();
    let json_type = ("content-type", "application/json");
    let plain = lab
        .client
        .post(&url)
        .basic_auth("shop", Some("secret"))
        .body(body.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(plain.status(), 415);
    let get = lab
        .client
        .get(&url)
        .basic_auth("shop", Some("secret"))
        .send()
        .await
        .unwrap();
    assert_eq!(get.status(), 405);
    let wrong = lab
        .client
        .post(&url)
        .basic_auth("shop", Some("guess"))
        .header(json_type.0, json_type.1)
        .body(body);
    assert_eq!(wrong.send().await.unwrap().status(), 401);
    let log = lab.log().await;
    assert_eq!((&log["booked"], &log["refused"]), (&json!(0), &json!(14)));
}

#[tokio::test]
async fn cards_and_issuer_codes_decline() {
    let lab = Lab::start().await;
    let refused = |n: usize, number: &str, amount: u64| charge(&format!("t{n}"), number, amount);
    let mut cases: Vec<(Value, String)> = fault::CARDS
        .iter()
        .enumerate()
        .map(|(n, (card, code))| (refused(n, card, 1500), (*code).to_owned()))
        .collect();
    cases.push((
        refused(100, "4242424242424241", 1500),
        "invalid_number".into(),
    ));
    cases.push((refused(101, VISA, 9412), "G12".into()));
    let mut past = refused(102, VISA, 1500);
    past["expiry_year"] = "20".into();
    cases.push((past, "expired_card".into()));
    for (body, code) in cases {
        let (status, text) = lab.send(&body).await.unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (status, &answer["charge_id"], &answer["error_code"]),
            (200, &Value::Null, &json!(code))
        );
    }
    assert_eq!(lab.log().await["booked"], 0);
}

#[tokio::test]
async fn every_amount_of_the_table_does_what_it_says() {
    let lab = Arc::new(Lab::start().await);
    let asked = fault::AMOUNTS.iter().map(|&(amount, _, what)| {
        let lab = lab.clone();
        async move {
            let body = charge(&format!("t{amount}"), VISA, amount);
            (amount, what, lab.send(&body).await)
        }
    });
    for (amount, what, result) in futures_util::future::join_all(asked).await {
        let answered =
            result.map(|(status, body)| (status, serde_json::from_str::<Value>(&body).is_ok()));
        let expected = match amount {
            9001..=9007 | 9020 => None,
            9008 | 9009 => Some((200, false)),
            9010 | 9011 => Some((500, false)),
            9015 => Some((402, true)),
            9016 => Some((429, true)),
            9017 => Some((503, false)),
            9022 => Some((302, false)),
            _ => Some((200, true)),
        };
        assert_eq!(answered.ok(), expected, "{amount}: {what}");
    }
    let log = lab.log().await;
    for transaction in log["transactions"].as_array().unwrap() {
        let amount = transaction["amount"].as_u64().unwrap();
        let what = fault::AMOUNTS.iter().find(|row| row.0 == amount).unwrap().2;
        assert_eq!(
            transaction["booked"],
            json!(what.contains("booked") && !what.contains("not booked") || amount == 9001)
        );
        assert_eq!(transaction["requests"], 1, "{amount}");
    }
    assert_eq!(log["requests"], fault::AMOUNTS.len());
}

/// Our connector and sender against this server: what they make of every answer, and what the books say.
mod ours {
    use ivrpay_acquirer::generic::Generic;
    use ivrpay_acquirer::{EndpointConfig, Progress};
    use ivrpay_card::{Card, Digits, Expiry, Month, Pan, Rules, SecurityCode};
    use ivrpay_payment::{
        AcquirerOrder, Brand, Currency, Doubt, Durable, IdempotencyKey, Intent, Money, OperationId,
        OperationKind, Outcome, PaymentId, Plan, Reason,
    };

    use ivrpay_wire::{Kept, run_from};

    use super::*;

    fn digits(text: &str) -> Digits {
        let mut digits = Digits::take().unwrap();
        for byte in text.bytes() {
            digits.push(byte - b'0').unwrap();
        }
        digits
    }

    /// A card of this number, 12/40.
    pub(super) fn card(number: &str) -> Card {
        let rules = Rules {
            brands: Brand::ALL.to_vec(),
            luhn: true,
        };
        let pan = Pan::parse(digits(number), &rules).unwrap();
        let now = Month {
            year: 2026,
            month: 11,
        };
        Card {
            expiry: Expiry::parse(digits("1240"), now).unwrap(),
            code: Some(SecurityCode::parse(digits("123"), pan.brand()).unwrap()),
            pan,
        }
    }

    /// Pays `amount` yen with the card as a call would.
    async fn pay(lab: &Lab, number: &str, amount: u64) -> Outcome {
        let config = EndpointConfig {
            ca_file: Some(lab._dir.path().join("ca.pem")),
            user: "shop".into(),
            password: Some("secret".into()),
            reply_timeout: Duration::from_secs(5),
            ..EndpointConfig::new(format!("https://{}/", lab.running.listen))
        };
        let sender = ivrpay_wire::Sender::new(&config).unwrap();
        let card = card(number);
        let id = uuid::Uuid::now_v7();
        let intent = Durable::attest(Intent {
            payment_id: PaymentId::new(id),
            operation_id: OperationId::new(id),
            kind: OperationKind::Charge,
            amount: Money::new(amount, Currency::Jpy).unwrap(),
            card: card.pan.truncated(),
            idempotency_key: IdempotencyKey::new(id),
            acquirer_order: AcquirerOrder::new(amount).unwrap(),
            order: None,
            operator: None,
            plan: Plan::LumpSum,
            token: None,
            parent: None,
        });
        let (begin, mut kept) = (Progress::default(), Kept::default());
        run_from(
            &Generic::default(),
            &sender,
            &intent,
            Some(card),
            begin,
            &mut kept,
            |_| {},
        )
        .await
        .outcome
    }

    /// The outcome in short.
    fn short(outcome: &Outcome) -> String {
        match outcome {
            Outcome::Approved(_) => "approved".into(),
            Outcome::Declined(decline) => decline.reason.name().into(),
            Outcome::NotCharged(why) => format!("{why:?}"),
            Outcome::Unknown(Doubt::Status { status }) => status.to_string(),
            Outcome::Unknown(doubt) => format!("{doubt:?}"),
        }
    }

    #[tokio::test]
    async fn every_answer_is_read_as_what_the_books_allow() {
        let lab = Arc::new(Lab::start().await);
        let paid = fault::AMOUNTS.iter().map(|&(amount, ..)| {
            let lab = lab.clone();
            async move { (amount, pay(&lab, VISA, amount).await) }
        });
        let paid = futures_util::future::join_all(paid).await;
        let log = lab.log().await;
        for (amount, outcome) in &paid {
            let expected = match amount {
                9001 | 9013 => "approved",
                9002..=9007 | 9020 => "NoReply",
                9008 | 9009 | 9012 | 9018 | 9023 => "Malformed",
                9010 | 9011 => "500",
                9014 | 9021 => "Mismatch",
                9015 => Reason::CardUnusable.name(),
                9016 => "Busy",
                9017 => "503",
                9019 => Reason::Other.name(),
                9022 => "302",
                _ => panic!("{amount} is new: say what is expected"),
            };
            assert_eq!(short(outcome), expected, "{amount}");
            let entries = log["transactions"].as_array().unwrap();
            let entry = entries.iter().find(|e| e["amount"] == *amount).unwrap();
            assert_eq!(entry["requests"], 1, "{amount}: one request on the wire");
            // Money: never "no" when it was booked, never "yes" when it was not.
            match outcome {
                Outcome::Approved(_) => assert_eq!(entry["booked"], true, "{amount}"),
                Outcome::Declined(_) | Outcome::NotCharged(_) => {
                    assert_eq!(entry["booked"], false, "{amount}")
                }
                Outcome::Unknown(_) => {}
            }
        }
        assert_eq!(
            (&log["requests"], &log["refused"]),
            (&json!(fault::AMOUNTS.len()), &json!(0))
        );
    }

    #[tokio::test]
    async fn every_decline_has_its_reason() {
        let lab = Lab::start().await;
        for (card, code) in fault::CARDS {
            let expected = match *code {
                "generic_decline" => Reason::CardUnusable.name(),
                "lost_card" | "stolen_card" => Reason::LostOrStolen.name(),
                "incorrect_cvc" => Reason::CvvMismatch.name(),
                "card_velocity_exceeded" => Reason::LimitExceeded.name(),
                "fraudulent" => Reason::FraudSuspected.name(),
                "processing_error" => "UnlistedCode",
                other => other,
            };
            assert_eq!(short(&pay(&lab, card, 1500).await), expected, "{code}");
        }
        assert_eq!(
            short(&pay(&lab, VISA, 9444).await),
            Reason::CvvMismatch.name(),
            "G44"
        );
        assert_eq!(short(&pay(&lab, VISA, 1500).await), "approved");
    }
}
