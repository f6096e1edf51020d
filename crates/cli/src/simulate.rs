//! `ivrpay simulate`: the dialogue of a call in the terminal. No Asterisk, no acquirer, a journal that is thrown away.
//!
//! A person's keyboard is read key by key and shown as dots; a pipe is read as a script, where `,` waits half a second.

mod desk;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use ivrpay_acquirer::null::Null;
use ivrpay_card::{Month, Rules};
use ivrpay_daemon::routing::Ways;
use ivrpay_daemon::settle::{Route, Settle};
use ivrpay_daemon::tries::Tries;
use ivrpay_dialogue::{At, Dialogue, End, Input, NotWritten, Output, Prompt, Settings, Setup};
use ivrpay_journal::{Created, EnteredBy, Journal, Mode, NewPayment, OpenOptions, Origin};
use ivrpay_payment::{
    Brand, CallId, CardToken, Currency, Doubt, Durable, Intent, Money, Offer, Offers, Outcome,
    PaymentId, Plan, StoredCard, TenantId, Transaction, Truncated,
};
use ivrpay_prompts::Language;
use ivrpay_secret::{Key, KeyRing};
use tokio::sync::{mpsc, oneshot};

use crate::{Exit, fail, runtime};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// ja or en
    #[arg(long, default_value = "en")]
    language: Language,
    /// Amount in minor units (1200 is 1,200 yen or 12.00 dollars).
    #[arg(long, default_value_t = 1200)]
    amount: u64,
    /// ISO 4217 currency.
    #[arg(long, default_value = "JPY")]
    currency: Currency,
    /// What the card is for: charge, authorize, tokenize or verify.
    #[arg(long = "type", value_name = "TYPE", default_value = "charge", value_parser = transaction, conflicts_with = "desk")]
    transaction: Transaction,
    /// A card that the acquirer has is offered first: visa 4242.
    #[arg(long, conflicts_with_all = ["desk", "transaction"])]
    stored: bool,
    /// The keypad before a payment instead: an operator keys amount, order number and language; `--desk=customer` keys as on the
    /// line that nobody attends.
    #[arg(
        long,
        value_enum,
        value_name = "WHO",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "operator",
        conflicts_with = "amount"
    )]
    desk: Option<desk::Keys>,
    /// Payment plans that are offered beside one payment, as installments:3,installments:10,revolving,bonus.
    #[arg(long, value_delimiter = ',', value_parser = plan, conflicts_with = "desk")]
    plans: Vec<Plan>,
}

/// A plan that can be offered.
fn plan(text: &str) -> Result<Plan, String> {
    let plan = text.parse().ok();
    plan.filter(|plan| ivrpay_prompts::can_say(*plan)).ok_or_else(|| {
        "what can be offered is installments:N (N one of 2, 3, 5, 6, 10, 12, 15, 18, 20, 24, 30 and 36), revolving and bonus, with commas between them; one payment always is".to_owned()
    })
}

/// What a keyboard's byte asks for.
enum Typed {
    Key,
    Pause,
    HangUp,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let amount = match Money::new(args.amount, args.currency) {
        Ok(amount) => amount,
        Err(error) => return fail(&anyhow::anyhow!("--amount: {error}")),
    };
    match runtime().and_then(|runtime| {
        let done = runtime.block_on(async {
            match args.desk {
                Some(keys) => desk::simulate(keys, args.language, args.currency).await,
                None => simulate(args, amount)
                    .await
                    .map(|end| end.result.name().to_owned()),
            }
        });
        // The thread that reads the keyboard may still wait for a key.
        runtime.shutdown_background();
        done
    }) {
        Ok(result) => {
            say!("result: {result}");
            Exit::Done.into()
        }
        Err(error) => fail(&error),
    }
}

/// With every card.
fn offers(args: &Args) -> Offers {
    let offer = |plan: &Plan| Offer {
        plan: *plan,
        brands: Brand::ALL.to_vec(),
        amount: (1, Money::MAX),
        periods: Vec::new(),
    };
    Offers::new(args.currency, args.plans.iter().map(offer).collect())
}

fn transaction(name: &str) -> Result<Transaction, &'static str> {
    Transaction::from_name(name).ok_or("charge, authorize, tokenize or verify")
}

