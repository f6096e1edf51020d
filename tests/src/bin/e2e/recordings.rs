//! Recordings of the caller: what of him is in them, before, during and after a payment.
//!
//! The caller hums whenever he presses no key, and talks for two seconds before the payment and two after it (scripts/lab, 74K).

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ivrpay_tests::call::Call;
use ivrpay_tests::lab::Lab;
use ivrpay_tests::recording::{Recording, named};
use ivrpay_tests::service::Service;

use crate::scenarios::{SUCCESS, VISA, keys};
use crate::short;

/// How the lab records (scripts/lab, 74K).
const WAYS: [(u8, &str); 5] = [
    (1, "MixMonitor, each side in a file of its own"),
    (2, "MixMonitor while bridged only"),
    (3, "MixMonitor, a dialplan without ivrpay-pay"),
    (4, "Queue, sent on by the operator"),
    (5, "the operator's key, sent on by him"),
];

/// Talk before and after, in the lab's dialplan.
const TALK: Duration = Duration::from_secs(2);
/// What may be missing of it, or too much: packets on their way, and the moments in which the dialplan goes on.
const MISSING_MAX: Duration = Duration::from_millis(150);
const MORE_MAX: Duration = Duration::from_millis(400);

/// How the caller keys: what Asterisk must understand on that trunk, and whether the tones are in the sound.
const HANDS: [&str; 2] = ["rfc4733", "inband"];

/// A call whose recording is found by its number.
fn recorded(
    lab: &Lab,
    extension: &str,
    script: &str,
    hand: &str,
) -> anyhow::Result<(Call, String)> {
    let number = format!("05{:08}", uuid::Uuid::new_v4().as_u128() % 100_000_000);
    let mut options = vec![
        "--hum", "--from", &number, "--linger", "20000", "--dtmf", hand,
    ];
    if hand == "inband" {
        options.extend(["--bind", lab.get("INBAND_IP")?]);
    }
    Ok((Call::new(extension, script).with(&options), number))
}

fn folder(lab: &Lab, way: u8) -> PathBuf {
    let spool = lab.folder.join("spool");
    if way == 5 {
        spool.join("monitor")
    } else {
        spool
    }
}

/// The caller can be heard for `before` at the beginning and for `after` at the end, and not between; no key is in it.
async fn judge(lab: &Lab, way: u8, number: &str) -> anyhow::Result<Recording> {
    let part = if way == 5 {
        number.to_owned()
    } else {
        format!("recorded-{number}.")
    };
    let path = named(&folder(lab, way), &part)?;
    let recording = Recording::complete(&path).await?;
    let keys = recording.keys();
    ensure!(keys == 0, "{keys} keys are in the recording");
    let hums = recording.hums();
    // What is recorded only while two talk leaves the payment out: before and after are one.
    let expected: &[Duration] = match way {
        2 => &[TALK],
        4 | 5 => &[TALK.saturating_add(TALK)],
        _ => &[TALK, TALK],
    };
    ensure!(
        hums.len() == expected.len(),
        "the caller is heard at {hums:?}"
    );
    for ((begin, end), expected) in hums.iter().zip(expected) {
        let heard = *end - *begin;
        ensure!(
            heard + MISSING_MAX >= *expected && heard <= *expected + MORE_MAX,
            "the caller is heard for {heard:?} instead of {expected:?}: {hums:?}"
        );
    }
    if way == 1 || way == 3 {
        caller_alone(lab, number).await?;
    }
    Ok(recording)
}

/// The caller's side in a file of its own (ways 1 and 3): his hum, and nothing else. Asterisk 16 leaves out the pauses there.
async fn caller_alone(lab: &Lab, number: &str) -> anyhow::Result<()> {
    let path = folder(lab, 1).join(format!("recorded-{number}-in.wav"));
    ensure!(
        Recording::complete(&path).await?.is_only_hum(),
        "something of the caller but his hum is in the recording of his side"
    );
    Ok(())
}

/// Every way of recording, keys as events and as tones.
pub(crate) async fn through_a_payment(lab: &Lab) -> anyhow::Result<()> {
    let _service = Service::start(lab, "recorded", true, short).await?;
    let mut calls = Vec::new();
    for (way, name) in WAYS {
        for hand in HANDS {
            calls.push(async move {
                let (call, number) = recorded(
                    lab,
                    &format!("74{way}1200"),
                    &keys(VISA, "1230", "123"),
                    hand,
                )?;
                let report = call.place(lab).await?;
                ensure!(
                    SUCCESS.contains(&report.result.as_str()),
                    "{name}, {hand}: the call ended with {}",
                    report.result
                );
                let recording = judge(lab, way, &number)
                    .await
                    .with_context(|| format!("{name}, {hand}"))?;
                // The time line is kept: what is recorded throughout is as long as the call.
                let lasted = Duration::from_millis(report.lasted_ms);
                ensure!(
                    ![1, 3].contains(&way)
                        || recording.length() + Duration::from_millis(700) >= lasted,
                    "{name}, {hand}: the recording of {:?} has lost time of a call of {lasted:?}",
                    recording.length()
                );
                Ok(())
            });
        }
    }
    for result in futures_util::future::join_all(calls).await {
        result?;
    }
    Ok(())
}

