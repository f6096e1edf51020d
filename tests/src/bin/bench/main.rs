//! `bench [--instance N] [--only api|calls|protection|pay-key]`, which `make bench` runs: what the service costs, each a ratio, a distribution or a
//! count of one run on a real Asterisk. Build it by scripts/bench.
//!
//! Prints nine lines, each with its aim and `ok` or `missed`; only a call that failed makes the exit code 1, since the speed
//! of a machine is not a test.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "a program that prints measurements"
)]

mod api;
mod cost;
mod paykey;
mod wiped;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use ivrpay_tests::call::Call;
use ivrpay_tests::lab::Lab;
use ivrpay_tests::local::Callers;
use ivrpay_tests::service::{Service, set};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use cost::Cost;
use paykey::Stay;
use wiped::{Phase, Wipes, now_ns};

/// Calls one after another, and how many run at once without and with SIP and RTP.
const ALONE: usize = 20;
const AT_ONCE: usize = 200;
const AT_ONCE_SIP: usize = 92;
/// Calls with SIP and RTP in all.
const SIP: usize = 184;
/// Time over which [`AT_ONCE`] callers, each at the card number, begin to key: people do not press in the same millisecond.
const SPREAD: Duration = Duration::from_secs(8);
/// How long [`AT_ONCE`] calls are kept up.
const SUSTAINED: Duration = Duration::from_secs(60);
/// Payments from which on the 99th percentile of a wipe says something.
const WIPES_MIN: usize = 500;
/// Longest call of the dialogue's defaults, and so the longest life of a slot.
const SESSION: Duration = Duration::from_secs(900);
/// The service tells its slots every 5 s, and once more when the last has been given back.
const SLOTS_WAIT: Duration = Duration::from_secs(12);

const PAN: &str = "4111111111111111";

/// CPU time of a process so far. `/proc/PID/stat` counts in hundredths of a second on every Linux of ours.
fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in brackets, may hold blanks.
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |n: usize| -> anyhow::Result<u64> {
        Ok(fields.get(n).context("/proc/PID/stat is short")?.parse()?)
    };
    Ok(Duration::from_millis(10 * (ticks(11)? + ticks(12)?)))
}

/// CPU time of each thread of a process so far, in ns as the scheduler counts it: [`cpu`] is too coarse for a difference of 5 %.
fn cpu_ns(pid: u32) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut all = BTreeMap::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?;
        let stat = std::fs::read_to_string(thread.path().join("schedstat"))?;
        let ran = stat.split_whitespace().next().context("no schedstat")?;
        let id = thread.file_name().to_string_lossy().into_owned();
        all.insert(id, ran.parse()?);
    }
    Ok(all)
}

/// Resident memory of a process, in KiB.
fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let line = line.context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn asterisk(lab: &Path) -> anyhow::Result<u32> {
    let text = std::fs::read_to_string(lab.join("asterisk.pid"))?;
    Ok(text
        .split_whitespace()
        .next()
        .context("asterisk.pid is empty")?
        .parse()?)
}

/// What the service says of itself.
async fn metrics(service: &Service) -> anyhow::Result<String> {
    let (status, text) = service.get("/metrics").await?;
    ensure!(status == 200, "GET /metrics answered {status}");
    Ok(text.as_str().unwrap_or_default().to_owned())
}

/// The value of a gauge with all its labels; 0 where nothing has set it.
async fn gauge(service: &Service, name: &str) -> anyhow::Result<f64> {
    let text = metrics(service).await?;
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    Ok(text.lines().find_map(value).unwrap_or(0.0))
}

/// Slots of secret memory in use, as the service last told.
async fn slots(service: &Service) -> anyhow::Result<f64> {
    let mut all = 0.0;
    for size in ["small", "medium", "large"] {
        let name = format!("ivrpay_secret_slots_in_use{{size=\"{size}\"}}");
        all += gauge(service, &name).await?;
    }
    Ok(all)
}

