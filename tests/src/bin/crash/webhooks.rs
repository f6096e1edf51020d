//! The merchant's program is told of payments while the service is killed, and the receiver is away, slow, redirects, or says no although it has
//! taken the event. Then the receiver's own ledger is compared with the journal: nothing lost, nothing under another id, and in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use ivrpay_tests::service::set;
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Case, GOOD, Ground, Payment, case, secret, then};

/// Kills, whatever else happens.
const KILLS: u64 = 100;
/// Payments; more of them while there are kills to do.
const PAYMENTS: usize = 12;
/// Of a process, until it is killed: most places that it passes before.
const PLACES: u64 = 9;
const SECRET: [u8; 32] = [7; 32];

/// What the receiver does with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Takes,
    /// Takes it, and says no.
    Lies,
    SaysNo,
    Redirects,
    Hangs,
    Closes,
}

#[derive(Default)]
struct Ledger {
    /// By id: what it said, each time.
    heard: BTreeMap<String, Vec<Value>>,
    /// Ids in the order in which they were acknowledged for the first time.
    taken: Vec<String>,
    /// Requests that were not signed, or signed for another time.
    wrong: Vec<String>,
    /// Where a redirect led.
    led_on: u64,
    requests: u64,
}

/// Which it does: by the id and how often it came, so that a run is like the next.
fn does(id: &str, before: usize, number: u64) -> Does {
    let sum = id.bytes().fold(number, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    // One that came often is taken: the 72 hours are long, and this is no test of their end.
    match (before, sum % 10) {
        (12.., _) | (_, 0..4) => Does::Takes,
        (_, 4) => Does::Lies,
        (_, 5 | 6) => Does::SaysNo,
        (_, 7) => Does::Redirects,
        (0 | 1, 8) => Does::Hangs,
        _ => Does::Closes,
    }
}

async fn receives(listener: TcpListener, ledger: Arc<Mutex<Ledger>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move { answers(stream, &ledger).await });
    }
}

