//! The control: the same search must find a card in every place and every form where it is planted, or it is blind.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use ivrpay_tests::call::Call;
use ivrpay_tests::canary::Canary;
use ivrpay_tests::lab::{Lab, binary};
use ivrpay_tests::service::Service;

use crate::calls::{Card, Wallet};
use crate::places::{Files, Places};
use crate::temporary::{self, Temporary};
use crate::watch::{self, note};

/// What the control gave.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) found: usize,
    pub(crate) of: usize,
    /// A line for each plant that was not found, and a sum.
    pub(crate) lines: Vec<String>,
}

impl Outcome {
    fn one(&mut self, plant: &str, found: bool) {
        self.of += 1;
        if found {
            self.found += 1;
        } else {
            self.lines.push(format!("BLIND: {plant} was not found"));
        }
    }
}

/// Where the naive dialplan leaves a card: a place, and the beginning of the form that must be found there.
const LEAKS: &[(&str, &str)] = &[
    ("log", "ASCII"),
    ("log", "a key in an event or log line"),
    ("log", "keys of events make up a number"),
    ("CDR", "ASCII"),
    ("CEL", "keys of events make up a number"),
    ("queue_log", "ASCII"),
    ("astdb", "ASCII"),
    ("spool", "ASCII"),
    ("spool", "code with its field"),
    ("recordings", "audible tones"),
    (temporary::NAME, "a card"),
    ("AMI", "ASCII"),
    ("AMI", "keys of events make up a number"),
    (
        "ARI, another application",
        "keys of events make up a number",
    ),
    ("variables", "ASCII"),
    ("core show channel", "ASCII"),
    ("globals", "ASCII"),
    ("Asterisk: heap", "ASCII"),
    ("SIP INFO in the log", "keys of events make up a number"),
];

pub(crate) async fn run(lab: Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let folder = lab.folder.join("leak");
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder)?;
    let cards = folder.join("cards");
    let mut wallet = Wallet::new(6, &cards)?;
    let mut places = Places::new(&cards, false);

    let temporary = Temporary::new(&lab)?;
    let called = naive(&lab, &folder, &mut wallet, &mut places).await;
    let searched = temporary.search(&cards, &mut places).await;
    temporary.clean()?;
    called?;
    searched?;
    for (place, form) in LEAKS {
        outcome.one(&format!("{form} in {place}"), places.holds(place, form));
    }
    let naive = outcome.of;
    in_every_form(&cards, &folder, &mut outcome).await?;
    outcome.lines.push(format!(
        "{naive} leaks of a naive dialplan, and {} forms in files and in the memory of a process",
        outcome.of - naive
    ));
    let refused = canary_is_refused(&lab).await?;
    outcome.one("what `ivrpay audit --canary` has to say of it", refused);
    Ok(outcome)
}

/// With our service on such an Asterisk: nobody is asked for a card, and the canary says why.
async fn canary_is_refused(lab: &Lab) -> anyhow::Result<bool> {
    let service = Service::start(lab, "control", true, |_| {}).await?;
    let canary = Canary::run(&service, &[]).await?;
    let refused = canary.place("refused", "the service's guard");
    Ok(canary.code == Some(1) && refused.is_some_and(|l| l["danger"] == "dtmf-log"))
}

