//! Calls on a real Asterisk: what a caller hears and what the books say afterwards.
//!
//! `e2e [--suite sid|bullseye] [--instance N] [--filter TEXT] [--full]`; ends with `e2e: N calls, N as expected`.
//! Without a filter the labs N, N + 10 … N + 60 at once and N + 70 behind them, else N alone.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program speaks there"
)]

mod acquirers;
mod canary;
mod console;
mod desk;
mod drain;
mod edge;
mod faults;
mod hardening;
mod keyed;
mod ladder;
mod line;
mod operator;
mod outages;
mod phones;
mod recorders;
mod recordings;
mod routes;
mod scenarios;
mod several;
mod tries;
mod trunks;
mod twilio;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use futures_util::future::LocalBoxFuture;
use ivrpay_tests::lab::Lab;
use ivrpay_tests::service::{SHORT_WAITS, Service, set};
use tokio::sync::Semaphore;

use crate::scenarios::{Books, OtherResult, Scenario, judge};

/// Calls at once in the long part. A call is mostly waiting; the limit keeps two cores from being late with RTP.
const SIDE_BY_SIDE: usize = 24;

/// How people press who do not hurry: where fifty of them are too many for this machine, keys that arrive 100 ms late still look like keys.
const UNHURRIED: [&str; 4] = ["--on", "150", "--off", "250"];

/// A call that ended otherwise than it should while this machine was late is placed again so often: keys that wait for each other look
/// like echoes.
const AGAIN_MAX: usize = 2;

/// Something that could not even be tried.
const NOTHING_GOOD: Tally = Tally {
    calls: 1,
    good: 0,
    watched: None,
};

/// How long a channel or a bridge may be there behind its scenario: an operator whose customer does not come waits 20 s in the dialplan.
const LEFT_MAX: Duration = Duration::from_secs(25);

#[derive(Default)]
struct Tally {
    calls: usize,
    good: usize,
    /// The Asterisk in which nothing may be left behind a scenario: it has one at a time.
    watched: Option<Arc<Lab>>,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.good += other.good;
    }
}

impl Tally {
    async fn one(&mut self, name: &str, check: impl Future<Output = anyhow::Result<()>>) {
        let began = Instant::now();
        let result = check.await;
        self.alone(name, began.elapsed(), result).await;
    }

    /// As [`Self::one`], and again where the machine may be why a call ended otherwise.
    async fn patiently<F: Future<Output = anyhow::Result<()>>>(
        &mut self,
        name: &str,
        check: impl Fn() -> F,
    ) {
        let began = Instant::now();
        let result = patiently(name, check).await;
        self.alone(name, began.elapsed(), result).await;
    }

    /// Of a scenario beside which nothing ran: Asterisk has no channel and no bridge any more.
    async fn alone(&mut self, name: &str, took: Duration, result: anyhow::Result<()>) {
        let result = match (&self.watched, result) {
            (Some(lab), Ok(())) => lab.is_empty(LEFT_MAX).await,
            (_, result) => result,
        };
        self.count(name, took, result);
    }

    fn count(&mut self, name: &str, took: Duration, result: anyhow::Result<()>) {
        self.calls += 1;
        match result {
            Ok(()) => {
                self.good += 1;
                println!("ok    {:>6.1} s  {name}", took.as_secs_f64());
            }
            Err(error) => println!("WRONG {:>6.1} s  {name}: {error:#}", took.as_secs_f64()),
        }
    }
}

/// Tries again where the machine may be why a call ended otherwise than it should.
async fn patiently<T, F: Future<Output = anyhow::Result<T>>>(
    name: &str,
    check: impl Fn() -> F,
) -> anyhow::Result<T> {
    for _ in 0..AGAIN_MAX {
        match check().await {
            Err(error) if OtherResult::is_late(&error) => println!("again: {name}: {error:#}"),
            done => return done,
        }
    }
    check().await
}