/// The time from a key's arrival to our next request, and from a card's being handed to the HTTP client to its being wiped.
const KEY: &str = "ivrpay_key_to_request_seconds";
const WIPED: &str = "ivrpay_card_wiped_seconds";

/// A histogram: how many took at most so long, by the bucket's bound in ns.
#[derive(Clone, Default)]
struct Histogram(BTreeMap<u64, u64>);

impl Histogram {
    async fn read(service: &Service, name: &str) -> anyhow::Result<Self> {
        let text = metrics(service).await?;
        let bucket = |line: &str| -> Option<(u64, u64)> {
            let rest = line.strip_prefix(name)?.strip_prefix("_bucket{le=\"")?;
            let (bound, count) = rest.split_once("\"} ")?;
            let seconds: f64 = bound.parse().ok()?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "bounds are below an hour, infinity becomes the largest"
            )]
            Some(((seconds * 1e9) as u64, count.trim().parse().ok()?))
        };
        Ok(Self(text.lines().filter_map(bucket).collect()))
    }

    fn since(&self, before: &Self) -> Self {
        let diff = |(bound, n): (&u64, &u64)| (*bound, n - before.0.get(bound).unwrap_or(&0));
        Self(self.0.iter().map(diff).collect())
    }

    fn count(&self) -> u64 {
        self.0.values().copied().max().unwrap_or(0)
    }

    /// In ms, between the bounds of its bucket as if they were spread evenly.
    fn percentile(&self, p: f64) -> f64 {
        let rank = self.count() as f64 * p;
        let (mut below, mut count_below) = (0, 0);
        for (&bound, &count) in &self.0 {
            if count as f64 >= rank && count > count_below {
                if bound > 1_000_000_000_000 {
                    return f64::INFINITY;
                }
                let part = (rank - count_below as f64) / (count - count_below) as f64;
                return ((bound - below) as f64).mul_add(part, below as f64) / 1e6;
            }
            (below, count_below) = (bound, count);
        }
        f64::NAN
    }

    fn text(&self, at: &str) -> String {
        format!(
            "{:.2} and {:.2} ms at {at} ({} keys)",
            self.percentile(0.5),
            self.percentile(0.99),
            self.count()
        )
    }
}

fn keys() -> Vec<(&'static str, String)> {
    vec![
        ("payment-amount", "1".into()),
        ("payment-card-number", format!("{PAN}#")),
        ("expiration-date", "1230".into()),
        ("security-code", "123".into()),
        ("confirmation", "1".into()),
    ]
}

fn verdict(good: bool) -> &'static str {
    if good { "ok" } else { "missed" }
}

/// What 200 calls at once came to.
struct Crowd {
    keys: Histogram,
    resident_kib: u64,
    calls: usize,
    per_second: f64,
    failed: usize,
    asked_again: usize,
}

