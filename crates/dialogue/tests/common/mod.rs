//! Drives a dialogue through time, as the daemon does: prompts end after a nominal length, the journal and the acquirer answer, and
//! all that happens is written down, each key as a dot.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use ivrpay_card::Month;
use ivrpay_dialogue::{
    At, CallResult, Command, Dialogue, Draft, End, Input, NotWritten, Output, Progress, Prompt,
    Say, Settings, Setup, Stage, Step, Taken,
};
use ivrpay_payment::{
    AcquirerOrder, AcquirerRef, Action, Approval, Brand, Count, Currency, Decline, Doubt, Durable,
    Intent, Money, Offer, Offers, OperationKind, Outcome, Plan, Reason, Why,
};
use ivrpay_secret::Key;

/// Longest that anything is waited for in a script.
const WAIT_MAX: Duration = Duration::from_secs(2_000);

pub(crate) fn setup(minor: u64) -> Setup {
    Setup {
        month: Month {
            year: 2026,
            month: 11,
        },
        ..Setup::default_for(Money::new(minor, Currency::Jpy).expect("in range"))
    }
}

/// What a merchant offers: instalments for two brands, revolving for a third, too, and a single number of instalments for a fourth.
pub(crate) fn offers() -> Offers {
    let instalments = |count| Plan::Instalments(Count::new(count).expect("2 to 99"));
    let offer = |plan, brands: &[Brand]| Offer {
        plan,
        brands: brands.to_vec(),
        amount: (1, Money::MAX),
        periods: Vec::new(),
    };
    let both = [Brand::Visa, Brand::Jcb];
    let rows = vec![
        offer(instalments(3), &both),
        offer(instalments(5), &both),
        offer(instalments(10), &both),
        offer(
            Plan::Revolving,
            &[Brand::Visa, Brand::Jcb, Brand::Mastercard],
        ),
        offer(Plan::BonusLumpSum, &both),
        offer(instalments(2), &[Brand::DinersClub]),
    ];
    Offers::new(Currency::Jpy, rows)
}

/// A card as the acquirer got it, and what the draft said of it.
pub(crate) struct Sent {
    pub(crate) pan: Vec<u8>,
    pub(crate) last4: [u8; 4],
    pub(crate) brand: Brand,
    pub(crate) plan: Plan,
}

pub(crate) struct Runner {
    dialogue: Dialogue,
    pub(crate) now: At,
    pub(crate) transcript: String,
    pub(crate) step: Option<Step>,
    pub(crate) end: Option<End>,
    pub(crate) said: Vec<Say>,
    pub(crate) sent: Vec<Sent>,
    /// Charges of the stored card.
    pub(crate) by_token: usize,
    pub(crate) last_error: Option<&'static str>,
    /// Where a capture is that a program leads.
    pub(crate) taken: Option<Taken>,
    /// A `Play` after the caller had hung up.
    pub(crate) played_to_nobody: bool,
    pub(crate) hung_up: bool,
    prompt_ends: Option<At>,
    /// When the journal answers; `None` where it has nothing to say, or stays silent.
    written: Option<(At, Result<Durable<Intent>, NotWritten>)>,
    answered: Option<(At, Outcome)>,
    pub(crate) journal: VecDeque<Option<NotWritten>>,
    /// The journal's delay.
    pub(crate) journal_after: Duration,
    pub(crate) acquirer: VecDeque<Outcome>,
    pub(crate) acquirer_after: Duration,
}

impl Runner {
    pub(crate) fn new(settings: Settings, setup: Setup) -> Self {
        let mut dialogue =
            Dialogue::new(Arc::new(settings), setup).expect("tests stay within the arena");
        dialogue.start(At::default());
        let mut runner = Self {
            dialogue,
            now: At::default(),
            transcript: String::new(),
            step: None,
            end: None,
            said: Vec::new(),
            sent: Vec::new(),
            by_token: 0,
            last_error: None,
            taken: None,
            played_to_nobody: false,
            hung_up: false,
            prompt_ends: None,
            written: None,
            answered: None,
            journal: VecDeque::new(),
            journal_after: Duration::from_millis(5),
            acquirer: VecDeque::new(),
            acquirer_after: Duration::from_secs(1),
        };
        runner.drain();
        runner
    }

    pub(crate) fn deadline(&self) -> Option<At> {
        self.dialogue.deadline()
    }

