//! What every connector has to keep, whatever an acquirer sends: `step` with any bytes, at every stage, of every operation, ends or asks on, and
//! says *approved* only where the document's own word for it stands in the answer. `tests/read.rs` drives it on stable, the fuzz targets
//! `acquirer_reply_*` drive the same.

use ivrpay_acquirer::{
    Asked, Connector, Heard, Mode, Posted, Progress, Reply, Settings, Step, configured,
};
use ivrpay_card::{Card, Digits, Expiry, Month, Pan, Rules, SecurityCode};
use ivrpay_payment::{
    AcquirerOrder, AcquirerRef, Brand, Currency, Durable, Intent, Money, OperationKind, Outcome,
    Parent, Plan, Truncated,
};

const FIRST: &str = "0193a1b2-0000-7000-8000-000000000002";
const LATER: &str = "0193a1b2-0000-7000-8000-000000000005";
/// Adyen's published example.
const HMAC_KEY: &str = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";
/// 2026-04-01 12:00:00 in Japan.
const NOW: i64 = 1_775_012_400;

/// What is asked, and asked about.
pub(crate) const KINDS: [OperationKind; 9] = [
    OperationKind::Charge,
    OperationKind::Authorise,
    OperationKind::Capture,
    OperationKind::Void,
    OperationKind::Refund,
    OperationKind::Query,
    OperationKind::Tokenise,
    OperationKind::Verify,
    OperationKind::Change,
];

/// References as a step before, or the operation that is asked about, may have left them.
pub(crate) const REFERENCES: [&str; 12] = [
    "",
    "1",
    "3618be802c7ac572414274731e50cb6c:4099664bd4b110800e09805539d1d7b5",
    "1500-0",
    "1500-1100",
    "B99999001ST010011110100361052543:00000616307350",
    "B99999001ST010011110100361052543:00000616307350:whole",
    "pi_1",
    "cus_1:pm_1",
    "2026040112000001234567",
    "2026040112000001234567:whole",
    "993617895204576J",
];

/// One answer, and where it comes.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Place in [`KINDS`] of the operation.
    pub(crate) kind: u8,
    /// Place in [`KINDS`] of the one that it is about.
    pub(crate) about: u8,
    /// Requests that have gone out.
    pub(crate) stage: u8,
    /// Place in [`REFERENCES`].
    pub(crate) reference: u8,
    /// HTTP status.
    pub(crate) status: u16,
    /// Its body.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// As a seed file has it: kind, about, stage, reference, two bytes of the status, the body.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let [kind, about, stage, reference, high, low, body @ ..] = bytes else {
            return None;
        };
        Some(Self {
            kind: *kind,
            about: *about,
            stage: *stage,
            reference: *reference,
            status: u16::from_be_bytes([*high, *low]),
            body: body.to_vec(),
        })
    }
}

type Pairs = &'static [(&'static str, &'static str)];

