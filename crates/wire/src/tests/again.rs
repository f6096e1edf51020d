//! The same request once more, under the same key: how often, until when, and what its answer says.

use ivrpay_acquirer::CardKept;

use super::*;
use crate::again::Keeping;

const APPROVAL: &[u8] = br#"{"charge_id":"ch_1","error_code":null}"#;
const REFUSAL: &[u8] = br#"{"charge_id":null,"error_code":"insufficient_funds"}"#;

/// Which progress was written.
#[derive(Default)]
struct Notes {
    written: Vec<(u8, u8)>,
    full: bool,
}

impl Checkpoint for Notes {
    fn write<'a>(
        &'a mut self,
        _op: &'a Durable<Intent>,
        progress: &'a Progress,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), NotWritten>> + Send + 'a>> {
        self.written.push((progress.stage, progress.again));
        let written = if self.full { Err(NotWritten) } else { Ok(()) };
        Box::pin(std::future::ready(written))
    }
}

/// When the last body of an operation was wiped, and how many were.
type Told = Arc<Mutex<Vec<Instant>>>;

fn sender(server: &Server, kept: CardKept, most: Duration) -> Sender {
    waiting(server.config().reply_timeout, server, kept, most)
}

/// With another time for the answer.
fn waiting(reply: Duration, server: &Server, kept: CardKept, most: Duration) -> Sender {
    let config = EndpointConfig {
        card_kept: kept,
        reply_timeout: reply,
        ..server.config()
    };
    let mut sender = Sender::new(&config).unwrap();
    let pauses = [Duration::from_millis(10), Duration::from_millis(20)];
    sender.keeping = Keeping { most, pauses };
    sender
}

/// A charge of the generic contract, of which the merchant has said that his endpoint knows it again.
async fn charged(sender: &Sender, notes: &mut Notes) -> (Ran, Told) {
    let told: &'static Told = Box::leak(Box::default());
    let ran = run_from(
        &Generic::default(),
        sender,
        &intent(),
        Some(card()),
        Progress::default(),
        notes,
        |_| told.lock().unwrap().push(Instant::now()),
    )
    .await;
    (ran, Arc::clone(told))
}

fn cut() -> Answer {
    Answer::Cut(b"HTTP/1.1 2".to_vec())
}

fn silent() -> Answer {
    Answer::When(Arc::new(Notify::new()))
}

fn says(status: u16, body: &[u8]) -> Answer {
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Answer::Bytes([head.as_bytes(), body].concat())
}

#[derive(Debug, PartialEq, Eq)]
enum Came {
    Approved,
    Declined,
    NotCharged,
    Unknown(Doubt),
}

fn came(outcome: &Outcome) -> Came {
    match outcome {
        Outcome::Approved(_) => Came::Approved,
        Outcome::Declined(_) => Came::Declined,
        Outcome::NotCharged(_) => Came::NotCharged,
        Outcome::Unknown(doubt) => Came::Unknown(*doubt),
    }
}

#[tokio::test]
async fn what_had_no_answer_goes_out_again_three_times_in_all() {
    use Came::{Approved, Declined, NotCharged, Unknown};
    let yes = || says(200, APPROVAL);
    let double = br#"{"charge_id":null,"error_code":"seen-before"}"#;
    let many = br#"{"charge_id":null,"error_code":"rate_limit"}"#;
    for (name, answers, expected, requests, again) in [
        ("answered", vec![yes()], Approved, 1, 0),
        ("cut", vec![cut(), yes()], Approved, 2, 1),
        ("reset", vec![Answer::ResetUnread, yes()], Approved, 2, 1),
        ("late", vec![silent(), says(200, REFUSAL)], Declined, 2, 1),
        ("cut twice", vec![cut(), cut(), yes()], Approved, 3, 2),
        (
            "cut three times",
            vec![cut(), cut(), cut(), yes()],
            Unknown(Doubt::NoReply),
            3,
            2,
        ),
        (
            "then not reached",
            vec![cut(), Answer::NoTls, yes()],
            Approved,
            2,
            2,
        ),
        (
            "then never reached",
            vec![cut(), Answer::NoTls],
            Unknown(Doubt::NoReply),
            1,
            2,
        ),
        // What the second is told may be about the second alone.
        (
            "then too many",
            vec![cut(), says(429, many), yes()],
            Unknown(Doubt::NoReply),
            2,
            1,
        ),
        (
            "then a double",
            vec![cut(), says(200, double), yes()],
            Unknown(Doubt::NoReply),
            2,
            1,
        ),
        (
            "then a conflict",
            vec![cut(), says(409, double), yes()],
            Unknown(Doubt::Status { status: 409 }),
            2,
            1,
        ),
        // These are answers, and the contract does not say that they may be followed by another try.
        ("too many", vec![says(429, many), yes()], NotCharged, 1, 0),
        (
            "fault",
            vec![says(500, b""), yes()],
            Unknown(Doubt::Status { status: 500 }),
            1,
            0,
        ),
        // Not one byte has gone out: that is another acquirer's turn.
        ("not reached", vec![Answer::NoTls, yes()], NotCharged, 0, 0),
    ] {
        let server = Server::start(GOOD, Answer::InTurn(answers)).await;
        let sender = sender(&server, CardKept::UntilAnswer, Duration::from_secs(30));
        let mut notes = Notes::default();
        let (ran, told) = charged(&sender, &mut notes).await;
        assert_eq!(came(&ran.outcome), expected, "{name}");
        assert_eq!(
            server.requests.load(Ordering::SeqCst),
            requests,
            "{name}: requests"
        );
        let written: Vec<_> = (1..=again).map(|nth| (1, nth)).collect();
        assert_eq!(notes.written, written, "{name}: each is noted before");
        assert_eq!(ran.unsent.is_some(), requests == 0, "{name}");
        assert_eq!(
            told.lock().unwrap().len(),
            1,
            "{name}: wiped, and told once"
        );
        // To the last byte, the key among them.
        let bodies = server.bodies.lock().unwrap();
        assert!(bodies.windows(2).all(|two| two[0] == two[1]), "{name}");
    }
}

