//! `ivrpay audit --canary`: a call of our own with a published test card through the payment extension, and then the search for that card
//! in every place that can be reached.
//!
//! Starts with a named person, ends with a [`Report`]; the call is hung up on every way out. No key is pressed before the service has said
//! that the payment of this very call goes to the connector `training`, which sends nothing to anybody, and who started it: both stand in the
//! journal by then. Uses what the service gives out (its Unix socket), ARI, AMI, and files; knows nothing of the service's insides.
//!
//! What the canary itself leaves is told apart, and never hidden: it keys on one half of a Local channel, where a caller keys on a trunk.
//! Each key is a request of ARI, one digit in its body; the number stands in no request.

mod call;
mod files;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ivrpay_ari::{ChannelId, Client, HangupReason, RequestError, Trouble};
use ivrpay_audit::canary::{Found, Search};
use ivrpay_journal::Location;
use ivrpay_payment::{OperatorId, PaymentId};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::guard::Danger;
use call::Call;
use files::{Before, Memory};

/// Ids of the two halves of the call; the first is the name of the application as well. Asterisk has each once: so there is one canary at a
/// time.
const KEYS: &str = "ivrpay-canary-keys";
const CALLER: &str = "ivrpay-canary-caller";

/// Longest time from the call being placed to its payment.
const START_MAX: Duration = Duration::from_secs(15);
/// Longest time without a word of the service; the longest prompt takes half of it.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Longest call.
const CALL_MAX: Duration = Duration::from_secs(240);
/// Longest wait for the searches in the middle of the call: the caller may be as long without a key.
const DURING_MAX: Duration = Duration::from_secs(4);
/// Longest wait for the call's channels to be gone behind its end.
const GONE_MAX: Duration = Duration::from_secs(10);
/// Asterisk writes CDR, CEL and logs from threads of its own, which tell nobody when they have.
const SETTLE: Duration = Duration::from_secs(1);
/// Most that is kept of one stream of events, bytes.
const EVENTS_BYTES_MAX: usize = 16 << 20;
/// PJSIP endpoints whose context is asked for.
const ENDPOINTS_MAX: usize = 2_000;

/// An extension that leads into a payment: `EXTENSION@CONTEXT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    extension: String,
    context: String,
}

impl FromStr for Extension {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // What `Local/EXTENSION@CONTEXT/n` takes, without what it takes apart. 79: AST_MAX_EXTENSION and AST_MAX_CONTEXT, less the end.
        let good = |part: &str| {
            (1..=79).contains(&part.len())
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.*#+".contains(&b))
        };
        match text.split_once('@') {
            Some((extension, context)) if good(extension) && good(context) => Ok(Self {
                extension: extension.to_owned(),
                context: context.to_owned(),
            }),
            _ => Err("EXTENSION@CONTEXT of the dialplan, as s@ivrpay-canary".to_owned()),
        }
    }
}

/// What a canary is asked for.
pub struct Request {
    /// Who starts it: stands in the journal, as the operator of its payment.
    pub person: OperatorId,
    /// Where the call goes.
    pub extension: Extension,
}

/// Why there is no report. No key was pressed but where it says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service does not answer.
    #[error("the service does not answer at {}", .0.display())]
    NoService(PathBuf),
    /// It answers otherwise than ours does.
    #[error("the service at {} answered something that can't be read", .0.display())]
    OtherService(PathBuf),
    /// The configuration of ARI can't be used.
    #[error(transparent)]
    Configuration(#[from] ivrpay_ari::ConfigError),
    /// A request to Asterisk failed.
    #[error("{0} was refused or not answered by Asterisk: {1}")]
    Asterisk(&'static str, RequestError),
    /// The socket of our application.
    #[error("Asterisk gives the canary no events: {0}")]
    Socket(Trouble),
    /// Another one is under way.
    #[error("another canary is on, since its channel or its application is there")]
    Busy,
    /// A telephone or a trunk can call the extension.
    #[error(
        "endpoint {endpoint} can reach the context {context}, so that its callers would practise too"
    )]
    Reachable {
        /// PJSIP endpoint.
        endpoint: String,
        /// Context of the canary.
        context: String,
    },
    /// The extension did not come to the service.
    #[error("the extension brought no call to the service within {} s", START_MAX.as_secs())]
    NotTaken,
    /// The service took the call and made no payment.
    #[error("the service made no payment for the call")]
    NoPayment,
    /// The payment would have gone to an acquirer.
    #[error(
        "the payment of the call is not practice: its connector is not training; no key was pressed"
    )]
    NotTraining,
    /// The payment does not say who started it.
    #[error("the payment of the call does not name the person who started it; no key was pressed")]
    NotNamed,
    /// The tenant takes no brand of which there is a test card.
    #[error("the tenant of the extension takes no card of which a test number is published")]
    NoCard,
    /// The dialogue did not take the keys.
    #[error("the keys of the step {0} were not taken; the call was hung up")]
    NotKeyed(String),
    /// Something took too long.
    #[error("nothing came from the service for {} s; the call was hung up", SILENCE_MAX.as_secs())]
    Silent,
    /// The whole call took too long.
    #[error("the call was not over within {} s; it was hung up", CALL_MAX.as_secs())]
    TooLong,
    /// The stream of the service's events ended, or left events out.
    #[error("the service's events ended; the call was hung up")]
    EventsEnded,
    /// Somebody stopped it.
    #[error("stopped; the call is hung up")]
    Stopped,
}

