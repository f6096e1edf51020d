//! The auditor: what must be true of three books once everything has been looked after. He knows the tables of the journal, and none of its
//! code.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::path::Path;

use anyhow::{Context as _, bail};
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqliteConnection};

use super::Case;
use super::books::Order;

/// What the caller was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Approved,
    Declined,
    NotCharged,
    Unknown,
}

impl Told {
    pub(crate) fn named(name: &str) -> anyhow::Result<Self> {
        Ok(match name {
            "approved" => Self::Approved,
            "declined" => Self::Declined,
            "not charged" => Self::NotCharged,
            "unknown" => Self::Unknown,
            other => bail!("nobody is told {other}"),
        })
    }
}

/// The three books about one order.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) told: Option<Told>,
    /// State of what was asked behind the call, where somebody was told of it.
    pub(crate) later: Option<String>,
    pub(crate) journal: Journal,
    pub(crate) orders: Vec<Order>,
}

#[derive(Debug)]
pub(crate) struct Journal {
    /// State of each payment, and how much of it is taken.
    payments: Vec<(String, u64)>,
    /// Kind and state of each operation.
    operations: Vec<(String, String)>,
    claims: i64,
    /// What the merchant is told of, in its order.
    told: Vec<(i64, String)>,
    /// Kinds of what a person is to do.
    tasks: Vec<String>,
    /// Whether the service itself has found out that it was approved.
    found_out: bool,
    /// What is to be done by itself still.
    due: i64,
}

impl Journal {
    pub(crate) async fn read(file: &Path) -> anyhow::Result<Self> {
        // A process that was killed before it had made the file.
        let options = SqliteConnectOptions::new().filename(file);
        let mut journal = options.connect().await?;
        let text = |row: &SqliteRow, at: usize| row.try_get::<String, _>(at);
        let payments = rows(
            &mut journal,
            "SELECT state, coalesce(captured_minor, 0) FROM payments",
        )
        .await?;
        let operations = rows(
            &mut journal,
            "SELECT kind, state FROM operations ORDER BY id",
        )
        .await?;
        let outbox = rows(
            &mut journal,
            "SELECT number, kind FROM outbox ORDER BY number",
        )
        .await?;
        let tasks = rows(&mut journal, "SELECT kind FROM tasks WHERE state <> 'done'").await?;
        let count = async |journal: &mut SqliteConnection, sql: &'static str| {
            sqlx::query_scalar::<_, i64>(sql).fetch_one(journal).await
        };
        let claims = count(&mut journal, "SELECT count(*) FROM claims").await?;
        let due = count(&mut journal, "SELECT count(*) FROM releases").await?;
        let found_out = count(
            &mut journal,
            "SELECT count(*) FROM records WHERE kind = 'settled' AND json_extract(body, '$.by') = 'recovery'
               AND json_extract(body, '$.outcome.result') = 'approved'",
        )
        .await?;
        let read = Self {
            payments: payments
                .iter()
                .map(|r| Ok((text(r, 0)?, r.try_get::<i64, _>(1)?.unsigned_abs())))
                .collect::<Result<_, sqlx::Error>>()?,
            operations: operations
                .iter()
                .map(|r| Ok((text(r, 0)?, text(r, 1)?)))
                .collect::<Result<_, sqlx::Error>>()?,
            claims,
            told: outbox
                .iter()
                .map(|r| Ok((r.try_get(0)?, text(r, 1)?)))
                .collect::<Result<_, sqlx::Error>>()?,
            tasks: tasks.iter().map(|r| text(r, 0)).collect::<Result<_, _>>()?,
            due,
            found_out: found_out > 0,
        };
        journal.close().await?;
        Ok(read)
    }

    fn has_task(&self, kind: &str) -> bool {
        self.tasks.iter().any(|task| task == kind)
    }
}

async fn rows(journal: &mut SqliteConnection, sql: &'static str) -> anyhow::Result<Vec<SqliteRow>> {
    let rows = sqlx::query(sql).fetch_all(journal).await;
    rows.with_context(|| sql)
}

/// What was found, over many kills.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) kills: u64,
    pub(crate) double: u64,
    pub(crate) lost: u64,
    pub(crate) stuck: u64,
    pub(crate) says: Vec<String>,
    at: BTreeMap<String, u64>,
}

impl AddAssign for Found {
    fn add_assign(&mut self, other: Self) {
        self.kills += other.kills;
        self.double += other.double;
        self.lost += other.lost;
        self.stuck += other.stuck;
        self.says.extend(other.says);
    }
}

impl Found {
    pub(crate) fn killed(&mut self, place: &str) {
        self.kills += 1;
        *self.at.entry(place.to_owned()).or_default() += 1;
    }