async fn side_by_side(
    scenarios: Vec<Scenario>,
    width: usize,
    lab: &Arc<Lab>,
    service: &Arc<Service>,
    books: &Arc<Books>,
    tally: &mut Tally,
) {
    let places = Arc::new(Semaphore::new(width));
    let mut tasks = tokio::task::JoinSet::new();
    for scenario in scenarios {
        let (places, lab, service, books) = (
            Arc::clone(&places),
            Arc::clone(lab),
            Arc::clone(service),
            Arc::clone(books),
        );
        tasks.spawn(async move {
            let _place = places.acquire_owned().await;
            let began = Instant::now();
            let result = patiently(&scenario.name, async || {
                let report = scenario.call.place(&lab).await?;
                let judged = judge(&scenario, &report, &lab, &service, &books).await;
                judged.with_context(|| {
                    let (result, late, way) = (&report.result, report.late_ms_max, report.way());
                    format!("result {result}, {late} ms late, steps {way}")
                })
            });
            let result = result.await;
            (scenario.name.clone(), began.elapsed(), result)
        });
    }
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok((name, took, result)) => tally.count(&name, took, result),
            Err(error) => tally.count("a scenario", Duration::ZERO, Err(error.into())),
        }
    }
}

struct Args {
    suite: String,
    instance: u32,
    filter: String,
    full: bool,
}

fn args() -> anyhow::Result<Args> {
    let mut args = Args {
        suite: "sid".into(),
        instance: 3,
        filter: String::new(),
        full: false,
    };
    let mut given = std::env::args().skip(1);
    while let Some(arg) = given.next() {
        let mut value = || given.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--suite" => args.suite = value()?,
            "--instance" => args.instance = value()?.parse()?,
            "--filter" => args.filter = value()?,
            "--full" => args.full = true,
            _ => bail!("usage: e2e [--suite sid|bullseye] [--instance N] [--filter TEXT] [--full]"),
        }
    }
    Ok(args)
}

pub(crate) fn short(config: &mut toml::Table) {
    if let Ok(waits) = SHORT_WAITS.parse::<toml::Table>() {
        set(config, "dialogue", waits);
    }
    set(config, "connectors.generic.reply_timeout", "4s");
    set(config, "limits.calls_max", 100);
    // Calls side by side key the same published numbers: each is a try until it is answered.
    set(config, "limits.tries_per_card_per_day", 10);
}

fn main() -> ExitCode {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let mut tally = Tally::default();
    match args() {
        // All of them on a lab for each part: an Asterisk has one service at a time, and most scenarios need one of their own.
        Ok(args) if args.filter.is_empty() => {
            let [side_by_side @ .., behind] = Part::ALL;
            let up = |n| Lab::up(args.instance + n, &args.suite);
            std::thread::scope(|threads| {
                // All of them up before the first call: it would be late beside an Asterisk that starts.
                let labs = [0, 10, 20, 30, 40, 50, 60].map(up);
                let parts = labs.into_iter().zip(side_by_side).map(|(lab, one)| {
                    let args = &args;
                    threads.spawn(move || part(args, lab, &[one]))
                });
                for part in parts.collect::<Vec<_>>() {
                    tally += part.join().unwrap_or(NOTHING_GOOD);
                }
            });
            // Twenty calls at once, and eight services: beside the others every key is late on two cores.
            tally += part(&args, up(70), &[behind]);
        }
        Ok(args) => {
            let lab = Lab::up(args.instance, &args.suite);
            tally += part(&args, lab, &Part::ALL);
        }
        Err(error) => {
            eprintln!("e2e: {error:#}");
            tally += NOTHING_GOOD;
        }
    }
    println!("e2e: {} calls, {} as expected", tally.calls, tally.good);
    println!(
        "{} passed; {} failed;",
        tally.good,
        tally.calls - tally.good
    );
    if tally.calls == tally.good && tally.calls > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A part of the scenarios; of about the same length.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// Calls side by side on services that many of them share.
    Calls,
    /// Calls of two, an operator and his customer.
    Talks,
    /// Lines without an operator, and operators who key.
    Lines,
    /// The ways back to a person: a queue and its members are one call's at a time.
    Ladder,
    /// Trunks, recordings, telephones and the machine: each needs a service of its own, one after the other.
    Records,
    /// Acquirers, several services and the canary: the same.
    Acquirers,
    /// What fails: the same.
    Faults,
    /// The way out, and what happens between the service and Asterisk.
    Socket,
}