impl Error {
    /// What an admin should do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoService(_) => {
                "start `ivrpay serve`, and run the canary as root or as the user of the service"
            }
            Self::OtherService(_) => "run the same version of ivrpay as the service",
            Self::Configuration(e) => e.hint(),
            Self::Asterisk(_, e) => e.hint().unwrap_or(
                "see that the ARI user may write, that res_ari_applications.so and chan_local are there, and that the extension exists",
            ),
            Self::Socket(trouble) => trouble.hint(),
            Self::Busy => {
                "wait until it is over; after a canary that was killed, hang up the channels that `core show channels` lists as Local/…@ivrpay-canary"
            }
            Self::Reachable { .. } => {
                "use a context that no endpoint has and no other context includes, as ivrpay-canary of dialplan/ivrpay-samples.conf"
            }
            Self::NotTaken => {
                "include dialplan/ivrpay-samples.conf, or write an extension as its ivrpay-canary, `dialplan reload`, and see that `ivrpay check` finds the service connected"
            }
            Self::NoPayment => {
                "see the service's log for the argument that it refused; the tenant of the extension must be one of the configuration"
            }
            Self::NotTraining => {
                "the extension must call ivrpay-pay with the mode training, as ivrpay-canary of dialplan/ivrpay-samples.conf does"
            }
            Self::NotNamed => {
                "the extension must give ${IVRPAY_CANARY_BY} as OPERATOR to ivrpay-pay, as ivrpay-canary of dialplan/ivrpay-samples.conf does"
            }
            Self::NoCard => "let the extension name a tenant that takes Visa, Mastercard, JCB, Amex, Discover or Diners Club",
            Self::NotKeyed(_) | Self::Silent | Self::TooLong | Self::EventsEnded => {
                "see the service's log; where the machine was too busy, run it again"
            }
            Self::Stopped => "run it again when it suits; nothing was searched",
        }
    }
}

/// One place that was or was not looked at.
#[derive(Debug)]
pub struct Place {
    /// For people.
    pub name: String,
    /// What was found, or why nobody looked.
    pub look: Look,
}

/// What came of looking.
#[derive(Debug)]
pub enum Look {
    /// Searched.
    Searched {
        /// Bytes that were read.
        bytes: u64,
        /// Times by form; empty where the card is not there.
        forms: BTreeMap<&'static str, u64>,
        /// Keys told of the canary's own half, which no caller leaves.
        own: u64,
        /// What else is to be said.
        note: Option<String>,
    },
    /// Not looked at, because.
    Not(String),
}

/// How the call went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The card was keyed; result of the call (`success`).
    Keyed(String),
    /// The service would not ask for a card.
    Refused(Danger),
}

/// What a canary found.
#[derive(Debug)]
pub struct Report {
    /// Its payment: in the journal, with the person and the time.
    pub payment: PaymentId,
    /// How the call went.
    pub ended: Ended,
    /// Every place; empty where no key was pressed.
    pub places: Vec<Place>,
    /// Recordings that were written meanwhile, to be listened to; or why there is nowhere to look.
    pub recordings: Result<Vec<PathBuf>, String>,
}

/// What is going on, for people who wait.
pub type Tell<'a> = &'a mut (dyn FnMut(&str) + Send);

/// Places the call, and searches. `stop` ends it at any moment.
///
/// # Errors
/// [`Error`].
pub async fn run(
    config: &Config,
    request: &Request,
    stop: impl Future<Output = ()>,
    tell: Tell<'_>,
) -> Result<Report, Error> {
    let client = Client::new(&config.ari)?;
    // Set when a channel may be there.
    let placed = AtomicBool::new(false);
    let halt = Arc::new(AtomicBool::new(false));
    let result = tokio::select! {
        result = whole(config, request, &client, &placed, &halt, tell) => result,
        () = stop => Err(Error::Stopped),
    };
    halt.store(true, Ordering::Relaxed);
    if placed.load(Ordering::Relaxed) {
        hang_up(&client).await;
    }
    result
}

