//! `ivrpay-sim seeds`: the simulation of the crate `ivrpay-seeds`, on every core.

use std::io::{IsTerminal as _, Write as _};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ivrpay_seeds::{Counts, Ends, Lab, Ran};
use serde_json::json;

/// Seeds that a thread takes at once.
const BATCH: u64 = 64;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run this one alone, and say everything that happens.
    #[arg(long, value_name = "N", conflicts_with_all = ["from", "count", "minutes"])]
    seed: Option<u64>,
    /// The first seed.
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
    /// How many seeds.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    count: u64,
    /// Stop after so many minutes, whatever the count.
    #[arg(long, value_name = "N")]
    minutes: Option<u64>,
    /// Threads; as many as there are cores.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// The result as JSON.
    #[arg(long)]
    json: bool,
    /// Make this mistake on purpose (a build with the feature `plant`).
    #[cfg(feature = "plant")]
    #[arg(long, value_name = "NAME")]
    plant: Option<String>,
    /// Make each mistake in turn, and print which seed finds it; fails where one is not found.
    #[cfg(feature = "plant")]
    #[arg(long)]
    plants: bool,
}

/// What many seeds came to.
#[derive(Default)]
struct Sum {
    seeds: u64,
    steps: u64,
    counts: Counts,
    ends: Ends,
    broken: Vec<Ran>,
}

impl Sum {
    fn add(&mut self, ran: Ran) {
        self.seeds += 1;
        self.steps += u64::from(ran.steps);
        let (a, b) = (&mut self.counts, ran.counts);
        a.authorised += b.authorised;
        a.card_requests += b.card_requests;
        a.resent += b.resent;
        a.behind_unknown += b.behind_unknown;
        let (a, b) = (&mut self.ends, ran.ends);
        a.payments += b.payments;
        a.approved += b.approved;
        a.voided += b.voided;
        a.declined += b.declined;
        a.cancelled += b.cancelled;
        a.expired += b.expired;
        a.unknown += b.unknown;
        a.kills += b.kills;
        a.power_losses += b.power_losses;
        a.found_out += b.found_out;
        a.failed_over += b.failed_over;
        a.released += b.released;
        if ran.broken.is_some() {
            self.broken.push(ran);
        }
    }
}

pub(crate) fn run(args: &Args) -> u8 {
    if let Err(error) = chosen(args) {
        eprintln!("ivrpay-sim seeds: {error}");
        return 2;
    }
    #[cfg(feature = "plant")]
    if args.plants {
        return planted::table(args);
    }
    match args.seed {
        Some(seed) => one(args, seed),
        None => many(args),
    }
}

#[cfg(not(feature = "plant"))]
#[allow(
    clippy::unnecessary_wraps,
    reason = "with plants there is one that is not there"
)]
const fn chosen(_: &Args) -> Result<(), String> {
    Ok(())
}

#[cfg(feature = "plant")]
fn chosen(args: &Args) -> Result<(), String> {
    planted::chosen(args.plant.as_deref()).map(drop)
}

/// This thread makes the mistake that was chosen.
#[cfg_attr(
    not(feature = "plant"),
    allow(
        unused_variables,
        clippy::missing_const_for_fn,
        reason = "nothing to choose"
    )
)]
fn begins(args: &Args) {
    #[cfg(feature = "plant")]
    if let Ok(name) = planted::chosen(args.plant.as_deref()) {
        ivrpay_seeds::choose(name);
    }
}

fn one(args: &Args, seed: u64) -> u8 {
    begins(args);
    let ran = ivrpay_seeds::trace(&Lab::new(), seed);
    if args.json {
        println!("{}", as_json(&ran));
    } else {
        for line in &ran.trace {
            println!("{line}");
        }
        println!("seed {seed}: {} steps, trace {:016x}", ran.steps, ran.hash);
    }
    match &ran.broken {
        Some(wrong) => {
            println!(
                "seed {seed}: {} at step {}: {}",
                wrong.rule, wrong.step, wrong.says
            );
            1
        }
        None => 0,
    }
}

fn as_json(ran: &Ran) -> serde_json::Value {
    let broken = ran.broken.as_ref();
    json!({
        "seed": ran.seed, "steps": ran.steps, "trace": format!("{:016x}", ran.hash),
        "broken": broken.map(|wrong| json!({"rule": wrong.rule, "step": wrong.step, "says": wrong.says})),
    })
}

fn threads(args: &Args) -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    args.threads.unwrap_or(cores).max(1)
}