impl Part {
    const ALL: [Self; 8] = [
        Self::Calls,
        Self::Talks,
        Self::Lines,
        Self::Ladder,
        Self::Records,
        Self::Acquirers,
        Self::Faults,
        Self::Socket,
    ];
}

fn part(args: &Args, lab: anyhow::Result<Lab>, parts: &[Part]) -> Tally {
    let mut tally = Tally::default();
    let done = tokio::runtime::Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            let lab = Arc::new(lab?);
            let books = Arc::new(Books::new(&lab)?);
            runtime.block_on(async {
                for part in parts {
                    let began = Instant::now();
                    // In that part some run side by side.
                    tally.watched = (!matches!(part, Part::Socket)).then(|| Arc::clone(&lab));
                    match part {
                        Part::Calls => calls(args, &mut tally, &lab, &books).await?,
                        Part::Talks => talks(args, &mut tally, &lab).await?,
                        Part::Lines => lines(args, &mut tally, &lab, &books).await?,
                        Part::Ladder => {
                            let wanted = |name: &str| name.contains(&args.filter);
                            let all = args.full || args.filter.starts_with("ladder: ");
                            ladder::run(&mut tally, &lab, wanted, all).await?;
                            let all = args.full || args.filter.starts_with("edge");
                            edge::run(&mut tally, &lab, wanted, all).await?;
                        }
                        Part::Records => records(args, &mut tally, &lab, &books).await?,
                        Part::Acquirers => acquired(args, &mut tally, &lab, &books).await?,
                        Part::Faults => faults(args, &mut tally, &lab, &books).await?,
                        Part::Socket => socket(args, &mut tally, &lab, &books).await,
                    }
                    println!(
                        "      {:>6.1} s  all of {part:?}",
                        began.elapsed().as_secs_f64()
                    );
                }
                Ok(())
            })
        });
    if let Err(error) = done {
        eprintln!("e2e: {error:#}");
        tally += NOTHING_GOOD;
    }
    tally
}

async fn calls(
    args: &Args,
    tally: &mut Tally,
    lab: &Arc<Lab>,
    books: &Arc<Books>,
) -> anyhow::Result<()> {
    let wanted = |name: &str| name.contains(&args.filter);
    let mut all: Vec<Scenario> = Vec::new();
    // The longest first, so that the end is not one slow call alone.
    all.extend(scenarios::speeds(lab, args.full)?.into_iter().rev());
    all.extend(scenarios::corrections());
    all.extend(scenarios::happy());
    all.extend(scenarios::hang_ups());
    all.extend(scenarios::declines()?);
    all.extend(scenarios::acquirer_faults()?);
    all.retain(|s| wanted(&s.name));
    let mut twenty = scenarios::twenty()?;
    twenty.retain(|s| wanted(&s.name));

    let service = Arc::new(Service::start(lab, "main", true, short).await?);
    side_by_side(all, SIDE_BY_SIDE, lab, &service, books, tally).await;
    side_by_side(twenty, 20, lab, &service, books, tally).await;
    if wanted("announced by the API") {
        let announced = outages::announced(lab, &service, books);
        tally
            .one(
                "announced by the API: matched, paid once, refused twice",
                announced,
            )
            .await;
    }
    if wanted("transferred") {
        tally
            .one(
                "transferred by an operator: his announced payment, never one of two",
                outages::transferred(lab, &service),
            )
            .await;
    }
    if wanted("telephone: transferred") {
        tally
            .one(
                "telephone: transferred by REFER to the payment, announced for its extension",
                phones::transferred_by_refer(lab, &service),
            )
            .await;
    }
    tally
        .one(
            "after all these calls: no call is left, no slot of secret memory taken",
            nothing_is_left(&service),
        )
        .await;
    Ok(())
}

