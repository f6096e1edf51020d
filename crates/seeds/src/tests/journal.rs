//! The same calls to the model journal and to the real one: behind each, both have the same in their books.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ivrpay_journal::{
    ApiRequest, By as Who, Claim, EnteredBy, Found, IntentDraft, Journal, LATE_ANSWER, LaterDraft,
    Mode, NewPayment, OpenOptions, Origin, RECOVERY, TaskRules, Told,
};
use ivrpay_payment::{
    CallId, Durable, Intent, Notice, Noticed, OperationId, OperatorId, OrderId, Outcome, PaymentId,
    Plan, TaskId, TenantId,
};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Row as _, SqliteConnection};

use super::{Call, Said};
use crate::Lab;
use crate::book::{Book, By, OpState, TaskKind, TaskState};
use crate::store::{Closes, Heard, New, No, serial, uuid};
use crate::world::World;

/// Seeds that are compared.
const SEEDS: u64 = 300;

/// What both have, in words.
type Shot = BTreeSet<String>;

struct Real {
    journal: Journal,
    sql: SqliteConnection,
    claims: BTreeMap<u64, Claim>,
    intents: BTreeMap<u64, Durable<Intent>>,
    /// Ids by those of the model.
    payments: BTreeMap<u64, PaymentId>,
    operations: BTreeMap<u64, OperationId>,
}

fn options(now: &Arc<AtomicI64>, release_unheard: bool) -> OpenOptions {
    let now = Arc::clone(now);
    let mut options = OpenOptions::new("edge-1");
    options.steady = None;
    options.clock = Arc::new(move || now.load(Ordering::SeqCst));
    let rules = TaskRules {
        release_unheard,
        ..TaskRules::default()
    };
    options.task_rules.insert(tenant(), rules);
    options
}

fn tenant() -> TenantId {
    TenantId::new("shop").unwrap()
}

fn who(by: By) -> Who {
    Who {
        person: OperatorId::new(if by == By::Recovery { RECOVERY } else { "mori" }).unwrap(),
        via: "test".into(),
    }
}

fn name(connector: usize) -> String {
    format!("line-{connector}")
}

fn new(new: New) -> NewPayment {
    NewPayment {
        tenant: tenant(),
        order: Some(OrderId::new(format!("order-{}", new.slot)).unwrap()),
        part: 0,
        operator: None,
        site: None,
        asked_plan: None,
        amount: new.amount,
        mode: Mode::Test,
        connector: name(new.connector),
        connector_named: false,
        language: "ja".into(),
        prompt_version: "1".into(),
        origin: if new.announced {
            Origin::Api
        } else {
            Origin::Dialplan
        },
        entered_by: EnteredBy::Caller,
        expires_ms: new.expires_ms,
        operator_extension: None,
        caller_number: None,
        request: None,
        transaction: new.transaction,
        stored: None,
        attached: ivrpay_journal::Attached::default(),
    }
}

fn call_id(epoch: u32, call: usize) -> CallId {
    CallId::new(uuid(u64::from(epoch) << 32 | call as u64))
}

/// What the model has.
fn model(book: &Book) -> Shot {
    let mut shot = Shot::new();
    let payment = |at: usize| book.payments[at].uid;
    let operation = |at: usize| book.operations[at].uid;
    for p in &book.payments {
        let (state, call) = (p.state.name(), p.call.is_some());
        shot.insert(format!(
            "payment {}: {state}, {:?} taken, {} back, in a call: {call}, {}",
            p.uid,
            p.captured,
            p.refunded,
            name(p.connector)
        ));
    }
    for o in &book.operations {
        let state = match o.state {
            OpState::InFlight => "in-flight",
            OpState::Approved => "approved",
            OpState::Declined => "declined",
            OpState::NotCharged => "not-charged",
            OpState::Unknown => "unknown",
        };
        shot.insert(format!(
            "operation {} of {}: {} of {} is {state} at {}, asked {} times, next {:?}",
            o.uid,
            payment(o.payment),
            o.kind.name(),
            o.amount.minor(),
            name(o.connector),
            o.inquired,
            o.inquire_ms
        ));
    }
    for t in &book.tasks {
        let (kind, state) = (task_kind(t.kind), task_state(t.state));
        shot.insert(format!(
            "task {kind} of {}, {:?}: {state}",
            payment(t.payment),
            t.operation.map(operation)
        ));
    }
    let mut nth: BTreeMap<u64, u64> = BTreeMap::new();
    for t in &book.told {
        let of = payment(t.payment);
        let nth = nth.entry(of).or_default();
        *nth += 1;
        shot.insert(format!("told {nth} of {of}: payment.{}", t.state.name()));
    }
    for r in &book.releases {
        shot.insert(format!("release of {} at {}", payment(r.payment), r.at_ms));
    }
    shot
}

