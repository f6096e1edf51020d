//! The edge: a trunk, an Asterisk with ivrpay, and behind it the office PBX with the operators' telephones.
//!
//! What reaches the office PBX and its telephones is captured packet by packet. Before his operator's key the customer presses keys that
//! are no card's: they have to be found there, or the capture is blind; behind it none may be.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use ivrpay_tests::capture::{Capture, Packet, Wire};
use ivrpay_tests::lab::{Lab, binary};
use ivrpay_tests::phone::{Phone, PhoneReport};
use ivrpay_tests::service::{Service, set, tenant};
use serde_json::Value;

use crate::desk;
use crate::operator::{
    BACK, By, CUSTOMER, Case, Floor, GOODBYE, OPERATOR, PAID, Seat, WAITING, announce, called,
    case, keys_in, nothing_is_left, paying,
};
use crate::{Tally, short};

/// What the customer keys while he talks.
const BEFORE: &str = "57";
/// Packets of sound of the shortest payment: 50 a second.
const SOUNDS_MIN: usize = 250;

/// Packets of sound that the office PBX keeps from a telephone while it passes on one of its keys that could have been a feature: it counts
/// on in their numbers (25 for two keys, measured).
const WITHHELD_MAX: usize = 15;

/// The trunks as `scripts/lab` names them.
const TRUNKS: [&str; 2] = ["PJSIP/trunk", "PJSIP/inband"];
/// How operators behind the office PBX are rung again.
const RING: &str = "PJSIP/{extension}@office";

const PAUSED: &str = "edge: *9 pauses in a number and goes on, the operator stays";
const CANCELLED: &str = "edge: *0 cancels, the operator waits";
const TWICE: &str = "edge: a second payment in the same call";

fn config(config: &mut toml::Table) {
    without_edge(config);
    set(
        config,
        "edge.trunks",
        TRUNKS.map(toml::Value::from).to_vec(),
    );
}

/// As somebody would have it who forgot.
fn without_edge(config: &mut toml::Table) {
    short(config);
    set(tenant(config), "return.operator", RING);
}

/// Both talk, the customer keys, and the operator does `then`.
fn talks_and(then: &str) -> String {
    format!("hears:1000 sleep:1500 {then}")
}

fn pays(before: &str, pan: &str) -> String {
    format!(
        "hears:500 {before} {} wait:call-ended hears:500 until-end",
        paying(pan)
    )
}

struct Edge<'a> {
    floor: Floor<'a>,
    office: &'a Lab,
    /// Made for this run, so that a search for it finds nothing else.
    pan: String,
    /// The file that the search reads it from.
    card: PathBuf,
}

fn ip(lab: &Lab, key: &str) -> anyhow::Result<Ipv4Addr> {
    Ok(lab.get(key)?.parse()?)
}

fn capture(office: &Lab) -> anyhow::Result<Capture> {
    Capture::start(&[ip(office, "ASTERISK_IP")?, ip(office, "PHONE_IP")?])
}

/// What the edge sends to the office PBX.
fn link(wire: &Wire, edge: &Lab) -> anyhow::Result<Wire> {
    let edge = ip(edge, "ASTERISK_IP")?;
    Ok(wire.only(|packet| *packet.from.ip() == edge))
}

impl<'a> Edge<'a> {
    fn new(lab: &'a Lab, service: &'a Service, office: &'a Lab) -> anyhow::Result<Self> {
        let made = Command::new(binary("ivrpay-sim")?).arg("card").output()?;
        let made = String::from_utf8(made.stdout)?;
        let pan = made.split(' ').next().context("no card")?.to_owned();
        let card = office.folder.join("card");
        // Expiry and code are those of `paying`.
        std::fs::write(&card, format!("{pan} 1230 123\n"))?;
        let floor = Floor {
            lab,
            service,
            office: Some(office),
        };
        Ok(Self {
            floor,
            office,
            pan,
            card,
        })
    }

