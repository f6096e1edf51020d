//! A payment without a call, for `make crash`: journal, settlement and acquirers are those of the service, and what a caller would hear is a
//! line of JSON. Only a build with the feature `plant` has it.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use ivrpay_card::{Card, Digits, Expiry, Month, Pan, Rules, SecurityCode};
use ivrpay_dialogue::Draft;
use ivrpay_journal::{
    ApiRequest, By, CreateError, EnteredBy, Journal, LaterDraft, Mode, NewPayment, OpenOptions,
    Origin, TaskRules,
};
use ivrpay_payment::{
    AcquirerRef, Answer, Approval, Brand, CallId, Decline, Money, OperationKind, OperatorId,
    OrderId, Outcome, PaymentId, Plan, Reason, Transaction, Truncated, Why,
};
use serde_json::json;

use crate::config::{Config, Tenant};
use crate::settle::Settle;
use crate::tries::Tries;

/// What is paid, and what is asked of the acquirer behind it.
#[derive(Debug)]
pub struct Paid {
    /// The merchant's order.
    pub order: String,
    /// Minor units; several: the order is split, and each part is paid with a card of its own.
    pub amounts: Vec<u64>,
    /// `charge` or `authorize`.
    pub transaction: Transaction,
    /// `capture`, `void`, `refund`; of a split only where not all parts are paid, and of the first.
    pub then: Option<OperationKind>,
}

/// How far the journal's clock is from this machine's, ms. It begins behind, so that what was asked a moment ago may be long ago: acquirers
/// are asked by this machine's.
#[derive(Clone)]
struct Clock(Arc<AtomicI64>);

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(-BEHIND_MS)))
    }
}

/// Longer than any request is worked on at an acquirer.
const BEHIND_MS: i64 = 20 * 60_000;

async fn opened(config: &Config, clock: &Clock) -> anyhow::Result<(Journal, Settle)> {
    ivrpay_journal::plant::tell(ivrpay_secret::plant::point);
    crate::install_crypto();
    let mut options = OpenOptions::new("edge-1");
    options.lease = config.lease;
    let clock = clock.clone();
    // It goes ahead on purpose.
    options.steady = None;
    options.clock =
        Arc::new(move || jiff::Timestamp::now().as_millisecond() + clock.0.load(Ordering::SeqCst));
    let rules = |tenant: &Tenant| (tenant.id.clone(), TaskRules::clone(&tenant.task_rules));
    options.task_rules = config.tenants.iter().map(rules).collect();
    let journal = Journal::open(&config.journal_at, options).await?;
    journal.recover().await?;
    let tries = Tries::new(config.limits.tries_per_card_per_day, Instant::now())?;
    let settle = Settle::new(journal.clone(), crate::serve::routes(config)?, tries)?;
    Ok((journal, settle))
}

fn says(what: &serde_json::Value) {
    let mut out = std::io::stdout().lock();
    // Who reads it may have been ended before.
    drop(writeln!(out, "{what}").and_then(|()| out.flush()));
}

/// Pays with the card `PAN MMYY CODE` of a file, a part of a split with that of its line; says `{"told": …}` where a caller would hear it, and
/// `{"later": …}`.
///
/// # Errors
/// What would keep the service from starting, or a payment from its intent.
pub async fn pay(config: &Path, cards: &Path, paid: Paid) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    let tenant = config.tenants.first().context("no tenant")?;
    let (journal, settle) = opened(&config, &Clock::default()).await?;
    let order = OrderId::new(paid.order.clone())?;
    let amounts = paid.amounts.iter();
    let amounts = amounts.map(|amount| Money::new(*amount, tenant.currency));
    let amounts = amounts.collect::<Result<Vec<_>, _>>()?;
    if amounts.len() > 1 {
        journal.split(&tenant.id, &order, &amounts, &by()).await?;
    }
    let cards = std::fs::read_to_string(cards)?;
    let mut told = Vec::new();
    for ((part, amount), card) in (0..).zip(&amounts).zip(cards.lines()) {
        let new = new_payment(tenant, &order, *amount, paid.transaction);
        told.extend(one(&settle, tenant, new, card, part).await?);
    }
    let approved = |(_, answer): &(_, Answer)| *answer == Answer::Approved;
    let whole = told.iter().all(approved);
    let of = told.first();
    let of = of.filter(|first| amounts.len() == 1 || !whole && approved(first));
    if let (Some(kind), Some((id, _))) = (paid.then, of) {
        later(&settle, *id, kind).await;
    }
    settle.drain().await;
    journal.stop().await?;
    Ok(())
}

fn new_payment(
    tenant: &Tenant,
    order: &OrderId,
    amount: Money,
    transaction: Transaction,
) -> NewPayment {
    NewPayment {
        tenant: tenant.id.clone(),
        order: Some(order.clone()),
        part: 0,
        operator: None,
        site: None,
        asked_plan: None,
        amount,
        mode: Mode::Test,
        connector: tenant.connector.clone(),
        connector_named: false,
        language: "ja".into(),
        prompt_version: "1".into(),
        origin: Origin::Dialplan,
        entered_by: EnteredBy::Caller,
        expires_ms: None,
        operator_extension: None,
        caller_number: None,
        request: None,
        transaction,
        stored: None,
        attached: ivrpay_journal::Attached::default(),
    }
}