async fn simulate(args: &Args, amount: Money) -> anyhow::Result<End> {
    let language = args.language;
    let stored = args.stored.then(|| StoredCard {
        token: CardToken::new("practice").expect("letters"),
        card: Truncated::new(Brand::Visa, [4, 2, 4, 2]).expect("digits"),
    });
    // A person may type a real number: hardened and locked where this machine can, as in the service.
    drop(ivrpay_secret::harden());
    ivrpay_secret::init(
        ivrpay_secret::Policy::Any,
        ivrpay_secret::Layout::for_calls(1),
    )?;
    let folder = tempfile::tempdir().context("a folder for the journal of this practice")?;
    let journal = Journal::open(
        &folder.path().join("journal.sqlite"),
        OpenOptions::new("simulate"),
    )
    .await?;
    let routes = BTreeMap::from([("training".to_owned(), Route::offline(Box::new(Null)))]);
    let settle = Settle::new(journal.clone(), routes, Tries::new(1, Instant::now())?)?;
    let new = NewPayment {
        tenant: TenantId::new("practice")?,
        order: None,
        part: 0,
        operator: None,
        site: None,
        asked_plan: None,
        amount,
        mode: Mode::Test,
        entered_by: EnteredBy::Caller,
        connector: "training".into(),
        connector_named: false,
        language: language.to_string(),
        prompt_version: ivrpay_prompts::VERSION.to_owned(),
        operator_extension: None,
        caller_number: None,
        origin: Origin::Dialplan,
        request: None,
        expires_ms: None,
        transaction: args.transaction,
        stored: stored.clone(),
        attached: ivrpay_journal::Attached::default(),
    };
    let (Created::New(payment) | Created::Existing(payment)) = journal.create(new).await?;
    let claim = journal
        .claim(payment.id, CallId::new(uuid::Uuid::now_v7()))
        .await?;

    let keys = Arc::new(KeyRing::take(64)?);
    let terminal = std::io::stdin().is_terminal();
    let typing = Typing::begin(&keys, terminal)?;
    if terminal {
        say("keys 0-9 * # as on a telephone; q hangs up. Practice: nobody is charged.");
    }
    let end = Simulation {
        language,
        settle: settle.clone(),
        payment: payment.id,
        keys,
        typing,
        terminal,
    }
    .drive(Setup {
        transaction: args.transaction,
        stored: stored.map(|stored| stored.card),
        offers: offers(args),
        ..Setup::default_for(amount)
    })
    .await?;
    settle.drain().await;
    journal
        .release(&claim, end.result.name(), serde_json::Value::Null)
        .await?;
    journal.stop().await?;
    Ok(end)
}

struct Simulation {
    language: Language,
    settle: Settle,
    payment: PaymentId,
    keys: Arc<KeyRing>,
    typing: Typing,
    terminal: bool,
}

/// What is typed, at the pace of a person.
struct Typing {
    typed: mpsc::Receiver<Typed>,
    /// A script is not read while it pauses; a person never pauses us.
    waits: Option<Instant>,
    terminal: bool,
    _raw: Option<RawTerminal>,
}

impl Typing {
    fn begin(keys: &Arc<KeyRing>, terminal: bool) -> anyhow::Result<Self> {
        let raw = terminal.then(RawTerminal::on).transpose()?;
        let (typed, typing) = mpsc::channel(64);
        std::thread::spawn({
            let keys = Arc::clone(keys);
            move || read_keys(&keys, &typed)
        });
        Ok(Self {
            typed: typing,
            waits: None,
            terminal,
            _raw: raw,
        })
    }

    /// What was typed next, a pause waited for. Loses nothing where it is dropped before its end.
    async fn next(&mut self) -> Typed {
        if let Some(at) = self.waits {
            tokio::time::sleep_until(at.into()).await;
            self.waits = None;
        }
        let Some(typed) = self.typed.recv().await else {
            // The end of a script is not a hang-up: what is on may end by itself.
            return std::future::pending().await;
        };
        let wait_ms = match typed {
            // Scripts key as a calm person does: no two keys closer than an echo could be.
            Typed::Key if !self.terminal => 200,
            Typed::Pause => 500,
            Typed::Key | Typed::HangUp => 0,
        };
        if wait_ms > 0 {
            self.waits = Some(Instant::now() + Duration::from_millis(wait_ms));
        }
        typed
    }
}