#[tokio::test]
async fn nothing_goes_out_again_unasked_or_unnoted() {
    for (kept, full, noted) in [
        (CardKept::UntilSent, false, 0),
        (CardKept::UntilAnswer, true, 1),
    ] {
        for first in [cut(), Answer::ResetUnread, silent()] {
            let answers = vec![first, says(200, APPROVAL)];
            let server = Server::start(GOOD, Answer::InTurn(answers)).await;
            let sender = sender(&server, kept, Duration::from_secs(30));
            let mut notes = Notes {
                full,
                ..Notes::default()
            };
            let (ran, told) = charged(&sender, &mut notes).await;
            assert_eq!(ran.outcome, Outcome::Unknown(Doubt::NoReply));
            assert_eq!(notes.written.len(), noted);
            assert_eq!(told.lock().unwrap().len(), 1);
            server.saw(1, 1);
        }
    }
}

/// A minute in which three may go out, each pause longer than the one before; the tests have shorter ones.
#[test]
fn the_limits_are_those_that_are_told() {
    let Keeping { most, pauses } = Keeping::default();
    assert_eq!((most, pauses.len() + 1), (Duration::from_secs(60), 3));
    assert!(pauses.is_sorted_by(|a, b| a < b));
}

/// What an answer is waited for where times are compared: long beside what a busy machine takes.
const REPLY: Duration = Duration::from_secs(2);

#[tokio::test]
async fn the_card_is_gone_when_its_time_is_over() {
    // The time, and how many requests it leaves room for.
    for (most, requests) in [(500, 1), (3_000, 2)] {
        let most = Duration::from_millis(most);
        let server = Server::start(GOOD, silent()).await;
        let sender = waiting(REPLY, &server, CardKept::UntilAnswer, most);
        let (begun, mut notes) = (Instant::now(), Notes::default());
        let (ran, told) = charged(&sender, &mut notes).await;
        let took = begun.elapsed();
        assert_eq!(ran.outcome, Outcome::Unknown(Doubt::NoReply));
        server.saw(requests, requests);
        assert_eq!(notes.written.len(), requests - 1);
        // The first answer is waited for whatever the card's time; one of a further request not beyond it.
        let ends = most.max(REPLY);
        assert!(took >= ends && took < ends + REPLY, "{took:?}");
        let told = told.lock().unwrap();
        let wiped = told[0] - begun;
        assert_eq!(told.len(), 1);
        assert!(wiped >= most && wiped < most + REPLY / 2, "{wiped:?}");
    }
}

/// A peer that takes the connection and not the request: the card does not wait for it.
#[tokio::test]
async fn a_card_that_is_not_taken_goes_no_further() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::start(GOOD, silent()).await;
    let config = EndpointConfig {
        url: format!("https://{address}/pay"),
        card_kept: CardKept::UntilAnswer,
        ..server.config()
    };
    let mut sender = Sender::new(&config).unwrap();
    sender.keeping.most = Duration::from_millis(200);
    let (begun, mut notes) = (Instant::now(), Notes::default());
    let (ran, told) = charged(&sender, &mut notes).await;
    drop(listener);
    assert!(begun.elapsed() < config.connect_timeout / 2);
    assert_eq!(ran.outcome, Outcome::Unknown(Doubt::NoReply));
    assert!(ran.unsent.is_none() && notes.written.is_empty());
    assert_eq!(told.lock().unwrap().len(), 1);
}

/// The service stops: what is out is waited for, nothing follows, and the card goes at once.
#[tokio::test]
async fn a_stop_wipes_and_sends_nothing_more() {
    for (answers, requests) in [
        // While the first answer is waited for; and in the pause behind it.
        (vec![silent()], 1),
        (vec![cut(), says(200, APPROVAL)], 1),
    ] {
        let mut server = Server::start(GOOD, Answer::InTurn(answers)).await;
        let most = Duration::from_secs(30);
        let mut sender = waiting(REPLY, &server, CardKept::UntilAnswer, most);
        sender.keeping.pauses = [Duration::from_secs(20); 2];
        let begun = Instant::now();
        let mut notes = Notes::default();
        let stop = async {
            server.heads.recv().await.unwrap();
            sender.stop();
            Instant::now()
        };
        let ((ran, told), stopped) = tokio::join!(charged(&sender, &mut notes), stop);
        assert_eq!(ran.outcome, Outcome::Unknown(Doubt::NoReply));
        assert!(begun.elapsed() < 2 * REPLY, "no longer than without");
        let wiped = told.lock().unwrap()[0];
        assert!(wiped < stopped + REPLY / 2, "wiped at once");
        assert!(notes.written.is_empty());
        assert_eq!(server.requests.load(Ordering::SeqCst), requests);
        // And none begins to keep one.
        let (ran, told) = charged(&sender, &mut notes).await;
        assert_eq!(told.lock().unwrap().len(), 1);
        drop(ran);
    }
}
