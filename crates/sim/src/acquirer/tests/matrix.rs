//! Every connector of ours against its acquirer's server here: each operation, each way in which an answer can go wrong, what we make of
//! it, and how what is unknown is found out afterwards. The books of the server are the judge.
//!
//! `cargo test -p ivrpay-sim matrix -- --ignored --nocapture` prints the table; `make check` and `make test` do.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use ivrpay_acquirer::{CardKept, Connector, EndpointConfig, Mode, Progress, Settings, configured};
use ivrpay_card::Card;
use ivrpay_payment::{
    AcquirerOrder, AcquirerRef, Currency, Doubt, Durable, IdempotencyKey, Intent, Money,
    OperationId, OperationKind, Outcome, PaymentId, Plan,
};
use ivrpay_wire::{Kept, Sender, Trouble};

use super::ours::card;
use super::*;
use crate::acquirer::trouble::TROUBLES;

/// What has to be known of an acquirer to try it.
struct Tried {
    name: &'static str,
    /// The requests by which each operation moves money, as the acquirer calls them. One that is not here, it does not have.
    requests: &'static [(OperationKind, &'static str)],
    /// The same of what else is asked behind a charge or an authorisation.
    more: &'static [(More, &'static str)],
    /// Cards that are refused, and the neutral reason.
    declines: &'static [(&'static str, &'static str)],
}

/// What is asked of a charge besides its refund as a whole, and of an authorisation besides its capture and its release.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    Void,
    Part,
    Less,
    Greater,
}

/// What is tried: an operation, the one before it, and how much of it.
#[derive(Clone, Copy)]
struct Trial {
    name: &'static str,
    kind: OperationKind,
    /// Charge or authorisation, of 1,500.
    first: Option<OperationKind>,
    amount: u64,
}

impl More {
    fn trial(self) -> Trial {
        use OperationKind::{Authorise, Change, Charge, Refund, Void};
        let (name, kind, first, amount) = match self {
            Self::Void => ("void-charge", Void, Charge, 1500),
            Self::Part => ("refund-part", Refund, Charge, 400),
            Self::Less => ("change-less", Change, Authorise, 1100),
            Self::Greater => ("change-more", Change, Authorise, 1800),
        };
        Trial {
            name,
            kind,
            first: Some(first),
            amount,
        }
    }
}