async fn talks(args: &Args, tally: &mut Tally, lab: &Arc<Lab>) -> anyhow::Result<()> {
    let wanted = |name: &str| name.contains(&args.filter);
    if args.filter.is_empty() || args.filter.starts_with("pay key") {
        let all = args.full || args.filter.starts_with("pay key: ");
        operator::all(tally, lab, wanted, all).await?;
    }
    Ok(())
}

async fn lines(
    args: &Args,
    tally: &mut Tally,
    lab: &Arc<Lab>,
    books: &Arc<Books>,
) -> anyhow::Result<()> {
    let wanted = |name: &str| name.contains(&args.filter);
    // The rarer ones at full count, or by name.
    let all = args.full || !args.filter.is_empty();
    line::run(tally, lab, wanted, all).await;
    console::run(tally, lab, wanted).await;
    twilio::run(tally, lab, wanted).await?;
    keyed::run(tally, lab, wanted, all).await?;
    // Two minutes more, and short waits for a busy machine: at full count, or by name.
    if args.full || args.filter.starts_with("keypad") {
        let count = |name: &str, took, result| tally.count(name, took, result);
        desk::all(lab, books, wanted, count).await?;
    }
    Ok(())
}

async fn records(
    args: &Args,
    tally: &mut Tally,
    lab: &Arc<Lab>,
    books: &Arc<Books>,
) -> anyhow::Result<()> {
    let wanted = |name: &str| name.contains(&args.filter);
    if wanted("trunk: keys as sound alone") {
        let name = "trunk: keys as sound alone: paid, and told";
        let paid = || trunks::paid_by_sound(lab, books);
        tally.patiently(name, paid).await;
    }
    if args.full || args.filter.starts_with("trunk") {
        let silent = trunks::no_key_comes(lab);
        tally
            .one(
                "trunk: no key comes: asked again, and the operator hears why",
                silent,
            )
            .await;
        let slow = trunks::slow_caller(lab);
        tally
            .one(
                "trunk: a slow caller keys telephone-events all the same",
                slow,
            )
            .await;
        let checked = trunks::checked(lab);
        tally
            .one("trunk: check trunk names each way that keys come", checked)
            .await;
    }
    if wanted("recorded") {
        let through = recordings::through_a_payment(lab);
        tally
            .one(
                "recorded in five ways, keys as events and as tones: heard before and after, no key",
                through,
            )
            .await;
        tally
            .one(
                "recorded without us: the same check finds the keys",
                recordings::control(lab),
            )
            .await;
        let killed = recordings::daemon_killed(lab);
        tally
            .one(
                "recorded, the daemon killed during entry: heard again, no key",
                killed,
            )
            .await;
        tally
            .one(
                "recorded, the daemon away: heard again",
                recordings::daemon_away(lab),
            )
            .await;
        tally
            .one(
                "recorded, the time over during entry: heard again, no key",
                recordings::time_over(lab),
            )
            .await;
    }
    if wanted("recorder outside") {
        let paused = recorders::paused_and_resumed(lab);
        tally
            .one(
                "recorder outside: paused before the first prompt, resumed after",
                paused,
            )
            .await;
        let refused = recorders::not_acknowledged(lab);
        tally
            .one(
                "recorder outside, no acknowledgement: nobody is asked for a card",
                refused,
            )
            .await;
        let killed = recorders::resumed_by_the_next(lab);
        tally
            .one(
                "recorder outside, the daemon killed: the next one resumes it",
                killed,
            )
            .await;
    }
    if wanted("quarantine") {
        tally
            .one(
                "quarantine: marked by the operator's key, moved, deleted",
                recorders::quarantined_by_key(lab),
            )
            .await;
    }
    if wanted("a card is not tried again") {
        tally
            .one(
                "a card is not tried again: declined for good, or too often; the caller hears no difference",
                tries::not_again(lab, books),
            )
            .await;
    }
    telephones(tally, lab, wanted).await;
    for machine in hardening::MACHINES {
        let name = format!("hardening: {}", machine.name);
        if wanted(&name) {
            tally.one(&name, machine.judge(lab)).await;
        }
    }
    if wanted("hardening: the unit") {
        tally
            .one(
                "hardening: the unit allows every system call of the service",
                hardening::the_unit_lets_it_work(lab),
            )
            .await;
    }
    Ok(())
}