const fn task_kind(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::UnknownOutcome => "unknown-outcome",
        TaskKind::CallBack => "approved-caller-gone",
        TaskKind::Contradicts => "acquirer-contradicts",
    }
}

const fn task_state(state: TaskState) -> &'static str {
    match state {
        TaskState::Open => "open",
        TaskState::Taken => "taken",
        TaskState::Done => "done",
    }
}

impl Real {
    async fn open(path: &std::path::Path, options: OpenOptions) -> Self {
        let journal = Journal::open(path, options).await.unwrap();
        let sql = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(path)
            .read_only(true);
        Self {
            journal,
            sql: sql.connect().await.unwrap(),
            claims: BTreeMap::new(),
            intents: BTreeMap::new(),
            payments: BTreeMap::new(),
            operations: BTreeMap::new(),
        }
    }

    async fn rows(&mut self, sql: &'static str) -> Vec<sqlx::sqlite::SqliteRow> {
        sqlx::query(sql).fetch_all(&mut self.sql).await.unwrap()
    }

    /// What the real one has, in the model's ids.
    async fn shot(&mut self) -> Shot {
        let payments: BTreeMap<String, u64> = self
            .payments
            .iter()
            .map(|(uid, id)| (id.to_string(), *uid))
            .collect();
        let operations: BTreeMap<String, u64> = self
            .operations
            .iter()
            .map(|(uid, id)| (id.to_string(), *uid))
            .collect();
        let payment = |id: String| payments.get(&id).copied().unwrap_or(u64::MAX);
        let operation = |id: String| operations.get(&id).copied().unwrap_or(u64::MAX);
        let text = |row: &sqlx::sqlite::SqliteRow, at: usize| row.get::<String, _>(at);
        let mut shot = Shot::new();
        for row in self
            .rows("SELECT p.id, p.state, p.captured_minor, p.refunded_minor, c.payment IS NOT NULL, p.connector FROM payments p LEFT JOIN claims c ON c.payment = p.id")
            .await
        {
            let (taken, back): (Option<i64>, i64) = (row.get(2), row.get(3));
            let call: bool = row.get(4);
            shot.insert(format!(
                "payment {}: {}, {taken:?} taken, {back} back, in a call: {call}, {}",
                payment(text(&row, 0)), text(&row, 1), text(&row, 5)
            ));
        }
        for row in self
            .rows("SELECT id, payment, kind, amount_minor, state, connector, inquired, inquire_ms FROM operations")
            .await
        {
            let (minor, inquired, next): (i64, i64, Option<i64>) = (row.get(3), row.get(6), row.get(7));
            shot.insert(format!(
                "operation {} of {}: {} of {minor} is {} at {}, asked {inquired} times, next {next:?}",
                operation(text(&row, 0)), payment(text(&row, 1)), text(&row, 2), text(&row, 4), text(&row, 5)
            ));
        }
        for row in self
            .rows("SELECT kind, payment, operation, state FROM tasks")
            .await
        {
            let about = row.get::<Option<String>, _>(2).map(&operation);
            shot.insert(format!(
                "task {} of {}, {about:?}: {}",
                text(&row, 0),
                payment(text(&row, 1)),
                text(&row, 3)
            ));
        }
        for row in self.rows("SELECT payment, number, kind FROM outbox").await {
            let number: i64 = row.get(1);
            shot.insert(format!(
                "told {number} of {}: {}",
                payment(text(&row, 0)),
                text(&row, 2)
            ));
        }
        for row in self.rows("SELECT payment, at_ms FROM releases").await {
            let at: i64 = row.get(1);
            shot.insert(format!("release of {} at {at}", payment(text(&row, 0))));
        }
        shot
    }

    async fn task(&mut self, book: &Book, at: usize) -> TaskId {
        let task = &book.tasks[at];
        let payment = self.payments[&book.payments[task.payment].uid].to_string();
        let about = task
            .operation
            .map(|at| self.operations[&book.operations[at].uid].to_string());
        let found: Option<String> = sqlx::query_scalar(
            "SELECT id FROM tasks WHERE payment = ?1 AND kind = ?2 AND operation IS ?3 ORDER BY created_ms DESC, id DESC LIMIT 1",
        )
        .bind(payment)
        .bind(task_kind(task.kind))
        .bind(about)
        .fetch_optional(&mut self.sql)
        .await
        .unwrap();
        found.unwrap().parse().unwrap()
    }

