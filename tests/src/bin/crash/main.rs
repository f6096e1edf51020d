//! Kills: a payment is taken by a process of its own, which is ended as `kill -9` does at each place in turn where that can matter; then it
//! starts again, what is open is looked after, and an auditor with a model of his own compares three books: the journal, the
//! acquirer's, and what the caller was told and the merchant is to be told.
//!
//! `crash --webhooks` kills it while the merchant's program is told, and compares that one's ledger.
//! `crash [--all] [--postgres] [--filter TEXT] [--keep FOLDER]`; the last line is `crash: N kills, N double charges, N lost, N stuck`. It needs the build with
//! the feature `plant`, `ivrpay-planted` beside it (`scripts/crash` makes it), and `ivrpay-sim`. `crash --plants`: with each mistake on purpose
//! in turn, which has to be found; ends with `plants: found N of N`.

#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a command's output"
)]

mod audit;
mod books;
mod webhooks;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use ivrpay_tests::acquirers::{connectors, secret};
use ivrpay_tests::lab::binary;
use ivrpay_tests::postgres;
use ivrpay_tests::service::set;
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use audit::{Found, Told};
use books::Acquirer;

/// Longest that one process may take. A silent acquirer costs one reply time-out a request.
const LIMIT: Duration = Duration::from_secs(60);
/// Places of a process that are more than any case has.
const PLACES_MAX: u64 = 100;
/// Places of a start behind a crash that are tried, where it goes on asking.
const RECOVERY_PLACES_MAX: u64 = 40;
/// Cases at once.
const SIDE_BY_SIDE: usize = 4;
/// Mistakes on purpose that the auditor has to find.
const PLANTS: [&str; 6] = [
    "no-write-ahead",
    "no-recovery",
    "told-before-it-is-written",
    "unknown-is-declined",
    "unknown-is-not-charged",
    "not-there-is-approved",
];
/// The signal that nothing can catch.
const SIGKILL: i32 = 9;

/// What is paid, and how the acquirer behaves.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) acquirer: &'static str,
    /// Last four digits of the amount: the fault that the acquirer has.
    fault: u64,
    declined: bool,
    reserve: bool,
    pub(crate) then: Option<&'static str>,
    /// What its acquirer says of it may leave it to a person.
    pub(crate) person: bool,
    /// Its merchant has what nobody knows of released.
    pub(crate) releases: bool,
    /// An order in two parts, a card for each. What is not paid behind a kill is paid in a second visit.
    pub(crate) split: bool,
    /// In `make test` too.
    few: bool,
}

const fn case(acquirer: &'static str, fault: u64) -> Case {
    Case {
        acquirer,
        fault,
        declined: false,
        reserve: false,
        then: None,
        person: false,
        releases: false,
        split: false,
        few: false,
    }
}

const fn split(case: Case) -> Case {
    Case {
        split: true,
        ..case
    }
}

const fn releasing(case: Case) -> Case {
    Case {
        releases: true,
        ..case
    }
}

const fn few(case: Case) -> Case {
    Case { few: true, ..case }
}

const fn person(case: Case) -> Case {
    Case {
        person: true,
        ..case
    }
}

const fn declined(acquirer: &'static str) -> Case {
    Case {
        declined: true,
        ..case(acquirer, GOOD)
    }
}

const fn then(acquirer: &'static str, reserve: bool, then: &'static str) -> Case {
    Case {
        reserve,
        then: Some(then),
        ..case(acquirer, GOOD)
    }
}

/// No fault.
const GOOD: u64 = 1200;