/// Calls to `Read()` with keys by RFC 4733, in-band and by SIP INFO, and one that is only recorded.
async fn naive(
    lab: &Lab,
    folder: &Path,
    wallet: &mut Wallet,
    places: &mut Places,
) -> anyhow::Result<()> {
    let watchers = [
        watch::ami(lab, folder.join("ami")).await?,
        watch::ari(lab, folder.join("ari")).await?,
    ];
    let full = lab.folder.join("log/full.log");
    for dtmf in ["rfc4733", "inband", "info"] {
        if dtmf == "info" {
            // SIP messages alone, from here on: a place of its own.
            std::fs::write(&full, b"")?;
        }
        let Card { pan, expiry, code } = wallet.next()?;
        let keys =
            format!("sleep:1500 {pan}# sleep:1500 {expiry}# sleep:1500 {code}# sleep:5000 hangup");
        let mut options = vec!["--dtmf", dtmf];
        if dtmf == "inband" {
            options.extend(["--bind", lab.get("INBAND_IP")?]);
        }
        let call = Call {
            deaf: true,
            ..Call::new("9900", keys).with(&options)
        };
        let ask = async {
            let id = paid(lab).await?;
            let variable = lab
                .ari("GET", &format!("/channels/{id}/variable?variable=CARD"))
                .await?;
            note(folder.join("variables"), &variable.to_string()).await?;
            let name = lab.ari("GET", &format!("/channels/{id}")).await?["name"].clone();
            let name = name.as_str().unwrap_or_default().to_owned();
            let shown = watch::cli(lab, "SPY", &format!("core show channel {name}")).await?;
            note(folder.join("core-show-channel"), &shown).await?;
            let shown = watch::cli(lab, "SPY", "dialplan show globals").await?;
            note(folder.join("globals"), &shown).await?;
            Ok::<_, anyhow::Error>(())
        };
        let (report, asked) = tokio::join!(call.place(lab), ask);
        report.context("the naive call could not be placed")?;
        asked.with_context(|| format!("the naive call with keys by {dtmf}"))?;
        let pid = std::fs::read_to_string(lab.folder.join("asterisk.pid"))?;
        let pid: u32 = pid.split_whitespace().next().unwrap_or_default().parse()?;
        let lab = &lab.folder;
        let mut files = vec![Files {
            name: if dtmf == "info" {
                "SIP INFO in the log"
            } else {
                "log"
            },
            path: full.clone(),
        }];
        for (name, path) in [
            ("CDR", lab.join("log/cdr-csv")),
            ("CEL", lab.join("log/cel-custom")),
            ("queue_log", lab.join("log/queue_log")),
            ("astdb", lab.join("db")),
            ("spool", lab.join("spool/tmp")),
            ("AMI", folder.join("ami")),
            ("ARI, another application", folder.join("ari")),
            ("variables", folder.join("variables")),
            ("core show channel", folder.join("core-show-channel")),
            ("globals", folder.join("globals")),
        ] {
            files.push(Files { name, path });
        }
        places.search(None, &files).await?;
        places.search(Some((pid, "Asterisk")), &[]).await?;
    }
    // Where nobody takes the tones out of the sound.
    let Card { pan, expiry, code } = wallet.next()?;
    let call = Call {
        deaf: true,
        ..Call::new(
            "9901",
            format!("sleep:1500 {pan}# {expiry}# {code}# hangup"),
        )
        .with(&["--dtmf", "inband"])
    };
    call.place(lab)
        .await
        .context("the recorded call could not be placed")?;
    places
        .listen("recordings", &lab.folder.join("spool/monitor"))
        .await?;
    drop(watchers);
    Ok(())
}

/// Waits until the naive dialplan has everything; the channel.
async fn paid(lab: &Lab) -> anyhow::Result<String> {
    let began = std::time::Instant::now();
    while began.elapsed() < std::time::Duration::from_secs(40) {
        let channels = lab.ari("GET", "/channels").await?;
        for channel in channels.as_array().into_iter().flatten() {
            let id = channel["id"].as_str().unwrap_or_default();
            let done = lab
                .ari("GET", &format!("/channels/{id}/variable?variable=NAIVE"))
                .await?;
            if done["value"] == "done" {
                return Ok(id.to_owned());
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    anyhow::bail!("it did not come to its end")
}

/// Every form in a file of its own, then all of them in the memory of a process.
async fn in_every_form(cards: &Path, folder: &Path, outcome: &mut Outcome) -> anyhow::Result<()> {
    let hold = || {
        let mut command = Command::new(binary("ivrpay-sim")?);
        command.args(["hold", "--cards"]).arg(cards);
        Ok::<_, anyhow::Error>(command)
    };
    let forms = folder.join("forms");
    std::fs::create_dir_all(&forms)?;
    let list = hold()?.arg("--write").arg(&forms).output()?;
    ensure!(
        list.status.success(),
        "the forms could not be written: {}",
        String::from_utf8_lossy(&list.stderr)
    );
    let mut all = std::collections::BTreeSet::new();
    for line in String::from_utf8(list.stdout)?.lines() {
        let mut parts = line.split('\t');
        let (Some(file), Some(name), Some(form)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let mut places = Places::new(cards, false);
        let path = forms.join(file);
        places.search(None, &[Files { name, path }]).await?;
        outcome.one(&format!("{name} in a file"), places.holds(name, form));
        all.insert(form.to_owned());
    }
    let mut child = hold()?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(out) = child.stdout.take() {
        let held = BufReader::new(out)
            .lines()
            .any(|line| line.is_ok_and(|l| l == "holding"));
        ensure!(held, "no process held the forms");
    }
    let mut places = Places::new(cards, false);
    let searched = places.search(Some((child.id(), "holder")), &[]).await;
    drop(child.stdin.take());
    child.wait()?;
    searched?;
    for form in all {
        let found = places.seen().values().any(|s| s.found.contains_key(&form));
        outcome.one(&format!("{form} in memory"), found);
    }
    Ok(())
}
