//! Thousands of charges at an acquirer that resets, cuts, closes, hurries and keeps connections that it then drops: how often each card went out.

use std::collections::BTreeMap;

use ivrpay_acquirer::CardKept;

use super::*;
use crate::again::Keeping;

/// Charges in `make test`; `make prove-crash` sets ten thousand.
const COUNT: usize = 240;
/// Charges at once.
const AT_ONCE: usize = 8;

const APPROVAL: &[u8] = br#"{"charge_id":"ch_1","error_code":null}"#;

fn count() -> usize {
    let set = std::env::var("IVRPAY_PROVE_CHARGES").ok();
    set.map_or(COUNT, |n| {
        n.parse().expect("IVRPAY_PROVE_CHARGES: a number")
    })
}

/// What the connection of this number does: each in turn, and in another order each time round.
fn fault(connection: usize) -> Answer {
    let says = |status: &str, more: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 {status} X\r\n{more}content-length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let yes = || says("200", "", APPROVAL);
    let faults = [
        // Kept open for a next request that may not come.
        Answer::Bytes(yes()),
        Answer::Bytes(says(
            "200",
            "connection: keep-alive\r\nkeep-alive: timeout=60\r\n",
            APPROVAL,
        )),
        // As a front that thinks that the client may use it again, and drops it.
        Answer::ThenReset(yes()),
        Answer::Cut(yes()),
        // What some clients take for leave to send again.
        Answer::ThenReset(Vec::new()),
        Answer::Cut(Vec::new()),
        Answer::ResetUnread,
        Answer::Cut(b"HTTP/1.1 2".to_vec()),
        Answer::Cut(says("408", "connection: close\r\n", b"")),
        Answer::Bytes(says("421", "", b"")),
        Answer::Bytes(says("425", "", b"")),
        Answer::Bytes(says("503", "retry-after: 0\r\n", b"")),
        Answer::Bytes(says("307", "location: /pay\r\n", b"")),
        Answer::Cut([b"HTTP/1.1 100 Continue\r\n\r\n".as_slice(), &yes()].concat()),
        Answer::ThenReset(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
        // Not reached: nothing goes out.
        Answer::NoTls,
    ];
    let round = connection / faults.len();
    faults[(connection * 7 + round * 3) % faults.len()].clone()
}

fn key(n: usize) -> IdempotencyKey {
    format!("0193a1b2-0000-7000-8000-{n:012}").parse().unwrap()
}

fn intent_of(n: usize) -> Durable<Intent> {
    let mut intent = intent().get().clone();
    intent.idempotency_key = key(n);
    Durable::attest(intent)
}

/// Whole requests by their key.
fn by_key(server: &Server) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut all: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for request in server.bodies.lock().unwrap().iter() {
        let text = String::from_utf8_lossy(request);
        let at = text.find("0193a1b2-0000-7000-8000-").expect("its key");
        let key = text.get(at..at + 36).unwrap().to_owned();
        all.entry(key).or_default().push(request.clone());
    }
    all
}

async fn all(sender: Arc<Sender>) -> Vec<Outcome> {
    let mut tasks = Vec::new();
    for from in 0..AT_ONCE {
        let sender = Arc::clone(&sender);
        tasks.push(tokio::spawn(async move {
            let mut came = Vec::new();
            for n in (from..count()).step_by(AT_ONCE) {
                let (begin, mut kept) = (Progress::default(), Kept::default());
                let (op, connector) = (intent_of(n), Generic::default());
                let ran = run_from(
                    &connector,
                    &sender,
                    &op,
                    Some(card()),
                    begin,
                    &mut kept,
                    |_| {},
                );
                came.push((n, ran.await.outcome));
            }
            came
        }));
    }
    let mut came = Vec::new();
    for task in tasks {
        came.extend(task.await.unwrap());
    }
    came.sort_by_key(|(n, _)| *n);
    came.into_iter().map(|(_, outcome)| outcome).collect()
}

#[tokio::test]
async fn a_card_goes_out_once_whatever_the_connections_do() {
    let server = Server::start(GOOD, Answer::By(fault)).await;
    let sender = Arc::new(Sender::new(&server.config()).unwrap());
    let came = all(sender).await;
    let requests = by_key(&server);
    assert!(requests.values().all(|sent| sent.len() == 1));
    // A connection each, so none of them is a second try, or a next one on an old connection, that nobody has counted.
    let connections = server.connections.load(Ordering::SeqCst);
    assert_eq!(connections, count());
    let unreached = (0..connections).filter(|n| matches!(fault(*n), Answer::NoTls));
    let unreached = unreached.count();
    assert_eq!(
        server.requests.load(Ordering::SeqCst),
        connections - unreached
    );
    let (mut not_sent, mut approved) = (0, 0);
    for (n, outcome) in came.iter().enumerate() {
        let reached = requests.contains_key(&key(n).to_string());
        match outcome {
            Outcome::NotCharged(Why::NotSent) => {
                not_sent += 1;
                assert!(!reached, "{n}");
            }
            Outcome::Approved(_) => {
                approved += 1;
                assert!(reached, "{n}");
            }
            Outcome::Unknown(_) => {}
            other => panic!("{n}: {other:?}"),
        }
    }
    assert_eq!(not_sent, unreached);
    assert!(approved * 8 > count(), "{approved}");
    println!(
        "{} charges, {} requests with a card, 1 at most of each",
        count(),
        server.requests.load(Ordering::SeqCst)
    );
}

/// The same where the acquirer knows a key again: it books one, whatever goes out.
#[tokio::test]
async fn what_goes_out_again_is_the_same_to_the_last_byte() {
    let server = Server::start(GOOD, Answer::By(fault)).await;
    let config = EndpointConfig {
        card_kept: CardKept::UntilAnswer,
        ..server.config()
    };
    let mut sender = Sender::new(&config).unwrap();
    let pauses = [Duration::from_millis(1), Duration::from_millis(2)];
    let most = Duration::from_secs(30);
    sender.keeping = Keeping { most, pauses };
    let came = all(Arc::new(sender)).await;
    let requests = by_key(&server);
    for (key, sent) in &requests {
        assert!(sent.len() <= 3, "{key}: {}", sent.len());
        assert!(sent.windows(2).all(|two| two[0] == two[1]), "{key}");
    }
    assert!(requests.len() <= count());
    assert!(requests.values().any(|sent| sent.len() == 3));
    let connections = server.connections.load(Ordering::SeqCst);
    assert!(connections <= 3 * count(), "{connections}");
    for (n, outcome) in came.iter().enumerate() {
        if matches!(outcome, Outcome::Approved(_)) {
            assert!(requests.contains_key(&key(n).to_string()), "{n}");
        }
    }
}
