//! Lines as they are: keys that come as sound alone, in a payment, and `ivrpay check trunk` in each way that keys can come.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ivrpay_tests::call::Call;
use ivrpay_tests::lab::{Lab, binary};
use ivrpay_tests::service::Service;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::scenarios::{Books, OtherResult, VISA, extension, keys};
use crate::short;

/// All keys, as the check asks for them.
const KEYS: &str = "123456789*0#";

/// The line of the service's metrics that begins so.
async fn metric(service: &Service, name: &str) -> anyhow::Result<String> {
    let (_, metrics) = service.get("/metrics").await?;
    let text = metrics.as_str().unwrap_or_default();
    let found = text.lines().find(|line| line.starts_with(name));
    Ok(found.unwrap_or_default().to_owned())
}

/// A line that has promised telephone-events and sends tones alone: nothing comes of the first key, the caller is told so, and from
/// then on his tones are keys. He pays, and the admin is told which line it is.
pub(crate) async fn paid_by_sound(lab: &Lab, books: &Books) -> anyhow::Result<()> {
    let service = Service::start(lab, "trunk-sound", true, short).await?;
    let mut events = service.events().await?;
    let pays = keys(VISA, "1230", "123");
    // Once before anybody listens for sound, and once behind.
    let twice = "payment-amount heard 1 wait:keys-awaited sleep:1500";
    let script = pays.replacen("payment-amount", twice, 1);
    let call = Call::new(extension(1, 1200), script).with(&["--dtmf", "inband"]);
    let report = call.place(lab).await?;
    OtherResult::judge(&report, &["success"])?;
    let id = report.payment_id.context("no payment")?;
    let booked = books.of(&id).await?;
    ensure!(
        booked.len() == 1 && booked[0]["booked"] == true,
        "the acquirer has {booked:?}"
    );
    let awaited = |e: &Value| e["event"] == "keys-awaited";
    let awaited = events.within(Duration::from_secs(5), awaited).await;
    awaited.context("nobody was told that no key came")?;
    let told = metric(&service, "ivrpay_calls_keys_total{keys=\"as-sound\"}").await?;
    ensure!(told.ends_with(" 1"), "the metric says {told:?}");
    let log = tokio::fs::read_to_string(service.folder.join("log")).await?;
    ensure!(
        log.lines()
            .any(|l| l.contains("as-sound") && l.contains("trunk") && l.contains("check trunk")),
        "no line of the log names the trunk"
    );
    Ok(())
}

/// A caller who was only slow keys telephone-events after all: each counts once.
pub(crate) async fn slow_caller(lab: &Lab) -> anyhow::Result<()> {
    let _service = Service::start(lab, "trunk-slow", true, short).await?;
    let slow = Call::new(
        extension(1, 1200),
        keys(VISA, "1230", "123").replacen("payment-amount", "payment-amount heard heard", 1),
    );
    let report = slow.place(lab).await?;
    ensure!(
        report.result == "success" && !report.way().contains("duplicate"),
        "a slow caller ended with {}: {}",
        report.result,
        report.way()
    );
    Ok(())
}

/// No key at all: asked three times, each time told that none comes, and whoever takes the caller back hears it.
pub(crate) async fn no_key_comes(lab: &Lab) -> anyhow::Result<()> {
    let service = Service::start(lab, "trunk-silent", true, short).await?;
    let call =
        Call::new("642501200", "wait:call-ended sleep:2000 hangup").with(&["--timeout", "90"]);
    let placed = call.place(lab);
    let whispered = async {
        let mut events = service.events().await?;
        let started = events.first(|e| e["event"] == "call-started").await?;
        let channel = started["channel_id"].as_str().context("no channel")?;
        let ended = |e: &Value| e["event"] == "call-ended";
        events.within(Duration::from_secs(100), ended).await?;
        for (name, piece) in [
            ("IVRPAY_WHISPER", "ivrpay/whisper-inband"),
            ("IVRPAY_KEYS", "not-heard"),
        ] {
            let path = format!("/channels/{channel}/variable?variable={name}");
            let value = lab.ari("GET", &path).await?;
            let value = value["value"].as_str().unwrap_or_default().to_owned();
            ensure!(value.contains(piece), "{name} is {value:?}");
        }
        anyhow::Ok(())
    };
    let (report, whispered) = tokio::join!(placed, whispered);
    let report = report?;
    whispered?;
    ensure!(
        report.result == "too-many-failed-attempts"
            && report
                .way()
                .matches("payment-amount/keys-not-heard")
                .count()
                == 2,
        "ended with {}: {}",
        report.result,
        report.way()
    );
    Ok(())
}

