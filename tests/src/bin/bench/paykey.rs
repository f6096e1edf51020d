//! The operator's pay key: how soon the customer is spoken to behind it, and how soon the two talk again behind the result; and what a capture
//! costs in which the operator stays, against the same telephones in the same kind of bridge without us.
//!
//! Nobody but this program reads the service's events: a stream for each of a hundred telephones would be most of its work.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::future::{join_all, try_join_all};
use ivrpay_tests::call::{Call, Report};
use ivrpay_tests::lab::Lab;
use ivrpay_tests::local;
use ivrpay_tests::phone::{Desk, Phone, PhoneReport};
use ivrpay_tests::service::{Events, Service};
use serde_json::{Value, json};

use crate::cost::median;
use crate::{PAN, cpu, wiped};

/// Pairs that press at once; the next one where this machine can't play that many.
pub(crate) const AT_ONCE: [usize; 5] = [50, 40, 30, 20, 10];
/// Pairs of a turn in which the operators stay, and turns.
const STAYING: usize = 8;
const TURNS: usize = 3;
/// The lab's first telephone, and the first of those that play customers without us.
const FIRST: usize = 201;
const FIRST_CUSTOMER: usize = 226;
/// Time over which the pairs come and, when all talk, press: people do not press in the same millisecond.
const ARRIVE: Duration = Duration::from_secs(4);
/// How long each pair talks first.
const TALK_MS: u64 = 6_000;
/// How long the bridges without us are looked at.
const WITHOUT_US: Duration = Duration::from_secs(20);
/// Voices, in Hz.
const CUSTOMER: u32 = 1000;
const OPERATOR: u32 = 500;

/// A pair whose payment was taken.
struct Paid {
    payment: String,
    customer: Report,
    operator: PhoneReport,
}

/// CPU time of the service and of Asterisk so far.
#[derive(Clone, Copy)]
struct Used {
    at: Instant,
    ours: Duration,
    asterisk: Duration,
}

impl Used {
    fn now(service: u32, asterisk: u32) -> anyhow::Result<Self> {
        Ok(Self {
            at: Instant::now(),
            ours: cpu(service)?,
            asterisk: cpu(asterisk)?,
        })
    }

    /// ms a minute and pair since `before`: ours, and Asterisk's.
    fn each(&self, before: &Self, pairs: usize) -> (f64, f64) {
        let minutes = (self.at - before.at).as_secs_f64() / 60.0 * pairs as f64;
        let each = |used: Duration| 1e3 * used.as_secs_f64() / minutes;
        (
            each(self.ours - before.ours),
            each(self.asterisk - before.asterisk),
        )
    }
}

/// What the service announced, ms since 1970, by its call.
struct Watch {
    pairs: usize,
    pids: (u32, u32),
    greeted: BTreeMap<String, u64>,
    completed: BTreeMap<String, u64>,
    ended: BTreeMap<String, u64>,
    /// Its call, by the payment.
    calls: BTreeMap<String, String>,
    /// From when all were being captured, until one of them was paid.
    all: Option<Used>,
    one_paid: Option<Used>,
}

impl Watch {
    fn see(&mut self, event: &Value) -> anyhow::Result<()> {
        let now = wiped::now_ns() / 1_000_000;
        let call = event["call_id"].as_str().unwrap_or_default().to_owned();
        if let Some(payment) = event["payment_id"].as_str() {
            self.calls.insert(payment.to_owned(), call.clone());
        }
        match (event["event"].as_str(), event["step"].as_str()) {
            (Some("call-ended"), _) => drop(self.ended.insert(call, now)),
            (_, Some("greeting")) => {
                self.greeted.insert(call, now);
                if self.greeted.len() == self.pairs {
                    self.all = Some(Used::now(self.pids.0, self.pids.1)?);
                }
            }
            (_, Some("payment-completed")) => {
                if self.completed.is_empty() {
                    self.one_paid = Some(Used::now(self.pids.0, self.pids.1)?);
                }
                self.completed.insert(call, now);
            }
            _ => {}
        }
        Ok(())
    }
}