    fn by_the_key(&self, name: &str, by: By, way: &'static str) -> Case {
        // Tones leak for some ms before Asterisk knows them: what he presses before can be heard.
        let before = if way == "inband" { "" } else { BEFORE };
        case(name, by)
            .dtmf(way)
            .customer(&pays(before, &self.pan))
            .operator(&format!("{} {GOODBYE}", talks_and("*9")))
            .presses(before.len())
    }

    /// What can be done with the key behind it, as on one PBX (`operator::cases`).
    fn by_more_keys(&self) -> [(&'static str, Case); 3] {
        let (half, other) = self.pan.split_at(self.pan.len() / 2);
        let ends = "wait:call-ended hears:500 until-end";
        let number = format!("hears:500 {BEFORE} wait:greeting 1 wait:payment-card-number");
        let once = self.by_the_key(PAUSED, By::Stay, "rfc4733");
        let cancelled = self.by_the_key(CANCELLED, By::Hold, "rfc4733");
        let twice = self.by_the_key(TWICE, By::Hold, "rfc4733");
        let press = talks_and("*9");
        let paying = paying(&self.pan);
        [
            (
                PAUSED,
                once.customer(&format!(
                    "{number} {half} wait:paused hears:500 wait:payment-card-number , {other}# \
                     wait:expiration-date 1230 wait:security-code 123 wait:confirmation 1 {ends}"
                ))
                .operator(&format!(
                    "{press} wait:payment-card-number sleep:4000 *9 wait:paused hears:1000 sleep:1000 *9 {GOODBYE}"
                ))
                .with_a_pause(),
            ),
            (
                CANCELLED,
                cancelled
                    .customer(&format!("{number} {half} {ends}"))
                    .operator(&format!(
                        "{press} wait:payment-card-number sleep:3500 *0 {GOODBYE}"
                    ))
                    .ends(&["agent-cancelled"], WAITING),
            ),
            (
                TWICE,
                twice
                    .customer(&format!(
                        "hears:500 {BEFORE} {paying} wait:call-ended hears:500 {paying} {ends}"
                    ))
                    .operator(&format!(
                        "{press} wait:call-ended hears:1000 sleep:1500 *9 {GOODBYE}"
                    ))
                    .twice(),
            ),
        ]
    }

    fn log(&self) -> anyhow::Result<String> {
        let path = self.office.folder.join("log/full.log");
        Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned())
    }

    /// A call with the pay key; nothing of the card is on the link or in the office PBX.
    async fn pay_key(&self, case: &Case, operator: usize) -> anyhow::Result<()> {
        let (capture, before) = (capture(self.office)?, self.log()?.len());
        let done = self.floor.run(case, operator).await;
        let wire = capture.stop()?;
        done?;
        let pressed = if case.pressed == 0 { "" } else { BEFORE };
        self.judge(&wire, before, pressed, Packet::is_event).await
    }