const TRIED: &[Tried] = &[
    Tried {
        name: "adyen",
        requests: &[
            (OperationKind::Charge, "payments"),
            (OperationKind::Authorise, "payments"),
            (OperationKind::Capture, "captures"),
            (OperationKind::Void, "cancels"),
            (OperationKind::Refund, "reversals"),
            (OperationKind::Tokenise, "payments"),
            (OperationKind::Verify, "payments"),
        ],
        more: &[(More::Void, "reversals"), (More::Part, "refunds")],
        declines: &[
            ("4000000000000002", "card_unusable"),
            ("4000000000009995", "insufficient_funds"),
            ("4000000000009987", "pickup"),
            ("4000000000000069", "expired_card"),
            ("4000000000000127", "cvv_mismatch"),
            ("4100000000000019", "fraud_suspected"),
            ("4000002500003155", "authentication_required"),
        ],
    },
    Tried {
        name: "generic",
        requests: &[(OperationKind::Charge, "charge")],
        more: &[],
        declines: &[
            ("4000000000000002", "card_unusable"),
            ("4000000000009995", "insufficient_funds"),
            ("4000000000009987", "lost_or_stolen"),
            ("4000000000000069", "expired_card"),
            ("4000000000000127", "cvv_mismatch"),
            ("4000000000006975", "limit_exceeded"),
            ("4100000000000019", "fraud_suspected"),
            ("4000002500003155", "authentication_required"),
        ],
    },
    Tried {
        name: "gmo",
        requests: &[
            (OperationKind::Charge, "ExecTran"),
            (OperationKind::Authorise, "ExecTran"),
            (OperationKind::Capture, "AlterTran"),
            (OperationKind::Void, "AlterTran"),
            (OperationKind::Refund, "AlterTran"),
            (OperationKind::Tokenise, "SaveCard"),
            (OperationKind::Verify, "ExecTran"),
        ],
        more: &[
            (More::Void, "AlterTran"),
            (More::Part, "ChangeTran"),
            (More::Less, "ChangeTran"),
            (More::Greater, "ChangeTran"),
        ],
        declines: &[
            ("4000000000000002", "card_unusable"),
            ("4000000000009995", "insufficient_funds"),
            ("4000000000009987", "lost_or_stolen"),
            ("4000000000000069", "invalid_expiry"),
            ("4000000000000127", "cvv_mismatch"),
        ],
    },
    Tried {
        name: "hyperswitch",
        requests: &[
            (OperationKind::Charge, "payments"),
            (OperationKind::Authorise, "payments"),
            (OperationKind::Capture, "capture"),
            (OperationKind::Void, "cancel"),
            (OperationKind::Refund, "refunds"),
        ],
        more: &[(More::Part, "refunds")],
        declines: &[
            ("4000000000000002", "card_unusable"),
            ("4000000000009995", "insufficient_funds"),
            ("4000000000009987", "lost_or_stolen"),
            ("4000000000000069", "expired_card"),
            ("4000000000000127", "cvv_mismatch"),
            ("4000002500003155", "authentication_required"),
        ],
    },
    Tried {
        name: "stripe",
        requests: &[
            (OperationKind::Charge, "payment_intents"),
            (OperationKind::Authorise, "payment_intents"),
            (OperationKind::Capture, "capture"),
            (OperationKind::Void, "cancel"),
            (OperationKind::Refund, "refunds"),
            (OperationKind::Tokenise, "attach"),
            (OperationKind::Verify, "setup_intents"),
        ],
        more: &[(More::Part, "refunds")],
        declines: &[
            ("4000000000000002", "card_unusable"),
            ("4000000000009995", "insufficient_funds"),
            ("4000000000009987", "lost_or_stolen"),
            ("4000000000000069", "expired_card"),
            ("4000000000000127", "cvv_mismatch"),
            ("4000000000006975", "limit_exceeded"),
            ("4100000000000019", "fraud_suspected"),
            ("4000002500003155", "authentication_required"),
        ],
    },
    Tried {
        name: "kuroneko",
        requests: &[
            (OperationKind::Charge, "credit"),
            (OperationKind::Charge, "shipmentEntry"),
            (OperationKind::Authorise, "credit"),
            (OperationKind::Capture, "shipmentEntry"),
            (OperationKind::Void, "creditCancel"),
            (OperationKind::Refund, "creditCancel"),
            (OperationKind::Tokenise, "credit"),
        ],
        more: &[
            (More::Void, "creditCancel"),
            (More::Part, "creditChangePrice"),
            (More::Less, "creditChangePrice"),
            (More::Greater, "creditChangePrice"),
        ],
        declines: &[
            ("4000000000000002", "card_unusable"),
            ("4000000000009995", "limit_exceeded"),
            ("4000000000009987", "lost_or_stolen"),
            ("4000000000000069", "invalid_expiry"),
            ("4000000000000127", "cvv_mismatch"),
            ("6011111111111117", "card_not_supported"),
        ],
    },
    Tried {
        name: "veritrans",
        requests: &[
            (OperationKind::Charge, "Authorize"),
            (OperationKind::Authorise, "Authorize"),
            (OperationKind::Capture, "Capture"),
            (OperationKind::Void, "Cancel"),
            (OperationKind::Refund, "Cancel"),
            (OperationKind::Tokenise, "Add/cardinfo"),
        ],
        more: &[(More::Void, "Cancel"), (More::Part, "Cancel")],
        declines: &[
            ("4000000000000002", "card_unusable"),
            ("4000000000009995", "limit_exceeded"),
            ("4000000000009987", "lost_or_stolen"),
            ("4000000000000069", "invalid_expiry"),
            ("4000000000000127", "cvv_mismatch"),
            ("3056930009020004", "card_not_supported"),
        ],
    },
    Tried {
        name: "sbps",
        requests: &[
            (OperationKind::Charge, "ST01-00111-101"),
            (OperationKind::Charge, "ST02-00201-101"),
            (OperationKind::Authorise, "ST02-00101-101"),
            (OperationKind::Capture, "ST02-00201-101"),
            (OperationKind::Void, "ST02-00305-101"),
            (OperationKind::Refund, "ST02-00303-101"),
            (OperationKind::Tokenise, "MG02-00101-101"),
        ],
        more: &[
            (More::Void, "ST02-00303-101"),
            (More::Part, "ST02-00307-101"),
        ],
        declines: &[
            ("4000000000000002", "card_unusable"),
            ("4000000000009995", "limit_exceeded"),
            ("4000000000009987", "lost_or_stolen"),
            ("4000000000000069", "invalid_expiry"),
            ("4000000000000127", "cvv_mismatch"),
        ],
    },
    Tried {
        name: "zeus",
        requests: &[
            (OperationKind::Charge, "payment"),
            (OperationKind::Void, "payment_return"),
            (OperationKind::Refund, "payment_return"),
        ],
        more: &[(More::Part, "price_change")],
        declines: &[
            ("4000000000000002", "card_unusable"),
            ("4000000000000069", "expired_card"),
            ("4000000000000127", "cvv_mismatch"),
        ],
    },
];

