//! A published list of cases against an acquirer's test system, or a simulator: `ivrpay connector test`.
//!
//! Each case runs operations as a call would, by [`run_from`] and one after the other, and undoes what it has moved. They are no payments
//! and no journal knows them; a [`Record`] writes each down before it goes out, so that an order that stays behind has a number even
//! when the machine dies. Whoever runs them makes sure that no money moves: mode live is refused by [`Kit::new`].

mod cards;
mod cases;
mod report;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ivrpay_acquirer::{
    Asked, Capabilities, CardKept, Connector, EndpointConfig, Kind, Mode, Progress, Settings, Step,
    configured,
};
use ivrpay_card::Card;
use ivrpay_payment::{
    AcquirerOrder, AcquirerRef, Brand, CardToken, Currency, Doubt, Durable, IdempotencyKey, Intent,
    Money, OperationId, OperationKind, Outcome, PaymentId, Plan, Truncated, Why,
};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

pub use cards::{Cards, CardsError};
pub use cases::{CASES, Case, Listed};
pub use report::{Left, Plans, Report, Row, Verdict};

use crate::run::now_unix_s;
use crate::{Kept, Ran, SendError, Sender, Trouble, hint, run_from};
use cards::Which;
use report::words;

/// Yen of a charge, of a part of it, and of a payment plan: issuers take none for less than some thousands.
const AMOUNT: u64 = 1_000;
const PART: u64 = 400;
const MORE: u64 = 1_200;
const PLAN_AMOUNT: u64 = cases::PLAN_AMOUNT;

/// From then on no further case is begun.
const RUN_MAX: Duration = Duration::from_secs(900);

/// How long ago the order that never was is said to have been begun: too long for any request to be still on its way, seconds.
const LONG_AGO_S: i64 = 86_400;

/// Where operations are written before they go out.
pub trait Record {
    /// An order number that no other installation, and no journal of this one, gives.
    fn order(&mut self) -> AcquirerOrder;

    /// Writes and syncs.
    ///
    /// # Errors
    /// The disk's; nothing is sent then.
    fn write(&mut self, intent: Intent) -> io::Result<Durable<Intent>>;
}

/// What is tested.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Its name in the configuration.
    pub name: &'a str,
    /// Which acquirer.
    pub kind: Kind,
    /// What it has been told.
    pub settings: &'a Settings,
    /// Where it is; `None` where nothing is sent.
    pub endpoint: Option<&'a EndpointConfig>,
    /// The plans that merchants can ask of it, each once; `None` where no merchant uses it, and what it can do is tried.
    pub plans: Option<&'a [Offered]>,
}

/// A plan that a merchant offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offered {
    /// Which.
    pub plan: Plan,
    /// For amounts from and to, yen.
    pub amount: (u64, u64),
}

/// Why there is nothing to test.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Money would move.
    #[error("this connector is in mode live: its charges would be real")]
    Live,
    /// Nothing is sent.
    #[error("this connector sends nothing (kind null)")]
    Offline,
    /// Nearly every case needs a card.
    #[error("this acquirer publishes no test card that it approves")]
    NoCard,
    /// Its settings can't be used any more.
    #[error("this connector can't be made: {0}")]
    Settings(String),
}

impl Refused {
    /// What to do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Live => {
                "write a connector of the acquirer's test system beside it (mode = \"test\"), and test that"
            }
            Self::Offline => "name a connector that has an endpoint",
            Self::NoCard => {
                "write the test system's own into a file: --card-file (docs/connector-test.md)"
            }
            Self::Settings(_) => "look at it with `ivrpay check`",
        }
    }
}

/// Runs the cases.
pub struct Kit<'a> {
    subject: Subject<'a>,
    connector: Box<dyn Connector>,
    sender: Sender,
    host: String,
    cards: Cards,
    record: &'a mut dyn Record,
    held: Vec<Held>,
    left: Vec<Left>,
}

/// An operation that has been run.
struct Done {
    op: Durable<Intent>,
    at_unix_s: i64,
    outcome: Outcome,
    reference: Option<AcquirerRef>,
    trouble: Option<Trouble>,
}