/// The same check does find keys where nobody mutes the caller, and what in-band detection leaves of them.
pub(crate) async fn control(lab: &Lab) -> anyhow::Result<()> {
    for (bound, least) in [("TRUNK_IP", 16), ("INBAND_IP", 1)] {
        let script = format!("sleep:500 {VISA} sleep:500 hangup");
        let (call, number) = recorded(lab, "749", &script, "inband")?;
        let call = Call { deaf: true, ..call }.with(&["--bind", lab.get(bound)?]);
        call.place(lab).await?;
        let path = named(&folder(lab, 1), &format!("recorded-{number}."))?;
        let found = Recording::complete(&path).await?.keys();
        ensure!(
            (least..=16).contains(&found),
            "{found} of 16 keys were found from {bound}"
        );
    }
    Ok(())
}

/// The daemon is killed while the caller keys: the next one gives him back, he is heard again, and no key is in the recording.
pub(crate) async fn daemon_killed(lab: &Lab) -> anyhow::Result<()> {
    let mut service = Service::start(lab, "recorded-killed", true, short).await?;
    let mut events = service.events().await?;
    let mut calls = Vec::new();
    for (way, name) in [WAYS[0], WAYS[2]] {
        let script = "wait:payment-amount 1 wait:payment-card-number 42424242 until-end";
        let (call, number) = recorded(lab, &format!("74{way}1200"), script, "inband")?;
        let call = call.with(&["--off", "250"]);
        calls.push(async move {
            call.place(lab).await?;
            judge(lab, way, &number).await.with_context(|| name)
        });
    }
    let kill = async {
        let mut keying = std::collections::BTreeSet::new();
        while keying.len() < 2 {
            let event = events.first(|e| e["event"] == "digits").await?;
            keying.insert(event["channel_id"].to_string());
        }
        service.kill_and_start().await
    };
    let (results, killed) = tokio::join!(futures_util::future::join_all(calls), kill);
    killed?;
    for result in results {
        result?;
    }
    Ok(())
}

/// No daemon: the caller is heard again at once.
pub(crate) async fn daemon_away(lab: &Lab) -> anyhow::Result<()> {
    let (call, number) = recorded(lab, "7411200", "until-end", "rfc4733")?;
    let report = Call { deaf: true, ..call }.place(lab).await?;
    let path = named(&folder(lab, 1), &format!("recorded-{number}-in"))?;
    let hums = Recording::complete(&path).await?.hums();
    let heard: Duration = hums.iter().map(|(begin, end)| *end - *begin).sum();
    ensure!(
        heard >= TALK + TALK,
        "the caller is heard at {hums:?} of {} ms",
        report.lasted_ms
    );
    Ok(())
}

/// `TIMEOUT(absolute)` takes the caller out of Stasis while he keys: he is heard again, and the rest of his keys is nowhere.
pub(crate) async fn time_over(lab: &Lab) -> anyhow::Result<()> {
    let service = Service::start(lab, "recorded-time-over", true, short).await?;
    let mut events = service.events().await?;
    let script = "wait:payment-amount 1 wait:payment-card-number 42424242 until-end";
    let (call, number) = recorded(lab, "7411200", script, "inband")?;
    let call = call.with(&["--off", "250"]);
    let over = async {
        let event = events.first(|e| e["event"] == "digits").await?;
        let channel = event["channel_id"].as_str().unwrap_or_default();
        lab.ari(
            "POST",
            &format!("/channels/{channel}/variable?variable=TIMEOUT(absolute)&value=1"),
        )
        .await
    };
    let (report, over) = tokio::join!(call.place(lab), over);
    over?;
    let result = report?.result;
    // The dialplan speaks when he is heard again: on his own side alone his hum is whole.
    let path = named(&folder(lab, 1), &format!("recorded-{number}-in"))?;
    let hums = Recording::complete(&path).await?.hums();
    let heard: Duration = hums.iter().map(|(begin, end)| *end - *begin).sum();
    ensure!(
        heard + MISSING_MAX >= TALK + TALK,
        "the caller is heard at {hums:?}, result {result}"
    );
    caller_alone(lab, &number).await?;
    let both = named(&folder(lab, 1), &format!("recorded-{number}."))?;
    let keys = Recording::complete(&both).await?.keys();
    ensure!(keys == 0, "{keys} keys are in the recording");
    Ok(())
}