    /// How often at which place.
    pub(crate) fn points(&self) -> String {
        let all = self.at.iter().map(|(place, n)| format!("{n} {place}"));
        let all = all.collect::<Vec<_>>().join(", ");
        if all.is_empty() {
            all
        } else {
            format!(" ({all})")
        }
    }

    /// Compares the three books.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "they are of no use to anybody behind it"
    )]
    pub(crate) fn judge(&mut self, place: &str, case: &Case, books: Books) {
        let Books {
            told,
            later,
            journal,
            orders,
        } = &books;
        let effective = orders.iter().filter(|order| order.booked).count();
        let mut wrong = |of: fn(&mut Self) -> &mut u64, what: &str| {
            *of(self) += 1;
            self.says
                .push(format!("killed at {place}: {what}: {books:?}"));
        };
        // I1, and what I6 says: nothing that bears a card goes out twice.
        let twice = orders
            .iter()
            .any(|order| order.requests.is_some_and(|n| n > 1));
        if effective > 1 || orders.len() > 1 || twice {
            wrong(|f| &mut f.double, "charged, or sent, more than once");
        }
        let state = match journal.payments.as_slice() {
            [] => None,
            [(state, _)] => Some(state.as_str()),
            _ => {
                wrong(|f| &mut f.stuck, "more than one payment of one order");
                return;
            }
        };
        let waits_for_a_person = journal.has_task("unknown-outcome");
        let undone = matches!(case.then, Some("void" | "refund"));
        // I2: what the acquirer has is what the journal has.
        match (effective, state) {
            (0, Some("approved")) if !(waits_for_a_person && undone) => {
                wrong(
                    |f| &mut f.lost,
                    "approved here, and not in the acquirer's books",
                );
            }
            (0, _) | (1, Some("approved")) => {}
            (1, Some("unknown")) if waits_for_a_person => {}
            (1.., _) => wrong(
                |f| &mut f.lost,
                "the acquirer has the money, and the journal does not say so",
            ),
        }
        // I3: what was told is true, and stays.
        let kept = match told {
            // Given back by the person's wish, and by nobody else's.
            Some(Told::Approved) => {
                state == Some("approved") || state == Some("voided") && case.then == Some("void")
            }
            Some(Told::Declined | Told::NotCharged) => effective == 0 && state != Some("approved"),
            Some(Told::Unknown) | None => true,
        };
        if !kept {
            wrong(|f| &mut f.lost, "the caller was told something else");
        }
        if later.as_deref() == Some("approved") && undone && effective != 0 {
            wrong(|f| &mut f.lost, "given back, and the acquirer still has it");
        }
        // I7: as much is taken as the journal has.
        let taken = orders.first().and_then(|order| order.taken);
        if let (Some(taken), [(state, captured)]) = (taken, journal.payments.as_slice())
            && state == "approved"
            && !(undone || waits_for_a_person)
            && taken != *captured
        {
            wrong(
                |f| &mut f.lost,
                "another amount is taken than the journal has",
            );
        }
        // The merchant wants what nobody knows of released.
        if case.releases && journal.found_out && state == Some("approved") {
            wrong(|f| &mut f.stuck, "found out by itself, and not released");
        }
        // I2: nothing is approved in silence.
        let heard = told == &Some(Told::Approved);
        if state == Some("approved") && !heard && !journal.has_task("approved-caller-gone") {
            wrong(
                |f| &mut f.lost,
                "approved, and nobody is to tell the customer",
            );
        }
        // I11: nothing is left open but what a person has.
        let left = journal.operations.iter().any(|(kind, state)| {
            let unknown = state == "unknown" && kind != "query";
            state == "in-flight" || unknown && !waits_for_a_person
        });
        let mid = state == Some("in-flight");
        if left || mid || journal.claims != 0 || journal.due != 0 {
            wrong(|f| &mut f.stuck, "something is left open");
        }
        // Where the acquirer can be asked, it was, until it was known.
        if !case.person && (state == Some("unknown") || waits_for_a_person) {
            wrong(
                |f| &mut f.stuck,
                "unknown, though the acquirer says what became of it",
            );
        }
        // I8: told once of each change, in order, and last of how it stands.
        let numbers: Vec<_> = journal.told.iter().map(|(number, _)| *number).collect();
        let counted = (1..=i64::try_from(numbers.len()).unwrap_or_default()).collect::<Vec<_>>();
        let mut kinds: Vec<_> = journal.told.iter().map(|(_, kind)| kind.as_str()).collect();
        let last = kinds.last().copied();
        let as_it_stands = match state {
            None | Some("waiting") => last.is_none(),
            Some(state) => last == Some(format!("payment.{state}").as_str()),
        };
        kinds.sort_unstable();
        let all = kinds.len();
        kinds.dedup();
        if numbers != counted || kinds.len() != all || !as_it_stands {
            wrong(|f| &mut f.lost, "the merchant is told of it wrongly");
        }
    }
}