impl Simulation {
    async fn drive(mut self, setup: Setup) -> anyhow::Result<End> {
        let setup = Setup {
            rules: Rules {
                brands: Brand::ALL.to_vec(),
                luhn: true,
            },
            month: this_month(),
            training: true,
            ..setup
        };
        let mut dialogue = Dialogue::new(Arc::new(Settings::default()), setup)?;
        let began = Instant::now();
        let mut prompt_ends: Option<Instant> = None;
        let mut written: Option<oneshot::Receiver<Result<Durable<Intent>, NotWritten>>> = None;
        let mut answered: Option<oneshot::Receiver<Outcome>> = None;
        dialogue.start(At(Duration::ZERO));
        loop {
            while let Some(output) = dialogue.poll_output() {
                match output {
                    Output::Play(prompt) => {
                        prompt_ends =
                            Some(Instant::now() + speak(&prompt, self.language, self.terminal))
                    }
                    Output::StopPlay => prompt_ends = None,
                    Output::Listen(_) | Output::Taken(_) => {}
                    Output::Progress(progress) => self.progress(&progress),
                    Output::Write(draft) => {
                        let (done, receiver) = oneshot::channel();
                        let (settle, payment) = (self.settle.clone(), self.payment);
                        tokio::spawn(async move {
                            drop(done.send(settle.write(payment, "training", draft).await))
                        });
                        written = Some(receiver);
                    }
                    Output::Authorise(intent, card) => {
                        let ways = Ways::only("training");
                        answered = Some(self.settle.authorise(ways, intent, card, None));
                    }
                    Output::End(end) => return Ok(end),
                }
            }
            let deadline = dialogue.deadline().map(|at| began + at.0);
            let input = tokio::select! {
                biased;
                typed = self.typing.next() => match typed {
                    Typed::Key => match self.keys.pop().and_then(Key::from_byte) {
                        Some(key) => Input::Key(key, Duration::from_millis(100)),
                        None => continue,
                    },
                    Typed::Pause => continue,
                    Typed::HangUp => Input::HungUp,
                },
                done = wait(&mut written) => match done {
                    Ok(Ok(intent)) => Input::Written(intent),
                    Ok(Err(why)) => Input::NotWritten(why),
                    Err(_) => Input::NotWritten(NotWritten::Failed),
                },
                done = wait(&mut answered) => Input::Answered(done.unwrap_or(Outcome::Unknown(Doubt::NoReply))),
                () = until(prompt_ends) => { prompt_ends = None; Input::PromptEnded },
                () = until(deadline) => Input::DeadlineReached,
            };
            dialogue.handle(At(began.elapsed()), input);
        }
    }

    fn progress(&self, progress: &ivrpay_dialogue::Progress) {
        if progress.asked {
            let error = progress
                .error
                .map(|e| format!(" ({})", e.name()))
                .unwrap_or_default();
            say(&format!(
                "  [{}, attempt {}{error}]",
                progress.step.name(),
                progress.attempt
            ));
        } else if self.terminal {
            dots(progress.digits.unwrap_or(0));
        }
    }
}

/// Shows a prompt; how long a voice would need for it (a script need not wait for voices).
fn speak(prompt: &Prompt, language: Language, terminal: bool) -> Duration {
    let text = ivrpay_prompts::text(prompt, language);
    let spoken = if terminal {
        Duration::from_millis(60) * u32::try_from(text.chars().count()).unwrap_or(100)
    } else {
        Duration::from_millis(50)
    };
    say(&format!("♪ {text}"));
    spoken
}

/// So many digits in the row that is being keyed.
fn dots(digits: u8) {
    print!("\r  {:<24}", "•".repeat(usize::from(digits)));
    drop(std::io::stdout().flush());
}

/// A line; a raw terminal needs its own carriage return.
fn say(line: &str) {
    print!("\r{line}\r\n");
    drop(std::io::stdout().flush());
}

fn read_keys(keys: &KeyRing, typed: &mpsc::Sender<Typed>) {
    let mut byte = [0_u8];
    // Byte by byte from the descriptor: the buffer of `std::io::Stdin` would keep what was typed.
    while matches!(rustix::io::read(std::io::stdin(), &mut byte), Ok(1)) {
        let what = match byte[0] {
            // q, Ctrl-C, Ctrl-D
            b'q' | 3 | 4 => Typed::HangUp,
            b',' => Typed::Pause,
            key if Key::from_byte(key).is_some() => {
                if keys.push(key).is_err() {
                    continue;
                }
                Typed::Key
            }
            _ => continue,
        };
        byte[0] = 0;
        if typed.blocking_send(what).is_err() {
            return;
        }
    }
}

async fn wait<T>(
    receiver: &mut Option<oneshot::Receiver<T>>,
) -> Result<T, oneshot::error::RecvError> {
    match receiver {
        Some(waiting) => {
            let value = waiting.await;
            *receiver = None;
            value
        }
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn this_month() -> Month {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    Month {
        year: u16::try_from(now.year()).unwrap_or(2099),
        month: u8::try_from(now.month()).unwrap_or(12),
    }
}

/// The terminal key by key, without echo; as it was when dropped.
struct RawTerminal(rustix::termios::Termios);

impl RawTerminal {
    fn on() -> anyhow::Result<Self> {
        let before = rustix::termios::tcgetattr(std::io::stdin()).context("the terminal")?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(
            std::io::stdin(),
            rustix::termios::OptionalActions::Now,
            &raw,
        )
        .context("the terminal")?;
        Ok(Self(before))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        rustix::termios::tcsetattr(
            std::io::stdin(),
            rustix::termios::OptionalActions::Now,
            &self.0,
        )
        .ok();
    }
}