    /// Does the same; whether it was done.
    #[allow(clippy::too_many_lines, reason = "one arm a call")]
    async fn does(&mut self, before: &Book, call: &Call) -> bool {
        let journal = self.journal.clone();
        let after = &call.book;
        // What is new in the model has its id here.
        let payment = |at: usize| before.payments.get(at).map_or(0, |p| p.uid);
        let operation = |at: usize| before.operations.get(at).map_or(0, |o| o.uid);
        let made = || after.payments.last().map_or(0, |p| p.uid);
        let asked = || after.operations.iter().map(|o| o.uid).max().unwrap_or(0);
        match &call.said {
            Said::Create(wanted) => match journal.create(new(*wanted)).await {
                Ok(created) => {
                    self.payments.insert(made(), created.payment().id);
                    true
                }
                Err(_) => false,
            },
            Said::CreateClaimed(wanted, number) => {
                match journal
                    .create_claimed(new(*wanted), call_id(call.epoch, *number))
                    .await
                {
                    Ok(claim) => {
                        self.payments.insert(made(), claim.payment().id);
                        self.claims.insert(made(), claim);
                        true
                    }
                    Err(_) => false,
                }
            }
            Said::Claim(at, number) => {
                let id = self.payments[&payment(*at)];
                match journal.claim(id, call_id(call.epoch, *number)).await {
                    Ok(claim) => {
                        self.claims.insert(payment(*at), claim);
                        true
                    }
                    Err(_) => false,
                }
            }
            Said::Expire => journal.expire(call.now).await.is_ok(),
            Said::Withdraw(at) => journal
                .withdraw(self.payments[&payment(*at)])
                .await
                .unwrap(),
            Said::Intent(at, card, connector) => {
                let id = self.payments[&payment(*at)];
                let draft = IntentDraft {
                    stored: false,
                    amount: before.payments[*at].amount,
                    card: *card,
                    plan: Plan::LumpSum,
                    connector: name(*connector),
                    evidence: Value::Null,
                };
                match journal.write_intent(id, draft).await {
                    Ok(intent) => {
                        self.operations.insert(asked(), intent.get().operation_id);
                        self.intents.insert(asked(), intent);
                        true
                    }
                    Err(_) => false,
                }
            }
            Said::FailOver(at, connector) => {
                let intent = &self.intents[&operation(*at)];
                journal.fail_over(intent, &name(*connector)).await.is_ok()
            }
            Said::Progress(at, progress) => {
                let intent = &self.intents[&operation(*at)];
                journal
                    .write_progress(intent, json!(progress))
                    .await
                    .is_ok()
            }
            Said::Outcome(at, outcome) => {
                let intent = &self.intents[&operation(*at)];
                journal.write_outcome(intent, outcome).await.is_ok()
            }
            Said::Settle(at, outcome, by) => {
                let by = match by {
                    By::Recovery => RECOVERY,
                    By::LateAnswer => LATE_ANSWER,
                    _ => "inquiry",
                };
                journal
                    .settle(self.operations[&operation(*at)], outcome, by)
                    .await
                    .is_ok()
            }
            Said::Notice(connector, message) => {
                // One that the model has not is one that this one has not.
                let about = match message.about {
                    Noticed::Operation(id) => {
                        let id = self.operations.get(&serial(id.uuid())).copied();
                        Noticed::Operation(id.unwrap_or(OperationId::new(uuid(u64::MAX))))
                    }
                    Noticed::Order(order) => {
                        let of = before
                            .operations
                            .iter()
                            .find(|o| o.intent.acquirer_order == order);
                        let of = of.and_then(|o| self.intents.get(&o.uid));
                        Noticed::Order(of.map_or(order, |intent| intent.get().acquirer_order))
                    }
                };
                let notice = Notice {
                    about,
                    ..message.clone()
                };
                matches!(
                    journal.notice(&name(*connector), &notice).await.unwrap(),
                    Told::Settled(..) | Told::Contradicts(..)
                )
            }
            Said::Later(at, kind, wanted, by, key) => {
                let draft = LaterDraft {
                    kind: *kind,
                    amount_minor: *wanted,
                    by: who(*by),
                    request: Some(ApiRequest {
                        key: format!("key-{key:x}"),
                        hash: [0; 32],
                    }),
                    judged: None,
                };
                match journal
                    .write_later(self.payments[&payment(*at)], draft)
                    .await
                {
                    Ok(ivrpay_journal::Later::New(intent)) => {
                        self.operations.insert(asked(), intent.get().operation_id);
                        self.intents.insert(asked(), intent);
                        true
                    }
                    _ => false,
                }
            }
            Said::Query(at, by) => {
                let intent = journal
                    .write_query(self.operations[&operation(*at)], &who(*by))
                    .await;
                let intent = intent.unwrap();
                self.operations.insert(asked(), intent.get().operation_id);
                self.intents.insert(asked(), intent);
                true
            }
            Said::Finish(at, result, heard) => {
                let Some(claim) = self.claims.get(&payment(*at)) else {
                    return false;
                };
                let result = match result {
                    Closes::AmountRejected => "amount-rejected",
                    Closes::OutcomeUnknown => "outcome-unknown",
                    Closes::Other => "success",
                };
                let done = match heard {
                    Heard::Caller => journal.release(claim, result, Value::Null).await,
                    Heard::Nobody => {
                        journal
                            .release_unheard(claim, result, Value::Null, false)
                            .await
                    }
                };
                done.is_ok()
            }
            Said::Recover => journal.recover().await.is_ok(),
            Said::InquireAt(at, ms) => {
                let about = self.operations[&operation(*at)];
                let written = match ms {
                    Some(ms) => journal.inquire_at(about, *ms).await,
                    None => journal.inquire_no_more(about).await,
                };
                written.is_ok()
            }
            Said::ToRelease(due) => {
                let found = journal.to_release(100).await.unwrap();
                let found: BTreeSet<_> = found
                    .iter()
                    .map(|u| (u.payment, u.since_ms, u.wanted))
                    .collect();
                let due = due
                    .iter()
                    .map(|(at, since, wanted)| (self.payments[&payment(*at)], *since, *wanted));
                assert_eq!(found, due.collect(), "what is to be released");
                false
            }
            Said::ReleaseAt(at, ms) => journal
                .release_at(self.payments[&payment(*at)], *ms)
                .await
                .is_ok(),
            Said::Released(at) => journal.released(self.payments[&payment(*at)]).await.is_ok(),
            Said::TakeTask(at) => {
                let task = self.task(before, *at).await;
                journal.take_task(task, &who(By::Person)).await.is_ok()
            }
            Said::FinishTask(at, found) => {
                let unknown = before.tasks[*at].kind == TaskKind::UnknownOutcome;
                let task = self.task(before, *at).await;
                let found = found
                    .as_ref()
                    .filter(|_| unknown)
                    .map(|outcome| match outcome {
                        Outcome::Approved(approval) => Found::Charged {
                            acquirer_ref: approval.acquirer_ref.clone(),
                            approval_code: None,
                        },
                        _ => Found::NotCharged,
                    });
                journal
                    .finish_task(task, &who(By::Person), "looked up", found)
                    .await
                    .is_ok()
            }
        }
    }
}