/// What came of pairs that pressed at once, ms each.
#[derive(Default)]
pub(crate) struct Crowd {
    pairs: usize,
    key_to_prompt: Vec<u64>,
    result_to_talk: Vec<u64>,
    last_word_to_talk: Vec<u64>,
    late_max: u64,
    /// Share of this machine's CPU time that was used, and by the service and by Asterisk alone: the rest is telephones.
    busy: f64,
    ours: f64,
    asterisk: f64,
    pub(crate) failed: usize,
    /// What each minute of a capture took of us and of Asterisk, ms.
    capture: Option<(f64, f64)>,
}

/// By nearest rank.
fn rank(all: &[u64], p: usize) -> u64 {
    let mut all = all.to_vec();
    all.sort_unstable();
    let rank = (all.len() * p).div_ceil(100).max(1);
    all.get(rank - 1).copied().unwrap_or_default()
}

fn p50_p99(all: &[u64]) -> String {
    format!("{} and {} ms", rank(all, 50), rank(all, 99))
}

/// In a second, on every Linux of ours.
const JIFFIES: f64 = 100.0;

/// Jiffies that this machine worked, and all, since it was started.
fn jiffies() -> anyhow::Result<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let first = stat.lines().next().context("/proc/stat is empty")?;
    let all: Vec<u64> = first
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    // The fourth and the fifth are idle and iowait.
    let idle = all.iter().skip(3).take(2).sum::<u64>();
    let all = all.iter().take(8).sum::<u64>();
    Ok((all - idle, all))
}

impl Crowd {
    /// Pairs who talk, press the key within [`ARRIVE`], pay, and talk again.
    pub(crate) async fn measure(
        lab: &Lab,
        service: &Service,
        asterisk: u32,
        pairs: usize,
        stay: bool,
    ) -> anyhow::Result<Self> {
        let mut events: Events = service.events().await?;
        let mut watch = Watch {
            pairs,
            pids: (service.pid(), asterisk),
            greeted: BTreeMap::new(),
            completed: BTreeMap::new(),
            ended: BTreeMap::new(),
            calls: BTreeMap::new(),
            all: None,
            one_paid: None,
        };
        // Not one by one beside the calls: fifty processes that start are work too.
        let desks = try_join_all((0..pairs).map(|n| desk(lab, service, FIRST + n))).await?;
        let (before, used_before) = (jiffies()?, Used::now(service.pid(), asterisk)?);
        let mut all = Box::pin(join_all(desks.into_iter().enumerate().map(
            |(n, (payment, desk))| async move {
                tokio::time::sleep(ARRIVE.mul_f64(n as f64 / pairs as f64)).await;
                pair(lab, service, stay, FIRST + n, payment, desk).await
            },
        )));
        let done = loop {
            tokio::select! {
                done = &mut all => break done,
                event = events.next() => watch.see(&event?)?,
            }
        };
        let (after, used) = (jiffies()?, Used::now(service.pid(), asterisk)?);
        let all = (after.1 - before.1) as f64;
        let share = |used: Duration| used.as_secs_f64() * JIFFIES / all;
        let mut crowd = Self {
            pairs,
            busy: (after.0 - before.0) as f64 / all,
            ours: share(used.ours - used_before.ours),
            asterisk: share(used.asterisk - used_before.asterisk),
            capture: watch
                .all
                .zip(watch.one_paid)
                .map(|(from, to)| to.each(&from, pairs)),
            ..Self::default()
        };
        for (n, paid) in done.into_iter().enumerate() {
            if let Err(error) = paid.and_then(|paid| crowd.take(&paid, &watch, stay)) {
                eprintln!("bench: pair {n}: {error:#}");
                crowd.failed += 1;
            }
        }
        Ok(crowd)
    }