    /// What is told to whoever wants that.
    pub(crate) fn takes(&self, command: Command) -> bool {
        self.dialogue.takes(self.now, command)
    }

    pub(crate) fn playing(&self) -> bool {
        self.prompt_ends.is_some()
    }

    /// A key after `gap`, held for `held`.
    pub(crate) fn key(&mut self, gap: Duration, key: Key, held: Duration) {
        self.advance(self.now.plus(gap));
        let shown = match key {
            Key::Digit(_) => '•',
            Key::Star => '*',
            Key::Hash => '#',
            Key::Letter => 'A',
        };
        self.note("<-", &format!("key {shown}"));
        self.input(Input::Key(key, held));
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.note("<-", &format!("{command:?}").to_lowercase());
        self.input(Input::Command(command));
    }

    pub(crate) fn hang_up(&mut self) {
        self.note("<-", "hung up");
        self.hung_up = true;
        self.prompt_ends = None;
        self.input(Input::HungUp);
    }

    pub(crate) fn keys_lost(&mut self) {
        self.note("<-", "keys lost");
        self.input(Input::KeysLost);
    }

    /// Gives an input that no journal and no acquirer was asked for.
    pub(crate) fn stray(&mut self, input: Input) {
        self.input(input);
    }

    /// Lets time pass, and everything in it happen.
    pub(crate) fn advance(&mut self, to: At) {
        while let Some(at) = self.next().filter(|at| *at <= to) {
            self.now = self.now.max(at);
            self.happen();
        }
        self.now = self.now.max(to);
    }

    /// Until `done`, or until the call is over; false after [`WAIT_MAX`] or when nothing more can happen.
    pub(crate) fn until(&mut self, done: impl Fn(&Self) -> bool) -> bool {
        let limit = self.now.plus(WAIT_MAX);
        while !done(self) {
            match self.next() {
                Some(at) if at <= limit && self.end.is_none() => {
                    self.now = self.now.max(at);
                    self.happen();
                }
                _ => return false,
            }
        }
        true
    }

