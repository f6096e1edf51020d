//! What every question of the keypad shares: settings, keys, outputs, and what has been keyed so far.
//!
//! Lives as long as the keypad. Owns all its secret memory, taken at the start: the last key, and one row of digits. Does not know
//! which question is current.

use std::collections::VecDeque;
use std::sync::Arc;

use ivrpay_card::{Digits, Rules};
use ivrpay_payment::{Brand, Money, OrderId};
use ivrpay_secret::Full;

use super::io::{End, Output, Progress, Setup, Step, Who, Wrong};
use crate::ear::Ear;
use crate::io::{At, Language, Prompt, Say, Spelt};
use crate::line::Line;
use crate::settings::Settings;

pub(super) struct Board {
    pub(super) settings: Arc<Settings>,
    pub(super) setup: Setup,
    pub(super) ear: Ear,
    /// The row that is being keyed. Digits that are none of a card, but a card number may be keyed here by mistake.
    pub(super) digits: Digits,
    /// Every card that there is: to know one where it does not belong.
    pub(super) cards: Rules,
    pub(super) began: At,
    /// Last key, for the limit without progress.
    pub(super) progress_at: At,
    /// Times that what was keyed was called wrong.
    pub(super) rounds: u8,
    pub(super) amount: Option<Money>,
    pub(super) order: Option<(OrderId, Spelt)>,
    /// Whether the customer may choose how it is paid back, where that was asked.
    pub(super) plans: Option<bool>,
    /// The customer's language.
    pub(super) language: Language,
    outputs: VecDeque<Output>,
    /// A prompt was handed out and has neither ended nor been stopped.
    audible: bool,
}

impl Board {
    pub(super) fn new(settings: Arc<Settings>, setup: Setup) -> Result<Self, Full> {
        Ok(Self {
            language: setup.language,
            settings,
            setup,
            ear: Ear::take()?,
            digits: Digits::take()?,
            cards: Rules {
                brands: Brand::ALL.to_vec(),
                luhn: true,
            },
            began: At::default(),
            progress_at: At::default(),
            rounds: 0,
            amount: None,
            order: None,
            plans: None,
            outputs: VecDeque::new(),
            audible: false,
        })
    }

    /// Whether 0 and `*` twice lead to an operator.
    pub(super) fn operator(&self) -> bool {
        self.setup.who == Who::Customer { operator: true }
    }

    /// Whether an operator is asked if the customer may choose how it is paid back.
    pub(super) fn asks_plans(&self) -> bool {
        let offers = |amount| !self.setup.offers.of(amount).is_empty();
        self.setup.who == Who::Operator && self.amount.is_some_and(offers)
    }

    /// The language of what is spoken: an operator hears his own, whatever the customer's.
    pub(super) fn spoken(&self) -> Language {
        match self.setup.who {
            Who::Operator => self.setup.language,
            Who::Customer { .. } => self.language,
        }
    }

    /// How to get out of here.
    pub(super) fn help(&self) -> Say {
        Say::Line(if self.operator() {
            Line::Help
        } else {
            Line::DeskHelp
        })
    }

    /// What a first reminder says, and what the others do.
    pub(super) fn reminder(&self, n: u32, question: Vec<Say>) -> Vec<Say> {
        match self.setup.who {
            // A desk telephone has keys; that they are not heard is told alike.
            Who::Operator if n == 0 && !self.ear.keyed => vec![Say::Line(Line::GreetingSilence1)],
            Who::Operator | Who::Customer { .. } => {
                let own = question.into_iter().chain([self.help()]).collect();
                crate::wait::reminder(self.ear.keyed, n, own)
            }
        }
    }

    pub(super) fn play(&mut self, says: Vec<Say>) {
        self.play_in(says, self.spoken());
    }

    pub(super) fn play_in(&mut self, says: Vec<Say>, language: Language) {
        self.outputs.push_back(Output::Play(Prompt(says), language));
    }

    /// Stops what plays; a prompt that nobody has fetched yet is taken back.
    pub(super) fn stop_play(&mut self) {
        self.outputs
            .retain(|output| !matches!(output, Output::Play(..) | Output::StopPlay));
        if self.audible {
            self.outputs.push_back(Output::StopPlay);
        }
    }

    pub(super) fn prompt_ended(&mut self) {
        self.audible = false;
        self.ear.prompt_ended();
    }

    /// A prompt plays, or is about to.
    pub(super) fn speaks(&self) -> bool {
        self.audible || self.outputs.iter().any(|o| matches!(o, Output::Play(..)))
    }

    pub(super) fn report(&mut self, step: Step, asked: bool, attempt: u8, wrong: Option<Wrong>) {
        let digits = match step {
            Step::Amount | Step::Order => u8::try_from(self.digits.len()).unwrap_or(u8::MAX),
            Step::Plan | Step::Language | Step::Confirm => 0,
        };
        self.outputs.push_back(Output::Progress(Progress {
            step,
            asked,
            attempt,
            digits,
            wrong,
        }));
    }

    /// Nobody listens any more: what was to be played is not.
    pub(super) fn hang_up(&mut self) {
        self.audible = false;
        self.outputs
            .retain(|output| !matches!(output, Output::Play(..) | Output::StopPlay));
    }

    pub(super) fn end(&mut self, end: End) {
        self.ear.trail.wipe();
        self.digits.clear();
        self.outputs.push_back(Output::End(end));
    }

    /// Hands the next output out.
    pub(super) fn poll(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front()?;
        match output {
            Output::Play(..) => self.audible = true,
            Output::StopPlay => self.audible = false,
            _ => {}
        }
        Some(output)
    }
}
