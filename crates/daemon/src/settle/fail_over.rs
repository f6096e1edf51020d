//! Whatever becomes of the connectors that may be asked: none is asked behind one that has had a byte of a request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use ivrpay_acquirer::{EndpointConfig, generic::Generic};
use ivrpay_journal::OpenOptions;
use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::tests::{card, payment_of};
use super::*;

/// What a connector's acquirer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// Nothing listens.
    Closed,
    /// The handshake breaks.
    NoTls,
    /// Closes when it has the first bytes.
    Cut,
    Silent,
    Busy,
    Declines,
    Approves,
}

impl Fate {
    const ALL: [Self; 7] = [
        Self::Closed,
        Self::NoTls,
        Self::Cut,
        Self::Silent,
        Self::Busy,
        Self::Declines,
        Self::Approves,
    ];

    const fn is_reached(self) -> bool {
        !matches!(self, Self::Closed | Self::NoTls)
    }

    const fn body(self) -> &'static str {
        match self {
            Self::Declines => r#"{"charge_id":null,"error_code":"insufficient_funds"}"#,
            Self::Approves => r#"{"charge_id":"ch_1","error_code":null}"#,
            _ => r#"{"charge_id":null,"error_code":null}"#,
        }
    }

    fn is(self, outcome: &Outcome) -> bool {
        match self {
            Self::Closed | Self::NoTls => *outcome == Outcome::NotCharged(Why::NotSent),
            Self::Cut | Self::Silent | Self::Busy => matches!(outcome, Outcome::Unknown(_)),
            Self::Declines => matches!(outcome, Outcome::Declined(_)),
            Self::Approves => matches!(outcome, Outcome::Approved(_)),
        }
    }
}

/// Four connectors of each fate.
const PLACES: usize = 4;

struct World {
    settle: Settle,
    /// Which have had bytes of a request since they were last looked at.
    asked: Arc<Mutex<Vec<String>>>,
    _folder: tempfile::TempDir,
}

fn name(fate: Fate, place: usize) -> String {
    format!("{fate:?}-{place}")
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (ca, acceptor) = certificates();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, ca).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut routes = BTreeMap::new();
        for (fate, place) in all() {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let name = name(fate, place);
            if fate != Fate::Closed {
                let (acceptor, asked, name) = (acceptor.clone(), Arc::clone(&asked), name.clone());
                tokio::spawn(acquirer(listener, fate, acceptor, asked, name));
            }
            let endpoint = EndpointConfig {
                ca_file: Some(ca_file.clone()),
                user: "shop".into(),
                password: Some("secret".into()),
                connect_timeout: Duration::from_secs(5),
                reply_timeout: Duration::from_millis(100),
                ..EndpointConfig::new(format!("https://{address}/pay"))
            };
            let route = Route {
                connector: Box::new(Generic::default()),
                sender: Sender::new(&endpoint).unwrap(),
                breaker: Breaker::new(Vec::new(), 0),
                declined_ms: AtomicU64::default(),
            };
            routes.insert(name, route);
        }
        let path = folder.path().join("journal.db");
        let journal = Journal::open(path, OpenOptions::new("test")).await.unwrap();
        Self {
            settle: Settle::new(journal, routes, Tries::new(5, Instant::now()).unwrap()).unwrap(),
            asked,
            _folder: folder,
        }
    }

    async fn charge(&self, fates: &[Fate]) {
        let names: Vec<String> = fates
            .iter()
            .enumerate()
            .map(|(place, fate)| name(*fate, place))
            .collect();
        let reached = fates.iter().position(|fate| fate.is_reached());
        let last = reached.unwrap_or(fates.len() - 1);
        let journal = &self.settle.journal;
        let call = CallId::new(uuid::Uuid::now_v7());
        let claim = journal
            .create_claimed(payment_of(&names[0]), call)
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
        let intent = self.settle.write(payment, &names[0], draft).await.unwrap();
        let ways = Ways::of(names.clone());
        let answer = self
            .settle
            .authorise(ways, intent.clone(), Some(card), None);
        let outcome = answer.await.unwrap();

        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        let expected: Vec<String> = reached.map(|at| names[at].clone()).into_iter().collect();
        assert_eq!(asked, expected, "{fates:?}: one acquirer at most sees it");
        assert!(fates[last].is(&outcome), "{fates:?}: {outcome:?}");
        let operations = journal.operations(payment).await.unwrap();
        assert_eq!(operations.len(), 1);
        assert_eq!(operations[0].connector, names[last], "{fates:?}");
        assert_eq!(operations[0].outcome.as_ref(), Some(&outcome));
        let records = journal.records(payment).await.unwrap();
        let moved = records.iter().filter(|r| r.kind == "failed-over");
        let moved: Vec<_> = moved.map(|r| r.body["connector"].clone()).collect();
        assert_eq!(moved, names[1..=last], "{fates:?}: each is written");
        let nothing = serde_json::Value::Null;
        journal.release(&claim, "success", nothing).await.unwrap();
    }
}

fn all() -> impl Iterator<Item = (Fate, usize)> {
    Fate::ALL
        .into_iter()
        .flat_map(|fate| (0..PLACES).map(move |place| (fate, place)))
}

pub(super) fn certificates() -> (String, TlsAcceptor) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca_params = CertificateParams::new(Vec::new()).unwrap();
    ca_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = ca_params.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let issuer = Issuer::new(ca_params, ca_key);
    let leaf = params.signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    (ca.pem(), TlsAcceptor::from(Arc::new(config)))
}

async fn acquirer(
    listener: TcpListener,
    fate: Fate,
    acceptor: TlsAcceptor,
    asked: Arc<Mutex<Vec<String>>>,
    name: String,
) {
    while let Ok((stream, _)) = listener.accept().await {
        if fate == Fate::NoTls {
            continue;
        }
        let Ok(mut stream) = acceptor.accept(stream).await else {
            continue;
        };
        let mut first = [0; 1];
        if stream.read_exact(&mut first).await.is_err() {
            continue;
        }
        asked.lock().unwrap().push(name.clone());
        let mut rest = vec![0; 8192];
        match fate {
            Fate::Cut => continue,
            Fate::Silent => {
                // Until the other side has had enough.
                while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
                continue;
            }
            _ => {}
        }
        let mut head = Vec::from(first);
        while !head.ends_with(b"}") {
            match stream.read(&mut rest).await {
                Ok(read) if read > 0 => head.extend_from_slice(&rest[..read]),
                _ => break,
            }
        }
        let (status, body) = match fate {
            Fate::Busy => ("503 Busy", ""),
            _ => ("200 OK", fate.body()),
        };
        let length = body.len();
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
        drop(stream.write_all(text.as_bytes()).await);
        drop(stream.shutdown().await);
    }
}

#[test]
fn no_second_acquirer_sees_what_a_first_one_has_seen() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(World::new());
    // Each fate behind one that is not reached, and before one that would take it.
    for fate in Fate::ALL {
        runtime.block_on(world.charge(&[Fate::Closed, fate, Fate::Approves]));
        runtime.block_on(world.charge(&[fate]));
    }
    let fates = prop::collection::vec(prop::sample::select(Fate::ALL.to_vec()), 1..=PLACES);
    let config = ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let seen = Mutex::new(BTreeSet::new());
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let ran = runner.run(&fates, |fates| {
        seen.lock().unwrap().extend(fates.iter().copied());
        runtime.block_on(world.charge(&fates));
        Ok(())
    });
    ran.unwrap();
    assert_eq!(seen.lock().unwrap().len(), Fate::ALL.len());
}