/// One way in which keys come.
struct Line {
    /// How the caller sends them.
    dtmf: &'static str,
    /// From an endpoint that detects tones.
    detects: bool,
    /// What the check must say.
    way: &'static str,
    /// Whether something has to be changed, and a piece of what.
    change: Option<&'static str>,
}

const LINES: [Line; 6] = [
    Line {
        dtmf: "inband",
        detects: false,
        way: "sound-only",
        change: Some("[trunk]: dtmf_mode = inband"),
    },
    Line {
        dtmf: "rfc4733",
        detects: false,
        way: "rfc4733",
        change: None,
    },
    Line {
        dtmf: "info",
        detects: false,
        way: "info",
        change: None,
    },
    Line {
        dtmf: "both",
        detects: false,
        way: "rfc4733",
        change: Some("switch INFO off"),
    },
    Line {
        dtmf: "info-inband",
        detects: false,
        way: "info-and-sound",
        change: None,
    },
    Line {
        dtmf: "inband",
        detects: true,
        way: "inband",
        change: None,
    },
];

/// Each way is named, with the setting to change; nothing of the call is left. One check at a time, as for an admin.
pub(crate) async fn checked(lab: &Lab) -> anyhow::Result<()> {
    let service = Service::start(lab, "trunk-check", true, short).await?;
    for line in LINES {
        let what = format!(
            "{} on an endpoint that detects: {}",
            line.dtmf, line.detects
        );
        line.check(lab, &service).await.context(what)?;
    }
    Ok(())
}

impl Line {
    async fn check(&self, lab: &Lab, service: &Service) -> anyhow::Result<()> {
        let mut check = Command::new(binary("ivrpay")?)
            .args([
                "check",
                "trunk",
                "--json",
                "--wait",
                "60",
                "--language",
                "en",
            ])
            .arg("--config")
            .arg(service.folder.join("ivrpay.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut said = BufReader::new(check.stderr.take().context("no standard error")?).lines();
        let first = tokio::time::timeout(Duration::from_secs(15), said.next_line()).await??;
        ensure!(
            first.as_deref().is_some_and(|l| l.contains("waits")),
            "it said {first:?}"
        );
        let script = if self.dtmf == "inband" && !self.detects {
            format!("heard {KEYS} heard {KEYS} sleep:60000")
        } else {
            format!("heard {KEYS} heard {KEYS} heard {KEYS} sleep:60000")
        };
        let mut call = Call::new("890", script).with(&["--dtmf", self.dtmf, "--timeout", "90"]);
        call.deaf = true;
        if self.detects {
            call = call.with(&["--bind", lab.get("INBAND_IP")?]);
        }
        let told = async {
            let mut all = Vec::new();
            while let Ok(Some(text)) = said.next_line().await {
                all.push(text);
            }
            all.join("; ")
        };
        let ended = tokio::time::timeout(Duration::from_secs(100), async {
            tokio::join!(check.wait_with_output(), told, call.place(lab))
        });
        let (output, told, called) = ended.await.context("it did not end within 100 s")?;
        let output = output?;
        called?;
        let shown: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("no report; it said {told}"))?;
        ensure!(shown["way"] == self.way, "it says {shown}");
        let findings = shown["findings"].to_string();
        ensure!(
            output.status.code() == Some(i32::from(self.change.is_some()))
                && self.change.is_none_or(|change| findings.contains(change)),
            "it ended with {:?} and says {shown}",
            output.status.code()
        );
        let none_lost = self.way == "sound-only" || shown["slow"]["lost"] == 0;
        ensure!(none_lost, "keys are lost: {shown}");
        let left = lab.folder.join("spool/recording");
        ensure!(
            std::fs::read_dir(&left)?.next().is_none(),
            "a recording is left in {}",
            left.display()
        );
        lab.no_channel(Duration::ZERO).await
    }
}
