//! A connector whose cards are kept until their answer: what the journal has of a request that goes out twice, and that it hangs on no call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ivrpay_acquirer::{CardKept, EndpointConfig, generic::Generic};
use ivrpay_journal::OpenOptions;
use ivrpay_payment::State;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::fail_over::certificates;
use super::tests::{card, payment_of};
use super::*;

const APPROVAL: &str =
    "HTTP/1.1 200 OK\r\ncontent-length: 38\r\n\r\n{\"charge_id\":\"ch_1\",\"error_code\":null}";

/// Cuts the first request off, approves each behind it, and tells of all.
async fn acquirer(listener: TcpListener, tls: TlsAcceptor, tell: mpsc::UnboundedSender<usize>) {
    let seen = AtomicUsize::default();
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(mut stream) = tls.accept(stream).await else {
            continue;
        };
        let mut request = Vec::new();
        while !request.ends_with(b"}}") {
            if stream.read_buf(&mut request).await.is_ok_and(|n| n > 0) {
                continue;
            }
            break;
        }
        let nth = seen.fetch_add(1, Ordering::SeqCst);
        if nth > 0 {
            stream.write_all(APPROVAL.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap_or_default();
        }
        tell.send(nth).unwrap_or_default();
    }
}

/// What happens between the first request and the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    HangUp,
    Stop,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_goes_out_again_is_noted_and_hangs_on_no_call() {
    for meanwhile in [Meanwhile::Nothing, Meanwhile::HangUp, Meanwhile::Stop] {
        let folder = tempfile::tempdir().unwrap();
        let (ca, tls) = certificates();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, ca).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = EndpointConfig {
            ca_file: Some(ca_file),
            user: "shop".into(),
            password: Some("secret".into()),
            card_kept: CardKept::UntilAnswer,
            ..EndpointConfig::new(format!("https://{}/pay", listener.local_addr().unwrap()))
        };
        let (tell, mut seen) = mpsc::unbounded_channel();
        tokio::spawn(acquirer(listener, tls, tell));
        let route = Route {
            connector: Box::new(Generic::default()),
            sender: Sender::new(&endpoint).unwrap(),
            breaker: Breaker::new(Vec::new(), 0),
            declined_ms: AtomicU64::default(),
        };
        let path = folder.path().join("journal.db");
        let journal = Journal::open(path, OpenOptions::new("test")).await.unwrap();
        let routes = BTreeMap::from([("own".to_owned(), route)]);
        let tries = Tries::new(5, Instant::now()).unwrap();
        let settle = Arc::new(Settle::new(journal.clone(), routes, tries).unwrap());
        let call = CallId::new(uuid::Uuid::now_v7());
        let claim = journal
            .create_claimed(payment_of("own"), call)
            .await
            .unwrap();
        let payment = claim.payment().id;
        let card = card();
        let draft = Draft {
            amount: claim.payment().amount,
            card: card.pan.truncated(),
            stored: false,
            plan: ivrpay_payment::Plan::LumpSum,
            evidence: Vec::new(),
        };
        let intent = settle.write(payment, "own", draft).await.unwrap();
        let answer = settle.authorise(Ways::only("own"), intent, Some(card), None);
        assert_eq!(seen.recv().await, Some(0));
        let nothing = serde_json::Value::Null;
        match meanwhile {
            Meanwhile::Nothing => {}
            Meanwhile::HangUp => {
                let released = journal.release(&claim, "session-timeout", nothing).await;
                released.unwrap();
            }
            Meanwhile::Stop => settle.stop_resending(),
        }
        let outcome = answer.await.unwrap();
        settle.drain().await;

        let records = journal.records(payment).await.unwrap();
        let again = records.iter().filter(|r| r.kind == "progress");
        let again: Vec<_> = again.map(|r| r.body["progress"]["again"].clone()).collect();
        let operations = journal.operations(payment).await.unwrap();
        let found = journal.payment(payment).await.unwrap().unwrap();
        assert_eq!(operations.len(), 1, "{meanwhile:?}: it is one operation");
        if meanwhile == Meanwhile::Stop {
            assert_eq!(outcome, Outcome::Unknown(Doubt::NoReply));
            assert!(again.is_empty() && seen.try_recv().is_err());
            assert_eq!(found.state, State::Unknown);
        } else {
            assert!(matches!(outcome, Outcome::Approved(_)), "{outcome:?}");
            assert_eq!(again, [1], "{meanwhile:?}: noted before it went out");
            assert_eq!(seen.recv().await, Some(1));
            assert_eq!(found.state, State::Approved, "{meanwhile:?}");
        }
    }
}