    /// `before`: how long the office PBX's log was. `pressed`: what the customer keyed before the payment, which begins with what `begins`
    /// tells, sent by a telephone.
    async fn judge(
        &self,
        wire: &Wire,
        before: usize,
        pressed: &str,
        begins: impl Fn(&Packet) -> bool,
    ) -> anyhow::Result<()> {
        let phones = ip(self.office, "PHONE_IP")?;
        let begins = |packet: &Packet| *packet.from.ip() == phones && begins(packet);
        let began = wire.first(begins).context("no telephone began a payment")?;
        let folder = tempfile::tempdir()?;
        let own = wire.only(|p| *p.from.ip() == phones && p.at_unix_ms >= began);
        let withheld = own.keys().len() * WITHHELD_MAX;
        for (place, part, withheld) in [
            ("the link", link(wire, self.floor.lab)?, 0),
            ("a telephone", wire.only(|p| *p.to.ip() == phones), withheld),
        ] {
            let keys = part.only(|p| p.at_unix_ms < began).keys();
            ensure!(
                keys == pressed,
                "before the payment {place} had the keys {keys:?}: the capture is blind"
            );
            let part = part.only(|p| p.at_unix_ms >= began);
            let (events, infos, missing) = (part.events(), part.infos(), part.missing());
            ensure!(
                events == 0 && infos == 0 && part.with_text(&self.pan) == 0,
                "{events} telephone-events and {infos} messages with keys came to {place}"
            );
            ensure!(
                missing <= withheld,
                "of {place} {missing} packets were not captured"
            );
            ensure!(
                part.sounds() >= SOUNDS_MIN,
                "{place} had {} packets of sound",
                part.sounds()
            );
            for sound in part.save_sound(folder.path(), &place.replace(' ', "-"))? {
                let keys = keys_in(&sound).await?;
                ensure!(keys == 0, "{keys} keys can be heard at {place}");
            }
        }
        let log = self.log()?;
        let new = log.get(before..).unwrap_or_default();
        let logged: String = new
            .lines()
            .filter(|line| line.contains("DTMF begin") && line.contains(" received on PJSIP/edge-"))
            .filter_map(|line| line.split('\'').nth(1))
            .collect();
        ensure!(
            logged == pressed,
            "the office PBX logged the keys {logged:?}"
        );
        self.no_card(None).await
    }