/// A connector as its own tests make it.
pub(crate) fn connector(name: &str) -> Box<dyn Connector> {
    let (parameters, secrets): (Pairs, Pairs) = match name {
        "adyen" => (
            &[("merchant_account", "Shop")],
            &[("api_key", "key"), ("webhook_hmac_key", HMAC_KEY)],
        ),
        "gmo" => (
            &[("shop_id", "tshop00000001"), ("site_id", "tsite00000001")],
            &[("shop_pass", "shoppass01"), ("site_pass", "sitepass01")],
        ),
        "hyperswitch" => (&[], &[("api_key", "snd_1")]),
        "kuroneko" => (
            &[
                ("trader_code", "888885555"),
                ("goods_name", "phone"),
                ("buyer_name", "電話"),
                ("buyer_tel", "0312345678"),
                ("buyer_email", "none@example.jp"),
            ],
            &[("access_key", "accesskey01")],
        ),
        "sbps" => (
            &[
                ("merchant_id", "99999"),
                ("service_id", "001"),
                ("item_id", "ITEM01"),
                ("sales", "requested"),
            ],
            &[
                ("hash_key", "0123456789abcdef0123456789abcdef01234567"),
                ("des_key", "0123456789abcdef01234567"),
                ("des_iv", "abcdefgh"),
            ],
        ),
        "stripe" => (
            &[],
            &[("secret_key", "sk_test_1"), ("webhook_secret", "whsec_1")],
        ),
        "veritrans" => (
            &[("merchant_ccid", "A100000000000000000000cc")],
            &[("merchant_secret_key", "secret_key_example")],
        ),
        "zeus" => (
            &[
                ("clientip", "1234567890"),
                ("telno", "0312345678"),
                ("email", "none@example.jp"),
            ],
            &[("key", "APIKEY"), ("zkey", "ZKEY")],
        ),
        _ => (&[], &[]),
    };
    let mut settings = Settings::new(Mode::Test);
    settings.raw_pan = true;
    for (name, value) in parameters {
        settings.parameters.insert((*name).into(), (*value).into());
    }
    for (name, value) in secrets {
        settings.secrets.insert((*name).into(), (*value).into());
    }
    configured(name.parse().expect("a connector"), &settings).expect("its settings")
}

fn digits(text: &str) -> Digits {
    let mut digits = Digits::take().expect("room");
    for byte in text.bytes() {
        digits.push(byte - b'0').expect("room");
    }
    digits
}

/// A published test card.
pub(crate) fn card() -> Card {
    let rules = Rules {
        brands: Brand::ALL.to_vec(),
        luhn: true,
    };
    let now = Month {
        year: 2026,
        month: 4,
    };
    Card {
        pan: Pan::parse(digits("4111111111111111"), &rules).expect("a card"),
        expiry: Expiry::parse(digits("1230"), now).expect("a month"),
        code: SecurityCode::parse(digits("123"), Brand::Visa).ok(),
    }
}

fn op(kind: OperationKind, about: OperationKind, reference: Option<AcquirerRef>) -> Intent {
    let later = !matches!(
        kind,
        OperationKind::Charge
            | OperationKind::Authorise
            | OperationKind::Tokenise
            | OperationKind::Verify
    );
    let amount = Money::new(1_500, Currency::Jpy).expect("an amount");
    let order = AcquirerOrder::new(42).expect("a number");
    let id = if later { LATER } else { FIRST };
    Intent {
        payment_id: FIRST.parse().expect("an id"),
        operation_id: id.parse().expect("an id"),
        kind,
        amount,
        card: Truncated::new(Brand::Visa, [1, 1, 1, 1]).expect("digits"),
        idempotency_key: id.parse().expect("an id"),
        acquirer_order: order,
        order: None,
        operator: None,
        plan: Plan::LumpSum,
        token: None,
        parent: later.then(|| {
            Box::new(Parent {
                operation_id: FIRST.parse().expect("an id"),
                kind: about,
                amount,
                acquirer_order: order,
                idempotency_key: FIRST.parse().expect("an id"),
                acquirer_ref: reference,
                at_unix_s: NOW - 3_600,
            })
        }),
    }
}

fn pick<T: Copy>(of: &[T], at: u8) -> T {
    of[usize::from(at) % of.len()]
}

/// Makes the request that carries the card, once: the first, or at GMO the second, whose order is open.
#[allow(dead_code, reason = "for a measurement")]
pub(crate) fn build(connector: &dyn Connector, opened: Option<&Reply>, card: &Card) {
    let op = Durable::attest(op(OperationKind::Charge, OperationKind::Charge, None));
    let asked = Asked {
        op: &op,
        card: Some(card),
        now_unix_s: NOW,
    };
    let progress = Progress {
        stage: u8::from(opened.is_some()),
        ..Progress::default()
    };
    let step = connector.step(&asked, &progress, opened);
    assert!(matches!(step, Ok(Step::Send(..))));
}