/// A person decides of a refund at GMO that was killed before it was written down what it was to leave, of a charge at Yamato or SBPS that is
/// reserved and not taken, and of everything at an endpoint that can't be asked. Faults: silent and not booked, silent and booked, closed and booked, cut in the middle, 500 and not booked, 500 and booked.
const CASES: &[Case] = &[
    few(case("gmo", GOOD)),
    few(declined("gmo")),
    case("gmo", 9002),
    few(case("gmo", 9003)),
    case("gmo", 9005),
    case("gmo", 9007),
    case("gmo", 9010),
    case("gmo", 9011),
    then("gmo", true, "capture"),
    few(then("gmo", false, "void")),
    person(then("gmo", false, "refund")),
    case("stripe", GOOD),
    case("stripe", 9003),
    case("stripe", 9011),
    then("stripe", true, "capture"),
    then("stripe", false, "refund"),
    person(case("sbps", GOOD)),
    person(case("sbps", 9003)),
    case("veritrans", GOOD),
    case("veritrans", 9011),
    then("veritrans", true, "capture"),
    person(case("kuroneko", GOOD)),
    person(case("kuroneko", 9005)),
    case("hyperswitch", 9003),
    releasing(case("gmo", GOOD)),
    few(releasing(case("gmo", 9003))),
    few(split(case("gmo", GOOD))),
    split(case("gmo", 9003)),
    split(declined("gmo")),
    split(Case {
        then: Some("void"),
        ..declined("gmo")
    }),
    split(case("stripe", GOOD)),
    releasing(case("veritrans", 9011)),
    few(person(case("generic", GOOD))),
    few(person(case("generic", 9003))),
];

impl Case {
    fn name(&self) -> String {
        let what = match (self.declined, self.reserve) {
            (true, _) if self.split => "the second declined",
            (true, _) => "declined",
            (_, true) => "reserved",
            _ => "charged",
        };
        let then = self.then.map(|then| format!(", {then}"));
        let fault = Some(self.fault).filter(|fault| *fault != GOOD);
        let fault = fault.map(|fault| format!(", fault {fault}"));
        let releases = if self.releases { ", releasing" } else { "" };
        let split = if self.split { "two parts, " } else { "" };
        format!(
            "{}: {split}{what}{}{}{releases}",
            self.acquirer,
            then.unwrap_or_default(),
            fault.unwrap_or_default()
        )
    }
}

struct Args {
    all: bool,
    /// The journal is at a PostgreSQL, in place of a file.
    postgres: bool,
    /// The merchant's program is told, alone.
    webhooks: bool,
    filter: String,
    /// Mistakes on purpose, one after the other.
    plants: Vec<String>,
    /// Where what was written is kept.
    keep: Option<PathBuf>,
}

fn args() -> anyhow::Result<Args> {
    let mut args = Args {
        all: false,
        postgres: false,
        webhooks: false,
        filter: String::new(),
        plants: Vec::new(),
        keep: None,
    };
    let mut given = std::env::args().skip(1);
    while let Some(arg) = given.next() {
        let mut value = || given.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--all" => args.all = true,
            "--postgres" => args.postgres = true,
            "--webhooks" => args.webhooks = true,
            "--filter" => args.filter = value()?,
            "--plant" => args.plants = vec![value()?],
            "--plants" => args.plants = PLANTS.map(str::to_owned).to_vec(),
            "--keep" => args.keep = Some(value()?.into()),
            _ => bail!(
                "usage: crash [--all | --webhooks] [--postgres] [--filter TEXT] [--plants | --plant NAME] [--keep FOLDER]"
            ),
        }
    }
    Ok(args)
}