/// One call that pays; what the caller is told, if it came to that.
async fn one(
    settle: &Settle,
    tenant: &Tenant,
    new: NewPayment,
    card: &str,
    part: u32,
) -> anyhow::Result<Option<(PaymentId, Answer)>> {
    let amount = new.amount;
    let call = CallId::new(uuid::Uuid::now_v7());
    let claim = match settle.journal().create_claimed(new, call).await {
        Ok(claim) => claim,
        Err(CreateError::OrderTaken { state, .. }) => {
            says(&json!({"refused": state.name(), "part": part}));
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let id = claim.payment().id;
    let (card, truncated) = read(card)?;
    let draft = Draft {
        stored: false,
        amount,
        card: truncated,
        plan: Plan::LumpSum,
        evidence: Vec::new(),
    };
    let ways = settle.open(tenant.routing.ways(truncated.brand, amount, Plan::LumpSum));
    let intent = settle.write(id, ways.first(), draft).await;
    let intent = intent.map_err(|why| anyhow::anyhow!("not written: {why:?}"))?;
    let merchant = Some(tenant.id.clone());
    let outcome = settle.authorise(ways, intent, Some(card), merchant).await?;
    let told = Answer::from(&outcome);
    says(&json!({"told": told.to_string(), "payment": id, "part": part}));
    ivrpay_secret::plant::point("told");
    let result = match told {
        Answer::Approved => "success",
        Answer::Unknown => "outcome-unknown",
        _ => "payment-failed",
    };
    let nothing = serde_json::Value::Null;
    settle.release(claim, result, nothing, (true, false)).await;
    Ok(Some((id, told)))
}

fn by() -> By {
    By {
        person: OperatorId::new("mori").expect("letters"),
        via: "crash".into(),
    }
}

async fn later(settle: &Settle, id: PaymentId, kind: OperationKind) {
    let draft = LaterDraft {
        kind,
        amount_minor: None,
        by: by(),
        request: Some(ApiRequest {
            key: "once".into(),
            hash: [0; 32],
        }),
        judged: None,
    };
    match settle.later(id, draft).await {
        Ok(operation) => says(&json!({"later": operation.state.name()})),
        Err(refused) => says(&json!({"later": refused.to_string()})),
    }
}

fn read(text: &str) -> anyhow::Result<(Card, Truncated)> {
    let mut words = text.split_whitespace();
    let mut digits = || {
        let word = words.next().context("PAN MMYY CODE are expected")?;
        let mut digits = Digits::take()?;
        for digit in word.bytes() {
            let pushed = digits.push(digit.wrapping_sub(b'0'));
            pushed.map_err(|why| anyhow::anyhow!("{why:?}"))?;
        }
        anyhow::Ok(digits)
    };
    let rules = Rules {
        brands: vec![Brand::Visa, Brand::Mastercard],
        luhn: true,
    };
    let pan = Pan::parse(digits()?, &rules);
    let pan = pan.map_err(|why| anyhow::anyhow!("{why:?}"))?;
    // No test is about a card that has run out.
    let expiry = Expiry::parse(
        digits()?,
        Month {
            year: 2026,
            month: 1,
        },
    );
    let expiry = expiry.map_err(|why| anyhow::anyhow!("{why:?}"))?;
    let code = SecurityCode::parse(digits()?, pan.brand());
    let code = code.map_err(|why| anyhow::anyhow!("{why:?}"))?;
    let truncated = pan.truncated();
    let card = Card {
        pan,
        expiry,
        code: Some(code),
    };
    Ok((card, truncated))
}

/// Starts as the service does behind a crash, and looks after what is open for as long as anything is, or for two days of the journal's
/// clock.
///
/// # Errors
/// What would keep the service from starting.
pub async fn settle(config: &Path) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    let clock = Clock::default();
    let (journal, settle) = opened(&config, &clock).await?;
    for _ in 0..60 {
        crate::recovery::once(&settle).await?;
        clock.0.fetch_add(31 * 60_000, Ordering::SeqCst);
    }
    settle.drain().await;
    journal.stop().await?;
    Ok(())
}

/// Tells the merchants' programs of all that waits, for as long as anything does or for four days of the journal's clock: it goes on by half
/// an hour where nothing is due.
///
/// # Errors
/// What would keep the service from starting.
pub async fn deliver(config: &Path) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    let clock = Clock::default();
    let (journal, _) = opened(&config, &clock).await?;
    for tenant in &config.tenants {
        let Some(webhook) = &tenant.webhook else {
            continue;
        };
        for _ in 0..4 * 48 {
            crate::webhooks::all_due(&journal, &tenant.id, webhook).await?;
            if journal.event_count(&tenant.id).await?.open == 0 {
                break;
            }
            clock.0.fetch_add(30 * 60_000, Ordering::SeqCst);
        }
    }
    journal.stop().await?;
    Ok(())
}

/// An outcome as a mistake on purpose would have it.
pub(crate) fn mistaken(outcome: Outcome) -> Outcome {
    let plant = ivrpay_secret::plant::is;
    match outcome {
        Outcome::Unknown(_) if plant("unknown-is-declined") => Outcome::Declined(Decline {
            reason: Reason::Other,
            code: String::new(),
            hard: false,
            action: None,
        }),
        Outcome::Unknown(_) if plant("unknown-is-not-charged") => Outcome::NotCharged(Why::NotSent),
        Outcome::NotCharged(_) if plant("not-there-is-approved") => Outcome::Approved(Approval {
            acquirer_ref: AcquirerRef::new("none").expect("letters"),
            code: None,
            card: None,
        }),
        other => other,
    }
}
