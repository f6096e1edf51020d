//! What every state of a call shares: settings, the queue of outputs, evidence, counts.
//!
//! Lives as long as the dialogue. Owns the spare fields of secret memory, taken at the start so that a call that has begun does
//! not run out of them. Does not know which state is current.

use std::collections::VecDeque;
use std::sync::Arc;

use ivrpay_card::Digits;
use ivrpay_payment::{Offers, Outcome, Plan, Truncated, plant};
use ivrpay_secret::Full;

use crate::ear::{Ear, Flush};
use crate::io::{At, CallResult, End, ErrorType, Evidence, Output, Progress, Prompt, Say, Step};
use crate::keyed;
use crate::settings::{Settings, Setup};
use crate::wait;

/// Card number, expiry and code; one more where the number of instalments may be asked.
const FIELDS: usize = 3;

/// Most entries of evidence; then the oldest prompt makes room, so that what was pressed stays.
const EVIDENCE_MAX: usize = 64;

pub(crate) struct Call {
    pub(crate) settings: Arc<Settings>,
    pub(crate) setup: Setup,
    pub(crate) ear: Ear,
    /// When it began, for the session limit.
    pub(crate) began: At,
    /// Last key, answer or resumption, for the no-progress limit.
    pub(crate) progress_at: At,
    pub(crate) hung_up: bool,
    /// The service is being stopped; remembered while the acquirer is being asked.
    pub(crate) stopping: bool,
    /// Cards that were begun.
    pub(crate) cards: u8,
    /// Last card that was sent.
    pub(crate) card: Option<Truncated>,
    /// The plan that is being confirmed.
    pub(crate) plan: Option<Plan>,
    pub(crate) outcome: Option<Outcome>,
    outputs: VecDeque<Output>,
    /// A prompt was handed out and has neither ended nor been stopped.
    audible: bool,
    evidence: Vec<Evidence>,
    spare: Vec<Digits>,
}

impl Call {
    pub(crate) fn new(settings: Arc<Settings>, mut setup: Setup) -> Result<Self, Full> {
        if !setup.transaction.moves_money() {
            // Nothing is paid, nor paid back.
            (setup.offers, setup.plan) = (Offers::NONE, None);
        }
        if setup.led.is_some() {
            // Nothing is asked but what the program asks for.
            (setup.offers, setup.stored) = (Offers::NONE, None);
        }
        // And a field that is keyed once more, beside all three.
        let fields = FIELDS + usize::from(!setup.offers.is_empty() || setup.led.is_some());
        Ok(Self {
            settings,
            setup,
            ear: Ear::take()?,
            began: At::default(),
            progress_at: At::default(),
            hung_up: false,
            stopping: false,
            cards: 0,
            card: None,
            plan: None,
            outcome: None,
            outputs: VecDeque::new(),
            audible: false,
            evidence: Vec::new(),
            spare: (0..fields)
                .map(|_| Digits::take())
                .collect::<Result<_, _>>()?,
        })
    }

    /// An empty field.
    pub(crate) fn digits(&mut self) -> Result<Digits, Full> {
        match self.spare.pop() {
            Some(digits) => Ok(digits),
            None => Digits::take(),
        }
    }

    pub(crate) fn play(&mut self, now: At, says: Vec<Say>) {
        if self.hung_up || self.is_silent() && !says.iter().any(Say::is_a_confirmation) {
            return;
        }
        let says = if self.setup.operator_keys {
            keyed::words(says)
        } else {
            says
        };
        let at_ms = now.millis();
        for say in &says {
            self.record(Evidence::Spoken {
                prompt: say.name().to_owned(),
                at_ms,
            });
        }
        self.outputs.push_back(Output::Play(Prompt(says)));
    }

    /// Whoever leads tells the caller all that he has to be told.
    pub(crate) fn is_silent(&self) -> bool {
        self.setup.led.is_some_and(|led| !led.prompts)
    }

    /// Until when keys are thrown away where the middle of a number is missing. Where nothing is said, nothing can be heard to its end.
    pub(crate) fn until_heard(&self) -> Flush {
        if self.is_silent() {
            Flush::UntilPause
        } else {
            Flush::UntilHeard
        }
    }