fn main() -> ExitCode {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let runtime = tokio::runtime::Runtime::new().map_err(anyhow::Error::from);
    let done = runtime.and_then(|runtime| {
        let args = args()?;
        runtime.block_on(async {
            if args.plants.is_empty() {
                return Ok(run(&args, None).await?.good);
            }
            let mut found = 0;
            for plant in &args.plants {
                found += usize::from(run(&args, Some(plant)).await?.found);
                println!(
                    "plants: found {found} of {}, the last one is {plant}",
                    args.plants.len()
                );
            }
            Ok(found == args.plants.len())
        })
    });
    match done {
        Ok(good) if good => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("crash: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What all cases share.
struct Ground {
    acquirer: Acquirer,
    folder: tempfile::TempDir,
    postgres: bool,
    plant: Option<String>,
    /// The last amount's number at each acquirer: each payment has an amount of its own, by which the acquirer's books are read.
    numbers: Mutex<BTreeMap<&'static str, u64>>,
}

/// What an acquirer of seven digits takes.
const NUMBER_MAX: u64 = 999;

impl Ground {
    fn number(&self, acquirer: &'static str) -> anyhow::Result<u64> {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let number = numbers.entry(acquirer).or_default();
        *number += 1;
        ensure!(*number <= NUMBER_MAX, "no amount is left for {acquirer}");
        Ok(*number)
    }
}

/// What came of a run.
struct Ran {
    /// Everything ran, and nothing was wrong.
    good: bool,
    /// Everything ran, and the auditor found something.
    found: bool,
}

async fn run(args: &Args, plant: Option<&str>) -> anyhow::Result<Ran> {
    let folder = match &args.keep {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            tempfile::Builder::new()
                .disable_cleanup(true)
                .tempdir_in(folder)?
        }
        None => tempfile::tempdir()?,
    };
    let acquirer = Acquirer::start(folder.path()).await?;
    let ground = Arc::new(Ground {
        acquirer,
        folder,
        postgres: args.postgres,
        plant: plant.map(str::to_owned),
        numbers: Mutex::default(),
    });
    if args.webhooks {
        let (kills, wrong) = webhooks::run(&ground).await?;
        for line in &wrong {
            println!("WRONG {line}");
        }
        println!("webhooks: {kills} kills, {} wrong", wrong.len());
        println!(
            "{} passed; {} failed;",
            if wrong.is_empty() { kills } else { 0 },
            wrong.len()
        );
        let good = wrong.is_empty();
        return Ok(Ran { good, found: !good });
    }
    let wanted = CASES.iter().filter(|case| args.all || case.few);
    let wanted = wanted.filter(|case| case.name().contains(&args.filter));
    let places = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let mut cases = tokio::task::JoinSet::new();
    for case in wanted {
        let (ground, places) = (Arc::clone(&ground), Arc::clone(&places));
        cases.spawn(async move {
            let _place = places.acquire_owned().await;
            (case.name(), each(&ground, case).await)
        });
    }
    let mut sum = Found::default();
    let mut wrong = 0_u32;
    while let Some(done) = cases.join_next().await {
        match done? {
            (name, Ok(found)) => {
                println!("{:>4} kills  {name}{}", found.kills, found.points());
                let most = if plant.is_some() { 1 } else { usize::MAX };
                for line in found.says.iter().take(most) {
                    println!("WRONG {name}: {line}");
                }
                sum += found;
            }
            (name, Err(error)) => {
                wrong += 1;
                println!("WRONG {name}: {error:#}");
            }
        }
    }
    println!(
        "crash: {} kills, {} double charges, {} lost, {} stuck",
        sum.kills, sum.double, sum.lost, sum.stuck
    );
    let good = sum.says.is_empty() && wrong == 0 && sum.kills > 0;
    println!(
        "{} passed; {} failed;",
        if good { sum.kills } else { 0 },
        sum.says.len() + wrong as usize
    );
    Ok(Ran {
        good,
        found: wrong == 0 && !sum.says.is_empty(),
    })
}

/// One case: once without a kill, then with one at each place that was passed; and where it ends unknown, with one at each place of the start
/// behind it.
async fn each(ground: &Arc<Ground>, case: &Case) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let whole = Payment::new(ground, case).await?;
    let points = whole.pay(None).await?;
    ensure!(points.ended, "without a kill it was killed");
    whole.settle(None).await?;
    found.judge_all("no kill", case, whole.look().await?);
    let mut at = 1;
    loop {
        ensure!(at < PLACES_MAX, "it passes more places than there can be");
        let payment = Payment::new(ground, case).await?;
        let died = payment.pay(Some(at)).await?;
        if died.ended {
            break;
        }
        found.killed(&died.place);
        payment.settle(None).await?;
        payment.again().await?;
        found.judge_all(&died.place, case, payment.look().await?);
        at += 1;
    }
    // K13: the start itself, while it looks after what was left behind a request.
    let mut at = 1;
    let behind = points.passed.iter().position(|p| p == "behind a request");
    let behind = behind.context("no request was sent")? as u64 + 1;
    // What stays unknown is asked about for a day: one question is like the next.
    while at < RECOVERY_PLACES_MAX || !case.person {
        ensure!(at < PLACES_MAX, "it passes more places than there can be");
        let payment = Payment::new(ground, case).await?;
        payment.pay(Some(behind)).await?;
        let died = payment.settle(Some(at)).await?;
        if died.ended {
            break;
        }
        let place = format!("recovery: {}", died.place);
        found.killed(&place);
        payment.settle(None).await?;
        payment.again().await?;
        found.judge_all(&place, case, payment.look().await?);
        at += 1;
    }
    Ok(found)
}

/// How a process ended.
struct Died {
    /// By itself.
    ended: bool,
    /// Where it was killed.
    place: String,
    passed: Vec<String>,
}

/// One payment with a journal of its own.
struct Payment {
    ground: Arc<Ground>,
    folder: PathBuf,
    config: PathBuf,
    journal: audit::At,
    case: Case,
    /// Of its parts; one where it is not split.
    amounts: Vec<u64>,
    number: u64,
}

impl Payment {
    async fn new(ground: &Arc<Ground>, case: &Case) -> anyhow::Result<Self> {
        let number = ground.number(case.acquirer)?;
        let name = format!("{}-{number}", case.acquirer);
        let folder = ground.folder.path().join(name);
        std::fs::create_dir_all(&folder)?;
        let config = folder.join("ivrpay.toml");
        let mut text = ground.acquirer.config(case.acquirer)?;
        let tenant = text.get_mut("tenants").and_then(|t| t.get_mut(0));
        if let (true, Some(tenant)) = (case.releases, tenant.and_then(|t| t.as_table_mut())) {
            set(tenant, "unheard_approval", "void");
        }
        let journal = if ground.postgres {
            let url = postgres::database().await;
            text.remove("journal");
            set(&mut text, "journal.url", url.as_str());
            audit::At::Server(url)
        } else {
            audit::At::File(folder.join("journal.sqlite"))
        };
        std::fs::write(&config, toml::to_string(&text)?)?;
        secret(&folder.join("ari-password"), "none\n")?;
        let (good, bad) = ("4242424242424242", "4000000000000002");
        let cards = match (case.split, case.declined) {
            (false, false) => vec![good],
            (false, true) => vec![bad],
            (true, false) => vec![good, good],
            (true, true) => vec![good, bad],
        };
        let cards = cards.iter().map(|pan| format!("{pan} 1230 123\n"));
        std::fs::write(folder.join("card"), cards.collect::<String>())?;
        let mut amounts = vec![number * 10_000 + case.fault];
        if case.split {
            amounts.push(ground.number(case.acquirer)? * 10_000 + GOOD);
        }
        Ok(Self {
            ground: Arc::clone(ground),
            config,
            folder,
            journal,
            case: *case,
            amounts,
            number,
        })
    }

    /// Another payment in the same journal.
    fn another(&self, case: &Case) -> anyhow::Result<Self> {
        let number = self.ground.number(case.acquirer)?;
        Ok(Self {
            ground: Arc::clone(&self.ground),
            folder: self.folder.clone(),
            config: self.config.clone(),
            journal: self.journal.clone(),
            case: *case,
            amounts: vec![number * 10_000 + case.fault],
            number,
        })
    }

    /// The merchant's program is told of what waits.
    async fn deliver(&self, kill: Option<u64>) -> anyhow::Result<Died> {
        self.run(self.teller("deliver")?, "delivered", kill).await
    }

    async fn pay(&self, kill: Option<u64>) -> anyhow::Result<Died> {
        let mut pay = self.teller("pay")?;
        pay.args(["--order", &format!("A-{}", self.number)]);
        for amount in &self.amounts {
            pay.args(["--amount", &amount.to_string()]);
        }
        pay.arg("--card").arg(self.folder.join("card"));
        if self.case.reserve {
            pay.arg("--reserve");
        }
        if let Some(then) = self.case.then {
            pay.args(["--then", then]);
        }
        self.run(pay, "told", kill).await
    }

    /// The customer calls again, and pays what is not paid; where a part was given back on purpose, nobody does.
    async fn again(&self) -> anyhow::Result<()> {
        if self.case.split && self.case.then.is_none() {
            self.pay(None).await?;
            self.settle(None).await?;
        }
        Ok(())
    }

    async fn settle(&self, kill: Option<u64>) -> anyhow::Result<Died> {
        self.run(self.teller("settle")?, "settled", kill).await
    }

    fn teller(&self, what: &str) -> anyhow::Result<Command> {
        let mut teller = Command::new(binary("ivrpay-planted")?);
        teller.args(["teller", what, "--config"]).arg(&self.config);
        if let Some(plant) = &self.ground.plant {
            teller.env("IVRPAY_PLANT", plant);
        }
        Ok(teller)
    }

    async fn run(
        &self,
        mut command: Command,
        name: &str,
        kill: Option<u64>,
    ) -> anyhow::Result<Died> {
        let points = self.folder.join(format!("{name}.points"));
        drop(std::fs::remove_file(&points));
        command.env("IVRPAY_POINTS", &points);
        if let Some(at) = kill {
            command.env("IVRPAY_KILL_AT", at.to_string());
        }
        let log = std::fs::File::create(self.folder.join(format!("{name}.log")))?;
        let said = std::fs::File::options()
            .append(true)
            .create(true)
            .open(self.folder.join(name))?;
        let mut child: Child = command
            .stdin(Stdio::null())
            .stdout(said)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let status = match tokio::time::timeout(LIMIT, child.wait()).await {
            Ok(status) => status?,
            Err(_) => {
                child.kill().await?;
                if self.ground.plant.is_none() {
                    bail!("{name} of {} does not end", self.folder.display());
                }
                // A mistake on purpose may well hang; what it has done is judged.
                std::process::ExitStatus::default()
            }
        };
        let passed: Vec<String> = std::fs::read_to_string(&points)
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect();
        let killed = std::os::unix::process::ExitStatusExt::signal(&status) == Some(SIGKILL);
        if !status.success() && !killed {
            let log = std::fs::read_to_string(self.folder.join(format!("{name}.log")))?;
            bail!("{name} ended with {status}: {log}");
        }
        Ok(Died {
            ended: !killed,
            place: passed.last().cloned().unwrap_or_default(),
            passed,
        })
    }

    /// The three books, of each part.
    async fn look(&self) -> anyhow::Result<Vec<audit::Books>> {
        let said = std::fs::read_to_string(self.folder.join("told"))?;
        let said: Vec<Value> = said
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let mut journal = audit::Journal::read(&self.journal).await?;
        if let audit::At::Server(url) = &self.journal {
            postgres::drop_database(url).await;
        }
        let mut parts = Vec::with_capacity(self.amounts.len());
        for (part, amount) in (0..).zip(&self.amounts) {
            // The last word counts: who calls again hears another one.
            let told = said.iter().rev().filter(|line| line["part"] == part);
            let told = told.filter_map(|line| line["told"].as_str()).next();
            let later = said.iter().filter(|_| part == 0);
            let later = later.filter_map(|line| line["later"].as_str()).next();
            let acquirer = &self.ground.acquirer;
            parts.push(audit::Books {
                told: told.map(Told::named).transpose()?,
                later: later.map(str::to_owned),
                journal: journal.remove(&part).unwrap_or_default(),
                orders: acquirer.orders(self.case.acquirer, *amount).await?,
            });
        }
        ensure!(journal.is_empty(), "parts that nobody paid: {journal:?}");
        Ok(parts)
    }
}

/// The tables of a configuration that is about one connector.
fn table(connector: &str, of: &BTreeMap<String, toml::Table>) -> anyhow::Result<toml::Table> {
    let mut config = toml::Table::new();
    for (key, value) in [
        ("ari.url", "http://127.0.0.1:1/ari"),
        ("ari.app", "ivrpay"),
        ("ari.user", "ivrpay"),
        ("ari.password_file", "ari-password"),
        ("journal.path", "journal.sqlite"),
        ("secret.policy", "any"),
    ] {
        set(&mut config, key, value);
    }
    let mut tenant = toml::Table::new();
    set(&mut tenant, "name", "shop");
    set(&mut tenant, "mode", "test");
    set(&mut tenant, "connector", connector);
    config.insert("tenants".into(), vec![toml::Value::from(tenant)].into());
    let own = of.get(connector).context("no such connector")?.clone();
    set(&mut config, &format!("connectors.{connector}"), own);
    Ok(config)
}
