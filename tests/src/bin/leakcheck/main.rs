//! Looks for every card of real calls in every place that it could be in, and shows with a control that the search sees.
//!
//! `leakcheck [--suite sid|bullseye] [--instance N] [--control N]`; ends with `leakcheck: N places, 0 found, control found M of M`.
//! `leakcheck --prove` searches memory while 200 callers key at once; ends with `prove-leak: …`.
//! `leakcheck --plants [NAME]` finds leaks that are planted into a build of its own; ends with `plants: found N of N`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program speaks there"
)]

mod calls;
mod control;
mod operator;
mod places;
mod plants;
mod prove;
mod temporary;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use ivrpay_tests::acquirers::Merchants;
use ivrpay_tests::call::Call;
use ivrpay_tests::lab::{Lab, binary};
use ivrpay_tests::service::{How, NOBODY, Service, let_operators_key, set};
use serde_json::json;

use crate::calls::{Planned, Wallet};
use crate::places::{Files, Places};
use crate::temporary::Temporary;
use crate::watch::{WALLBOARD, note};

/// Cards that the calls below use together.
const CARDS: usize = 80;

/// Calls at once.
const SIDE_BY_SIDE: usize = 16;

/// Places that this check knows: with fewer, a part of the lab did not work.
const PLACES_MIN: usize = 39;

/// Two recorded calls of ten seconds and more, bytes.
const RECORDED_MIN: u64 = 300_000;

/// What a library keeps of a call that has ended must be gone by then.
const SETTLED: Duration = Duration::from_secs(1);

struct Args {
    instance: u32,
    control: u32,
    suite: String,
    /// Only the planted leaks whose names hold this.
    plants: Option<String>,
    prove: bool,
}

fn args() -> anyhow::Result<Args> {
    let mut args = Args {
        instance: 7,
        control: 9,
        suite: "sid".into(),
        plants: None,
        prove: false,
    };
    let mut given = std::env::args().skip(1);
    while let Some(arg) = given.next() {
        if arg == "--plants" {
            args.plants = Some(given.next().unwrap_or_default());
            continue;
        }
        if arg == "--prove" {
            args.prove = true;
            continue;
        }
        let mut value = || given.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--instance" => args.instance = value()?.parse()?,
            "--control" => args.control = value()?.parse()?,
            "--suite" => args.suite = value()?,
            _ => bail!(
                "usage: leakcheck [--suite sid|bullseye] [--instance N] [--control N] [--prove | --plants [NAME]]"
            ),
        }
    }
    Ok(args)
}