    fn take(&mut self, paid: &Paid, watch: &Watch, stay: bool) -> anyhow::Result<()> {
        let Paid {
            payment,
            customer,
            operator,
        } = paid;
        self.late_max = self
            .late_max
            .max(customer.late_ms_max)
            .max(operator.late_ms_max);
        let call = watch.calls.get(payment).context("no event of its call")?;
        let at = |of: &BTreeMap<String, u64>| of.get(call).copied();
        let (greeted, completed, ended) =
            (at(&watch.greeted), at(&watch.completed), at(&watch.ended));
        let (greeted, completed) = (
            greeted.context("no greeting")?,
            completed.context("no result")?,
        );
        let ended = ended.context("no end")?;
        let pressed = operator.last_key_ms.context("no key was pressed")? + operator.began_unix_ms;
        let heard = |voices: &BTreeMap<u32, Vec<(u64, u64)>>, hz, began| {
            let stretches = voices.get(&hz).into_iter().flatten();
            let begins = stretches.map(|(begin, _)| begin + began);
            begins.filter(|begin| *begin > completed).min()
        };
        let by_operator = heard(&operator.voices, CUSTOMER, operator.began_unix_ms);
        // One who stays is heard all the time.
        let by_customer = match stay {
            true => by_operator,
            false => heard(&customer.voices, OPERATOR, customer.began_unix_ms),
        };
        let both = by_operator
            .zip(by_customer)
            .map(|(one, other)| one.max(other));
        let both = both.context("they did not talk again")?;
        self.key_to_prompt.push(greeted.saturating_sub(pressed));
        self.result_to_talk.push(both - completed);
        self.last_word_to_talk.push(both.saturating_sub(ended));
        Ok(())
    }

    /// What this machine had to do: packets that leave late make telephones that are.
    fn load(&self) -> String {
        let [busy, ours, asterisk] = [self.busy, self.ours, self.asterisk].map(|p| 100.0 * p);
        format!(
            "{busy:.0} % of its CPU time used, {ours:.1} by the service, {asterisk:.0} by Asterisk, packets of telephones up to {} ms late",
            self.late_max
        )
    }

    fn text(&self, who: &str) -> String {
        format!(
            "{} from the key to the first prompt, {} from the result to both talking again, {} of that behind the last word ({} pairs at once, operators who {who})",
            p50_p99(&self.key_to_prompt),
            p50_p99(&self.result_to_talk),
            p50_p99(&self.last_word_to_talk),
            self.pairs
        )
    }
}