/// An order that stands at the acquirer.
struct Held {
    first: Done,
    /// Minor units that are not released or given back.
    left: u64,
    /// Whether what was reserved has been taken since.
    captured: bool,
    /// Whether another amount was reserved instead of the first.
    changed: bool,
    /// What the last refund of a part was told: some acquirers go on with another number.
    moved_to: Option<AcquirerRef>,
}

/// How a case ended, before it is put into the report.
struct Came {
    result: Verdict,
    text: String,
    reference: Option<AcquirerRef>,
    code: Option<String>,
    order: Option<AcquirerOrder>,
    hint: Option<&'static str>,
}

impl Came {
    fn without(result: Verdict, text: impl Into<String>) -> Self {
        Self {
            result,
            text: text.into(),
            reference: None,
            code: None,
            order: None,
            hint: None,
        }
    }

    fn of(result: Verdict, done: &Done) -> Self {
        let op = done.op.get();
        let unanswered = matches!(done.trouble, Some(Trouble::Send(SendError::NoReply { .. })));
        let text = match (&done.outcome, &done.trouble) {
            // It went out; what no money moves by is not charged, answered or not.
            (Outcome::NotCharged(_), _) if unanswered => {
                format!(
                    "{}: no whole answer came; no money moves by it",
                    op.kind.name()
                )
            }
            (outcome, None) => format!("{}: {}", op.kind.name(), words(outcome)),
            (outcome, Some(trouble)) => {
                format!("{}: {} ({trouble})", op.kind.name(), words(outcome))
            }
        };
        Self {
            result,
            text,
            // Of what has not ended it may be one by which the acquirer knows us (GMO's access pass).
            reference: match &done.outcome {
                Outcome::Approved(approval) => Some(approval.acquirer_ref.clone()),
                _ => None,
            },
            code: match &done.outcome {
                Outcome::Approved(approval) => approval.code.clone(),
                Outcome::Declined(decline) => Some(decline.code.clone()),
                _ => None,
            },
            order: Some(op.acquirer_order),
            hint: match result {
                Verdict::Ok => None,
                _ => todo(&done.outcome, done.trouble.as_ref()),
            },
        }
    }

    fn failed(done: &Done) -> Self {
        Self::of(Verdict::Failed, done)
    }
}