#[tokio::main]
async fn main() -> ExitCode {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("leakcheck: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Everything of one run.
struct Check {
    lab: Lab,
    /// Where the watchers write and the services live.
    folder: PathBuf,
    places: Places,
    wallet: Wallet,
    temporary: Temporary,
}

fn say(text: &str) {
    println!("== {text}");
}

async fn run() -> anyhow::Result<bool> {
    let args = args()?;
    let lab = Lab::up_with(args.instance, &args.suite, "records")?;
    let folder = lab.folder.join("leak");
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder)?;
    let cards = folder.join("cards");
    let wallet = Wallet::new(CARDS, &cards)?;
    let mut check = Check {
        places: Places::new(&cards, true),
        temporary: Temporary::new(&lab)?,
        folder,
        lab,
        wallet,
    };
    if args.prove {
        return prove::run(&mut check).await;
    }
    if let Some(filter) = &args.plants {
        say("leaks that are planted into a build of their own");
        let (planted, found) = plants::run(&mut check, filter).await?;
        println!("plants: found {found} of {planted}");
        return Ok(found == planted);
    }
    // Beside it, with a thread of its own: it mostly waits for callers, as the calls here do.
    let control = Lab::up_with(args.control, &args.suite, "control")?;
    let control =
        std::thread::spawn(move || tokio::runtime::Runtime::new()?.block_on(control::run(control)));
    let all = check.all().await;
    let control = control
        .join()
        .map_err(|_| anyhow::anyhow!("the control panicked"));
    if let Err(error) = all {
        check.places.print();
        return Err(error);
    }
    drop(check.lab);

    say("the control: the same search where everything is betrayed");
    let control = control??;
    for line in &control.lines {
        println!("{line}");
    }

    say("what was searched");
    check.places.print();
    for (memory, times) in &check.places.unreadable {
        println!("not searched: {memory}: the kernel lets nobody read it, {times} times");
    }
    // Nothing of ours makes temporary files: that there are none is what is looked for.
    let empty = check.places.empty(&["ivrpay: temporary files"]);
    for place in &empty {
        println!("EMPTY: {place}: nothing was there to be searched");
    }
    let found = check.places.found();
    let places = check.places.seen().len();
    ensure!(
        places >= PLACES_MIN,
        "only {places} places were searched: some of the lab's are gone"
    );
    let clean = places - check.places.dirty() - empty.len();
    let failed = places + control.of - clean - control.found;
    println!("{} passed; {failed} failed;", clean + control.found);
    println!(
        "leakcheck: {places} places, {found} found, control found {} of {}",
        control.found, control.of
    );
    Ok(failed == 0)
}

/// Waits of the dialogue that are long enough to search while a caller thinks.
fn patient(config: &mut toml::Table) {
    for wait in ["first_key_card_number", "first_key", "inter_digit_timeout"] {
        set(config, &format!("dialogue.{wait}"), "60s");
    }
    set(config, "connectors.generic.reply_timeout", "20s");
}

fn short(config: &mut toml::Table) {
    if let Ok(waits) = ivrpay_tests::service::SHORT_WAITS.parse::<toml::Table>() {
        set(config, "dialogue", waits);
    }
    set(config, "connectors.generic.reply_timeout", "4s");
}

impl Check {
    async fn all(&mut self) -> anyhow::Result<()> {
        self.calls().await?;
        self.crashes().await?;
        self.ordinary_memory().await?;
        self.dangers().await
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where files of this run are, each with its name. `service`: whose journal and log.
    fn files<'a>(&self, service: &Path) -> Vec<Files<'a>> {
        let lab = &self.lab.folder;
        let place = |name: &'a str, path: PathBuf| Files { name, path };
        let mut all = vec![
            place("Asterisk: log files", lab.join("log/ivrpay.log")),
            place(
                "Asterisk: console and standard output",
                lab.join("log/stdout"),
            ),
            place("Asterisk: CDR", lab.join("log/cdr-csv")),
            place(
                "Asterisk: CEL, events named one by one",
                lab.join("log/cel-custom"),
            ),
            place("Asterisk: queue_log", lab.join("log/queue_log")),
            place("Asterisk: database (astdb)", lab.join("db")),
            place(
                "Asterisk: spool, recordings as bytes among it",
                lab.join("spool"),
            ),
            place("operator's telephone: sound and report", self.telephones()),
            place("ivrpay: log at trace", service.join("log")),
            place("ivrpay: journal", service.join("journal.sqlite")),
            place(
                "ivrpay: journal, write-ahead log",
                service.join("journal.sqlite-wal"),
            ),
            place(
                "ivrpay: journal, shared index",
                service.join("journal.sqlite-shm"),
            ),
            place("ivrpay: its folder", service.to_owned()),
            place("ivrpay: temporary files", service.join("tmp")),
        ];
        for (name, file) in [
            ("AMI: events of a user with read=all", "ami"),
            ("ARI: events of another application, filtered", "ari"),
            ("API: stream of events", "sse"),
            ("API: payments", "payments"),
            ("API: metrics", "metrics"),
            ("API: health", "health"),
            ("CLI: payment list and check", "cli"),
            ("ARI: channels in a call", "channels"),
            ("ARI: variables of a channel in a call", "variables"),
            ("CLI of Asterisk: core show channel", "core-show-channel"),
            ("CLI of Asterisk: globals and database", "globals"),
        ] {
            all.push(place(name, self.file(file)));
        }
        all
    }

    /// Searches everything at this moment.
    async fn search(&mut self, moment: &str, service: &Service) -> anyhow::Result<()> {
        let began = Instant::now();
        let files = self.files(&service.folder);
        let cards = self.file("cards");
        let found = self
            .places
            .search(Some((service.pid(), "ivrpay")), &files)
            .await?;
        let found = found + self.temporary.search(&cards, &mut self.places).await?;
        if !moment.is_empty() {
            let took = began.elapsed().as_secs_f64();
            println!("{found:>5} found  {took:>5.1} s  {moment}");
        }
        Ok(())
    }

    /// What others can ask Asterisk for while a call is on.
    async fn ask_asterisk(&self) -> anyhow::Result<()> {
        let channels = self.lab.ari("GET", "/channels").await?;
        note(self.file("channels"), &channels.to_string()).await?;
        for channel in channels.as_array().into_iter().flatten() {
            let (Some(name), Some(id)) = (channel["name"].as_str(), channel["id"].as_str()) else {
                continue;
            };
            // All variables of the channel and of its CDR stand in it.
            let shown = watch::cli(&self.lab, "AUDIT", &format!("core show channel {name}")).await;
            note(self.file("core-show-channel"), &shown.unwrap_or_default()).await?;
            for variable in [
                "IVRPAY_RESULT",
                "IVRPAY_PAYMENT_ID",
                "IVRPAY_BRAND",
                "IVRPAY_LAST4",
                "IVRPAY_APPROVAL",
                "CDR(userfield)",
                "CHANNEL(dtmf_features)",
                "MIXMONITOR_FILENAME",
            ] {
                let path = format!("/channels/{id}/variable?variable={variable}");
                let value = self.lab.ari("GET", &path).await.unwrap_or_default();
                note(self.file("variables"), &format!("{variable} {value}")).await?;
            }
        }
        for command in ["dialplan show globals", "database show"] {
            let shown = watch::cli(&self.lab, "AUDIT", command).await?;
            note(self.file("globals"), &shown).await?;
        }
        Ok(())
    }

    /// What our own interfaces answer.
    async fn ask_ivrpay(&self, service: &Service) -> anyhow::Result<()> {
        for (file, path) in [
            ("payments", "/v1/payments"),
            ("metrics", "/metrics"),
            ("health", "/healthz"),
            ("ready", "/readyz"),
        ] {
            let (_, answer) = service.get(path).await?;
            note(self.file(file), &answer.to_string()).await?;
            if let Some(payments) = answer["payments"].as_array() {
                for payment in payments {
                    let id = payment["id"].as_str().unwrap_or_default();
                    let one = service.payment(id).await?;
                    note(self.file(file), &one.to_string()).await?;
                }
            }
        }
        for arguments in [&["payment", "list", "--json"][..], &["check"][..]] {
            let output = tokio::process::Command::new(binary("ivrpay")?)
                .args(arguments)
                .arg("--config")
                .arg(service.folder.join("ivrpay.toml"))
                .output()
                .await?;
            note(self.file("cli"), &String::from_utf8_lossy(&output.stdout)).await?;
        }
        Ok(())
    }

    /// A service with everybody who could watch it.
    async fn watched(
        &self,
        name: &str,
        change: impl FnOnce(&mut toml::Table),
    ) -> anyhow::Result<(Service, Vec<watch::Watcher>)> {
        let service = Service::start(&self.lab, name, true, change).await?;
        let watchers = self.watch(&service).await?;
        Ok((service, watchers))
    }

    /// Everybody who could watch a service.
    async fn watch(&self, service: &Service) -> anyhow::Result<Vec<watch::Watcher>> {
        let watchers = vec![
            watch::ami(&self.lab, self.file("ami")).await?,
            watch::ari(&self.lab, self.file("ari")).await?,
            watch::sse(service, self.file("sse")).await?,
        ];
        // What it takes to close another application that is subscribed to everything.
        let filter = json!({"disallowed": [{"type": "ChannelDtmfReceived"}]});
        self.lab
            .ari_body(
                "PUT",
                &format!("/applications/{WALLBOARD}/eventFilter"),
                &filter,
            )
            .await?;
        Ok(watchers)
    }

    /// Forgets what was written until now: cards share their beginnings.
    fn fresh(&self) -> anyhow::Result<()> {
        std::fs::write(self.lab.folder.join("log/ivrpay.log"), b"")?;
        for entry in std::fs::read_dir(&self.folder)? {
            std::fs::remove_file(entry?.path())?;
        }
        for recording in std::fs::read_dir(self.lab.folder.join("spool"))? {
            let path = recording?.path();
            if path.is_file() {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Calls in the middle of which everything is searched, then every ending.
    async fn calls(&mut self) -> anyhow::Result<()> {
        let (service, _watchers) = self.watched("leak-patient", patient).await?;
        self.ask_ivrpay(&service).await?;
        say(&format!(
            "{} cards, each of one call; before the first one",
            self.wallet.made()
        ));
        self.search("before the first call", &service).await?;
        ensure!(
            self.places.found() == 0,
            "the search finds cards before they were keyed: it is broken, or a number stands there by chance"
        );

        say("while callers key and the acquirer is silent");
        self.in_the_middle(&service).await?;
        self.ask_ivrpay(&service).await?;
        tokio::time::sleep(SETTLED).await;
        self.search("1 s after these calls", &service).await?;
        drop(service);

        self.acquirers().await?;
        say("every ending");
        let (service, _watchers) = self
            .watched("leak-endings", |config| {
                short(config);
                let_operators_key(config);
            })
            .await?;
        for order in calls::ORDERS {
            let body = json!({"amount": 1200, "order_id": order});
            let (status, answer) = service.post("/v1/payments", &body, None).await?;
            ensure!(status == 201, "announcing answered {status}: {answer}");
        }
        let planned = calls::endings(&self.lab, &mut self.wallet)?;
        self.place(planned).await?;
        self.pay_keys(&service).await?;
        self.ask_ivrpay(&service).await?;
        tokio::time::sleep(SETTLED).await;
        self.search("1 s after these calls", &service).await?;
        self.asterisk().await?;
        let recordings = self.lab.folder.join("spool");
        ensure!(
            places::size(&recordings) > RECORDED_MIN,
            "the recorded calls left no recording: there is nothing to listen to"
        );
        self.places
            .listen("Asterisk: recordings, tones decoded", &recordings)
            .await?;
        Ok(())
    }

    /// A card at each acquirer, signed, enciphered, percent-encoded or wrapped in its form, or kept until its answer. On a service of its own: where several merchants
    /// are, the lab's pay key would have to name one.
    async fn acquirers(&mut self) -> anyhow::Result<()> {
        say("a card at each acquirer");
        let merchants = Merchants::of(&self.lab).await?;
        let configure = |config: &mut toml::Table| {
            short(config);
            merchants.configure(config);
            for name in calls::KEEPING {
                set(
                    config,
                    &format!("connectors.{name}.card_kept"),
                    "until-answer",
                );
            }
        };
        let (service, _watchers) = self.watched("leak-acquirers", configure).await?;
        let planned = calls::acquirers(&self.lab, &mut self.wallet, &merchants)?;
        self.place(planned).await?;
        tokio::time::sleep(SETTLED).await;
        self.search("1 s after these calls", &service).await
    }

    /// Asterisk's own memory, which nobody can wipe from outside: measured, and not judged.
    async fn asterisk(&self) -> anyhow::Result<()> {
        let pid = std::fs::read_to_string(self.lab.folder.join("asterisk.pid"))?;
        let pid = pid.split_whitespace().next().unwrap_or_default().parse()?;
        let mut places = Places::new(&self.file("cards"), false);
        let found = places.search(Some((pid, "Asterisk")), &[]).await?;
        println!(
            "{found:>5} found in Asterisk's own memory, 1 s after these calls (measured, not judged)"
        );
        for seen in places.seen().values() {
            for (form, count) in &seen.found {
                println!("          {count} x {form}");
            }
        }
        Ok(())
    }

    /// Five calls stop in the middle of a number, a date, a code, at the confirmation, and behind it.
    async fn in_the_middle(&mut self, service: &Service) -> anyhow::Result<()> {
        let mut events = service.events().await?;
        let mut keys = Vec::new();
        for step in 0..5 {
            let card = self.wallet.next()?;
            let (number, last) = card.pan.split_at(card.pan.len() - 1);
            let (month, year) = card.expiry.split_at(2);
            let (code, rest) = card.code.split_at(2);
            let hold = "sleep:9000";
            keys.push(match step {
                0 => card.keys().replacen(
                    &format!("{}#", card.pan),
                    &format!("{number} {hold} {last}#"),
                    1,
                ),
                1 => card.keys().replacen(
                    &format!(" {} ", card.expiry),
                    &format!(" {month} {hold} {year} "),
                    1,
                ),
                2 => card.keys().replacen(
                    &format!(" {} ", card.code),
                    &format!(" {code} {hold} {rest} "),
                    1,
                ),
                3 => card.keys().replacen(
                    "wait:confirmation 1",
                    &format!("wait:confirmation {hold} 1"),
                    1,
                ),
                _ => card.keys(),
            });
        }
        let calls = keys.into_iter().enumerate().map(|(i, keys)| {
            // The last one meets an acquirer that never answers.
            let extension = if i == 4 { "7719003" } else { "7711200" };
            Call::new(extension, keys)
        });
        let lab = &self.lab;
        let all = async {
            let mut tasks = Vec::new();
            for call in calls {
                tasks.push(async move { call.place(lab).await });
            }
            futures_util::future::join_all(tasks).await
        };
        let mut all = std::pin::pin!(all);
        // They are all there when one is at each step: the slowest is the one that waits for its answer.
        let reached = events.step("payment-processing");
        tokio::select! {
            _ = &mut all => bail!("the calls ended before they could be searched"),
            reached = reached => drop(reached?),
        }
        self.ask_asterisk().await?;
        let files = self.files(&service.folder);
        let cards = self.file("cards");
        self.temporary.search(&cards, &mut self.places).await?;
        let began = Instant::now();
        let mut moments = 0;
        let reports = loop {
            tokio::select! {
                reports = &mut all => break reports,
                found = self.places.search(Some((service.pid(), "ivrpay")), &files) => {
                    moments += 1;
                    println!("{:>5} found  {:>5.1} s  moment {moments} in the middle", found?, began.elapsed().as_secs_f64());
                }
            }
        };
        ensure!(moments > 0, "no moment was searched in the middle");
        for (i, report) in reports.into_iter().enumerate() {
            let report = report?;
            let expected = if i == 4 { "outcome-unknown" } else { "success" };
            ensure!(
                report.result == expected,
                "call {i} ended with {}, not {expected}, by {}",
                report.result,
                report.way()
            );
        }
        Ok(())
    }

    /// Places calls side by side; each must end as it is meant to: else the flow was not what is said here.
    async fn place(&self, planned: Vec<Planned>) -> anyhow::Result<()> {
        use futures_util::StreamExt as _;
        let lab = &self.lab;
        let placed = planned.into_iter().map(|planned| async move {
            let mut last = None;
            // The caller's own keys may leave late on a busy machine.
            for _ in 0..3 {
                let report = planned.call.place(lab).await?;
                if planned.results.contains(&report.result.as_str()) {
                    return Ok(());
                }
                last = Some(report);
            }
            let report = last.context("not placed")?;
            bail!(
                "{}: ended with {}, not {:?}, by {}",
                planned.name,
                report.result,
                planned.results,
                report.way()
            )
        });
        let results: Vec<anyhow::Result<()>> = futures_util::stream::iter(placed)
            .buffer_unordered(SIDE_BY_SIDE)
            .collect()
            .await;
        println!("{} calls", results.len());
        results.into_iter().collect()
    }

    /// SIGTERM, SIGKILL and SIGABRT in the middle of a number.
    async fn crashes(&mut self) -> anyhow::Result<()> {
        say("stopped, killed and crashed in the middle of a number");
        for (signal, name) in [
            ("-TERM", "leak-stopped"),
            ("-KILL", "leak-killed"),
            ("-ABRT", "leak-aborted"),
        ] {
            // As an admin who wants core files would start it.
            let how = How {
                wrapper: &["sh", "-c", "ulimit -c unlimited; exec \"$@\"", "sh"],
                ..How::default()
            };
            let mut service = Service::start_as(how, &self.lab, name, true, |config| {
                short(config);
                // It would let the call end: what is stopped in the middle of it has to be clean.
                set(config, "limits.drain_limit", "0s");
            })
            .await?;
            let mut events = service.events().await?;
            let card = self.wallet.next()?;
            let (number, _) = card.pan.split_at(card.pan.len() - 1);
            let call = Call::new(
                "7711200",
                format!("wait:payment-amount 1 wait:payment-card-number {number} until-end"),
            );
            let keyed = number.len();
            let lab = &self.lab;
            let crash = async {
                events.first(|e| e["digits"] == keyed).await?;
                service.signal(signal)?;
                let ended = service.ended(Duration::from_secs(40)).await?;
                // The next one gives the caller back.
                if signal != "-TERM" {
                    service.spawn()?;
                    service.ready(true).await?;
                }
                Ok::<_, anyhow::Error>((service, ended))
            };
            let (report, crashed) = tokio::join!(call.place(lab), crash);
            let (service, ended) = crashed?;
            report?;
            if signal == "-ABRT" {
                let core = usize::from(ended.core_dumped);
                self.places
                    .count("ivrpay: core files after SIGABRT", "core file", core);
            }
            let files = self.files(&service.folder);
            let process = (signal != "-TERM").then(|| (service.pid(), "ivrpay"));
            let found = self.places.search(process, &files).await?;
            println!(
                "{found:>5} found  after {signal}: signal {:?}, core {}",
                ended.signal, ended.core_dumped
            );
        }
        Ok(())
    }

    /// Machines that lock no memory, where the admin said that any will do: after the call nothing is left all the same.
    async fn ordinary_memory(&mut self) -> anyhow::Result<()> {
        say("memory that is not locked ([secret] policy = \"any\")");
        for (lacks, owner) in [
            (&["memfd-secret=ENOSYS", "mlock=EPERM"][..], None),
            (&["memfd-secret=EPERM", "mlock=EPERM"], None),
            (&["--memlock=0", "--user", NOBODY], Some(NOBODY)),
        ] {
            self.ordinary(lacks, owner)
                .await
                .with_context(|| lacks.join(" "))?;
        }
        Ok(())
    }

    async fn ordinary(&mut self, lacks: &[&str], owner: Option<&str>) -> anyhow::Result<()> {
        let sim = binary("ivrpay-sim")?.display().to_string();
        let how = How {
            wrapper: &[&[sim.as_str(), "without"], lacks, &["--"]].concat(),
            owner,
            ..How::default()
        };
        let service = Service::start_as(how, &self.lab, "leak-plain", true, |config| {
            short(config);
            set(config, "secret.policy", "any");
        })
        .await?;
        let (_, metrics) = service.get("/metrics").await?;
        ensure!(
            metrics
                .as_str()
                .is_some_and(|m| m.contains("ivrpay_secret_memory_locked 0")),
            "the metric does not say that memory is not locked"
        );
        for _ in 0..2 {
            let report = Call::new("7711200", self.wallet.next()?.keys())
                .place(&self.lab)
                .await?;
            ensure!(report.result == "success", "ended with {}", report.result);
        }
        if owner.is_some() {
            // The copy of the program that was made for its user: it holds fields and digits of its own.
            service.forget_program()?;
        }
        tokio::time::sleep(SETTLED).await;
        let lacks = lacks.join(" ");
        self.search(
            &format!("1 s after two payments, without {lacks}"),
            &service,
        )
        .await
    }

    /// What would betray a card, switched on one at a time: nobody is asked for one, and the log says what to change.
    async fn dangers(&mut self) -> anyhow::Result<()> {
        say("what would betray a card, switched on: nobody is asked for one");
        let watcher = watch::ari(&self.lab, self.file("ari-unfiltered")).await?;
        self.refused("subscribed-app", "7711200", "eventFilter", None)
            .await?;
        // It stays in Asterisk's list as long as it has a client.
        drop(watcher);
        // Subscribed to a whole technology: it gets the keys of every telephone.
        let watcher = watch::listener(&self.lab, self.file("ari-unfiltered")).await?;
        let path = format!(
            "/applications/{}/subscription?eventSource=endpoint:PJSIP",
            watch::LISTENER
        );
        self.lab.ari("POST", &path).await?;
        self.refused("subscribed-app", "7711200", "eventFilter", None)
            .await?;
        self.lab.ari("DELETE", &path).await?;
        for (danger, extension, hint, change) in [
            (
                "cel-keys",
                "7711200",
                "cel.conf",
                (
                    "cel.conf",
                    "[general](+)\nevents = ALL\n",
                    "core show version",
                ),
            ),
            (
                "direct-media",
                "7711200",
                "direct_media = no",
                (
                    "pjsip.conf",
                    "[trunk](+)\ndirect_media = yes\n",
                    "module reload res_pjsip.so",
                ),
            ),
        ] {
            let (file, line, command) = change;
            let path = self.lab.folder.join("etc").join(file);
            let was = std::fs::read_to_string(&path)?;
            std::fs::write(&path, format!("{was}\n{line}"))?;
            watch::cli(&self.lab, "AUDIT", command).await?;
            let refused = self.refused(danger, extension, hint, None).await;
            std::fs::write(&path, was)?;
            watch::cli(&self.lab, "AUDIT", command).await?;
            refused?;
        }
        // The extension waits a moment before the payment: time to begin to listen.
        let snoop = json!({"app": watch::LISTENER, "spy": "both"});
        self.refused("spy", "731200", "hang up the spying channel", Some(&snoop))
            .await?;
        drop(watcher);
        Ok(())
    }

    async fn refused(
        &self,
        danger: &str,
        extension: &str,
        hint: &str,
        snoop: Option<&serde_json::Value>,
    ) -> anyhow::Result<()> {
        let service = Service::start(&self.lab, "leak-refused", true, short).await?;
        if snoop.is_some() {
            // What Asterisk said to another call just now must not count for this one.
            let call = Call::new("7711200", "wait:payment-amount hangup");
            call.place(&self.lab).await?;
        }
        let call = Call::new(extension, "until-end");
        let listen = async {
            let Some(snoop) = snoop else {
                return anyhow::Ok(());
            };
            let channel = loop {
                let channels = self.lab.ari("GET", "/channels").await?;
                if let Some(id) = channels[0]["id"].as_str() {
                    break id.to_owned();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            self.lab
                .ari_body("POST", &format!("/channels/{channel}/snoop"), snoop)
                .await?;
            Ok(())
        };
        let (report, listening) = tokio::join!(call.place(&self.lab), listen);
        listening?;
        let report = report?;
        ensure!(
            report.result == "internal-error" && !report.way().contains("payment-card-number"),
            "{danger}: the call ended with {} by {}",
            report.result,
            report.way()
        );
        let log = std::fs::read_to_string(service.folder.join("log"))?;
        ensure!(
            log.contains(&format!("\"danger\":\"{danger}\"")) && log.contains(hint),
            "{danger}: the log does not say why and what to do"
        );
        println!("refused: {danger}; the log says what to change");
        Ok(())
    }
}