/// The most pairs that this machine plays without a failure, and what was said of those that were too many.
pub(crate) async fn at_once(
    lab: &Lab,
    service: &Service,
    asterisk: u32,
) -> anyhow::Result<(Crowd, String)> {
    let mut too_many = String::new();
    for pairs in AT_ONCE {
        eprintln!("bench: {pairs} pairs of customer and operator, who press the pay key at once");
        let crowd = Crowd::measure(lab, service, asterisk, pairs, false).await?;
        if crowd.failed == 0 || Some(&pairs) == AT_ONCE.last() {
            return Ok((crowd, too_many));
        }
        let why = format!(
            "{pairs} are too many for this machine ({} failed, {}); ",
            crowd.failed,
            crowd.load()
        );
        eprintln!("bench: {why}");
        too_many += &why;
        while crate::gauge(service, "ivrpay_calls").await? > 0.0 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    anyhow::bail!("no number of pairs was tried")
}

/// A payment that waits for this operator, and his telephone: he talks, presses the key, and hangs up when they have talked again.
async fn desk(lab: &Lab, service: &Service, seat: usize) -> anyhow::Result<(String, Desk)> {
    let order = format!("bench-{}", uuid::Uuid::now_v7());
    let body = json!({"amount": 3300, "order_id": order, "operator_extension": seat.to_string()});
    let (status, payment) = service.post("/v1/payments", &body, None).await?;
    ensure!(status == 201, "announcing answered {status}: {payment}");
    let script = format!(
        "hears:{CUSTOMER} sleep:{TALK_MS} *9 not-hears:{CUSTOMER}/20000 hears:{CUSTOMER}/120000 sleep:1500 hangup"
    );
    let phone = Phone::new(seat.to_string(), script).deaf().with(&[
        "--voice",
        "500",
        "--hear",
        "1000",
        "--timeout",
        "60",
        "--limit",
        "180",
    ]);
    let id = payment["id"].as_str().unwrap_or_default().to_owned();
    Ok((id, phone.start(lab).await?))
}

/// The customer's call.
async fn pair(
    lab: &Lab,
    service: &Service,
    stay: bool,
    seat: usize,
    payment: String,
    desk: Desk,
) -> anyhow::Result<Paid> {
    let (way, script) = if stay {
        // What he hears has no silence: the operator talks. He keys when each prompt should be over.
        let keys =
            format!("sleep:9000 1 sleep:8000 {PAN}# sleep:7000 1230 sleep:7000 123 sleep:7000 1");
        (
            "67",
            format!("hears:{OPERATOR} sleep:{TALK_MS} {keys} until-end"),
        )
    } else {
        // The greeting is being spoken when the operator has not been heard for a moment.
        let keys = format!("heard 1 heard {PAN}# heard 1230 heard 123 heard 1");
        (
            "60",
            format!(
                "hears:{OPERATOR} not-hears:{OPERATOR}/20000 {keys} hears:{OPERATOR} until-end"
            ),
        )
    };
    let from = format!("0312340{seat}");
    let call = Call::new(format!("{way}{seat}"), script).with(&[
        "--voice",
        "1000",
        "--hear",
        "500",
        "--on",
        "150",
        "--off",
        "250",
        "--from",
        &from,
        "--timeout",
        "60",
        "--quiet",
    ]);
    let customer = Call { deaf: true, ..call }.place(lab).await?;
    let state = service.payment(&payment).await?["state"].clone();
    let operator = if state == "approved" {
        desk.report().await?
    } else {
        drop(desk.stop().await);
        // The next call of this operator is not asked which it means.
        let path = format!("/v1/payments/{payment}/operator");
        let body = json!({"operator_extension": "999", "by": "bench"});
        drop(service.post(&path, &body, None).await);
        anyhow::bail!(
            "the payment is {state}, the customer's call ended with {}",
            customer.result
        );
    };
    ensure!(
        operator.result == "hung-up",
        "the operator's call ended with {}",
        operator.result
    );
    Ok(Paid {
        payment,
        customer,
        operator,
    })
}

/// The same telephones in bridges as ours, by hand: ms of Asterisk a minute and pair.
async fn without_us(lab: &Lab, service: u32, asterisk: u32) -> anyhow::Result<f64> {
    let _application = local::application(lab).await?;
    let desks = try_join_all(
        (0..STAYING)
            .flat_map(|n| {
                [
                    (FIRST + n, "500", "1000"),
                    (FIRST_CUSTOMER + n, "1000", "500"),
                ]
            })
            .map(|(number, voice, hear)| async move {
                let phone = Phone::new(number.to_string(), "until-end").deaf();
                let phone = phone.with(&["--voice", voice, "--hear", hear, "--limit", "120"]);
                phone.start(lab).await
            }),
    )
    .await?;
    for n in 0..STAYING {
        let bridge = format!("/bridges/bench-{n}");
        lab.ari(
            "POST",
            &format!("{bridge}?type=mixing,dtmf_events,proxy_media"),
        )
        .await?;
        for number in [FIRST + n, FIRST_CUSTOMER + n] {
            let call = json!({
                "endpoint": format!("PJSIP/{number}"), "app": local::APP, "channelId": format!("bench-{number}"), "formats": "ulaw"
            });
            lab.ari_body("POST", "/channels", &call).await?;
            let began = Instant::now();
            // Not before it has been answered.
            while let Err(error) = lab
                .ari(
                    "POST",
                    &format!("{bridge}/addChannel?channel=bench-{number}"),
                )
                .await
            {
                ensure!(began.elapsed() < Duration::from_secs(10), "{error:#}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = Used::now(service, asterisk)?;
    tokio::time::sleep(WITHOUT_US).await;
    let (_, each) = Used::now(service, asterisk)?.each(&before, STAYING);
    for n in 0..STAYING {
        for number in [FIRST + n, FIRST_CUSTOMER + n] {
            lab.ari("DELETE", &format!("/channels/bench-{number}"))
                .await?;
        }
        lab.ari("DELETE", &format!("/bridges/bench-{n}")).await?;
    }
    for desk in desks {
        let report = desk.report().await?;
        let heard: u64 = report
            .voices
            .values()
            .flatten()
            .map(|(from, to)| to - from)
            .sum();
        ensure!(
            u128::from(heard) >= WITHOUT_US.as_millis(),
            "in a bridge without us somebody heard the other one for {heard} ms"
        );
    }
    Ok(each)
}

/// What staying costs: of each turn the crowd, and Asterisk's ms a minute and pair without us.
pub(crate) struct Stay {
    turns: Vec<(f64, f64, f64)>,
    crowds: Vec<Crowd>,
}

impl Stay {
    pub(crate) async fn measure(
        lab: &Lab,
        service: &Service,
        asterisk: u32,
    ) -> anyhow::Result<Self> {
        let mut stay = Self {
            turns: Vec::new(),
            crowds: Vec::new(),
        };
        for turn in 1..=TURNS {
            let crowd = Crowd::measure(lab, service, asterisk, STAYING, true).await?;
            let without = without_us(lab, service.pid(), asterisk).await?;
            if let Some((ours, asterisk)) = crowd.capture.filter(|_| crowd.failed == 0) {
                eprintln!(
                    "bench: turn {turn} of {TURNS}: {asterisk:.0} ms of Asterisk's and {ours:.0} of ours a minute and pair, {without:.0} without us"
                );
                stay.turns.push((ours, asterisk, without));
            }
            stay.crowds.push(crowd);
        }
        Ok(stay)
    }

    pub(crate) fn failed(&self) -> usize {
        self.crowds.iter().map(|crowd| crowd.failed).sum()
    }

    /// All crowds as one.
    fn together(&self) -> Crowd {
        let of =
            |what: fn(&Crowd) -> &Vec<u64>| self.crowds.iter().flat_map(what).copied().collect();
        Crowd {
            pairs: STAYING,
            key_to_prompt: of(|c| &c.key_to_prompt),
            result_to_talk: of(|c| &c.result_to_talk),
            last_word_to_talk: of(|c| &c.last_word_to_talk),
            ..Crowd::default()
        }
    }

    pub(crate) fn text(&self) -> String {
        let of =
            |what: fn(&(f64, f64, f64)) -> f64| self.turns.iter().map(what).collect::<Vec<_>>();
        let ratios = of(|(ours, asterisk, without)| (ours + asterisk) / without);
        format!(
            "{:.2} times the CPU time of the same telephones in the same kind of bridge without us (median of {} turns, {:.2} to {:.2}; a minute of a pair \
             takes {:.0} ms of Asterisk's and {:.0} of ours, {:.0} without us; {STAYING} pairs at once)",
            median(ratios.clone()),
            ratios.len(),
            ratios.iter().copied().fold(f64::INFINITY, f64::min),
            ratios.iter().copied().fold(0.0, f64::max),
            median(of(|t| t.1)),
            median(of(|t| t.0)),
            median(of(|t| t.2)),
        )
    }
}

/// The line about the key.
pub(crate) fn line(crowd: &Crowd, too_many: &str, stay: &Stay) -> String {
    format!(
        "p50 and p99 {}; {}; {too_many}{} of {} pairs failed, {}",
        crowd.text("wait"),
        stay.together().text("stay"),
        crowd.failed,
        crowd.pairs,
        crowd.load()
    )
}
