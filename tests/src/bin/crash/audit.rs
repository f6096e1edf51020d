//! The auditor: what must be true of three books once everything has been looked after. He knows the tables of the journal, and none of its
//! code.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection, Row as _, SqliteConnection};

use ivrpay_tests::postgres;
use serde_json::Value;

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
    pub(crate) async fn read(at: &At) -> anyhow::Result<Self> {
        let mut book = at.open().await?;
        // Each as text, which both stores give.
        let mut texts = async |sql: &'static str| book.read(sql).await.context(sql);
        let first = |rows: Vec<Vec<String>>| rows.into_iter().filter_map(|mut row| row.pop());
        let count = |rows: Vec<Vec<String>>| -> anyhow::Result<i64> {
            Ok(first(rows).next().context("no count")?.parse()?)
        };
        let pair = |row: &Vec<String>| match row.as_slice() {
            [one, other] => Ok((one.clone(), other.clone())),
            row => bail!("{row:?}"),
        };
        let operations = texts("SELECT kind, state FROM operations ORDER BY id").await?;
        let outbox =
            texts("SELECT CAST(number AS text), kind FROM outbox ORDER BY outbox.number").await?;
        let told = outbox.iter().map(|row| {
            let (number, kind) = pair(row)?;
            Ok((number.parse()?, kind))
        });
        let payments =
            texts("SELECT state, CAST(coalesce(captured_minor, 0) AS text) FROM payments").await?;
        let payments = payments.iter().map(|row| {
            let (state, captured) = pair(row)?;
            Ok((state, captured.parse()?))
        });
        // Each store has words of its own for what stands in a document.
        let settled =
            first(texts("SELECT CAST(body AS text) FROM records WHERE kind = 'settled'").await?);
        let settled = settled.map(|body| serde_json::from_str::<Value>(&body));
        let settled = settled.collect::<Result<Vec<_>, _>>()?;
        let found_out = settled
            .iter()
            .any(|body| body["by"] == "recovery" && body["outcome"]["result"] == "approved");
        Ok(Self {
            payments: payments.collect::<anyhow::Result<_>>()?,
            found_out,
            operations: operations.iter().map(pair).collect::<Result<_, _>>()?,
            claims: count(texts("SELECT CAST(count(*) AS text) FROM claims").await?)?,
            told: told.collect::<anyhow::Result<_>>()?,
            tasks: first(texts("SELECT kind FROM tasks WHERE state <> 'done'").await?).collect(),
            due: count(texts("SELECT CAST(count(*) AS text) FROM releases").await?)?,
        })
    }

    fn has_task(&self, kind: &str) -> bool {
        self.tasks.iter().any(|task| task == kind)
    }
}

/// Where a journal is: a file of SQLite, or a database of PostgreSQL by its URL.
pub(crate) enum At {
    File(PathBuf),
    Server(String),
}

enum Book {
    File(SqliteConnection),
    Server(PgConnection),
}

impl At {
    async fn open(&self) -> anyhow::Result<Book> {
        Ok(match self {
            Self::File(file) => {
                let options = SqliteConnectOptions::new().filename(file);
                Book::File(options.connect().await?)
            }
            Self::Server(url) => Book::Server(postgres::raw(url).await),
        })
    }
}

impl Book {
    async fn read(&mut self, sql: &'static str) -> sqlx::Result<Vec<Vec<String>>> {
        macro_rules! texts {
            ($rows:expr) => {
                $rows
                    .iter()
                    .map(|row| (0..row.len()).map(|at| row.try_get(at)).collect())
                    .collect()
            };
        }
        match self {
            Self::File(book) => texts!(sqlx::query(sql).fetch_all(book).await?),
            Self::Server(book) => texts!(sqlx::query(sql).fetch_all(book).await?),
        }
    }
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
                let given_back = matches!(case.then, Some("void" | "refund"));
                state == Some("approved") || state == Some("voided") && given_back
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