async fn answers(mut stream: TcpStream, ledger: &Mutex<Ledger>) -> anyhow::Result<()> {
    let (mut read, mut head) = (Vec::new(), None);
    let (head, length) = loop {
        // The service is killed in the middle of a request, too.
        ensure!(stream.read_buf(&mut read).await? > 0, "cut off");
        let end = read.windows(4).position(|four| four == b"\r\n\r\n");
        if head.is_none()
            && let Some(end) = end
        {
            head = Some((String::from_utf8_lossy(&read[..end]).into_owned(), end + 4));
        }
        if let Some((head, begin)) = &head {
            let length: usize = header(head, "content-length")
                .context("no length")?
                .parse()?;
            if read.len() >= begin + length {
                break (head.clone(), *begin);
            }
        }
    };
    let body = &read[length..];
    let id = header(&head, "webhook-id").unwrap_or_default().to_owned();
    let does = {
        let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.requests += 1;
        if !head.starts_with("POST /events ") {
            ledger.led_on += 1;
            return Ok(());
        }
        if let Err(error) = signed(&head, body) {
            ledger.wrong.push(format!("{error:#}"));
        }
        let number = ledger.requests;
        let heard = ledger.heard.entry(id.clone()).or_default();
        let does = does(&id, heard.len(), number);
        heard.push(serde_json::from_slice(body)?);
        if does == Does::Takes && !ledger.taken.contains(&id) {
            ledger.taken.push(id);
        }
        does
    };
    let answer = match does {
        Does::Takes => "HTTP/1.1 204 No Content\r\n\r\n",
        Does::Lies => "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        Does::SaysNo => "HTTP/1.1 503 No\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n",
        Does::Redirects => {
            "HTTP/1.1 307 There\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
        }
        Does::Hangs => {
            tokio::time::sleep(Duration::from_secs(2)).await;
            ""
        }
        Does::Closes => "",
    };
    stream.write_all(answer.as_bytes()).await?;
    Ok(())
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// As a receiver checks it by the text of Standard Webhooks.
fn signed(head: &str, body: &[u8]) -> anyhow::Result<()> {
    let of = |name| header(head, name).with_context(|| format!("no {name}"));
    let (id, at, signature) = (
        of("webhook-id")?,
        of("webhook-timestamp")?,
        of("webhook-signature")?,
    );
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let age = now.as_secs().abs_diff(at.parse()?);
    ensure!(age < 300, "signed {age} s ago");
    let mut mac = Hmac::<Sha256>::new_from_slice(&SECRET)?;
    mac.update(format!("{id}.{at}.").as_bytes());
    mac.update(body);
    let good = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    ensure!(
        signature.split(' ').any(|one| one == good),
        "wrong signature"
    );
    Ok(())
}

/// Payments, kills, and what both books say in the end; how many kills there were.
pub(crate) async fn run(ground: &Arc<Ground>) -> anyhow::Result<(u64, Vec<String>)> {
    let listener = TcpListener::bind("127.0.90.5:0").await?;
    let url = format!("http://{}/events", listener.local_addr()?);
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let receiver = tokio::spawn(receives(listener, Arc::clone(&ledger)));
    // One journal for all: these are its first payment's folder and configuration.
    let first = Payment::new(ground, &case("gmo", GOOD)).await?;
    let mut config: toml::Table = std::fs::read_to_string(&first.config)?.parse()?;
    let key = secret(
        &first.folder.join("webhook-secret"),
        &format!("whsec_{}\n", STANDARD.encode(SECRET)),
    )?;
    let tenant = config.get_mut("tenants").and_then(|t| t.get_mut(0));
    let tenant = tenant.and_then(|t| t.as_table_mut()).context("no tenant")?;
    set(tenant, "webhook.url", url);
    set(tenant, "webhook.secret_file", key);
    set(tenant, "webhook.networks", vec!["127.0.0.0/8"]);
    set(tenant, "webhook.timeout", "1s");
    std::fs::write(&first.config, toml::to_string(&config)?)?;

    let (mut kills, mut paid) = (0, 0);
    loop {
        if paid < PAYMENTS || kills < KILLS {
            // A payment of one event, and one that is given back, which are two.
            let kinds: [Case; 2] = [case("gmo", GOOD), then("gmo", false, "void")];
            first.another(&kinds[paid % 2])?.pay(None).await?;
            paid += 1;
        }
        let at = (kills < KILLS).then(|| 1 + kills * 5 % PLACES);
        let died = first.deliver(at).await?;
        if !died.ended {
            kills += 1;
        } else if at.is_none() {
            break;
        }
        ensure!(
            paid < 10 * PAYMENTS,
            "the kills do not come to their number"
        );
    }
    receiver.abort();
    let sent = super::audit::events(&first.journal).await?;
    let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
    Ok((kills, compare(&ledger, &sent, paid)))
}

/// `sent`: id, payment, sequence, kind, and whether it was delivered, as the journal has it.
fn compare(ledger: &Ledger, sent: &[[String; 5]], paid: usize) -> Vec<String> {
    let mut wrong = ledger.wrong.clone();
    if ledger.led_on > 0 {
        wrong.push(format!("{} requests followed a redirect", ledger.led_on));
    }
    if sent.len() < paid {
        wrong.push(format!("{} events of {paid} payments", sent.len()));
    }
    let taken: BTreeSet<_> = ledger.taken.iter().collect();
    for [id, payment, sequence, kind, delivered] in sent {
        if !taken.contains(id) || delivered != "yes" {
            wrong.push(format!(
                "{kind} of {payment} is lost, delivered: {delivered}"
            ));
        }
        for said in ledger.heard.get(id).into_iter().flatten() {
            let data = &said["data"];
            if said["type"] != kind.as_str()
                || data["payment_id"] != payment.as_str()
                || data["sequence"].as_i64() != sequence.parse().ok()
            {
                wrong.push(format!("under the id of {kind} of {payment} came {said}"));
            }
        }
    }
    let known: BTreeSet<_> = sent.iter().map(|[id, ..]| id).collect();
    wrong.extend(
        ledger
            .heard
            .keys()
            .filter(|id| !known.contains(id))
            .map(|id| format!("event {id} stands in no journal")),
    );
    // Of a payment, the first acknowledgements came in the order of its events.
    let place = |id: &String| ledger.taken.iter().position(|taken| taken == id);
    for two in sent.windows(2) {
        let [[one, payment, ..], [other, next, ..]] = two else {
            continue;
        };
        if payment == next && place(one) > place(other) {
            wrong.push(format!("the events of {payment} came in another order"));
        }
    }
    wrong
}