/// A merchant of one acquirer.
pub(super) struct Shop<'a> {
    pub(super) lab: &'a Lab,
    pub(super) name: &'static str,
    pub(super) connector: Box<dyn Connector>,
    pub(super) sender: Sender,
}

/// What a client of that acquirer is told.
pub(super) async fn told(lab: &Lab, name: &str) -> (Settings, EndpointConfig) {
    let url = format!("http://{}/settings", lab.running.control);
    let text = lab.client.get(url).send().await.unwrap().text().await;
    let all: Value = serde_json::from_str(&text.unwrap()).unwrap();
    let texts = |part: &str| -> Vec<(String, String)> {
        let of = all[name][part].as_object().expect("an acquirer's settings");
        of.iter()
            .map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()))
            .collect()
    };
    let mut settings = Settings::new(Mode::Test);
    settings.raw_pan = true;
    settings.parameters = texts("parameters").into_iter().collect();
    let mut secrets = texts("secrets");
    // HTTP Basic belongs to the endpoint.
    let mut basic = |key: &str| {
        let at = secrets.iter().position(|(k, _)| k == key)?;
        Some(secrets.remove(at).1)
    };
    let (user, password) = (basic("basic_user"), basic("basic_password"));
    settings.secrets = secrets.into_iter().map(|(k, v)| (k, v.into())).collect();
    let endpoint = EndpointConfig {
        ca_file: Some(lab._dir.path().join("ca.pem")),
        user: user.unwrap_or_default(),
        password: password.map(Into::into),
        reply_timeout: Duration::from_millis(1_500),
        ..EndpointConfig::new(format!("https://{}/{name}", lab.running.listen))
    };
    (settings, endpoint)
}

/// An operation that has been run.
pub(super) struct Done {
    pub(super) op: Durable<Intent>,
    pub(super) outcome: Outcome,
    pub(super) trouble: Option<Trouble>,
    /// What the acquirer has said of it; of a later operation that has no word of its own, of what it is about.
    pub(super) reference: Option<AcquirerRef>,
}

impl<'a> Shop<'a> {
    pub(super) async fn open(lab: &'a Lab, name: &'static str) -> Self {
        Self::keeping(lab, name, CardKept::UntilSent).await
    }

