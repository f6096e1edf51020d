//! Leaks that are planted into a build of its own, one at a time: each has to be found, or the check is blind for its kind.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ivrpay_tests::call::Call;
use ivrpay_tests::lab::binary;
use ivrpay_tests::service::{How, Service, set};

use crate::calls::Wallet;
use crate::places::Places;
use crate::{Check, SETTLED, short};

/// Name (as `crates/secret/src/plant.rs` and the crates that use it know it), what it is, and where it has to be found.
const PLANTS: &[(&str, &str, &[&str])] = &[
    (
        "redaction",
        "keys stay in the events of the websocket",
        MEMORY,
    ),
    ("log", "each key is logged", &["ivrpay: log at trace"]),
    (
        "event",
        "the keys are in an event of the API",
        &["API: stream of events"],
    ),
    ("metric", "the keys are in a metric", &["API: metrics"]),
    (
        "variable",
        "the keys are in a channel variable",
        &["AMI: events of a user with read=all"],
    ),
    (
        "media",
        "the keys are spoken by Asterisk's own sounds",
        &["Asterisk: log files"],
    ),
    (
        "recording",
        "the caller is not muted",
        &["Asterisk: recordings, tones decoded"],
    ),
    ("string", "the request is kept as a String", MEMORY),
    ("freed", "a copy is freed and not wiped", MEMORY),
    ("stack", "a copy stands on the stack of a thread", MEMORY),
    ("http2", "the connection speaks HTTP/2 and stays", MEMORY),
    (
        "file",
        "the request is written to a temporary file",
        &["ivrpay: temporary files"],
    ),
    (
        "arena",
        "fields stand in ordinary memory and are not wiped",
        MEMORY,
    ),
    (
        "core",
        "a crash leaves a core file",
        &["ivrpay: core files after SIGABRT"],
    ),
];

const MEMORY: &[&str] = &[
    "ivrpay: heap",
    "ivrpay: anonymous memory, other stacks among it",
];

/// The build with plants, as `scripts/prove` names it.
const PLANTED: &str = "ivrpay-planted";
/// Present in the build with plants, absent from every other.
const MARK: &[u8] = b"IVRPAY_PLANT";

/// How many were planted, and how many were found.
pub(crate) async fn run(check: &mut Check, filter: &str) -> anyhow::Result<(usize, usize)> {
    let planted = binary(PLANTED)
        .context("scripts/prove leak builds it: cargo build -p ivrpay --features plant")?;
    let has_mark = |path: PathBuf| -> anyhow::Result<bool> {
        let bytes = std::fs::read(path)?;
        Ok(bytes.windows(MARK.len()).any(|w| w == MARK))
    };
    ensure!(
        has_mark(planted)?,
        "the build with plants has none: the next check would prove nothing"
    );
    ensure!(
        !has_mark(binary("ivrpay")?)?,
        "the ordinary build has plants in it"
    );
    println!("absent from the ordinary build: the plants, and the variable that chooses one");
    // The same build with no leak chosen: what is found below was planted.
    let cards = check.file("cards");
    check.wallet = Wallet::new(6, &cards)?;
    check.places = Places::new(&cards, true);
    one(check, "none").await?;
    ensure!(
        check.places.found() == 0,
        "the build with plants leaks with none of them chosen"
    );
    check.fresh()?;
    println!("nothing is found while none is chosen");
    let (mut count, mut found) = (0, 0);
    for (name, what, places) in PLANTS.iter().filter(|(name, ..)| name.contains(filter)) {
        count += 1;
        let cards = check.file("cards");
        check.wallet = Wallet::new(6, &cards)?;
        check.places = Places::new(&cards, false);
        one(check, name)
            .await
            .with_context(|| format!("planted: {name}"))?;
        let dirty: Vec<&str> = check
            .places
            .seen()
            .iter()
            .filter(|(_, seen)| !seen.found.is_empty())
            .map(|(place, _)| place.as_str())
            .collect();
        let seen = dirty.iter().any(|place| places.contains(place));
        found += usize::from(seen);
        println!(
            "{} {name:<10} {what}: {}",
            if seen { "found" } else { "BLIND" },
            dirty.join("; ")
        );
        check.fresh()?;
    }
    Ok((count, found))
}

/// A payment, a recorded call in which tones are heard, then a crash.
async fn one(check: &mut Check, name: &str) -> anyhow::Result<()> {
    let chosen = format!("IVRPAY_PLANT={name}");
    let how = How {
        program: PLANTED,
        wrapper: &[
            "env",
            &chosen,
            "sh",
            "-c",
            "ulimit -c unlimited; exec \"$@\"",
            "sh",
        ],
        ..How::default()
    };
    let mut service = Service::start_as(how, &check.lab, "leak-planted", true, |config| {
        short(config);
        set(config, "secret.policy", "any");
    })
    .await?;
    let watchers = check.watch(&service).await?;
    // Searched in the middle too: the buffer of the socket holds keys until the next events take their place.
    let mut events = service.events().await?;
    let keys = check.wallet.next()?.keys();
    let keys = keys.trim_end_matches('1');
    let call = Call::new("7711200", format!("{keys} sleep:6000 1"));
    let files = check.files(&service.folder);
    let (lab, places) = (&check.lab, &mut check.places);
    let process = (service.pid(), "ivrpay");
    let (report, searched) = tokio::join!(call.place(lab), async {
        events.step("confirmation").await?;
        places.search(Some(process), &files).await
    });
    searched?;
    let report = report?;
    ensure!(
        report.result == "success",
        "the payment ended with {}",
        report.result
    );
    if name == "recording" {
        // Tones on a leg whose keys come as events: nobody takes them out of the sound.
        let card = check.wallet.next()?;
        let keys = format!("sleep:3000 {}# hangup", card.pan);
        let call = Call {
            deaf: true,
            ..Call::new("7411200", keys).with(&["--dtmf", "inband"])
        };
        call.place(&check.lab).await?;
    }
    check.ask_ivrpay(&service).await?;
    tokio::time::sleep(SETTLED).await;
    check.search("", &service).await?;
    let recordings = check.lab.folder.join("spool");
    if name == "recording" {
        check
            .places
            .listen("Asterisk: recordings, tones decoded", &recordings)
            .await?;
    }
    if name == "core" {
        service.signal("-ABRT")?;
        let ended = service.ended(Duration::from_secs(20)).await?;
        check.places.count(
            "ivrpay: core files after SIGABRT",
            "core file",
            usize::from(ended.core_dumped),
        );
    }
    drop(watchers);
    Ok(())
}