    /// The files of the office PBX, and its memory where that is `searched` too, do not have the card.
    async fn no_card(&self, searched: Option<&str>) -> anyhow::Result<()> {
        let files = ["log", "spool", "db", "run"].map(|name| self.office.folder.join(name));
        let mut command = tokio::process::Command::new(binary("ivrpay-sim")?);
        command.args(["scan", "--json", "--cards"]).arg(&self.card);
        for path in files {
            command.arg("--path").arg(path);
        }
        if let Some(pid) = searched {
            command.args(["--pid", pid]);
        }
        let output = command.stdin(std::process::Stdio::null()).output().await?;
        ensure!(
            matches!(output.status.code(), Some(0 | 1)),
            "the search of the office PBX failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let report: Value = serde_json::from_slice(&output.stdout)?;
        let hits = report["hits"].as_array().context("no report")?;
        // Of single keys there are those of the operator, and those that were pressed before.
        let card = hits
            .iter()
            .filter(|hit| hit["form"] != "a key in an event or log line");
        let card: Vec<String> = card.map(Value::to_string).collect();
        ensure!(
            card.is_empty(),
            "the office PBX has the card: {}",
            card.join(", ")
        );
        Ok(())
    }

    /// As [`Self::no_card`], in its memory as well.
    async fn no_card_in_memory(&self) -> anyhow::Result<()> {
        let pid = std::fs::read_to_string(self.office.folder.join("asterisk.pid"))?;
        self.no_card(pid.split_whitespace().next()).await
    }

    /// A blind transfer at the office PBX, which hands it on: it is out of the call, and rung again.
    async fn transferred(&self, operator: usize) -> anyhow::Result<()> {
        let payment = announce(self.floor.service, operator, 3300, None).await?;
        self.transferred_for(operator, &payment).await
    }

    /// The payment is what the operator has keyed on the edge's keypad, in a call of its own.
    async fn keyed_and_transferred(&self, operator: usize) -> anyhow::Result<()> {
        let Floor { lab, service, .. } = self.floor;
        let order = desk::order();
        let script = format!("call:8810 {} hangup", desk::ready("4321", &order));
        let desk = Seat::new(lab, operator)?.phone(&[script])?;
        let report = desk.start(self.office).await?.report().await?;
        let payment = desk::payment_of(service, &order).await?;
        let payment = payment.with_context(|| format!("nothing was keyed; {report:?}"))?;
        let payment = payment["id"].as_str().unwrap_or_default();
        self.transferred_for(operator, payment).await
    }

    async fn transferred_for(&self, operator: usize, payment: &str) -> anyhow::Result<()> {
        let Floor { lab, service, .. } = self.floor;
        let seat = Seat::new(lab, operator)?;
        let desk = seat
            .phone(&[talks_and("refer:8800"), BACK.to_owned()])?
            .start(self.office)
            .await?;
        let extension = By::Hold.office_extension(operator);
        let call = seat.customer(lab, extension, &pays(BEFORE, &self.pan), "rfc4733")?;
        let mut events = service.events().await?;
        let out = async {
            events.step("payment-card-number").await?;
            self.office_is_out().await
        };
        let (capture, before) = (capture(self.office)?, self.log()?.len());
        let (report, out) = tokio::join!(call.place(lab), out);
        let wire = capture.stop()?;
        let (report, operators) = (report?, desk.reports().await?);
        let told = || format!("the customer: {report:?}; the operator: {operators:?}");
        out.with_context(told)?;
        ensure!(
            report.result == "success" && report.payment_id.as_deref() == Some(payment),
            "the call took another payment than {payment}; {}",
            told()
        );
        let [first, back] = &operators[..] else {
            anyhow::bail!("the operator had other calls than two; {}", told());
        };
        ensure!(
            first.result == "transferred"
                && first
                    .transfer
                    .as_ref()
                    .is_some_and(|t| t.status == Some(202))
                && back.result == "hung-up"
                && back.heard(CUSTOMER) >= 500,
            "{}",
            told()
        );
        self.floor.state_is(payment, PAID).await?;
        let refer = |p: &Packet| p.sip().is_some_and(|sip| sip.starts_with("REFER "));
        self.judge(&wire, before, BEFORE, refer)
            .await
            .with_context(told)
    }

    /// A colleague is transferred to the payment, and is no customer whom the edge could have back: the operator is rung again.
    async fn not_taken(&self, operator: usize, colleague: usize) -> anyhow::Result<()> {
        let phone = |number: usize, script: &str, voice: &str| {
            let options = ["--voice", voice, "--hear", "500,1000", "--timeout", "40"];
            Phone::new(number.to_string(), script).with(&options)
        };
        let desk = phone(operator, &talks_and("refer:8800"), "500").then(BACK);
        let desk = desk.start(self.office).await?;
        let script = format!("call:{operator} hears:500 until-end");
        let colleague = phone(colleague, &script, "1000").start(self.office).await?;
        let (operators, colleague) = (desk.reports().await?, colleague.report().await?);
        let told = || format!("{operators:?} {colleague:?}");
        let back = operators.get(1).with_context(told)?;
        ensure!(
            back.result == "hung-up"
                && back.heard(CUSTOMER) >= 500
                && colleague.heard(OPERATOR) >= 2_000,
            "{}",
            told()
        );
        Ok(())
    }

    /// The customer who pays is in no channel of the office PBX.
    async fn office_is_out(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let channels = self.office.ari("GET", "/channels").await?;
            let count = channels.as_array().map_or(0, Vec::len);
            if count == 0 {
                return Ok(());
            }
            ensure!(
                began.elapsed() < Duration::from_secs(3),
                "while the customer keys, the office PBX has {count} channels: {channels}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A payment extension of the edge, called by the office PBX: nobody is asked for a card, and it is said aloud.
    async fn refused_from_the_office(&self, operator: usize) -> anyhow::Result<()> {
        let desk = Phone::new(operator.to_string(), "call:8801 until-end")
            .with(&["--timeout", "60"])
            .start(self.office)
            .await?;
        let report = desk.report().await?;
        ensure!(
            report.result == "far-hung-up" && report.heard_ms >= 2_000,
            "{report:?}"
        );
        let refused = self.logged("danger", "not-a-trunk")?;
        ensure!(refused == 1, "the log says it {refused} times");
        let checked = Command::new(binary("ivrpay")?)
            .args(["check", "--json", "--config"])
            .arg(self.floor.service.folder.join("ivrpay.toml"))
            .output()?;
        let facts = String::from_utf8_lossy(&checked.stdout).into_owned();
        for fact in [
            "callers who come by PJSIP/inband, PJSIP/trunk may pay; a payment call from PJSIP/201, ",
            "operators are behind office, which may transfer and says who answers",
        ] {
            ensure!(facts.contains(fact), "check does not say {fact:?}: {facts}");
        }
        Ok(())
    }

    /// Lines of the service's log with that value.
    fn logged(&self, key: &str, value: &str) -> anyhow::Result<usize> {
        let log = std::fs::read_to_string(self.floor.service.folder.join("log"))?;
        let lines = log
            .lines()
            .filter_map(|l| serde_json::from_str::<Value>(l).ok());
        Ok(lines.filter(|line| line[key] == value).count())
    }

    /// The pay key in a call whose other side comes from the office PBX as well: refused, and both talk on.
    async fn refused_by_the_key(&self, operator: usize, other: usize) -> anyhow::Result<()> {
        let Floor { lab, service, .. } = self.floor;
        let payment = announce(service, operator, 3300, None).await?;
        let seat = Seat::new(lab, operator)?;
        let script = "hears:1000 sleep:400 *9 sleep:1000 hears:1000 sleep:700 hangup";
        let desk = seat.phone(&[script.to_owned()])?.start(self.office).await?;
        let number = By::Hold.office_extension(operator);
        let other = Phone::new(
            other.to_string(),
            format!("call:{number} hears:500 until-end"),
        )
        .with(&["--voice", "1000", "--hear", "500", "--timeout", "60"])
        .start(self.office)
        .await?;
        let (report, other) = (desk.report().await?, other.report().await?);
        ensure!(
            report.result == "hung-up" && other.heard(OPERATOR) >= 900,
            "{report:?} {other:?}"
        );
        let refused = self.logged("why", "Unsafe")?;
        ensure!(refused == 1, "the log says it {refused} times");
        self.floor.state_is(&payment, &["waiting"]).await
    }

    /// The operator calls the customer by the office PBX, and takes the payment.
    async fn called_out(&self, operator: usize) -> anyhow::Result<()> {
        let Floor { lab, service, .. } = self.floor;
        let payment = announce(service, operator, 3300, None).await?;
        let script = pays(BEFORE, &self.pan);
        let customer = called(lab, "0398765432", script)?.start(lab).await?;
        let seat = Seat::new(lab, operator)?;
        let script = format!("call:0398765432 {} {GOODBYE}", talks_and("*9"));
        let (capture, before) = (capture(self.office)?, self.log()?.len());
        let desk = seat.phone(&[script])?.start(self.office).await?;
        let (report, customer) = (desk.report().await?, customer.report().await?);
        let wire = capture.stop()?;
        let told = || format!("the operator: {report:?}; the customer: {customer:?}");
        ensure!(
            report.result == "hung-up" && customer.result == "far-hung-up",
            "{}",
            told()
        );
        self.floor.state_is(&payment, PAID).await?;
        self.judge(&wire, before, BEFORE, Packet::is_event)
            .await
            .with_context(told)
    }
}

/// Without `[edge]` the same call from the office is taken: the capture reads the whole card off the link, and the search finds it in the
/// office PBX.
async fn control(lab: &Lab, office: &Lab) -> anyhow::Result<()> {
    let service = Service::start(lab, "edge-control", true, without_edge).await?;
    let operator = 239;
    let desk = Phone::new(operator.to_string(), "hears:1000 sleep:500 refer:8801")
        .with(&["--voice", "500", "--hear", "1000"])
        .start(office)
        .await?;
    let edge = Edge::new(lab, &service, office)?;
    let script = format!(
        "call:{} hears:500 {} until-end",
        By::Hold.office_extension(operator),
        paying(&edge.pan)
    );
    let capture = capture(office)?;
    let customer = called(lab, "0398765433", script)?.start(lab).await?;
    let (customer, desk): (PhoneReport, PhoneReport) =
        (customer.report().await?, desk.report().await?);
    let keys = link(&capture.stop()?, lab)?.keys();
    ensure!(
        keys.contains(&edge.pan),
        "the capture read {} keys, and no card; {customer:?} {desk:?}",
        keys.len()
    );
    let found = edge.no_card(None).await;
    ensure!(
        found
            .as_ref()
            .is_err_and(|e| e.to_string().contains("has the card")),
        "the search of its files says {found:?}"
    );
    nothing_is_left(lab, &service).await
}

/// Without `all` the first of them alone.
pub(crate) async fn run(
    tally: &mut Tally,
    lab: &Lab,
    wanted: impl Fn(&str) -> bool,
    all: bool,
) -> anyhow::Result<()> {
    let cases = [
        (
            "edge: pay key at the office PBX, the operator waits: no key of the card behind the edge",
            By::Hold,
            "rfc4733",
        ),
        ("edge: pay key, the operator stays", By::Stay, "rfc4733"),
        (
            "edge: pay key, the operator stays, keys by INFO",
            By::Stay,
            "info",
        ),
        (
            "edge: pay key, the operator stays, keys as tones",
            By::Stay,
            "inband",
        ),
        (
            "edge: pay key from the queue of the office PBX",
            By::Queue,
            "rfc4733",
        ),
    ];
    let cases: Vec<_> = cases
        .into_iter()
        .take(if all { usize::MAX } else { 1 })
        .filter(|(name, ..)| wanted(name))
        .collect();
    let control_name = "edge: control: without [edge] the card can be read off the link";
    let control_wanted = all && wanted(control_name);
    let others = [
        "edge: transferred by REFER, which the office PBX hands on",
        "edge: keyed on the keypad of the edge, then transferred by REFER",
        "edge: transferred, and not taken: the operator is rung again",
        "edge: a payment call from the office PBX: refused",
        "edge: pay key between two of the office PBX: refused",
        "edge: the operator calls out by the office PBX, and takes the payment",
        "edge: after all these the office PBX has no card, in memory and files",
        "edge: after all these: no channel, no bridge, no call, no lamp",
    ];
    let more = [PAUSED, CANCELLED, TWICE];
    let some = all && others.iter().chain(&more).any(|name| wanted(name));
    if cases.is_empty() && !some && !control_wanted {
        return Ok(());
    }
    let office = lab.office()?;
    if !cases.is_empty() || some {
        let service = Service::start(lab, "edge", true, config).await?;
        let edge = Edge::new(lab, &service, &office)?;
        for (n, (name, by, way)) in cases.into_iter().enumerate() {
            // The queue's own telephones are the first ones.
            let operator = if by == By::Queue { 201 } else { 221 + n };
            let case = edge.by_the_key(name, by, way);
            tally.one(name, edge.pay_key(&case, operator)).await;
        }
        for (n, (name, case)) in edge.by_more_keys().into_iter().enumerate() {
            if all && wanted(name) {
                tally.one(name, edge.pay_key(&case, 226 + n)).await;
            }
        }
        let [
            transferred,
            keyed,
            not_taken,
            from,
            between,
            out,
            memory,
            left,
        ] = others;
        let checks: [(&str, LocalBoxFuture<'_, anyhow::Result<()>>); 8] = [
            (transferred, edge.transferred(231).boxed_local()),
            (keyed, edge.keyed_and_transferred(238).boxed_local()),
            (not_taken, edge.not_taken(236, 237).boxed_local()),
            (from, edge.refused_from_the_office(232).boxed_local()),
            (between, edge.refused_by_the_key(233, 234).boxed_local()),
            (out, edge.called_out(235).boxed_local()),
            (memory, edge.no_card_in_memory().boxed_local()),
            (left, nothing_is_left(lab, &service).boxed_local()),
        ];
        for (name, check) in checks {
            if all && wanted(name) {
                tally.one(name, check).await;
            }
        }
    }
    if control_wanted {
        tally.one(control_name, control(lab, &office)).await;
    }
    Ok(())
}
