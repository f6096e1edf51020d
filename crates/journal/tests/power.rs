//! The power goes: of the file itself, what was not synced is cut, torn, holed or overwritten, and what was promised is there all the same.
//!
//! `kill -9` proves nothing of that, since the kernel still writes what a process has written. The lengths of the WAL behind each commit that
//! was synced are those that a disk has to have; anything may have become of what lies behind them.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use common::{NOON, Place, announced, approved, by, call, declined, draft, order};
use ivrpay_journal::{Journal, Later, LaterDraft, OpenOptions};
use ivrpay_payment::{Doubt, OperationKind, Outcome};
use serde_json::Value;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

/// Header of the WAL, and of each frame in it (sqlite.org/fileformat2.html#walformat).
const WAL_HEADER: u64 = 32;
const FRAME: u64 = 24 + 4096;

/// A folder in memory, where there is one: what a disk has left is made here, and no sync of it matters.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// Everything that counts, in one text.
async fn books(path: &Path) -> String {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut sql = options.connect().await.unwrap();
    let mut text = String::new();
    for query in [
        "SELECT id || state || coalesce(captured_minor, '-') || refunded_minor FROM payments ORDER BY id",
        "SELECT id || kind || state || coalesce(outcome, '-') FROM operations ORDER BY id",
        "SELECT payment || call FROM claims ORDER BY payment",
        "SELECT payment || number || kind FROM outbox ORDER BY payment, number",
        "SELECT id || kind || state FROM tasks ORDER BY id",
        "SELECT hex(hash) FROM records ORDER BY sequence",
    ] {
        for row in sqlx::query(query).fetch_all(&mut sql).await.unwrap() {
            text.push_str(&row.get::<String, _>(0));
            text.push('\n');
        }
        text.push_str("--\n");
    }
    sql.close().await.unwrap();
    text
}

/// A moment behind a commit.
struct Moment {
    /// Length of the WAL.
    wal: u64,
    /// That of it which was synced.
    synced: u64,
    books: String,
}

struct Watched {
    place: Place,
    moments: Vec<Moment>,
}

impl Watched {
    fn wal(&self) -> PathBuf {
        self.place.folder.path().join("journal.db-wal")
    }

    /// A commit has come back; `synced`: it said that it is on the disk.
    async fn saw(&mut self, synced: bool) {
        let wal = fs::metadata(self.wal()).unwrap().len();
        let before = self.moments.last().map_or(0, |moment| moment.synced);
        let books = books(&self.place.path()).await;
        self.moments.push(Moment {
            wal,
            synced: if synced { wal } else { before },
            books,
        });
    }
}

/// Payments in every state, in commits of both kinds.
async fn lived(journal: &Journal, watched: &mut Watched) {
    let unknown = Outcome::Unknown(Doubt::NoReply);
    for (nth, outcome) in [approved(), declined(), unknown.clone(), approved()]
        .iter()
        .enumerate()
    {
        watched.place.now.fetch_add(60_000, Ordering::SeqCst);
        let name = format!("order-{nth}");
        let id = if nth % 2 == 0 {
            let new = announced(&name, NOON + 3_600_000);
            let id = journal.create(new).await.unwrap().payment().id;
            watched.saw(true).await;
            id
        } else {
            let id = journal.create(order(&name)).await.unwrap().payment().id;
            watched.saw(false).await;
            id
        };
        let claim = journal.claim(id, call()).await.unwrap();
        watched.saw(false).await;
        let intent = journal.write_intent(id, draft()).await.unwrap();
        watched.saw(true).await;
        journal
            .write_progress(&intent, serde_json::json!({"stage": 1}))
            .await
            .unwrap();
        watched.saw(true).await;
        journal.write_outcome(&intent, outcome).await.unwrap();
        watched.saw(true).await;
        journal
            .release_unheard(&claim, "caller-hung-up", Value::Null, false)
            .await
            .unwrap();
        watched.saw(false).await;
        if *outcome == unknown {
            journal
                .write_query(intent.get().operation_id, &by("mori"))
                .await
                .unwrap();
            watched.saw(true).await;
            journal
                .settle(intent.get().operation_id, &approved(), "inquiry")
                .await
                .unwrap();
            watched.saw(true).await;
        }
        if nth == 3 {
            let wish = LaterDraft {
                kind: OperationKind::Refund,
                amount_minor: Some(400),
                by: by("mori"),
                request: None,
                judged: None,
            };
            let Later::New(refund) = journal.write_later(id, wish).await.unwrap() else {
                panic!("it is new");
            };
            watched.saw(true).await;
            journal.write_outcome(&refund, &approved()).await.unwrap();
            watched.saw(true).await;
        }
        journal.expire(NOON + 7_200_000).await.unwrap();
        watched.saw(false).await;
    }
}

async fn watched() -> (Journal, Watched) {
    let place = Place::new();
    let journal = place.open().await;
    // Opening it is synced.
    let mut watched = Watched {
        place,
        moments: Vec::new(),
    };
    watched.saw(true).await;
    (journal, watched)
}