async fn acquired(
    args: &Args,
    tally: &mut Tally,
    lab: &Arc<Lab>,
    books: &Arc<Books>,
) -> anyhow::Result<()> {
    let wanted = |name: &str| name.contains(&args.filter);
    if wanted("acquirers") {
        tally
            .one(
                "acquirers: paid at each of the eight, in its books, given back; one that was lost is found; each payment plan",
                acquirers::all(lab),
            )
            .await;
    }
    if wanted("routes") {
        tally
            .one(
                "routes: the second acquirer is asked where the first is not reached, and never behind one that was; refunds by a file",
                routes::two(lab),
            )
            .await;
    }
    if wanted("several") {
        tally
            .one(
                "several services: announced at the one, paid in a call of the other",
                several::announced_there_paid_here(lab, books),
            )
            .await;
        tally
            .one(
                "several services: killed while the acquirer is asked, taken over by the other",
                several::killed_and_taken_over(lab, books),
            )
            .await;
        tally
            .one(
                "several services: stood still for longer than its lease: sends nothing, ends",
                several::stood_still(lab, books),
            )
            .await;
    }
    if wanted("several services: the only place of a pool") {
        tally
            .one(
                "several services: the only place of a pool is taken at the one: the other is full, until that is gone",
                several::a_pool_over_both(lab),
            )
            .await;
    }
    if wanted("canary") {
        tally
            .one(
                "canary: nothing found on the hardened Asterisk, and no payment among others",
                canary::finds_nothing(lab),
            )
            .await;
        tally
            .one(
                "canary: a log of keys is found, or refused by the guard",
                canary::finds_a_log_of_keys(lab),
            )
            .await;
        tally
            .one(
                "canary: no key where it is no practice, and no call left when it is stopped",
                canary::refuses(lab),
            )
            .await;
    }
    Ok(())
}

async fn faults(
    args: &Args,
    tally: &mut Tally,
    lab: &Arc<Lab>,
    books: &Arc<Books>,
) -> anyhow::Result<()> {
    let wanted = |name: &str| name.contains(&args.filter);
    if wanted("keys are logged") {
        tally
            .one(
                "keys are logged by Asterisk: nobody is asked for a card",
                outages::keys_are_logged(lab),
            )
            .await;
    }
    if wanted("daemon away") {
        tally
            .one(
                "daemon away: the dialplan speaks and goes on",
                outages::away(lab),
            )
            .await;
    }
    if wanted("stop") {
        tally
            .one(
                "stop: SIGTERM twice gives the caller back",
                outages::orderly_stop(lab),
            )
            .await;
    }
    if wanted("killed in flight") {
        let killed = outages::killed_in_flight(lab, books);
        tally
            .one(
                "killed in flight: unknown after the restart, never charged again",
                killed,
            )
            .await;
    }
    if wanted("killed while the result is spoken") {
        let killed = outages::killed_after_the_answer(lab, books);
        tally
            .one(
                "killed while the result is spoken: the dialplan knows that it is paid",
                killed,
            )
            .await;
    }
    if wanted("killed during entry") {
        let killed = outages::killed_during_entry(lab);
        tally
            .one(
                "killed during entry: the next daemon gives the caller back",
                killed,
            )
            .await;
    }
    if wanted("capacity") {
        tally
            .one(
                "capacity: one call more than there are places",
                outages::capacity(lab),
            )
            .await;
    }
    if wanted("disk full") {
        tally
            .one(
                "disk full at the intent: nothing is sent",
                outages::disk_full(lab, books),
            )
            .await;
    }
    if wanted("disk full at the outcome") {
        tally
            .one(
                "disk full at the outcome: kept when there is room again",
                outages::disk_full_at_the_outcome(lab, books),
            )
            .await;
    }
    for (name, url, why) in [
        (
            "acquirer away: port closed",
            "https://127.0.0.1:9/charge",
            "refused",
        ),
        (
            "acquirer away: host unknown",
            "https://acquirer.invalid/charge",
            "host name",
        ),
        ("acquirer away: certificate not trusted", "", "certificate"),
    ] {
        if wanted(name) {
            tally.one(name, outages::acquirer_away(lab, url, why)).await;
        }
    }
    if wanted("wrong application") {
        tally
            .one(
                "wrong application: the dialplan speaks, check says it",
                outages::other_application(lab),
            )
            .await;
    }
    if wanted("Asterisk away") {
        tally
            .one(
                "Asterisk away at the start: waits and says so",
                outages::asterisk_away(lab),
            )
            .await;
    }
    Ok(())
}