    /// The n-th reminder, from 0, with what belongs to the step. While no key has come, none may be able to: tones are detected from then on.
    pub(crate) fn remind(&mut self, now: At, n: u32, own: Vec<Say>) {
        if self.settings.detect_tones && self.ear.wants_tones() {
            // Before the prompt: behind it the request would wait for its end.
            self.push(Output::Listen(true));
        }
        self.ear.reminded = true;
        let says = wait::reminder(self.ear.keyed, n, own);
        self.play(now, says);
    }

    /// What it is that nothing was keyed in time.
    pub(crate) fn no_input(&self) -> ErrorType {
        if self.ear.keyed {
            ErrorType::InputTimeout
        } else {
            ErrorType::KeysNotHeard
        }
    }

    /// Stops what plays. A prompt that nobody has fetched yet is taken back, and was never spoken.
    pub(crate) fn stop_play(&mut self) {
        let (mut stopped, mut kept) = (false, VecDeque::with_capacity(self.outputs.len() + 1));
        for output in self.outputs.drain(..) {
            match output {
                Output::Play(Prompt(says)) => {
                    for _ in says {
                        if let Some(at) = self
                            .evidence
                            .iter()
                            .rposition(|e| matches!(e, Evidence::Spoken { .. }))
                        {
                            self.evidence.remove(at);
                        }
                    }
                }
                other => {
                    stopped |= matches!(other, Output::StopPlay);
                    kept.push_back(other);
                }
            }
        }
        self.outputs = kept;
        if self.audible && !stopped && !self.hung_up {
            self.outputs.push_back(Output::StopPlay);
        }
    }

    pub(crate) fn prompt_ended(&mut self) {
        self.audible = false;
        self.ear.prompt_ended();
    }

    /// A prompt plays, or is about to.
    pub(crate) fn speaks(&self) -> bool {
        self.audible || self.outputs.iter().any(|o| matches!(o, Output::Play(_)))
    }

    pub(crate) fn progress(&mut self, progress: Progress) {
        self.outputs.push_back(Output::Progress(progress));
    }

    /// A step that is no field begins.
    pub(crate) fn entered(&mut self, step: Step, attempt: u8, error: Option<ErrorType>) {
        self.progress(Progress {
            step,
            asked: true,
            attempt,
            digits: None,
            error,
            plan: self.plan.filter(|_| step == Step::Confirmation),
        });
    }

    pub(crate) fn pressed(&mut self, now: At, step: Step, key: u8) {
        self.record(Evidence::Pressed {
            step,
            key,
            at_ms: now.millis(),
        });
    }

    pub(crate) fn evidence(&self) -> Vec<Evidence> {
        self.evidence.clone()
    }

    pub(crate) fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Hands the next output out.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front()?;
        match output {
            Output::Play(_) => self.audible = true,
            Output::StopPlay => self.audible = false,
            _ => {}
        }
        Some(output)
    }

    /// Nobody listens any more: what was to be played is not.
    pub(crate) fn hang_up(&mut self) {
        self.hung_up = true;
        self.audible = false;
        self.outputs
            .retain(|output| !matches!(output, Output::Play(_) | Output::StopPlay));
    }

    pub(crate) fn end(&mut self, result: CallResult) {
        self.ear.trail.wipe();
        self.spare.clear();
        self.outputs.push_back(Output::End(End {
            result,
            outcome: self.outcome.take(),
            card: self.card,
            hung_up: self.hung_up && !plant::is("hung-up-is-forgotten"),
            keys: self.ear.keys(),
            evidence: std::mem::take(&mut self.evidence),
        }));
    }

    fn record(&mut self, entry: Evidence) {
        if self.evidence.len() >= EVIDENCE_MAX {
            let oldest = self
                .evidence
                .iter()
                .position(|e| matches!(e, Evidence::Spoken { .. }))
                .unwrap_or(0);
            self.evidence.remove(oldest);
        }
        self.evidence.push(entry);
    }
}