/// Whatever a seed asks of the journal, the real one does the same; a kill between, and in the middle, included.
#[tokio::test]
async fn the_model_journal_is_the_real_one() {
    let lab = Lab::new();
    let mut compared = 0;
    for seed in 0..SEEDS {
        let mut world = World::new(&lab, seed, false);
        // Neither can be done to a real file from here.
        world.keeps_power = true;
        world.store.sync_fails.clear();
        world.store.trail.kept = true;
        world.goes_on();
        assert!(world.audit.broken.is_none(), "{seed}");
        let released = world.store.release_unheard;
        let calls = world.store.trail.calls.take();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let now = Arc::new(AtomicI64::new(0));
        let mut real = Real::open(&path, options(&now, released)).await;
        let (mut before, mut epoch) = (Book::default(), 1);
        for (nth, call) in calls.iter().enumerate() {
            now.store(call.now, Ordering::SeqCst);
            if call.epoch != epoch {
                // The process died: nothing of it is left but the file.
                epoch = call.epoch;
                let Real {
                    journal,
                    sql,
                    intents,
                    payments,
                    operations,
                    ..
                } = real;
                drop((journal, sql));
                real = Real::open(&path, options(&now, released)).await;
                (real.intents, real.payments, real.operations) = (intents, payments, operations);
            }
            // What is refused by a full disk, or died before its commit, is not asked for.
            if call.no == Some(No::Full) || call.died && !call.written {
                continue;
            }
            let did = real.does(&before, call).await;
            let place = format!("seed {seed}, call {nth}: {:?}", call.said);
            if matches!(call.said, Said::ToRelease(_)) {
                continue;
            }
            if call.written {
                assert!(did, "{place}: the real one did not");
            }
            if let Some(no) = call.no {
                assert!(!did, "{place}: the real one did, the model says {no:?}");
            }
            let (here, there) = (model(&call.book), real.shot().await);
            let only = |a: &Shot, b: &Shot| a.difference(b).cloned().collect::<Vec<_>>().join("\n");
            assert_eq!(
                here,
                there,
                "{place}\nmodel:\n{}\nreal:\n{}",
                only(&here, &there),
                only(&there, &here)
            );
            before = call.book.clone();
            compared += 1;
        }
        let report = real.journal.verify().await.unwrap();
        assert!(report.breaks.is_empty(), "{seed}: {report:?}");
    }
    assert!(compared > 5000, "{compared}");
}