/// Both halves; one that has gone is none.
async fn hang_up(client: &Client) {
    for id in [KEYS, CALLER] {
        if let Ok(id) = ChannelId::new(id) {
            drop(client.hangup(&id, HangupReason::Normal).await);
        }
    }
}

async fn whole(
    config: &Config,
    request: &Request,
    client: &Client,
    placed: &AtomicBool,
    halt: &Arc<AtomicBool>,
    tell: Tell<'_>,
) -> Result<Report, Error> {
    tell("asking whether a call can be placed");
    let service = call::Service::find(config).await?;
    let (ami, seen_by_ami) = match ami(config).await {
        Ok((client, seen)) => (Ok(client), Some(seen)),
        Err(why) => (Err(why), None),
    };
    let asterisk = files::Asterisk::find(&ami).await;
    not_reachable(client, &ami, &request.extension).await?;
    not_busy(client).await?;
    let before = {
        let (asterisk, config, pid) = (asterisk.folders(), own_files(config), service.pid);
        blocking(move || Before::look(asterisk, &config, pid)).await
    };

    let mut call = Call::prepare(config, client, &service).await?;
    placed.store(true, Ordering::Relaxed);
    tell("calling");
    let (ended, payment, legs, during) = {
        let talk = call.talk(config, request, &ami, halt, tell);
        tokio::time::timeout(CALL_MAX, talk)
            .await
            .unwrap_or(Err(Error::TooLong))?
    };
    hang_up(client).await;
    if let Ended::Refused(_) = ended {
        return Ok(Report {
            payment,
            ended,
            places: Vec::new(),
            recordings: Ok(Vec::new()),
        });
    }
    gone(client).await;
    tokio::time::sleep(SETTLE).await;

    tell("searching");
    let search = Arc::new(legs.search);
    let mut places = Vec::new();
    let texts = [
        (
            "channel variables and application data during the call (core show channel)",
            during.channel,
        ),
        (
            "global variables during the call (dialplan show globals)",
            during.globals,
        ),
        (
            "Asterisk's database (database show)",
            command(&ami, "database show").await,
        ),
    ];
    for (name, text) in texts {
        places.push(of_text(&search, name, text));
    }
    places.push(match seen_by_ami {
        Some(seen) => {
            let user = config.ami.as_ref().map_or("", |a| a.user.as_str());
            of_events(
                &search,
                &format!("AMI events of the user {user}"),
                &seen,
                true,
            )
        }
        None => not(
            "AMI events",
            ami.as_ref().err().cloned().unwrap_or_default(),
        ),
    });
    let name = "ARI events of a second application, the canary's own, subscribed to both halves; keys are kept from it";
    places.push(of_events(&search, name, &call.heard, false));
    places.extend(memory(&service, &search, during.memory, halt).await);
    let (rest, recordings) = {
        let (search, halt) = (Arc::clone(&search), Arc::clone(halt));
        blocking(move || before.search(&search, &halt)).await
    };
    places.extend(rest);
    places.extend(asterisk.elsewhere(&ami, client).await);
    for recorder in config.recorders.iter() {
        places.push(not(
            &format!("the recorder {}", recorder.name),
            "it is outside Asterisk; listen to what it has of this call yourself".to_owned(),
        ));
    }
    places.push(not(
        "Asterisk's memory",
        "each key passes through it, a caller's as well; no setting changes that".to_owned(),
    ));
    Ok(Report {
        payment,
        ended,
        places,
        recordings,
    })
}

/// What files the service itself writes, by name.
fn own_files(config: &Config) -> Vec<(&'static str, PathBuf)> {
    let beside = |end: &str| {
        let mut name = config.journal.clone().into_os_string();
        name.push(end);
        PathBuf::from(name)
    };
    if let Location::Server(_) = config.journal_at {
        return Vec::new();
    }
    vec![
        ("the journal", config.journal.clone()),
        ("the journal's log", beside("-wal")),
        ("the journal's index", beside("-shm")),
    ]
}

fn not(name: &str, because: String) -> Place {
    Place {
        name: name.to_owned(),
        look: Look::Not(because),
    }
}

fn searched(name: &str, bytes: u64, found: Found, note: Option<String>) -> Place {
    Place {
        name: name.to_owned(),
        look: Look::Searched {
            bytes,
            own: found.own,
            forms: found.forms,
            note,
        },
    }
}