impl<'a> Kit<'a> {
    /// For one connector.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn new(
        subject: Subject<'a>,
        cards: Cards,
        record: &'a mut dyn Record,
    ) -> Result<Self, Refused> {
        if subject.settings.mode == Mode::Live {
            return Err(Refused::Live);
        }
        let endpoint = subject.endpoint.ok_or(Refused::Offline)?;
        if cards.get(Which::Approved).is_none() {
            return Err(Refused::NoCard);
        }
        let url = Url::parse(&endpoint.url).ok();
        let host = url.and_then(|url| {
            let port = url.port().map(|port| format!(":{port}"));
            Some(format!("{}{}", url.host_str()?, port.unwrap_or_default()))
        });
        let (connector, sender) = made(subject.kind, subject.settings, endpoint)?;
        Ok(Self {
            subject,
            connector,
            sender,
            host: host.unwrap_or_default(),
            cards,
            record,
            held: Vec::new(),
            left: Vec::new(),
        })
    }

    /// Runs all cases; `tell` hears of each. When `stop` is set no further one is begun, and what stands is undone.
    pub async fn run(mut self, stop: &AtomicBool, mut tell: impl FnMut(&Row)) -> Report {
        let begun = Instant::now();
        let mut rows = Vec::new();
        let all = CASES.iter().flat_map(|listed| self.tries(listed));
        let all: Vec<_> = all.collect();
        let mut plans = Vec::new();
        for (listed, offered) in all {
            let at = Instant::now();
            let came = if stop.load(Ordering::Relaxed) {
                Came::without(Verdict::NotTried, "stopped before")
            } else if begun.elapsed() > RUN_MAX {
                Came::without(Verdict::NotTried, "out of time")
            } else if !listed.case.is_for(&self.can()) {
                Came::without(Verdict::NotSupported, "the connector has no such thing")
            } else if let (Case::Plan(_), None) = (listed.case, offered) {
                let why = "no merchant who uses this connector offers it";
                Came::without(Verdict::NotTried, why)
            } else {
                match self.case(listed.case, offered).await {
                    Ok(came) | Err(came) => came,
                }
            };
            let tried = matches!(came.result, Verdict::Ok | Verdict::Failed);
            if let Some((plan, _)) = offered.filter(|_| tried) {
                plans.push(plan.to_string());
            }
            let ms = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.undo().await;
            let row = Row {
                case: listed.name,
                what: match offered {
                    Some((plan, amount)) => cases::taken_as(plan, amount),
                    None => listed.what.to_owned(),
                },
                expected: listed.expected,
                result: came.result,
                came: came.text,
                reference: came.reference.map(Into::into),
                code: came.code,
                order: came.order.map(|order| order.to_string()),
                hint: came.hint,
                ms,
            };
            tell(&row);
            rows.push(row);
        }
        let about = self.subject.kind.about();
        Report {
            ivrpay: env!("CARGO_PKG_VERSION"),
            connector: self.subject.name.to_owned(),
            kind: about.name,
            title: about.title,
            host: self.host,
            plans: Plans {
                of: match self.subject.plans {
                    Some(_) => "merchants",
                    None => "connector",
                },
                tried: plans,
            },
            cases: rows,
            left: self.left,
        }
    }

    /// A case, and of plans each that is to be tried, with its amount: nothing where there is none.
    fn tries(&self, listed: &'static Listed) -> Vec<(&'static Listed, Option<(Plan, u64)>)> {
        let Case::Plan(sample) = listed.case else {
            return vec![(listed, None)];
        };
        let Some(plans) = self.subject.plans else {
            return vec![(listed, Some((sample, PLAN_AMOUNT)))];
        };
        let same = plans.iter().filter(|of| of.plan.name() == sample.name());
        let each = same.map(|of| {
            let (min, max) = of.amount;
            (listed, Some((of.plan, PLAN_AMOUNT.min(max).max(min))))
        });
        let each: Vec<_> = each.collect();
        if each.is_empty() {
            vec![(listed, None)]
        } else {
            each
        }
    }

    fn can(&self) -> Capabilities {
        self.connector.about().capabilities
    }

    async fn case(&mut self, case: Case, offered: Option<(Plan, u64)>) -> Result<Came, Came> {
        use OperationKind::{Authorise, Capture, Charge, Refund, Void};
        match case {
            Case::Reach => match self.sender.probe().await {
                Ok(reached) => {
                    let text = format!("{} answers with {}", reached.peer, reached.tls);
                    Ok(Came::without(Verdict::Ok, text))
                }
                Err(error) => Err(Came {
                    hint: Some(error.hint()),
                    ..Came::without(Verdict::Failed, error.to_string())
                }),
            },
            Case::Verify => {
                let op = self.intent(OperationKind::Verify, AMOUNT);
                approved(self.keyed(op, Which::Approved).await?)
            }
            Case::AuthoriseVoid => self.both(Authorise, (Void, AMOUNT)).await,
            Case::AuthoriseCapture => self.both(Authorise, (Capture, AMOUNT)).await,
            Case::CapturePart => self.both(Authorise, (Capture, PART)).await,
            Case::Change => {
                let op = self.intent(Authorise, AMOUNT);
                let at = self.pay(op).await?;
                self.later(OperationKind::Change, MORE, at).await?;
                self.later(Void, MORE, at).await
            }
            Case::ChargeVoid => self.both(Charge, (Void, AMOUNT)).await,
            Case::ChargeRefund => self.both(Charge, (Refund, AMOUNT)).await,
            Case::RefundPart => self.refund_part().await,
            Case::Query => {
                let charge = self.charge().await?;
                approved(self.ask(charge).await?)
            }
            Case::QueryNever => self.query_never().await,
            Case::Double => self.double().await,
            Case::Decline => {
                let op = self.intent(Charge, AMOUNT);
                let done = self.keyed(op, Which::Declined).await?;
                if matches!(done.outcome, Outcome::Declined(_)) {
                    return Ok(Came::of(Verdict::Ok, &done));
                }
                let came = Came::failed(&done);
                self.hold(done, AMOUNT).await;
                Err(came)
            }
            Case::Plan(sample) => {
                let (plan, amount) = offered.unwrap_or((sample, PLAN_AMOUNT));
                let op = Intent {
                    plan,
                    ..self.intent(Charge, amount)
                };
                let at = self.pay(op).await?;
                Ok(self.came_of(at))
            }
            Case::Token => self.token().await,
            Case::Credentials => self.credentials().await,
        }
    }

    /// A payment, and what is done about it.
    async fn both(
        &mut self,
        first: OperationKind,
        (kind, amount): (OperationKind, u64),
    ) -> Result<Came, Came> {
        let op = self.intent(first, AMOUNT);
        let at = self.pay(op).await?;
        self.later(kind, amount, at).await
    }

    /// Gives a part back: of what is captured, which a charge is not at every acquirer.
    async fn refund_part(&mut self) -> Result<Came, Came> {
        use OperationKind::{Authorise, Capture, Charge, Refund};
        let can = self.can();
        if !can.captured_later {
            return self.both(Charge, (Refund, PART)).await;
        }
        if !can.authorise_without_capture || !can.capture {
            let why = "by this contract a charge is captured some time later, and no part of it can be given back before";
            return Err(Came::without(Verdict::NotSupported, why));
        }
        let op = self.intent(Authorise, AMOUNT);
        let at = self.pay(op).await?;
        self.later(Capture, AMOUNT, at).await?;
        self.later(Refund, PART, at).await
    }

    async fn charge(&mut self) -> Result<usize, Came> {
        let op = self.intent(OperationKind::Charge, AMOUNT);
        self.pay(op).await
    }

    /// Asks for an order that never was: where that can be asked at all, by our number.
    async fn query_never(&mut self) -> Result<Came, Came> {
        let never = self.intent(OperationKind::Charge, AMOUNT);
        let about = never.as_parent(None, now_unix_s() - LONG_AGO_S);
        let op = Intent {
            parent: Some(Box::new(about)),
            kind: OperationKind::Query,
            ..never
        };
        let op = self.written(op)?;
        let asked = Asked {
            op: &op,
            card: None,
            now_unix_s: now_unix_s(),
        };
        let begin = Progress::default();
        if matches!(self.connector.step(&asked, &begin, None), Ok(Step::Done(_))) {
            let why = "the acquirer is asked by a number of its own, which only an order has";
            return Err(Came::without(Verdict::NotSupported, why));
        }
        let done = self.run_written(op, None).await;
        if done.outcome == Outcome::NotCharged(Why::NotArrived) {
            Ok(Came::of(Verdict::Ok, &done))
        } else {
            Err(Came::failed(&done))
        }
    }

    /// Sends one operation twice.
    async fn double(&mut self) -> Result<Came, Came> {
        if !self.subject.kind.about().sandbox.knows_doubles {
            let why =
                "the acquirer takes an order number as often as it comes; ivrpay sends none twice";
            return Err(Came::without(Verdict::NotSupported, why));
        }
        let at = self.charge().await?;
        let Some(first) = self.held.get(at).map(|held| &held.first) else {
            return Err(Came::without(Verdict::NotTried, "nothing was charged"));
        };
        let (op, reference) = (first.op.get().clone(), first.reference.clone());
        let again = self.keyed(op, Which::Approved).await?;
        match &again.outcome {
            Outcome::Approved(_) if again.reference == reference => {
                Ok(Came::of(Verdict::Ok, &again))
            }
            // It was taken twice: that order has to be undone, too.
            Outcome::Approved(_) => {
                let came = Came::failed(&again);
                self.hold(again, AMOUNT).await;
                Err(came)
            }
            _ if !self.can().query => Ok(Came::of(Verdict::Ok, &again)),
            _ => {
                // However the second was refused, the first one stands as it was.
                let found = self.ask(at).await?;
                let came = approved(found)?;
                let second = Came::of(Verdict::Ok, &again);
                Ok(Came {
                    text: format!("{}, then {}", second.text, came.text),
                    code: second.code,
                    ..came
                })
            }
        }
    }

    async fn token(&mut self) -> Result<Came, Came> {
        let op = self.intent(OperationKind::Tokenise, AMOUNT);
        let stored = self.keyed(op, Which::Approved).await?;
        let Outcome::Approved(approval) = &stored.outcome else {
            return Err(Came::failed(&stored));
        };
        let Ok(token) = CardToken::new(approval.acquirer_ref.as_str()) else {
            let why = "a token came that ivrpay can't keep: it looks like a card number";
            return Err(Came::without(Verdict::Failed, why));
        };
        let op = Intent {
            token: Some(token),
            card: stored.op.get().card,
            ..self.intent(OperationKind::Charge, AMOUNT)
        };
        let at = self.pay(op).await?;
        Ok(self.came_of(at))
    }

    /// Asks for a charge, or checks a card, with wrong keys.
    async fn credentials(&mut self) -> Result<Came, Came> {
        let Some((settings, endpoint)) = self.spoilt() else {
            let why = "the connector has no key: the acquirer knows the shop by its address";
            return Err(Came::without(Verdict::NotSupported, why));
        };
        let wrong = made(self.subject.kind, &settings, &endpoint);
        let wrong = wrong.map_err(|e| Came::without(Verdict::NotTried, e.to_string()))?;
        let (done, good) = if self.can().query {
            let at = self.charge().await?;
            let right = self.exchange(wrong);
            let done = self.ask(at).await;
            self.exchange(right);
            let done = done?;
            let good = matches!(done.outcome, Outcome::Unknown(_)) && done.trouble.is_none();
            (done, good)
        } else {
            let op = self.intent(OperationKind::Verify, AMOUNT);
            let right = self.exchange(wrong);
            let done = self.keyed(op, Which::Approved).await;
            self.exchange(right);
            let done = done?;
            let good = done.outcome == Outcome::NotCharged(Why::Rejected);
            (done, good)
        };
        if good {
            Ok(Came {
                text: "refused, and nothing was concluded from it".to_owned(),
                ..Came::of(Verdict::Ok, &done)
            })
        } else {
            Err(Came::failed(&done))
        }
    }

    fn exchange(
        &mut self,
        (connector, sender): (Box<dyn Connector>, Sender),
    ) -> (Box<dyn Connector>, Sender) {
        let connector = std::mem::replace(&mut self.connector, connector);
        (connector, std::mem::replace(&mut self.sender, sender))
    }

    /// Settings and endpoint in which the last sign of each key is another one; `None` where there is no key.
    fn spoilt(&self) -> Option<(Settings, EndpointConfig)> {
        let mut settings = self.subject.settings.clone();
        let mut endpoint = self.subject.endpoint?.clone();
        let about = self.subject.kind.about();
        let required = about.settings.iter().filter(|s| s.secret && s.required);
        let mut spoilt = false;
        for setting in required {
            if let Some(secret) = settings.secrets.get_mut(setting.name) {
                *secret = other(secret);
                spoilt = true;
            }
        }
        if let Some(password) = &mut endpoint.password {
            *password = other(password);
            spoilt = true;
        }
        spoilt.then_some((settings, endpoint))
    }

    fn intent(&mut self, kind: OperationKind, yen: u64) -> Intent {
        let id = uuid::Uuid::now_v7();
        Intent {
            payment_id: PaymentId::new(id),
            operation_id: OperationId::new(id),
            kind,
            amount: Money::new(yen, Currency::Jpy).expect("amounts of cases are amounts"),
            // Of the card that comes with it.
            card: Truncated::new(Brand::Visa, [0; 4]).expect("digits"),
            idempotency_key: IdempotencyKey::new(id),
            acquirer_order: self.record.order(),
            order: None,
            operator: None,
            plan: Plan::LumpSum,
            token: None,
            parent: None,
        }
    }

    fn written(&mut self, op: Intent) -> Result<Durable<Intent>, Came> {
        self.record.write(op).map_err(|error| Came {
            hint: Some("nothing was sent; free space where the record is written (--record)"),
            ..Came::without(
                Verdict::NotTried,
                format!("it could not be written: {error}"),
            )
        })
    }

    /// Runs an operation with one of the cards.
    async fn keyed(&mut self, op: Intent, which: Which) -> Result<Done, Came> {
        let card = match self.cards.get(which) {
            Some(Ok(card)) => card,
            Some(Err(what)) => return Err(Came::without(Verdict::NotTried, what)),
            None => {
                return Err(Came {
                    hint: Some("give one by --card-file"),
                    ..Came::without(
                        Verdict::NotTried,
                        match which {
                            Which::Approved => "the acquirer publishes no card for this",
                            Which::Declined => "the acquirer publishes no card that is refused",
                        },
                    )
                });
            }
        };
        let op = self.written(Intent {
            card: card.pan.truncated(),
            ..op
        })?;
        Ok(self.run_written(op, Some(card)).await)
    }

    async fn run_written(&self, op: Durable<Intent>, card: Option<Card>) -> Done {
        let at_unix_s = now_unix_s();
        let mut kept = Kept::default();
        let Ran {
            outcome, trouble, ..
        } = run_from(
            self.connector.as_ref(),
            &self.sender,
            &op,
            card,
            Progress::default(),
            &mut kept,
            |_| {},
        )
        .await;
        Done {
            op,
            at_unix_s,
            reference: kept.reference(&outcome),
            outcome,
            trouble,
        }
    }

    /// Runs what begins an order, and keeps it in mind; its place in `held`.
    async fn pay(&mut self, op: Intent) -> Result<usize, Came> {
        let amount = op.amount.minor();
        let done = if op.token.is_some() {
            let op = self.written(op)?;
            self.run_written(op, None).await
        } else {
            self.keyed(op, Which::Approved).await?
        };
        let good = matches!(done.outcome, Outcome::Approved(_));
        let came = Came::failed(&done);
        self.hold(done, amount).await;
        if good {
            Ok(self.held.len() - 1)
        } else {
            Err(came)
        }
    }

    /// Keeps an order in mind that may stand at the acquirer.
    async fn hold(&mut self, done: Done, amount: u64) {
        match done.outcome {
            Outcome::Declined(_) | Outcome::NotCharged(_) => return,
            Outcome::Approved(_) | Outcome::Unknown(_) => {}
        }
        let unknown = matches!(done.outcome, Outcome::Unknown(_));
        self.held.push(Held {
            first: done,
            left: amount,
            captured: false,
            changed: false,
            moved_to: None,
        });
        if !unknown || !self.can().query {
            return;
        }
        let at = self.held.len() - 1;
        let Ok(found) = self.ask(at).await else {
            return;
        };
        match found.outcome {
            Outcome::Declined(_) | Outcome::NotCharged(_) => drop(self.held.pop()),
            Outcome::Approved(_) => {
                if let Some(held) = self.held.last_mut() {
                    held.first.reference = found.reference;
                }
            }
            Outcome::Unknown(_) => {}
        }
    }

    fn came_of(&self, at: usize) -> Came {
        match self.held.get(at) {
            Some(held) => Came::of(Verdict::Ok, &held.first),
            None => Came::without(Verdict::NotTried, ""),
        }
    }

    /// An operation about one that stands.
    fn about(&mut self, kind: OperationKind, amount: u64, at: usize) -> Option<Intent> {
        let op = self.intent(kind, amount);
        let first = &self.held.get(at)?.first;
        let of = first.op.get();
        Some(Intent {
            payment_id: of.payment_id,
            card: of.card,
            acquirer_order: of.acquirer_order,
            plan: of.plan,
            parent: Some(Box::new(
                of.as_parent(first.reference.clone(), first.at_unix_s),
            )),
            ..op
        })
    }

    async fn ask(&mut self, at: usize) -> Result<Done, Came> {
        let gone = || Came::without(Verdict::NotTried, "");
        let op = self.about(OperationKind::Query, AMOUNT, at);
        let op = self.written(op.ok_or_else(gone)?)?;
        Ok(self.run_written(op, None).await)
    }

    /// Captures, releases or gives back. Where the acquirer tells what became of it by webhook alone, that it was received is all that can come.
    async fn later(&mut self, kind: OperationKind, amount: u64, at: usize) -> Result<Came, Came> {
        let gone = || Came::without(Verdict::NotTried, "");
        let op = self.about(kind, amount, at).ok_or_else(gone)?;
        self.alter(op, at).await
    }

    async fn alter(&mut self, op: Intent, at: usize) -> Result<Came, Came> {
        let (kind, amount) = (op.kind, op.amount.minor());
        let op = self.written(op)?;
        let done = self.run_written(op, None).await;
        let received = !self.can().query && done.outcome == Outcome::Unknown(Doubt::Pending);
        if !received && !matches!(done.outcome, Outcome::Approved(_)) {
            return Err(Came::failed(&done));
        }
        if let Some(held) = self.held.get_mut(at) {
            held.left = match kind {
                OperationKind::Capture | OperationKind::Change => amount,
                OperationKind::Refund => held.left.saturating_sub(amount),
                _ => 0,
            };
            held.captured |= kind == OperationKind::Capture;
            held.changed |= kind == OperationKind::Change;
            held.moved_to = done.reference.clone();
        }
        let came = Came::of(Verdict::Ok, &done);
        Ok(if received {
            Came {
                text: format!(
                    "{}: received; what became of it comes by webhook",
                    kind.name()
                ),
                ..came
            }
        } else {
            came
        })
    }

    /// Gives back, or releases, all that stands; what can't be is noted.
    async fn undo(&mut self) {
        for at in 0..self.held.len() {
            let can = self.can();
            let Some(held) = self.held.get(at) else { break };
            if held.left == 0 {
                continue;
            }
            let whole = held.changed || held.left == held.first.op.get().amount.minor();
            let mut why = "the acquirer has neither void nor refund".to_owned();
            let tries = [
                // A release of what is captured is accepted, and not done, where results come by webhook.
                (
                    OperationKind::Void,
                    can.void && whole && !(held.captured && can.refund),
                    false,
                ),
                (OperationKind::Refund, can.refund, false),
                // What is left of a part may have a number of its own.
                (OperationKind::Refund, can.refund && !whole, true),
            ];
            for (kind, _, moved) in tries.into_iter().filter(|row| row.1) {
                let left = self.held.get(at).map_or(0, |held| held.left);
                let Some(mut op) = self.about(kind, left, at) else {
                    break;
                };
                if moved && let (Some(parent), Some(held)) = (&mut op.parent, self.held.get(at)) {
                    parent.acquirer_ref = held.moved_to.clone();
                    parent.amount = op.amount;
                }
                match self.alter(op, at).await {
                    Ok(_) => break,
                    Err(came) => why = came.text,
                }
            }
            let Some(held) = self.held.get(at).filter(|held| held.left > 0) else {
                continue;
            };
            let op = held.first.op.get();
            self.left.push(Left {
                order: op.acquirer_order.to_string(),
                amount_minor: held.left,
                currency: op.amount.currency().code(),
                why,
                by_design: !can.void && !can.refund,
            });
        }
        self.held.clear();
    }
}

