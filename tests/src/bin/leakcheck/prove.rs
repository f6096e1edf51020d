//! A thousand dialogues in ten endings, two hundred at once, and the memory of the service searched at a hundred random moments
//! while cards are keyed; then once more when all are over.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use ivrpay_tests::lab::binary;
use ivrpay_tests::local::{Callers, Talk};
use ivrpay_tests::service::{Service, set};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;

use crate::calls::{Card, Wallet};
use crate::places::Places;
use crate::{Check, SETTLED, say};

/// Dialogues in all, and at once. `IVRPAY_PROVE_DIALOGUES` makes fewer of them.
const DIALOGUES: usize = 1_000;
const AT_ONCE: usize = 200;

/// Moments at which memory is searched while cards are keyed.
const MOMENTS: usize = 100;

/// Eight digits of a thousand cards stand somewhere by chance; twelve do not.
const DIGITS: &str = "12";

/// Pause between two keys, ms: a number takes a minute, so that most callers are in the middle of one at any moment, and the
/// dialogues last as long as a hundred searches of a busy machine.
const BETWEEN: u32 = 4_000;

/// Name, where the caller calls, what he does with his keys, and how it may end.
type Ending = (
    &'static str,
    &'static str,
    fn(&mut Talk, &Card),
    &'static [&'static str],
);

const ENDINGS: [Ending; 10] = [
    ("paid", "7711200", |_, _| {}, &["success"]),
    (
        "declined",
        "7719456",
        |t, _| t.leave_at = Some("card-declined"),
        &["caller-hung-up"],
    ),
    ("acquirer: 500", "7719010", |_, _| {}, &["outcome-unknown"]),
    ("acquirer: cut", "7719007", |_, _| {}, &["outcome-unknown"]),
    (
        "acquirer: silent",
        "7719002",
        |_, _| {},
        &["outcome-unknown"],
    ),
    (
        "three wrong numbers",
        "7711200",
        |t, card| {
            let mut wrong = card.pan.clone();
            let last = wrong.pop().and_then(|c| c.to_digit(10)).unwrap_or(0);
            if let Some((_, keys)) = t.keys.iter_mut().find(|(s, _)| s == "payment-card-number") {
                *keys = format!("{wrong}{}#", (last + 1) % 10);
            }
        },
        &["too-many-failed-attempts"],
    ),
    (
        "hang-up in the number",
        "7711200",
        |t, _| t.leave_behind = Some("payment-card-number"),
        &["caller-hung-up"],
    ),
    (
        "hang-up in the code",
        "7711200",
        |t, _| t.leave_behind = Some("security-code"),
        &["caller-hung-up"],
    ),
    (
        "hang-up at the confirmation",
        "7711200",
        |t, _| t.leave_at = Some("confirmation"),
        &["caller-hung-up"],
    ),
    (
        "hang-up while the acquirer is asked",
        "7719001",
        |t, _| t.leave_at = Some("payment-processing"),
        &["caller-hung-up", "success"],
    ),
];