fn of_text(search: &Search, name: &str, text: Result<String, String>) -> Place {
    match text {
        Ok(text) => {
            let mut found = Found::default();
            search.whole(text.as_bytes(), &mut found);
            searched(name, text.len() as u64, found, None)
        }
        Err(because) => not(name, because),
    }
}

/// Events that a task keeps as they come, one a line.
struct Kept {
    text: Arc<Mutex<Stream>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Stream {
    text: String,
    events: u64,
    /// Events that were not kept, or a connection that ended.
    lost: bool,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Kept {
    fn new<F: Future<Output = ()> + Send + 'static>(
        read: impl FnOnce(Arc<Mutex<Stream>>) -> F,
    ) -> Self {
        let text = Arc::new(Mutex::new(Stream::default()));
        Self {
            task: tokio::spawn(read(Arc::clone(&text))),
            text,
        }
    }
}

impl Stream {
    fn keep(of: &Mutex<Self>, line: &str) {
        let mut this = of.lock().unwrap_or_else(PoisonError::into_inner);
        this.events += 1;
        if this.text.len() + line.len() < EVENTS_BYTES_MAX {
            this.text.push_str(line);
            this.text.push('\n');
        } else {
            this.lost = true;
        }
    }

    fn lose(of: &Mutex<Self>) {
        of.lock().unwrap_or_else(PoisonError::into_inner).lost = true;
    }
}

/// `may_be_mute`: a user who is sent nothing was not a look at anything.
fn of_events(search: &Search, name: &str, kept: &Kept, may_be_mute: bool) -> Place {
    let stream = kept.text.lock().unwrap_or_else(PoisonError::into_inner);
    if stream.events == 0 {
        return not(
            name,
            if may_be_mute {
                "this user may read no events (read= in manager.conf); `ivrpay audit` looks at what other users may"
            } else {
                "Asterisk sent none"
            }
            .to_owned(),
        );
    }
    let mut found = Found::default();
    search.whole(stream.text.as_bytes(), &mut found);
    let lost = if stream.lost { ", not all of them" } else { "" };
    let note = format!("{} events{lost}", stream.events);
    searched(name, stream.text.len() as u64, found, Some(note))
}

/// A connection to AMI, whose events are kept from now on.
async fn ami(config: &Config) -> Result<(ivrpay_ami::Client, Kept), String> {
    let Some(ami) = &config.ami else {
        return Err(
            "there is no [ami] in the configuration; add it, with the user ivrpay-audit of asterisk-conf/ivrpay-manager.conf"
                .to_owned(),
        );
    };
    let mut ami = ami.clone();
    ami.events = Some(ivrpay_ami::EventFilter {
        classes: "on".to_owned(),
        names: std::collections::BTreeSet::new(),
    });
    let (client, mut events) = ivrpay_ami::connect(&ami)
        .await
        .map_err(|e| format!("{e}; {}", e.hint()))?;
    let kept = Kept::new(|text| async move {
        while let Ok(event) = events.next().await {
            // What Asterisk says of the login itself is no event of a call.
            if event.event().eq_ignore_ascii_case("FullyBooted") {
                continue;
            }
            let fields: Vec<String> = event.fields().map(|(n, v)| format!("{n}: {v}")).collect();
            Stream::keep(&text, &fields.join(" | "));
            if events.lost() > 0 {
                Stream::lose(&text);
            }
        }
        Stream::lose(&text);
    });
    Ok((client, kept))
}

/// Output of a command of Asterisk's CLI.
async fn command(ami: &Result<ivrpay_ami::Client, String>, cli: &str) -> Result<String, String> {
    let client = ami.as_ref().map_err(Clone::clone)?;
    let lines = client.command(cli).await;
    lines
        .map(|lines| lines.join("\n"))
        .map_err(|e| format!("{e}; {}", e.hint()))
}

/// Nobody but a canary may come to its extension.
async fn not_reachable(
    client: &Client,
    ami: &Result<ivrpay_ami::Client, String>,
    extension: &Extension,
) -> Result<(), Error> {
    let asked = |error| Error::Asterisk("the list of endpoints", error);
    let dialplan = command(ami, "dialplan show").await.unwrap_or_default();
    let endpoints = client.endpoints().await.map_err(asked)?;
    let pjsip = endpoints.iter().filter(|e| e.technology == "PJSIP");
    for endpoint in pjsip.take(ENDPOINTS_MAX) {
        let settings = match client.pjsip_settings("endpoint", &endpoint.resource).await {
            Ok(settings) => settings,
            Err(RequestError::Gone) => continue,
            Err(error) => return Err(asked(error)),
        };
        let context = settings.iter().find(|s| s.attribute == "context");
        let context = context.map_or("default", |s| s.value.as_str());
        if leads(&dialplan, context, &extension.context) {
            return Err(Error::Reachable {
                endpoint: endpoint.resource.clone(),
                context: extension.context.clone(),
            });
        }
    }
    Ok(())
}

/// Whether a context is another, or includes it, in the words of `dialplan show`.
fn leads(dialplan: &str, from: &str, to: &str) -> bool {
    let quoted = |line: &str| line.split('\'').nth(1).map(str::to_owned);
    let mut includes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut context = String::new();
    for line in dialplan.lines().map(str::trim) {
        if line.starts_with("[ Context '") {
            context = quoted(line).unwrap_or_default();
        } else if line.starts_with("Include =>") {
            let included = quoted(line).unwrap_or_default();
            includes.entry(context.clone()).or_default().push(included);
        }
    }
    let (mut open, mut seen) = (vec![from.to_owned()], Vec::new());
    while let Some(context) = open.pop() {
        if context == to {
            return true;
        }
        if !seen.contains(&context) {
            open.extend(includes.get(&context).cloned().unwrap_or_default());
            seen.push(context);
        }
    }
    false
}

/// One canary at a time.
async fn not_busy(client: &Client) -> Result<(), Error> {
    for id in [KEYS, CALLER] {
        let id = ChannelId::new(id).map_err(|_| Error::Busy)?;
        match client.channel(&id).await {
            Err(RequestError::Gone) => {}
            Ok(_) => return Err(Error::Busy),
            Err(error) => return Err(Error::Asterisk("the list of channels", error)),
        }
    }
    Ok(())
}

/// Waits until both halves are gone: what is written at the end of a call is written then.
async fn gone(client: &Client) {
    let waiting = async {
        while not_busy(client).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    drop(tokio::time::timeout(GONE_MAX, waiting).await);
}

/// The service's memory in the middle of the call and behind it.
async fn memory(
    service: &call::Service,
    search: &Arc<Search>,
    during: Option<Memory>,
    halt: &Arc<AtomicBool>,
) -> Vec<Place> {
    const DURING: &str = "the service's memory while the card is in it";
    const AFTER: &str = "the service's memory after the call";
    let Some(pid) = service.pid else {
        let because = "the kernel does not say which process the service is";
        return [DURING, AFTER].map(|n| not(n, because.to_owned())).into();
    };
    let after = {
        let (search, halt) = (Arc::clone(search), Arc::clone(halt));
        blocking(move || Memory::search(pid, &search, &halt)).await
    };
    let place = |name: &str, memory: Memory| match memory {
        Memory::Searched {
            bytes,
            found,
            closed,
        } => {
            let note = match closed {
                0 => None,
                kib => Some(format!(
                    "{kib} KiB are secret memory, which nobody can read"
                )),
            };
            searched(name, bytes, found, note)
        }
        Memory::Not(because) => not(name, because),
    };
    let during = match during {
        Some(memory) => place(DURING, memory),
        None => not(
            DURING,
            "the search took longer than the caller may wait".to_owned(),
        ),
    };
    vec![during, place(AFTER, after)]
}

/// Runs what reads files and memory.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// `/proc/PID/NAME`.
fn proc(pid: u32, name: &str) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_read() {
        for (text, good) in [
            ("s@ivrpay-canary", true),
            ("*88@internal_1", true),
            ("8800", false),
            ("@c", false),
            ("s@", false),
            ("s@a/n", false),
            ("s@a@b", false),
            ("s@a\r\nx", false),
            ("${X}@a", false),
        ] {
            assert_eq!(text.parse::<Extension>().is_ok(), good, "{text:?}");
        }
    }

    #[test]
    fn what_includes_leads_there() {
        let show = "[ Context 'ivrpay-canary' created by 'pbx_config' ]\n  's' =>  1. Hangup()\n\n\
                    [ Context 'inner' created by 'pbx_config' ]\n  Include =>        'ivrpay-canary'   [pbx_config]\n\n\
                    [ Context 'from-trunk' created by 'pbx_config' ]\n  Include =>        'inner'   [pbx_config]\n  Include =>        'from-trunk'   [pbx_config]\n\n\
                    [ Context 'other' created by 'pbx_config' ]\n";
        for (from, leads_there) in [
            ("ivrpay-canary", true),
            ("inner", true),
            ("from-trunk", true),
            ("other", false),
            ("unknown", false),
        ] {
            assert_eq!(leads(show, from, "ivrpay-canary"), leads_there, "{from}");
        }
        assert!(leads("", "a", "a"));
    }
}