/// What a disk may have left of a file that was `from` when it was synced last, and is `whole` now.
fn left(whole: &[u8], from: usize) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut cuts = vec![from, whole.len()];
    let (header, frame) = (
        usize::try_from(WAL_HEADER).unwrap(),
        usize::try_from(FRAME).unwrap(),
    );
    let mut border = header;
    while border < whole.len() {
        for at in [border, border + 24, border + frame / 2] {
            if at > from && at < whole.len() {
                cuts.push(at);
            }
        }
        border += frame;
    }
    for cut in cuts {
        let begin = whole.get(..cut).unwrap().to_vec();
        let tail = whole.len() - cut;
        let garbage: Vec<u8> = (0..tail + 5000)
            .map(|n| u8::try_from(n * 31 % 251).unwrap())
            .collect();
        // What an earlier file of that place has left.
        all.insert(
            format!("{cut} bytes and garbage"),
            [begin.as_slice(), &garbage].concat(),
        );
        if tail > 0 {
            all.insert(
                format!("{cut} bytes and zeroes"),
                [begin.as_slice(), &vec![0; tail]].concat(),
            );
            // A frame is missing, and those behind it are there.
            let mut holed = whole.to_vec();
            let end = (cut + frame).min(whole.len());
            holed.get_mut(cut..end).unwrap().fill(0);
            all.insert(format!("a hole at {cut}"), holed);
        }
        all.insert(format!("{cut} bytes"), begin);
    }
    all
}

/// What is there behind a loss of power at each moment, however much of what was not synced is left.
#[tokio::test]
async fn what_was_synced_is_there_and_nothing_half() {
    let (journal, mut watched) = watched().await;
    lived(&journal, &mut watched).await;
    // The process does not end before the power does: its file is copied as it lies there.
    let file = fs::read(watched.place.path()).unwrap();
    let wal = fs::read(watched.wal()).unwrap();
    let last = watched.moments.last().unwrap();
    assert_eq!(
        last.wal,
        wal.len() as u64,
        "no checkpoint has begun the WAL anew"
    );
    let (mut tried, mut lost) = (0, 0);
    for (at, moment) in watched.moments.iter().enumerate() {
        let promised = watched
            .moments
            .iter()
            .rposition(|m| m.wal == moment.synced)
            .unwrap();
        let promised = promised.min(at);
        let (from, to) = (
            usize::try_from(moment.synced).unwrap(),
            usize::try_from(moment.wal).unwrap(),
        );
        for (what, left) in left(wal.get(..to).unwrap(), from) {
            let folder = scratch();
            let path = folder.path().join("journal.db");
            fs::write(&path, &file).unwrap();
            fs::write(folder.path().join("journal.db-wal"), &left).unwrap();
            let found = books(&path).await;
            let known = watched.moments.get(promised..=at).unwrap().iter();
            let which = known.clone().position(|known| known.books == found);
            assert!(
                which.is_some(),
                "moment {at}, {what}: of {promised} to {at} it is none"
            );
            lost += usize::from(which != Some(at - promised));
            tried += 1;
            // Each starts, and is sound; a few of them are enough for that.
            if tried % 40 == 0 {
                let options = OpenOptions::new("edge-1");
                let journal = Journal::open(&path, options).await.unwrap();
                journal.recover().await.unwrap();
                let report = journal.verify().await.unwrap();
                assert!(report.breaks.is_empty(), "moment {at}, {what}: {report:?}");
                journal.stop().await.unwrap();
            }
        }
    }
    println!("{tried} losses of power, {lost} of them lost something");
    assert!(
        tried > 200 && lost > 50,
        "{tried} tried, {lost} had lost something"
    );
}

/// The power goes while the WAL is moved into the file: any pages of it are written, others not, and one is torn.
#[tokio::test]
async fn a_checkpoint_that_is_cut_off_loses_nothing() {
    let (journal, mut watched) = watched().await;
    lived(&journal, &mut watched).await;
    let before = fs::read(watched.place.path()).unwrap();
    let wal = fs::read(watched.wal()).unwrap();
    let mut raw = watched.place.raw().await;
    sqlx::query("PRAGMA wal_checkpoint(PASSIVE)")
        .execute(&mut raw)
        .await
        .unwrap();
    raw.close().await.unwrap();
    let behind = fs::read(watched.place.path()).unwrap();
    let page = 4096;
    let expected = &watched.moments.last().unwrap().books;
    for nth in 0..12_usize {
        let mut file = before.clone();
        file.resize(before.len().max(behind.len()), 0);
        for (number, new) in behind.chunks(page).enumerate() {
            let written = match (number * 7 + nth * 13) % 3 {
                0 => new.len(),
                1 => 0,
                _ => new.len() / 2,
            };
            let from = number * page;
            file.get_mut(from..from + written)
                .unwrap()
                .copy_from_slice(new.get(..written).unwrap());
        }
        let folder = scratch();
        let path = folder.path().join("journal.db");
        fs::write(&path, &file).unwrap();
        fs::write(folder.path().join("journal.db-wal"), &wal).unwrap();
        assert_eq!(&books(&path).await, expected, "{nth}");
        let journal = Journal::open(&path, OpenOptions::new("edge-1"))
            .await
            .unwrap();
        assert!(journal.verify().await.unwrap().breaks.is_empty(), "{nth}");
    }
}