fn many(args: &Args) -> u8 {
    let begun = Instant::now();
    let until = args
        .minutes
        .map(|minutes| begun + Duration::from_secs(minutes * 60));
    let (next, done) = (AtomicU64::new(args.from), AtomicU64::new(0));
    let over = AtomicBool::new(false);
    let end = args.from.saturating_add(args.count);
    let sum = Mutex::new(Sum::default());
    thread::scope(|scope| {
        for _ in 0..threads(args) {
            scope.spawn(|| {
                begins(args);
                let lab = Lab::new();
                let mut own = Sum::default();
                while !over.load(Ordering::Relaxed)
                    && until.is_none_or(|until| Instant::now() < until)
                {
                    let first = next.fetch_add(BATCH, Ordering::Relaxed);
                    if first >= end {
                        break;
                    }
                    for seed in first..end.min(first + BATCH) {
                        own.add(ivrpay_seeds::run(&lab, seed));
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    // More of them say nothing more.
                    if own.broken.len() >= 10 {
                        over.store(true, Ordering::Relaxed);
                    }
                }
                let mut all = sum.lock().unwrap_or_else(PoisonError::into_inner);
                let broken = std::mem::take(&mut own.broken);
                all.seeds += own.seeds;
                all.steps += own.steps;
                all.broken.extend(broken);
                let ran = Ran {
                    seed: 0,
                    steps: 0,
                    hash: 0,
                    counts: own.counts,
                    ends: own.ends,
                    broken: None,
                    trace: Vec::new(),
                };
                all.seeds -= 1;
                all.add(ran);
            });
        }
        let shows = std::io::stderr().is_terminal() && !args.json;
        while shows
            && done.load(Ordering::Relaxed) < args.count
            && !over.load(Ordering::Relaxed)
            && until.is_none_or(|u| Instant::now() < u)
        {
            thread::sleep(Duration::from_millis(500));
            let all = done.load(Ordering::Relaxed);
            eprint!("\rseeds: {all} of {}", args.count);
            std::io::stderr().flush().ok();
        }
        if shows {
            eprintln!();
        }
    });
    let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    sum.broken.sort_by_key(|ran| ran.seed);
    told(args, &sum, begun.elapsed())
}

fn told(args: &Args, sum: &Sum, took: Duration) -> u8 {
    let rate = u128::from(sum.seeds) * 1000 / took.as_millis().max(1);
    let violations = sum.broken.len();
    if args.json {
        let broken: Vec<_> = sum.broken.iter().map(as_json).collect();
        println!(
            "{}",
            json!({"seeds": sum.seeds, "steps": sum.steps, "violations": violations, "seeds_per_second": rate.to_string(), "broken": broken,
                "authorised": sum.counts.authorised, "card_requests": sum.counts.card_requests, "resent": sum.counts.resent,
                "behind_unknown": sum.counts.behind_unknown})
        );
        return u8::from(violations > 0);
    }
    for ran in sum.broken.iter().take(10) {
        if let Some(wrong) = &ran.broken {
            println!(
                "seed {}: {} at step {}: {}",
                ran.seed, wrong.rule, wrong.step, wrong.says
            );
            println!("  again: ivrpay-sim seeds --seed {}", ran.seed);
        }
    }
    let Ends {
        payments,
        approved,
        voided,
        declined,
        cancelled,
        expired,
        unknown,
        kills,
        power_losses,
        found_out,
        failed_over,
        released,
    } = sum.ends;
    println!(
        "payments: {payments} ({approved} approved, {voided} voided, {declined} declined, {cancelled} cancelled, {expired} expired, {unknown} left to a person)"
    );
    println!(
        "faults: {kills} kills, {power_losses} losses of power; {found_out} found out, {failed_over} failed over, {released} released"
    );
    let Counts {
        authorised,
        card_requests,
        resent,
        behind_unknown,
    } = sum.counts;
    println!(
        "requests that take a card's money: {card_requests} of {authorised} operations, {resent} of them the same once more under its key; behind an unknown one of its order: {behind_unknown}"
    );
    println!(
        "seeds: {} seeds, {violations} violations, {rate} seeds/s, {} steps",
        sum.seeds, sum.steps
    );
    u8::from(violations > 0)
}

#[cfg(feature = "plant")]
mod planted {
    use super::{Args, Lab};
    use ivrpay_seeds::PLANTS;

    /// The mistake of that name; the empty one where there is none.
    pub(super) fn chosen(name: Option<&str>) -> Result<&'static str, String> {
        let Some(name) = name else {
            return Ok("");
        };
        let found = PLANTS.iter().find(|plant| plant.name == name);
        found.map(|plant| plant.name).ok_or_else(|| {
            let known: Vec<_> = PLANTS.iter().map(|plant| plant.name).collect();
            format!("there is no mistake {name}; there are {}", known.join(", "))
        })
    }

    /// Each mistake, and the first seed that finds it.
    pub(super) fn table(args: &Args) -> u8 {
        let lab = Lab::new();
        let mut missed = 0;
        println!(
            "{:<34} {:<4} {:>7} {:>6} {:>7}",
            "mistake", "rule", "seed", "step", "seeds"
        );
        for plant in PLANTS {
            ivrpay_seeds::choose(plant.name);
            let found = (args.from..args.from.saturating_add(args.count)).find_map(|seed| {
                ivrpay_seeds::run(&lab, seed)
                    .broken
                    .map(|wrong| (seed, wrong))
            });
            match found {
                Some((seed, wrong)) => {
                    println!(
                        "{:<34} {:<4} {seed:>7} {:>6} {:>7}",
                        plant.name,
                        wrong.rule,
                        wrong.step,
                        seed - args.from + 1
                    );
                }
                None => {
                    missed += 1;
                    println!(
                        "{:<34} not found in {} seeds: {}",
                        plant.name, args.count, plant.what
                    );
                }
            }
        }
        ivrpay_seeds::choose("");
        let all = PLANTS.len();
        println!("plants: found {} of {all}", all - missed);
        u8::from(missed > 0)
    }
}