    /// With cards that are kept so long.
    pub(super) async fn keeping(lab: &'a Lab, name: &'static str, card_kept: CardKept) -> Self {
        let (settings, endpoint) = told(lab, name).await;
        let endpoint = EndpointConfig {
            card_kept,
            ..endpoint
        };
        Self {
            lab,
            name,
            connector: configured(name.parse().unwrap(), &settings)
                .map_err(|e| e.to_string())
                .unwrap(),
            sender: Sender::new(&endpoint).unwrap(),
        }
    }

    /// An operation of its own, or about `parent`, an hour old so that no answer can still come.
    pub(super) fn intent(&self, kind: OperationKind, amount: u64, parent: Option<&Done>) -> Intent {
        static ORDERS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let id = uuid::Uuid::now_v7();
        let number = ORDERS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let pan = card("4111111111111111").pan.truncated();
        Intent {
            payment_id: PaymentId::new(id),
            operation_id: OperationId::new(id),
            kind,
            amount: Money::new(amount, Currency::Jpy).unwrap(),
            card: parent.map_or(pan, |p| p.op.get().card),
            idempotency_key: IdempotencyKey::new(id),
            acquirer_order: parent.map_or_else(
                || AcquirerOrder::new(20_261_126_000_000_000 + number).unwrap(),
                |p| p.op.get().acquirer_order,
            ),
            order: None,
            operator: None,
            plan: Plan::LumpSum,
            token: None,
            parent: parent.map(|p| {
                let at_unix_s = i64::try_from(now).unwrap() - 3_600;
                Box::new(p.op.get().as_parent(p.reference.clone(), at_unix_s))
            }),
        }
    }

    pub(super) async fn run(&self, op: Intent, number: Option<&str>) -> Done {
        let card: Option<Card> = number.map(card);
        let op = Intent {
            card: card.as_ref().map_or(op.card, |card| card.pan.truncated()),
            ..op
        };
        let op = Durable::attest(op);
        let mut kept = Kept::default();
        let (connector, sender) = (self.connector.as_ref(), &self.sender);
        let ran = ivrpay_wire::run_from(
            connector,
            sender,
            &op,
            card,
            Progress::default(),
            &mut kept,
            |_| {},
        )
        .await;
        // As the journal does.
        let reference = kept.reference(&ran.outcome);
        let reference = reference.or_else(|| op.get().parent.as_ref()?.acquirer_ref.clone());
        Done {
            op,
            outcome: ran.outcome,
            trouble: ran.trouble,
            reference,
        }
    }

    pub(super) async fn fault(&self, request: &str, fault: &str) {
        self.faults(request, fault, 1).await;
    }

    /// A fault of so many requests one after the other.
    pub(super) async fn faults(&self, request: &str, fault: &str, times: u64) {
        let url = format!("http://{}/fault", self.lab.running.control);
        let asked =
            json!({"acquirer": self.name, "request": request, "fault": fault, "times": times});
        let answer = self
            .lab
            .client
            .post(url)
            .body(asked.to_string())
            .send()
            .await;
        assert_eq!(answer.unwrap().status().as_u16(), 200, "{fault}");
    }

    /// What the acquirer's books say of an order.
    pub(super) async fn order(&self, of: &Done) -> Value {
        let log = self.lab.log().await;
        let number = of.op.get().acquirer_order.to_string();
        let orders = log["acquirers"][self.name]["orders"].as_array().unwrap();
        let found = orders.iter().find(|o| o["order"] == number);
        found.cloned().unwrap_or(Value::Null)
    }

    async fn wrong(&self) -> Value {
        self.lab.log().await["acquirers"][self.name]["wrong"].clone()
    }

    /// An operation as it is tried, behind what it needs before it: an authorisation for a capture, a charge for a refund.
    fn trial(&self, kind: OperationKind) -> Trial {
        let can = self.connector.about().capabilities;
        let first = match kind {
            OperationKind::Void if !can.authorise_without_capture => Some(OperationKind::Charge),
            OperationKind::Capture | OperationKind::Void => Some(OperationKind::Authorise),
            OperationKind::Refund => Some(OperationKind::Charge),
            _ => None,
        };
        Trial {
            name: kind.name(),
            kind,
            first,
            amount: 1500,
        }
    }