async fn socket(args: &Args, tally: &mut Tally, lab: &Arc<Lab>, books: &Arc<Books>) {
    let wanted = |name: &str| name.contains(&args.filter);
    // The rarer ones at full count, or by name.
    let all = args.full || !args.filter.is_empty();
    let full = args.full || args.filter.starts_with("faults:");
    let before = tally.calls;
    let way_out = async {
        for (name, check) in drain::all(lab, books) {
            if wanted(name) && (all || !name.contains("by the command line")) {
                tally.one(name, check).await;
            }
        }
    };
    // The table has services under names of their own, beside.
    let (table, ()) = tokio::join!(faults::table(lab, books, wanted, full), way_out);
    for (name, took, result) in table {
        tally.count(&name, took, result);
    }
    for (name, check) in operator::socket::all(lab) {
        if wanted(name) && (all || !name.contains("waits")) {
            tally.one(name, check).await;
        }
    }
    tally.watched = Some(Arc::clone(lab));
    if tally.calls > before {
        let left = "after these: no channel, no bridge";
        tally.one(left, async { Ok(()) }).await;
    }
    // The last: it ends the calls of all others.
    let name = "faults: Asterisk killed with a call at each step: all is put right, the next call is taken";
    if wanted(name) {
        tally.one(name, faults::asterisk_killed(lab, books)).await;
    }
}

/// Without the daemon: what the scenarios of operators stand on.
async fn telephones(tally: &mut Tally, lab: &Lab, wanted: impl Fn(&str) -> bool) {
    let all: [(&str, LocalBoxFuture<'_, anyhow::Result<()>>); 7] = [
        (
            "telephone: both talk, either hangs up",
            Box::pin(phones::both_talk(lab)),
        ),
        (
            "telephone: busy, declined, no answer, given up",
            Box::pin(phones::not_answered(lab)),
        ),
        (
            "telephone: an operator's keys in every way",
            Box::pin(phones::operators_keys(lab)),
        ),
        ("telephone: held and resumed", Box::pin(phones::held(lab))),
        (
            "telephone: an attended transfer, and one that comes back",
            Box::pin(phones::attended(lab)),
        ),
        (
            "telephone: the queue goes on to the next operator",
            Box::pin(phones::queue(lab)),
        ),
        (
            "telephone: the operator calls the customer",
            Box::pin(phones::calls_out(lab)),
        ),
    ];
    for (name, check) in all {
        if wanted(name) {
            tally.one(name, check).await;
        }
    }
}

async fn nothing_is_left(service: &Service) -> anyhow::Result<()> {
    // Those of the socket to Asterisk, and the table of cards that were tried. The service tells its slots every 5 s.
    let lasting = [("small", 1), ("medium", 0), ("large", 2)];
    let began = Instant::now();
    loop {
        let (_, health) = service.get("/healthz").await?;
        let (_, metrics) = service.get("/metrics").await?;
        let metrics = metrics.as_str().unwrap_or_default();
        let line = |(size, slots)| {
            let line = format!("ivrpay_secret_slots_in_use{{size=\"{size}\"}} {slots}");
            metrics.lines().any(|l| l == line)
        };
        if health["calls"] == 0 && lasting.into_iter().all(line) {
            return Ok(());
        }
        let slots = metrics
            .lines()
            .filter(|l| l.starts_with("ivrpay_secret_slots_in_use{"));
        ensure!(
            began.elapsed() < Duration::from_secs(15),
            "{} calls are left, and {}",
            health["calls"],
            slots.collect::<Vec<_>>().join(", ")
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