fn made(
    kind: Kind,
    settings: &Settings,
    endpoint: &EndpointConfig,
) -> Result<(Box<dyn Connector>, Sender), Refused> {
    let connector = configured(kind, settings).map_err(|e| Refused::Settings(e.to_string()))?;
    // A case is one request: what is to be seen is what becomes of that.
    let endpoint = EndpointConfig {
        card_kept: CardKept::UntilSent,
        ..endpoint.clone()
    };
    let sender = Sender::new(&endpoint).map_err(|e| Refused::Settings(e.to_string()))?;
    Ok((connector, sender))
}

/// What to do about a case: as of a payment's operation, where that does not speak of payments or of this test.
fn todo(outcome: &Outcome, trouble: Option<&Trouble>) -> Option<&'static str> {
    match (outcome, trouble) {
        (Outcome::Unknown(_), None | Some(Trouble::Send(SendError::NoReply { .. }))) => {
            Some("look the order up in the acquirer's screens, by its number")
        }
        (_, Some(Trouble::Send(SendError::NoReply { .. }))) => {
            Some("look at the acquirer's notices; if it is only slow, raise reply_timeout")
        }
        (Outcome::NotCharged(Why::Rejected), None) => {
            Some("look at credentials, contract and limits (docs/acquirers)")
        }
        _ => hint(outcome, trouble),
    }
}

/// The same key with another last sign, of which the form does not change.
fn other(secret: &SecretString) -> SecretString {
    let mut text = secret.expose_secret().to_owned();
    let last = text.pop();
    text.push(if last == Some('0') { '1' } else { '0' });
    text.into()
}

fn approved(done: Done) -> Result<Came, Came> {
    if matches!(done.outcome, Outcome::Approved(_)) {
        Ok(Came::of(Verdict::Ok, &done))
    } else {
        Err(Came::failed(&done))
    }
}