    async fn before(&self, first: OperationKind) -> Done {
        let done = self
            .run(self.intent(first, 1500, None), Some("4111111111111111"))
            .await;
        assert!(
            matches!(done.outcome, Outcome::Approved(_)),
            "{}: {:?}",
            self.name,
            done.outcome
        );
        done
    }
}

/// An outcome in a word.
pub(super) fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Approved(_) => "approved".into(),
        Outcome::Declined(decline) => decline.reason.name().into(),
        Outcome::NotCharged(why) => format!("not charged: {why:?}"),
        Outcome::Unknown(Doubt::Status { status }) => format!("unknown: {status}"),
        Outcome::Unknown(doubt) => format!("unknown: {doubt:?}"),
    }
}

/// Runs one cell: the operation with this fault. Says what came of it and how it was found out.
async fn cell(shop: &Shop<'_>, trial: Trial, request: &str, fault: Option<&str>) -> String {
    let kind = trial.kind;
    let before = match trial.first {
        Some(first) => Some(shop.before(first).await),
        None => None,
    };
    let keyed = matches!(
        kind,
        OperationKind::Charge
            | OperationKind::Authorise
            | OperationKind::Tokenise
            | OperationKind::Verify
    );
    if let Some(fault) = fault {
        shop.fault(request, fault).await;
    }
    let intent = shop.intent(kind, trial.amount, before.as_ref());
    let done = shop.run(intent, keyed.then_some("4111111111111111")).await;
    let booked = fault.is_none_or(|name| TROUBLES.iter().any(|row| row.2 == name && row.1.booked));
    let at = format!("{} {} {fault:?}", shop.name, trial.name);
    // Money: never "no" when it was done, never "yes" when it was not.
    match &done.outcome {
        Outcome::Approved(_) => assert!(booked, "{at}"),
        Outcome::Declined(_) | Outcome::NotCharged(_) => assert!(
            !booked || matches!(kind, OperationKind::Tokenise | OperationKind::Verify),
            "{at}: {:?}",
            done.outcome
        ),
        Outcome::Unknown(_) => {}
    }
    let mut said = word(&done.outcome);
    if let (OperationKind::Change, Some(before)) = (kind, &before) {
        let held = if booked { trial.amount } else { 1500 };
        assert_eq!(shop.order(before).await["amount"], held, "{at}");
    }
    if !matches!(done.outcome, Outcome::Unknown(_)) {
        return said;
    }
    if matches!(kind, OperationKind::Tokenise | OperationKind::Verify) {
        said += " -> nothing was taken, asked anew";
        return said;
    }
    let capabilities = shop.connector.about().capabilities;
    if !capabilities.query {
        said += match shop.connector.hook() {
            Some(_) => " -> its webhook, else a person (no query)",
            None => " -> a person (no query)",
        };
        if capabilities.void && keyed {
            // By our own order number, where the acquirer has that.
            let void = shop.intent(OperationKind::Void, 1500, Some(&done));
            let void = shop.run(void, None).await.outcome;
            if !matches!(void, Outcome::NotCharged(_)) {
                assert_ne!(shop.order(&done).await["booked"], true, "{at}: not undone");
                write!(said, ", or undone by our number: {}", word(&void)).unwrap();
            }
        }
        return said;
    }
    let query = shop.intent(OperationKind::Query, trial.amount, Some(&done));
    let about = query.parent.as_deref();
    if !about.is_some_and(|about| shop.connector.can_ask(about)) {
        said += " -> a person (it can't be asked about)";
        return said;
    }
    let asked = shop.run(query, None).await;
    match &asked.outcome {
        Outcome::Approved(_) => assert!(booked, "{at}: found {:?}", asked.outcome),
        Outcome::Declined(_) | Outcome::NotCharged(_) => {
            assert!(!booked, "{at}: found {:?}", asked.outcome);
        }
        Outcome::Unknown(_) => {}
    }
    write!(said, " -> query: {}", word(&asked.outcome)).unwrap();
    // It is reserved and not taken: the service releases it by itself.
    if asked.outcome == Outcome::Unknown(Doubt::HalfDone) {
        let void = shop.intent(OperationKind::Void, trial.amount, Some(&done));
        assert!(shop.connector.releases(void.parent.as_deref().unwrap()));
        let void = shop.run(void, None).await.outcome;
        assert!(matches!(void, Outcome::Approved(_)), "{at}: {void:?}");
        assert_ne!(shop.order(&done).await["booked"], true, "{at}");
        said += ", and released";
    }
    said
}