    fn next(&self) -> Option<At> {
        let written = self.written.as_ref().map(|w| w.0);
        let answered = self.answered.as_ref().map(|a| a.0);
        [
            self.prompt_ends,
            written,
            answered,
            self.dialogue.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn happen(&mut self) {
        let due = |at: Option<At>| at.is_some_and(|at| at <= self.now);
        if due(self.prompt_ends) {
            self.prompt_ends = None;
            self.note("<-", "prompt ended");
            self.input(Input::PromptEnded);
        } else if due(self.written.as_ref().map(|w| w.0)) {
            let Some((_, written)) = self.written.take() else {
                return;
            };
            match written {
                Ok(intent) => {
                    self.note("<-", "written");
                    self.input(Input::Written(intent));
                }
                Err(why) => {
                    self.note("<-", &format!("not written: {why:?}"));
                    self.input(Input::NotWritten(why));
                }
            }
        } else if due(self.answered.as_ref().map(|a| a.0)) {
            let Some((_, outcome)) = self.answered.take() else {
                return;
            };
            self.note("<-", &name(&outcome));
            self.input(Input::Answered(outcome));
        } else {
            self.note("<-", "deadline");
            self.input(Input::DeadlineReached);
            assert!(
                self.dialogue.deadline().is_none_or(|at| at > self.now),
                "a deadline that was reached is still there at {:?}",
                self.now
            );
        }
    }

    fn input(&mut self, input: Input) {
        let (before, sent) = (self.dialogue.stage(), self.sent.len());
        let cancels = matches!(input, Input::Command(Command::Cancel));
        let told = match &input {
            Input::Command(command) => Some((*command, self.dialogue.takes(self.now, *command))),
            _ => None,
        };
        self.dialogue.handle(self.now, input);
        self.drain();
        // What is told to whoever wants to cancel is so.
        let after = self.dialogue.stage();
        assert_eq!(after == Stage::Charging, self.answered.is_some());
        if cancels && before == Stage::Open {
            assert_eq!((after, self.sent.len()), (Stage::Ending, sent));
        }
        // And so is what is told to whoever wants a field asked anew, or a pause.
        match told {
            // A menu with one choice is none.
            Some((Command::ReAsk(Step::PaymentPlan), true)) => {
                let asked = [Some(Step::PaymentPlan), Some(Step::Confirmation)];
                assert!(asked.contains(&self.step), "{:?}", self.step);
            }
            Some((Command::ReAsk(step), true)) => assert_eq!(self.step, Some(step)),
            Some((Command::Pause, true)) => assert_eq!(self.step, Some(Step::Paused)),
            Some((Command::Resume, true)) => assert_ne!(self.step, Some(Step::Paused)),
            _ => {}
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.dialogue.poll_output() {
            assert!(self.end.is_none(), "an output after the end");
            match output {
                Output::Play(prompt) => self.play(&prompt),
                Output::StopPlay => {
                    self.prompt_ends = None;
                    self.note("->", "stop");
                }
                Output::Listen(on) => {
                    self.note("->", if on { "listen for tones" } else { "no tones" });
                    self.dialogue.handle(self.now, Input::Listening);
                }
                Output::Progress(progress) => self.progress(&progress),
                Output::Taken(taken) => self.taken = Some(taken),
                Output::Write(draft) => self.write(&draft),
                Output::Authorise(intent, card) => {
                    let code = match &card {
                        Some(card) if card.code.is_some() => "with code",
                        Some(_) => "without code",
                        None => "by token",
                    };
                    if let Some(card) = card {
                        let pan = card.pan.expose(<[u8]>::to_vec);
                        self.sent.push(Sent {
                            pan,
                            last4: intent.get().card.last4(),
                            brand: intent.get().card.brand,
                            plan: intent.get().plan,
                        });
                    } else {
                        self.by_token += 1;
                    }
                    self.note(
                        "->",
                        &format!(
                            "authorise {} {} {code}{}",
                            intent.get().card,
                            intent.get().amount,
                            other_plan(intent.get().plan)
                        ),
                    );
                    let outcome = self.acquirer.pop_front().unwrap_or_else(approved);
                    self.answered = Some((self.now.plus(self.acquirer_after), outcome));
                }
                Output::End(end) => {
                    let outcome = end
                        .outcome
                        .as_ref()
                        .map_or("nothing sent or open".to_owned(), name);
                    let heard = if end.hung_up { ", hung up" } else { "" };
                    self.note(
                        "->",
                        &format!("end {}: {outcome}{heard}", end.result.name()),
                    );
                    self.end = Some(end);
                }
            }
        }
    }

    fn play(&mut self, prompt: &Prompt) {
        self.played_to_nobody |= self.hung_up;
        self.said.extend(prompt.0.iter().copied());
        let mut spoken = String::new();
        let mut length = Duration::ZERO;
        for say in &prompt.0 {
            if !spoken.is_empty() {
                spoken.push_str(" + ");
            }
            spoken.push_str(say.name());
            length += match say {
                Say::Line(_) | Say::Brands(_) => Duration::from_secs(3),
                _ => Duration::from_secs(6),
            };
            match say {
                Say::Amount(amount) | Say::AmountTold(amount) => write!(spoken, " ({amount})"),
                Say::Confirm(card, amount) | Say::Stored(card, amount) => {
                    write!(spoken, " ({card}, {amount})")
                }
                Say::ConfirmStoring(card) | Say::ConfirmChecking(card) => {
                    write!(spoken, " ({card})")
                }
                Say::ConfirmPlan(card, amount, plan) => {
                    write!(spoken, " ({card}, {amount}, {plan})")
                }
                Say::Plans(kinds) => {
                    let keys: Vec<String> = kinds.keys().map(|key| key.to_string()).collect();
                    write!(spoken, " ({})", keys.join(", "))
                }
                Say::PlanCounts(counts) => {
                    let counts: Vec<String> = counts.iter().map(|c| c.get().to_string()).collect();
                    write!(spoken, " ({})", counts.join(", "))
                }
                Say::PlanRead(plan) => write!(spoken, " ({plan})"),
                Say::Reference(number) => write!(spoken, " ({number})"),
                Say::Brands(brands) => write!(
                    spoken,
                    " ({})",
                    brands
                        .iter()
                        .map(|b| b.name())
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
                _ => Ok(()),
            }
            .expect("a string takes everything");
        }
        self.prompt_ends = Some(self.now.plus(length));
        self.note("->", &format!("play {spoken}"));
    }

    fn progress(&mut self, progress: &Progress) {
        if progress.asked {
            self.step = Some(progress.step);
            self.last_error = progress.error.map(|e| e.name());
            let error = progress
                .error
                .map_or(String::new(), |e| format!(", {}", e.name()));
            let digits = progress
                .digits
                .filter(|d| *d > 0)
                .map_or(String::new(), |d| format!(", {d} digits"));
            self.note(
                "->",
                &format!(
                    "step {} {}{digits}{error}",
                    progress.step.name(),
                    progress.attempt
                ),
            );
        } else if let Some(digits) = progress.digits {
            self.note("->", &format!("digits {digits}"));
        } else {
            self.note("->", &format!("in {}", progress.step.name()));
        }
    }

    fn write(&mut self, draft: &Draft) {
        self.note(
            "->",
            &format!(
                "write {} {}{}, {} pieces of evidence",
                draft.card,
                draft.amount,
                other_plan(draft.plan),
                draft.evidence.len()
            ),
        );
        let answer = match self.journal.pop_front() {
            Some(Some(why)) => Err(why),
            Some(None) | None => Ok(Durable::attest(intent(draft))),
        };
        self.written = Some((self.now.plus(self.journal_after), answer));
    }

    fn note(&mut self, direction: &str, thing: &str) {
        let ms = self.now.millis();
        writeln!(
            self.transcript,
            "{:02}.{:03} {direction} {thing}",
            ms / 1_000,
            ms % 1_000
        )
        .expect("a string takes everything");
    }

    pub(crate) fn result(&self) -> Option<CallResult> {
        self.end.as_ref().map(|end| end.result)
    }
}

pub(crate) fn intent(draft: &Draft) -> Intent {
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    Intent {
        payment_id: id.parse().expect("a UUID"),
        operation_id: id.parse().expect("a UUID"),
        kind: OperationKind::Charge,
        amount: draft.amount,
        card: draft.card,
        idempotency_key: id.parse().expect("a UUID"),
        acquirer_order: AcquirerOrder::new(1).expect("in range"),
        order: None,
        operator: None,
        plan: draft.plan,
        token: None,
        parent: None,
    }
}

fn other_plan(plan: Plan) -> String {
    if plan.is_lump_sum() {
        String::new()
    } else {
        format!(" {plan}")
    }
}

pub(crate) fn approved() -> Outcome {
    Outcome::Approved(Approval {
        acquirer_ref: AcquirerRef::new("ch_1").expect("an id"),
        code: None,
        card: None,
    })
}

pub(crate) fn outcome(text: &str) -> Outcome {
    match text {
        "approved" => approved(),
        "not-sent" => Outcome::NotCharged(Why::NotSent),
        "unknown" => Outcome::Unknown(Doubt::NoReply),
        answer => {
            let (name, action) = answer.split_once('/').unwrap_or((answer, ""));
            Outcome::Declined(Decline {
                reason: Reason::from_name(name.trim_end_matches('!'))
                    .unwrap_or_else(|| panic!("no such answer: {answer}")),
                code: "51".to_owned(),
                hard: name.ends_with('!'),
                action: Action::ALL.into_iter().find(|one| one.name() == action),
            })
        }
    }
}

fn name(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Approved(_) => "approved".to_owned(),
        Outcome::Declined(decline) => format!("declined {}", decline.reason.name()),
        Outcome::NotCharged(why) => format!("not charged {why:?}"),
        Outcome::Unknown(doubt) => format!("unknown {doubt:?}"),
    }
}

pub(crate) fn step(name: &str) -> Step {
    Step::ALL
        .into_iter()
        .find(|s| s.name() == name)
        .unwrap_or_else(|| panic!("no such step: {name}"))
}

pub(crate) fn key(c: char) -> Key {
    Key::from_byte(u8::try_from(c).expect("ASCII")).unwrap_or_else(|| panic!("no such key: {c}"))
}

/// Plays every script of `tests/FOLDER`, of which there are at least so many, and compares each transcript with its snapshot.
pub(crate) fn transcripts(
    folder: &str,
    least: usize,
    snapshots: &str,
    play: impl Fn(&str, &str) -> String,
) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(folder);
    let mut scripts: Vec<_> = std::fs::read_dir(&folder)
        .expect("a folder of scripts")
        .map(|entry| entry.expect("a script").path())
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .collect();
    scripts.sort();
    assert!(
        scripts.len() >= least,
        "scripts are missing: {}",
        scripts.len()
    );
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path(snapshots);
    settings.bind(|| {
        for path in scripts {
            let name = path.file_stem().and_then(|n| n.to_str()).expect("a name");
            let script = std::fs::read_to_string(&path).expect("text");
            insta::assert_snapshot!(name, play(name, &script));
        }
    });
}