/// Reads the answer, and says what came of it.
///
/// # Panics
/// When an approval comes without the document's word for it.
pub(crate) fn check(name: &str, answer: &Answer) -> Option<Outcome> {
    let outcome = read(connector(name).as_ref(), answer, &card())?;
    if let Outcome::Approved(_) = outcome {
        assert!(says_yes(name, answer), "{name}: approved by {answer:?}");
    }
    Some(outcome)
}

/// Reads the answer; `None` when the connector asks on, or has no such step.
pub(crate) fn read(connector: &dyn Connector, answer: &Answer, card: &Card) -> Option<Outcome> {
    let (kind, about) = (pick(&KINDS, answer.kind), pick(&KINDS, answer.about));
    let reference = AcquirerRef::new(pick(&REFERENCES, answer.reference)).ok();
    let op = Durable::attest(op(kind, about, reference.clone()));
    let asked = Asked {
        op: &op,
        card: op.get().parent.is_none().then_some(card),
        now_unix_s: NOW,
    };
    let progress = Progress {
        stage: answer.stage % 9,
        reference,
        ..Progress::default()
    };
    let reply = Reply::new(answer.status, answer.body.clone());
    match connector.step(&asked, &progress, Some(&reply)) {
        Ok(Step::Done(outcome)) => Some(outcome),
        Ok(Step::Send(..)) | Err(_) => None,
    }
}

/// Reads what an acquirer sends of itself; `None` where it does not, or where nothing is believed.
///
/// # Panics
/// When an outcome is told that settles nothing.
pub(crate) fn hook(name: &str, body: &[u8]) -> Option<Vec<Heard>> {
    let connector = connector(name);
    let posted = Posted {
        authorization: None,
        signature: None,
        now_unix_s: 0,
        body,
    };
    let heard = connector.hook()?.read(&posted).ok()?;
    for heard in &heard {
        if let Heard::Notice(notice) = heard {
            assert!(!matches!(notice.outcome, Outcome::Unknown(_)), "{name}");
        }
    }
    Some(heard)
}

/// The least that an acquirer's document asks of an answer that is a yes.
fn says_yes(name: &str, answer: &Answer) -> bool {
    let text = String::from_utf8_lossy(&answer.body);
    let has = |any: &[&str]| any.iter().any(|word| text.contains(word));
    let json: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
    // As a text without escapes.
    let json = json.map(|value| value.to_string()).unwrap_or_default();
    let says = |any: &[&str]| any.iter().any(|word| json.contains(word));
    // A character by its number is a character, too.
    let coded = text.contains("&#");
    answer.status == 200
        && match name {
            "adyen" => says(&["Authorised"]),
            "generic" => says(&["charge_id"]),
            "gmo" => {
                let ended = ["CheckString=", "TranID=", "CardSeq="];
                !has(&["ErrInfo=", "ErrCode="]) && has(&ended)
            }
            "hyperswitch" => says(&[
                "succeeded",
                "requires_capture",
                "partially_captured",
                "cancelled",
            ]),
            "kuroneko" => coded || has(&["<returnCode>0</returnCode>"]),
            "sbps" => coded || has(&["<res_result>OK</res_result>"]),
            "stripe" => says(&[
                "succeeded",
                "requires_capture",
                "canceled",
                "payment_method",
            ]),
            "veritrans" => says(&["A001", "N001", "payNowIdResponse"]) && says(&["success"]),
            "zeus" => {
                // 決済完了, 取り消し and 与信完了 or 仮売完了 in Shift_JIS.
                let stands: [&[u8]; 2] = [
                    b"\x8c\x88\x8d\xcf\x8a\xae\x97\xb9",
                    b"\x8e\xe6\x82\xe8\x8f\xc1\x82\xb5",
                ];
                let stands = stands
                    .iter()
                    .any(|word| answer.body.windows(word.len()).any(|w| w == *word));
                coded || stands || has(&["<status>success</status>"])
            }
            _ => false,
        }
}