fn row(acquirer: &str, trial: &str, case: &str, said: &str) -> String {
    format!("{acquirer:<12} {trial:<11} {case:<16} {said}\n")
}

/// A trial without a fault, and with each of each request.
async fn rows(shop: &Shop<'_>, trial: Trial, requests: &[&str]) -> String {
    let first = requests.first().copied().unwrap_or_default();
    let said = cell(shop, trial, first, None).await;
    let mut table = row(shop.name, trial.name, "approve", &said);
    // One after the other: a fault is for the next request, whosever it is.
    for request in requests {
        for (_, _, fault) in TROUBLES {
            let said = cell(shop, trial, request, Some(fault)).await;
            table += &row(shop.name, trial.name, fault, &format!("{said} ({request})"));
        }
    }
    table
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "half a minute: scripts/test runs it and prints its table"]
async fn matrix_of_connectors_operations_and_faults() {
    // Each with a server and faults of its own, so side by side.
    let tables = TRIED.iter().map(|tried| async move {
        let mut table = String::new();
        let lab = Lab::start().await;
        let shop = Shop::open(&lab, tried.name).await;
        let capabilities = shop.connector.about().capabilities;
        for kind in [
            OperationKind::Charge,
            OperationKind::Authorise,
            OperationKind::Capture,
            OperationKind::Void,
            OperationKind::Refund,
            OperationKind::Tokenise,
            OperationKind::Verify,
        ] {
            let requests = tried.requests.iter().filter(|r| r.0 == kind);
            let requests: Vec<_> = requests.map(|r| r.1).collect();
            assert_eq!(
                !requests.is_empty(),
                capabilities.has(kind),
                "{} {kind:?}",
                tried.name
            );
            let trial = shop.trial(kind);
            if requests.is_empty() {
                let none = "the acquirer has no such operation";
                table += &row(tried.name, trial.name, "-", none);
                continue;
            }
            table += &rows(&shop, trial, &requests).await;
            if !matches!(kind, OperationKind::Charge | OperationKind::Authorise) {
                continue;
            }
            for (number, reason) in tried.declines {
                let done = shop.run(shop.intent(kind, 1500, None), Some(number)).await;
                assert_eq!(word(&done.outcome), *reason, "{} {number}", tried.name);
                assert_ne!(shop.order(&done).await["booked"], true);
                table += &row(tried.name, trial.name, "decline", reason);
            }
        }
        for (more, can) in [
            (More::Part, capabilities.partial_refund),
            (More::Less, capabilities.change),
            (More::Greater, capabilities.change),
        ] {
            let tries = tried.more.iter().any(|row| row.0 == more);
            assert_eq!(tries, can, "{} {}", tried.name, more.trial().name);
            if !can {
                let none = "the acquirer has no such operation";
                table += &row(tried.name, more.trial().name, "-", none);
            }
        }
        for (more, request) in tried.more {
            table += &rows(&shop, more.trial(), &[*request]).await;
        }
        assert_eq!(
            shop.wrong().await,
            json!([]),
            "{}: requests that the acquirer refuses as wrong",
            tried.name
        );
        table
    });
    let table = futures_util::future::join_all(tables).await.concat();
    println!("{table}");
}
