//! Any order of operations, crashes and time, against a model that knows only the rules of money.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use common::{NOON, Place, announced, approved, call, declined, draft, order};
use ivrpay_journal::{By, CreateError, Found, Journal, TaskFilter, TaskKind};
use ivrpay_payment::{AcquirerRef, Doubt, Durable, Intent, OperatorId, Outcome, PaymentId, State};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    /// About one of two orders, by API or by dialplan.
    Create {
        order: usize,
        api: bool,
    },
    Claim,
    Intent,
    Outcome(u8),
    Close,
    /// A person does every task; unknown ones were charged, or were not.
    Tasks {
        charged: bool,
    },
    /// The process dies and starts again.
    Crash,
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..2_usize, any::<bool>()).prop_map(|(order, api)| Step::Create { order, api }),
        3 => Just(Step::Claim),
        4 => Just(Step::Intent),
        4 => (0..4_u8).prop_map(Step::Outcome),
        2 => Just(Step::Close),
        1 => any::<bool>().prop_map(|charged| Step::Tasks { charged }),
        1 => Just(Step::Crash),
        1 => (1..2000_i64).prop_map(Step::Wait),
    ]
}

/// What was promised to the outside: nothing of it may ever change.
#[derive(Default)]
struct Model {
    /// Approvals that were confirmed, by order.
    approved: HashMap<usize, PaymentId>,
    order_of: HashMap<PaymentId, usize>,
    /// Intents that were durable and have no outcome.
    open: Vec<Durable<Intent>>,
    /// What a person found out.
    found_out: HashSet<PaymentId>,
}

async fn run(place: Place, steps: Vec<Step>) {
    let mut journal = place.open().await;
    let mut model = Model::default();
    // The payments are few: every step tries each of them, and what the rules forbid must be refused.
    for step in steps {
        match step {
            Step::Create { order: which, api } => {
                let name = format!("A-{which}");
                let new = if api {
                    announced(&name, place.now.load(Ordering::SeqCst) + 1000)
                } else {
                    order(&name)
                };
                match journal.create(new).await {
                    Ok(created) => {
                        assert!(
                            !model.approved.contains_key(&which),
                            "an approved order was opened again"
                        );
                        model.order_of.insert(created.payment().id, which);
                    }
                    Err(CreateError::OrderTaken { state, .. }) => assert!(state.locks_order()),
                    Err(other) => panic!("{other}"),
                }
            }
            Step::Claim => {
                for id in model.order_of.keys() {
                    let was = state(&journal, *id).await;
                    if journal.claim(*id, call()).await.is_ok() {
                        assert_eq!(was, State::Waiting);
                    }
                }
            }
            Step::Intent => {
                for (id, which) in &model.order_of {
                    if let Ok(intent) = journal.write_intent(*id, draft()).await {
                        assert!(
                            !model.approved.contains_key(which),
                            "a paid order was sent again"
                        );
                        // One whose outcome a person has found out is open no more: its answer can't come.
                        let open = model.open.iter().any(|other| {
                            let other = other.get().payment_id;
                            model.order_of[&other] == *which && !model.found_out.contains(&other)
                        });
                        assert!(!open, "two intents of one order at once");
                        model.open.push(intent);
                    }
                }
            }
            Step::Outcome(kind) => {
                for intent in std::mem::take(&mut model.open) {
                    let outcome = match kind {
                        0 => approved(),
                        1 => declined(),
                        2 => Outcome::NotCharged(ivrpay_payment::Why::Busy),
                        _ => Outcome::Unknown(Doubt::NoReply),
                    };
                    let id = intent.get().payment_id;
                    // An outcome that comes after the call's end or after a crash is refused: the operation is unknown by then.
                    match journal.write_outcome(&intent, &outcome).await {
                        Ok(State::Approved) => {
                            let twice = model.approved.insert(model.order_of[&id], id);
                            assert_eq!(twice, None, "an order was charged twice");
                        }
                        Ok(_) => {}
                        Err(_) if model.found_out.contains(&id) => {}
                        Err(_) => assert_eq!(state(&journal, id).await, State::Unknown),
                    }
                }
            }
            Step::Close => {
                for id in model.order_of.keys() {
                    journal
                        .close(*id, "caller-hung-up", serde_json::Value::Null)
                        .await
                        .unwrap();
                }
            }
            Step::Tasks { charged } => {
                // By then the acquirer's answer can't come any more.
                place.now.fetch_add(10 * 60_000, Ordering::SeqCst);
                let by = By {
                    person: OperatorId::new("sato").unwrap(),
                    via: "desk".into(),
                };
                for task in journal.tasks(&TaskFilter::default()).await.unwrap() {
                    let unknown = task.kind == TaskKind::UnknownOutcome;
                    let found = unknown.then(|| match charged {
                        true => Found::Charged {
                            acquirer_ref: AcquirerRef::new("ch_9").unwrap(),
                            approval_code: None,
                        },
                        false => Found::NotCharged,
                    });
                    journal
                        .finish_task(task.id, &by, "looked up", found)
                        .await
                        .unwrap();
                    let id = task.payment.unwrap();
                    if unknown {
                        model.found_out.insert(id);
                    }
                    if unknown && charged {
                        let twice = model.approved.insert(model.order_of[&id], id);
                        assert_eq!(twice, None, "an order was charged twice");
                    }
                }
            }
            Step::Crash => {
                drop(journal);
                journal = place.open().await;
                journal.recover().await.unwrap();
                assert!(
                    journal.recover().await.unwrap().is_empty(),
                    "recovery is idempotent"
                );
                for id in model.order_of.keys() {
                    let payment = journal.payment(*id).await.unwrap().unwrap();
                    assert_ne!(
                        payment.state,
                        State::InFlight,
                        "nobody will write this outcome"
                    );
                    assert_eq!(payment.call, None, "a claim of a dead process");
                }
            }
            Step::Wait(ms) => {
                let now = place.now.fetch_add(ms, Ordering::SeqCst) + ms;
                assert!(now > NOON);
                journal.expire(now).await.unwrap();
            }
        }
        check(&journal, &model).await;
    }
    assert!(journal.verify().await.unwrap().is_sound());
}

async fn check(journal: &Journal, model: &Model) {
    let mut locked = [0; 2];
    let tasks = journal.tasks(&TaskFilter::default()).await.unwrap();
    for (id, which) in &model.order_of {
        let payment = journal.payment(*id).await.unwrap().unwrap();
        locked[*which] += usize::from(payment.state.locks_order());
        if payment.state == State::Unknown {
            assert!(
                tasks.iter().any(|task| task.payment == Some(*id)),
                "an unknown payment is nobody's task"
            );
        }
    }
    assert!(
        locked.iter().all(|count| *count <= 1),
        "two payments hold one order"
    );
    for id in model.approved.values() {
        assert_eq!(
            state(journal, *id).await,
            State::Approved,
            "an approval was forgotten"
        );
    }
}

async fn state(journal: &Journal, id: PaymentId) -> State {
    journal.payment(id).await.unwrap().unwrap().state
}

fn on(place: impl Future<Output = Place>, steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .unwrap()
        .block_on(async { run(place.await, steps).await });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_order_is_charged_at_most_once(steps in prop::collection::vec(step(), 1..40)) {
        on(async { Place::new() }, steps);
    }
}

proptest! {
    // Each has a database of its own.
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_order_is_charged_at_most_once_on_postgres(steps in prop::collection::vec(step(), 1..40)) {
        on(Place::on_postgres(), steps);
    }
}