async fn crowd(callers: &Arc<Callers>, service: &Service) -> anyhow::Result<Crowd> {
    let before = Histogram::read(service, KEY).await?;
    let (all_there, go) = (
        Arc::new(Barrier::new(AT_ONCE + 1)),
        Arc::new(Barrier::new(AT_ONCE + 1)),
    );
    let over = Arc::new(AtomicBool::new(false));
    let (good, bad, asked_again) =
        <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let mut tasks = JoinSet::new();
    for n in 0..AT_ONCE {
        let (callers, all_there, go, over, good, bad, asked_again) = (
            Arc::clone(callers),
            Arc::clone(&all_there),
            Arc::clone(&go),
            Arc::clone(&over),
            Arc::clone(&good),
            Arc::clone(&bad),
            Arc::clone(&asked_again),
        );
        let turn = SPREAD.mul_f64(n as f64 / AT_ONCE as f64);
        tasks.spawn(async move {
            tokio::time::sleep(turn).await;
            for round in 0.. {
                let wait = async {
                    if round == 0 {
                        all_there.wait().await;
                        go.wait().await;
                        tokio::time::sleep(turn).await;
                    }
                };
                match callers
                    .pay(&format!("bench-{n}-{round}"), &keys(), wait)
                    .await
                {
                    Ok(again) => {
                        asked_again.fetch_add(again, Ordering::Relaxed);
                        good.fetch_add(1, Ordering::Relaxed)
                    }
                    Err(error) => {
                        eprintln!("bench: call {n}.{round}: {error:#}");
                        bad.fetch_add(1, Ordering::Relaxed)
                    }
                };
                if over.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
    }
    tokio::time::timeout(Duration::from_secs(60), all_there.wait())
        .await
        .context("200 calls did not come to the card number within 60 s")?;
    let mut peak = resident(service.pid())?;
    go.wait().await;
    let (began, mut at_begin) = (Instant::now(), 0);
    let mut measured = 0.0;
    while began.elapsed() < SUSTAINED {
        tokio::time::sleep(Duration::from_millis(500)).await;
        peak = peak.max(resident(service.pid())?);
        let done = good.load(Ordering::Relaxed);
        // All stood at the same place: the first of them come in one heap, and are not a rate.
        if began.elapsed() < SUSTAINED / 4 {
            at_begin = done;
        } else {
            measured = (done - at_begin) as f64 / (began.elapsed() - SUSTAINED / 4).as_secs_f64();
        }
    }
    let keys = Histogram::read(service, KEY).await?.since(&before);
    over.store(true, Ordering::Relaxed);
    while tasks.join_next().await.is_some() {}
    Ok(Crowd {
        keys,
        resident_kib: peak,
        calls: good.load(Ordering::Relaxed) + bad.load(Ordering::Relaxed),
        per_second: measured,
        failed: bad.load(Ordering::Relaxed),
        asked_again: asked_again.load(Ordering::Relaxed),
    })
}

/// How a caller over SIP and RTP takes the prompts.
#[derive(Clone, Copy)]
enum Caller {
    /// Hears each to its end, as people do.
    Listens,
    /// Keys into each, as nobody does: the least that Asterisk can have to do.
    BargesIn,
}

/// Real calls over SIP and RTP, which go on to the end of the last prompt: how many failed.
async fn sip(lab: &Arc<Lab>, service: &Service, caller: Caller) -> anyhow::Result<usize> {
    let script: Vec<String> = keys()
        .into_iter()
        .map(|(step, keys)| match caller {
            // Greeting and amount are two prompts with no silence between.
            Caller::Listens => format!("heard {keys}"),
            Caller::BargesIn => format!("wait:{step} {keys}"),
        })
        .collect();
    let mut call = Call::new("7711200", script.join(" ")).with(&["--quiet", "--timeout", "180"]);
    // Who listens needs no stream of events, which the service would have to write; its results are counted there.
    call.deaf = matches!(caller, Caller::Listens);
    let before = successes(service).await?;
    call.place_many(lab, SIP, AT_ONCE_SIP).await?;
    let good = successes(service).await? - before;
    if good < SIP {
        eprintln!("bench: {} calls over SIP did not pay", SIP - good);
    }
    Ok(SIP.saturating_sub(good))
}

/// Calls that have ended with success so far.
async fn successes(service: &Service) -> anyhow::Result<usize> {
    let (_, text) = service.get("/metrics").await?;
    let line = text.as_str().unwrap_or_default().lines().find_map(|line| {
        line.strip_prefix("ivrpay_calls_ended_total{result=\"success\",mode=\"payment\"} ")
    });
    Ok(line.map_or(Ok(0), |n| n.trim().parse())?)
}

/// CPU time of `SIP` payments, ours and Asterisk's, and how many failed.
async fn cpu_of(
    lab: &Arc<Lab>,
    service: &Service,
    asterisk: u32,
    caller: Caller,
) -> anyhow::Result<(Duration, Duration, usize)> {
    let (ours, theirs) = (cpu(service.pid())?, cpu(asterisk)?);
    let failed = sip(lab, service, caller).await?;
    Ok((cpu(service.pid())? - ours, cpu(asterisk)? - theirs, failed))
}

fn places(config: &mut toml::Table) {
    set(config, "limits.calls_max", 250);
}

/// What calls cost and how soon they are answered: four lines.
async fn calls(lab: &Arc<Lab>) -> anyhow::Result<usize> {
    let mut service = Service::start(lab, "bench", true, places).await?;
    let asterisk = asterisk(&lab.folder)?;
    let callers = Arc::new(Callers::new(lab, &service).await?);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let base = resident(service.pid())?;
    // Those of the socket to Asterisk, which are taken once.
    let standing = slots(&service).await?;

    eprintln!("bench: {ALONE} calls one after another");
    let begun = now_ns();
    let before = Histogram::read(&service, KEY).await?;
    let mut failed = 0;
    for n in 0..ALONE {
        if let Err(error) = callers
            .pay(&format!("bench-alone-{n}"), &keys(), async {})
            .await
        {
            eprintln!("bench: call {n}: {error:#}");
            failed += 1;
        }
    }
    let alone = Histogram::read(&service, KEY).await?.since(&before);
    let alone_phase = Phase::since(begun);
    // No call is on, and what is made once has been made.
    let idle = resident(service.pid())?;

    eprintln!(
        "bench: {AT_ONCE} calls at once for {} s",
        SUSTAINED.as_secs()
    );
    let begun = now_ns();
    let crowd = crowd(&callers, &service).await?;
    let crowd_phase = Phase::since(begun);
    failed += crowd.failed;
    // Its stream of events would be paid for by the next measurement.
    drop(callers);

    let before = Histogram::read(&service, KEY).await?;
    eprintln!(
        "bench: {SIP} calls over SIP and RTP, {AT_ONCE_SIP} at once, keying into every prompt"
    );
    let barging = cpu_of(lab, &service, asterisk, Caller::BargesIn).await?;
    let with_sip = Histogram::read(&service, KEY).await?.since(&before);
    eprintln!("bench: {SIP} calls over SIP and RTP, {AT_ONCE_SIP} at once, hearing every prompt");
    let listening = cpu_of(lab, &service, asterisk, Caller::Listens).await?;
    failed += barging.2 + listening.2;

    let began = Instant::now();
    let mut left = slots(&service).await? - standing;
    while left != 0.0 && began.elapsed() < SLOTS_WAIT {
        tokio::time::sleep(Duration::from_millis(500)).await;
        left = slots(&service).await? - standing;
    }
    let longest = gauge(&service, "ivrpay_secret_slot_longest_seconds").await?;
    let handed = Histogram::read(&service, WIPED).await?;
    let wipes = Wipes::read(lab, &service).await?;
    service.stop(Duration::from_secs(30)).await?;

    let share = |(ours, theirs, _): &(Duration, Duration, usize)| {
        100.0 * ours.as_secs_f64() / theirs.as_secs_f64()
    };
    let each = |time: Duration| 1e3 * time.as_secs_f64() / SIP as f64;
    println!(
        "cpu: ours is {:.1} % of Asterisk's with callers who hear every prompt ({:.1} and {:.1} ms a payment), {:.1} % with callers who key into every one \
         ({:.1} and {:.1} ms, and every step streamed to a console); {SIP} payments each over SIP and RTP; aim: at most 10 %: {}",
        share(&listening),
        each(listening.0),
        each(listening.1),
        share(&barging),
        each(barging.0),
        each(barging.1),
        verdict(share(&listening) <= 10.0)
    );
    let (one, many) = (alone.percentile(0.99), crowd.keys.percentile(0.99));
    println!(
        "key to request: p50 and p99 {}, {}, {}; aim: p99 at {AT_ONCE} under 5 ms and under 4 times that of 1: {}",
        alone.text("1 call"),
        crowd.keys.text(&format!("{AT_ONCE} calls")),
        with_sip.text(&format!("{AT_ONCE_SIP} with SIP and RTP")),
        verdict(many < 5.0 && many < 4.0 * one)
    );
    let base_mib = base as f64 / 1024.0;
    let a_call = crowd.resident_kib.saturating_sub(idle) as f64 / AT_ONCE as f64;
    println!(
        "memory: base {base_mib:.1} MiB ({:.1} when {ALONE} calls have been), {a_call:.1} KiB a call from there to {AT_ONCE}, {:.1} calls a second sustained, {} of {} failed, {} fields asked again; \
         aim: under 30 MiB, under 32 KiB, none: {}",
        idle as f64 / 1024.0,
        crowd.per_second,
        failed,
        ALONE + crowd.calls + 2 * SIP,
        crowd.asked_again,
        verdict(base_mib < 30.0 && a_call < 32.0 && failed == 0)
    );
    println!(
        "wiped: from the acquirer's having read the last byte to the card's being wiped, p50, p99 and most {}, {}; {} of {} payments without a wipe; \
         from the HTTP client's taking it to the wipe p50 {:.0} and p99 {:.0} µs ({WIPED}); longest life of a slot {longest:.1} s, slots in use after the run {left}; \
         aim: p99 under 1 ms over {WIPES_MIN} payments, under {} s, 0: {}",
        wipes.text(alone_phase, "1 call"),
        wipes.text(crowd_phase, &format!("{AT_ONCE} calls")),
        wipes.missing(),
        wipes.count(),
        1e3 * handed.percentile(0.5),
        1e3 * handed.percentile(0.99),
        SESSION.as_secs(),
        verdict(
            wipes.p99(alone_phase) < 1e3
                && wipes.p99(crowd_phase) < 1e3
                && wipes.missing() == 0
                && wipes.count() >= WIPES_MIN
                && longest < SESSION.as_secs_f64()
                && left == 0.0
        )
    );
    Ok(failed)
}

async fn protection(lab: &Lab) -> anyhow::Result<usize> {
    eprintln!(
        "bench: {} payments at once, {} times with protected memory and {} times without",
        cost::PAYMENTS,
        cost::PAIRS,
        cost::PAIRS
    );
    let cost = Cost::measure(lab).await?;
    println!(
        "protection: the zeroing allocator and locked memory cost {}, {} failed; aim: under 1.05, none: {}",
        cost.text(),
        cost.failed,
        verdict(cost.ratio() < 1.05 && cost.failed == 0)
    );
    Ok(cost.failed)
}

/// The HTTP API: two lines.
async fn api(lab: &Arc<Lab>) -> anyhow::Result<usize> {
    let mut service = Service::start(lab, "bench-api", true, |config| {
        places(config);
        set(config, "http.requests_per_minute", 0);
    })
    .await?;
    eprintln!("bench: payments are created, and bodies synced by a handler that does nothing else");
    let (ours, bare) = api::created(&service).await?;
    println!(
        "api: a payment created in {}; a bare handler that syncs a file: {}; ours has {:.2} of its rate; aim: at least 0.3: {}",
        ours.text(),
        bare.text(),
        ours.per_second() / bare.per_second(),
        verdict(ours.per_second() >= 0.3 * bare.per_second())
    );
    let callers = Arc::new(Callers::new(lab, &service).await?);
    eprintln!(
        "bench: {AT_ONCE} calls, then the same with {} listeners",
        api::LISTENERS
    );
    let mut costs = Vec::new();
    let mut failed = 0;
    let mut late = None;
    for listened in [false, true] {
        let listeners = match listened {
            true => Some(api::Listeners::open(&service).await?),
            false => None,
        };
        let idle = resident(service.pid())?;
        let before = cpu(service.pid())?;
        let crowd = crowd(&callers, &service).await?;
        let spent = cpu(service.pid())?.saturating_sub(before);
        failed += crowd.failed;
        costs.push((
            1e3 * spent.as_secs_f64() / crowd.calls.max(1) as f64,
            idle,
            crowd.resident_kib,
        ));
        if let Some(listeners) = listeners {
            late = Some(listeners.close()?);
        }
    }
    drop(callers);
    service.stop(Duration::from_secs(30)).await?;
    let (p50, p99, frames) = late.context("nobody listened")?;
    let [(alone, quiet, _), (heard, open, most)] = costs[..] else {
        anyhow::bail!("two runs");
    };
    println!(
        "consoles: {} listeners while {AT_ONCE} pay: from event to listener p50 {:.1} and p99 {:.1} ms ({frames} events heard), CPU of the service {heard:.1} ms a payment against {alone:.1} without them, \
         {:.1} KiB a listener, {:.1} MiB at most; {failed} calls failed; aim: p99 under 250 ms, none: {}",
        api::LISTENERS,
        1e3 * p50.as_secs_f64(),
        1e3 * p99.as_secs_f64(),
        open.saturating_sub(quiet) as f64 / api::LISTENERS as f64,
        most as f64 / 1024.0,
        verdict(p99 < Duration::from_millis(250) && failed == 0)
    );
    Ok(failed)
}

/// Operators and customers: two lines.
async fn pay_key(lab: &Lab) -> anyhow::Result<usize> {
    let mut service = Service::start(lab, "bench-pay-key", true, places).await?;
    let asterisk = asterisk(&lab.folder)?;
    let (crowd, too_many) = paykey::at_once(lab, &service, asterisk).await?;
    eprintln!("bench: operators who stay, and the same telephones without us");
    let stay = Stay::measure(lab, &service, asterisk).await?;
    service.stop(Duration::from_secs(30)).await?;
    println!(
        "pay key: {}; aim: {} pairs, none failed: {}",
        paykey::line(&crowd, &too_many, &stay),
        paykey::AT_ONCE[0],
        verdict(crowd.failed == 0 && too_many.is_empty())
    );
    println!(
        "stay: a capture in which the operator stays takes {}; {} of its payments failed; aim: none: {}",
        stay.text(),
        stay.failed(),
        verdict(stay.failed() == 0)
    );
    Ok(crowd.failed + stay.failed())
}

/// Parts that are measured on their own.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Api,
    Calls,
    Protection,
    PayKey,
}

async fn run(instance: u32, only: Option<Part>) -> anyhow::Result<usize> {
    let lab = Arc::new(Lab::up(instance, "sid")?);
    let wanted = |part| only.is_none_or(|only| only == part);
    let mut failed = 0;
    if wanted(Part::Api) {
        failed += api(&lab).await?;
    }
    if wanted(Part::Calls) {
        failed += calls(&lab).await?;
    }
    if wanted(Part::Protection) {
        failed += protection(&lab).await?;
    }
    if wanted(Part::PayKey) {
        failed += pay_key(&lab).await?;
    }
    Ok(failed)
}

fn args() -> Option<(u32, Option<Part>)> {
    let (mut instance, mut only) = (2, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match (arg.as_str(), args.next()?.as_str()) {
            ("--instance", number) => instance = number.parse().ok()?,
            ("--only", "api") => only = Some(Part::Api),
            ("--only", "calls") => only = Some(Part::Calls),
            ("--only", "protection") => only = Some(Part::Protection),
            ("--only", "pay-key") => only = Some(Part::PayKey),
            _ => return None,
        }
    }
    Some((instance, only))
}

#[tokio::main]
async fn main() -> ExitCode {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let Some((instance, only)) = args() else {
        eprintln!("usage: bench [--instance N] [--only api|calls|protection|pay-key]");
        return ExitCode::from(2);
    };
    match run(instance, only).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
