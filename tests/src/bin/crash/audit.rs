//! The auditor: what must be true of three books once everything has been looked after. He knows the tables of the journal, and none of its
//! code.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail};
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

/// The three books about one order, or about one part of it.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) told: Option<Told>,
    /// State of what was asked behind the call, where somebody was told of it.
    pub(crate) later: Option<String>,
    pub(crate) journal: Journal,
    pub(crate) orders: Vec<Order>,
}

/// Of an order that is not split, or of one part: what the journal has of its payment.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// State of the payment that there is, or was last, and how much of it is taken.
    payment: Option<(String, u64)>,
    /// Payments before it, which came to nothing.
    before: usize,
    /// What they have left open.
    open_before: usize,
    /// More than one that did not come to nothing.
    several: bool,
    /// Kind and state of each operation.
    operations: Vec<(String, String)>,
    claims: usize,
    /// What the merchant is told of, in its order.
    told: Vec<(i64, String)>,
    /// Kinds of what a person is to do.
    tasks: Vec<String>,
    /// Whether the service itself has found out that it was approved.
    found_out: bool,
    /// What is to be done by itself still.
    due: usize,
}

/// Of these, only one keeps others of its order away.
const CAME_TO_NOTHING: [&str; 4] = ["declined", "cancelled", "expired", "voided"];

/// Id, payment, sequence, kind and whether it was delivered, of every event, in the order of their payments.
pub(crate) async fn events(at: &At) -> anyhow::Result<Vec<[String; 5]>> {
    let mut book = at.open().await?;
    let sql = "SELECT id, payment, CAST(number AS text), kind, CASE WHEN delivered_ms IS NULL THEN 'no' ELSE 'yes' END
               FROM outbox ORDER BY payment, outbox.number";
    let rows = book.read(sql).await?.into_iter();
    rows.map(|row| row.try_into().map_err(|row| anyhow!("{row:?}")))
        .collect()
}

impl Journal {
    /// By part; 0 is the order itself where it is not split.
    pub(crate) async fn read(at: &At) -> anyhow::Result<BTreeMap<u32, Self>> {
        let mut book = at.open().await?;
        let mut parts: BTreeMap<u32, Self> = BTreeMap::new();
        let mut all = Vec::new();
        let payments = "SELECT id, CAST(part AS text), state, CAST(coalesce(captured_minor, 0) AS text) FROM payments ORDER BY created_ms, id";
        for row in book.read(payments).await? {
            let [id, part, state, captured] = row.try_into().map_err(|row| anyhow!("{row:?}"))?;
            let journal: &mut Self = parts.entry(part.parse()?).or_default();
            if let Some((before, _)) = &journal.payment {
                journal.several |= !CAME_TO_NOTHING.contains(&before.as_str());
                journal.before += 1;
            }
            journal.payment = Some((state, captured.parse()?));
            all.push((part.parse::<u32>()?, id));
        }
        // Each as text, which both stores give; each store has words of its own for what stands in a document.
        let mut rows = async |sql: &'static str| -> anyhow::Result<Vec<[String; 3]>> {
            let rows = book.read(sql).await.context(sql)?.into_iter();
            let rows = rows.map(|row| row.try_into().map_err(|row| anyhow!("{row:?}")));
            rows.collect()
        };
        let operations = rows("SELECT payment, kind, state FROM operations ORDER BY id").await?;
        let told = "SELECT payment, CAST(number AS text), kind FROM outbox ORDER BY payment, outbox.number";
        let told = rows(told).await?;
        let settled =
            "SELECT payment, kind, CAST(body AS text) FROM records WHERE kind = 'settled'";
        let settled = rows(settled).await?;
        let tasks = rows("SELECT payment, kind, state FROM tasks WHERE state <> 'done'").await?;
        let claims = rows("SELECT payment, '', '' FROM claims").await?;
        let due = rows("SELECT payment, '', '' FROM releases").await?;
        for (part, payment) in &all {
            // The last one of its part comes last; of those before it stays only what they left.
            let Some(journal) = parts.get_mut(part) else {
                continue;
            };
            let of = |rows: &[[String; 3]]| {
                let rows = rows.iter().filter(|[of, ..]| of == payment);
                let rows = rows.map(|[_, one, other]| (one.clone(), other.clone()));
                rows.collect::<Vec<_>>()
            };
            // A question without an answer is no open one: what it was about says whether that is known.
            let open = |(kind, state): &&(String, String)| {
                state == "in-flight" || state == "unknown" && kind != "query"
            };
            journal.open_before += journal.operations.iter().filter(open).count();
            journal.operations = of(&operations);
            journal.told = Vec::new();
            for (number, kind) in of(&told) {
                journal.told.push((number.parse()?, kind));
            }
            for (_, body) in of(&settled) {
                let body: Value = serde_json::from_str(&body)?;
                journal.found_out |=
                    body["by"] == "recovery" && body["outcome"]["result"] == "approved";
            }
            let tasks = of(&tasks).into_iter().map(|(kind, _)| kind);
            journal.tasks.extend(tasks);
            journal.claims += of(&claims).len();
            journal.due += of(&due).len();
        }
        Ok(parts)
    }

    fn has_task(&self, kind: &str) -> bool {
        self.tasks.iter().any(|task| task == kind)
    }
}

/// Where a journal is: a file of SQLite, or a database of PostgreSQL by its URL.
#[derive(Clone)]
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

    /// Compares the three books of an order: part by part, and where it is split, as a whole.
    pub(crate) fn judge_all(&mut self, place: &str, case: &Case, parts: Vec<Books>) {
        if case.split {
            // I1 over the order: no part is more than its amount, which `judge` sees; and while some are paid and others not, a person has it.
            let paid = |books: &&Books| books.orders.iter().any(|order| order.booked);
            let known = |books: &Books| {
                let state = books.journal.payment.as_ref().map(|(state, _)| state);
                state.is_none_or(|state| state != "unknown")
            };
            let paid = parts.iter().filter(paid).count();
            let task = |books: &Books| books.journal.has_task("unfinished-split");
            let tasks = parts.iter().filter(|books| task(books)).count();
            let wanted = usize::from(0 < paid && paid < parts.len());
            if parts.iter().all(known) && tasks != wanted {
                self.stuck += 1;
                self.says.push(format!(
                    "killed at {place}: {paid} of the parts are paid, and {tasks} tasks say that the rest is not: {parts:?}"
                ));
            }
        }
        for books in parts {
            self.judge(place, case, books);
        }
    }

    /// Compares the three books.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "they are of no use to anybody behind it"
    )]
    fn judge(&mut self, place: &str, case: &Case, books: Books) {
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
        if effective > 1 || orders.len() > journal.before + 1 || twice {
            wrong(|f| &mut f.double, "charged, or sent, more than once");
        }
        // Who may call again may well pay again what came to nothing.
        if journal.several || journal.before > 0 && !case.split {
            wrong(|f| &mut f.stuck, "more than one payment of one order");
            return;
        }
        let state = journal.payment.as_ref().map(|(state, _)| state.as_str());
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
        if let (Some(taken), Some((state, captured))) = (taken, &journal.payment)
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
        let before = journal.open_before != 0;
        if left || mid || before || journal.claims != 0 || journal.due != 0 {
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