/// The scanner, made once: with a thousand cards its making takes as long as a search.
struct Scanner {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// What a search of memory gave.
struct Seen {
    found: usize,
    bytes: u64,
    lines: Vec<String>,
}

impl Scanner {
    fn start(cards: &std::path::Path, pid: u32) -> anyhow::Result<Self> {
        let mut child = Command::new(binary("ivrpay-sim")?)
            .args(["scan", "--json", "--again", "--digits", DIGITS, "--cards"])
            .arg(cards)
            .args(["--pid", &pid.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take().context("no input")?;
        let output = BufReader::new(child.stdout.take().context("no output")?);
        Ok(Self {
            child,
            input,
            output,
        })
    }

    async fn look(&mut self) -> anyhow::Result<Seen> {
        self.input.write_all(b"\n").await?;
        let mut line = String::new();
        let read = self.output.read_line(&mut line).await?;
        ensure!(read > 0, "the scanner ended: {:?}", self.child.try_wait()?);
        let report: Value = serde_json::from_str(&line)?;
        let hits = report["hits"].as_array().cloned().unwrap_or_default();
        let looked = report["looked"].as_array().cloned().unwrap_or_default();
        Ok(Seen {
            found: usize::try_from(report["found"].as_u64().unwrap_or(1))?,
            bytes: looked.iter().filter_map(|l| l["bytes"].as_u64()).sum(),
            lines: hits
                .iter()
                .map(|h| format!("FOUND {} x {} in {}", h["count"], h["form"], h["place"]))
                .collect(),
        })
    }
}

fn talk(ending: &Ending, card: &Card) -> Talk {
    let mut talk = Talk {
        extension: ending.1.to_owned(),
        keys: [
            ("payment-amount", "1".to_owned()),
            ("payment-card-number", format!("{}#", card.pan)),
            ("expiration-date", card.expiry.clone()),
            ("security-code", card.code.clone()),
            ("confirmation", "1".to_owned()),
        ]
        .map(|(step, keys)| (step.to_owned(), keys))
        .into(),
        between: BETWEEN,
        ..Talk::default()
    };
    (ending.2)(&mut talk, card);
    talk
}

/// Whether all was as it has to be.
pub(crate) async fn run(check: &mut Check) -> anyhow::Result<bool> {
    let dialogues: usize = match std::env::var("IVRPAY_PROVE_DIALOGUES") {
        Ok(text) => text.parse().context("IVRPAY_PROVE_DIALOGUES is a number")?,
        Err(_) => DIALOGUES,
    };
    let cards = check.file("cards");
    check.wallet = Wallet::new(dialogues, &cards)?;
    check.places = Places::new(&cards, false).with_digits(DIGITS);
    let service = Service::start(&check.lab, "leak-prove", true, |config| {
        for wait in ["first_key_card_number", "first_key", "inter_digit_timeout"] {
            set(config, &format!("dialogue.{wait}"), "30s");
        }
        set(config, "connectors.generic.reply_timeout", "4s");
        set(config, "limits.calls_max", 250);
        // What a number of wrong answers costs is not what is looked at here.
        set(config, "dialogue.quiet", "5s");
    })
    .await?;
    let mut scanner = Scanner::start(&cards, service.pid())?;
    let before = scanner.look().await?;
    ensure!(
        before.found == 0,
        "the search finds cards before they were keyed: {}",
        before.lines.join("; ")
    );
    say(&format!(
        "{dialogues} dialogues in {} endings, {AT_ONCE} at once",
        ENDINGS.len()
    ));
    let callers = Arc::new(Callers::new(&check.lab, &service).await?);
    let (places, on) = (
        Arc::new(Semaphore::new(AT_ONCE)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..dialogues {
        let ending = &ENDINGS[number % ENDINGS.len()];
        let talk = talk(ending, &check.wallet.next()?);
        let (callers, places, on) = (Arc::clone(&callers), Arc::clone(&places), Arc::clone(&on));
        tasks.spawn(async move {
            let _place = places.acquire_owned().await;
            on.fetch_add(1, Ordering::Relaxed);
            let result = callers
                .call(&format!("prove-{}-{number}", std::process::id()), &talk)
                .await;
            on.fetch_sub(1, Ordering::Relaxed);
            (number % ENDINGS.len(), result)
        });
    }
    let mut ended: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let (mut moments, mut found, mut bytes, mut most) = (0, 0, 0, 0);
    let began = Instant::now();
    let mut wait = Duration::from_millis(500);
    loop {
        tokio::select! {
            done = tasks.join_next() => {
                let Some(done) = done else { break };
                let (ending, result) = done?;
                let (name, .., results) = ENDINGS[ending];
                let (all, as_meant) = ended.entry(name).or_default();
                *all += 1;
                match result {
                    Ok(result) if results.contains(&result.as_str()) => *as_meant += 1,
                    Ok(result) => println!("{name}: ended with {result}"),
                    Err(error) => println!("{name}: {error:#}"),
                }
            }
            () = tokio::time::sleep(wait), if moments < MOMENTS => {
                let seen = scanner.look().await?;
                moments += 1;
                found += seen.found;
                bytes = bytes.max(seen.bytes);
                most = most.max(on.load(Ordering::Relaxed));
                seen.lines.iter().for_each(|line| println!("{line}"));
                if moments % 10 == 0 {
                    println!("{moments} moments, {found} found, {} s", began.elapsed().as_secs());
                }
                // Any moment is as good as another.
                wait = Duration::from_millis(u64::from(rand() % 1_500));
            }
        }
    }
    tokio::time::sleep(SETTLED).await;
    let after = scanner.look().await?;
    after.lines.iter().for_each(|line| println!("{line}"));
    let mut as_meant = 0;
    for (name, (all, good)) in &ended {
        println!("{name:<40} {good} of {all} as meant");
        as_meant += good;
    }
    let files = check.files(&service.folder);
    let in_files = check.places.search(None, &files).await?;
    let (_, health) = service.get("/healthz").await?;
    let slots = slots_in_use(&service).await?;
    println!(
        "prove-leak: {dialogues} dialogues ({as_meant} as meant, at most {most} at once), {moments} moments in the middle: {found} found; 1 s after: {} found; in files: {in_files} found; {} MiB of memory; {} calls and {slots} slots left",
        after.found,
        bytes >> 20,
        health["calls"]
    );
    // A busy machine may be late with a key here and there; what is looked for is a card.
    let led = as_meant * 100 >= dialogues * 95;
    // At full count it has to be what it says.
    ensure!(
        dialogues < DIALOGUES || (most >= AT_ONCE * 9 / 10 && moments == MOMENTS),
        "only {most} at once and {moments} moments"
    );
    Ok(found + after.found + in_files == 0 && led && health["calls"] == 0 && slots == 0)
}

/// Slots that are held as long as the service runs: two of the socket to Asterisk, one of the table of cards that were tried.
const LASTING: u64 = 3;

/// Slots of secret memory that are taken beside those, by the service's own metric, which is renewed every 5 s.
async fn slots_in_use(service: &Service) -> anyhow::Result<u64> {
    let mut slots = 0;
    for _ in 0..12 {
        let (_, metrics) = service.get("/metrics").await?;
        let metrics = metrics.as_str().context("the metrics are no text")?;
        let sizes: Vec<u64> = metrics
            .lines()
            .filter(|line| line.starts_with("ivrpay_secret_slots_in_use{"))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse().ok())
            .collect();
        ensure!(!sizes.is_empty(), "no metric says how many slots are taken");
        slots = sizes.iter().sum::<u64>().saturating_sub(LASTING);
        if slots == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(slots)
}

/// A number that nobody can foresee.
fn rand() -> u32 {
    let bytes = uuid::Uuid::new_v4();
    u32::from_le_bytes(bytes.as_bytes()[..4].try_into().unwrap_or_default())
}
