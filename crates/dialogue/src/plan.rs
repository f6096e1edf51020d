//! Has the caller choose how it is paid back: all at once, or another plan that the merchant offers for this card.
//!
//! Enters with a whole card; skipped where there is nothing to choose, and where it was settled before the call. Only what is allowed is
//! said, and nothing else can be chosen; where what was settled is not allowed for this card, that is said, and the caller chooses. Holds
//! the card that was keyed. Does not know amounts and dates: the offers are those of this call.

use ivrpay_card::Digits;
use ivrpay_payment::{Count, Offers, Plan, Truncated};

use crate::call::Call;
use crate::ear::Flush;
use crate::field::{Asked, Field, Kind, Verdict};
use crate::io::{At, ErrorType, Say, Step};
use crate::line::Line;
use crate::menu::{Answer, Menu};
use crate::writing::With;
use crate::{State, What, confirm, ending, paused};

/// The plans of a menu, each with its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of `Plan`")]
pub struct PlanKinds {
    pub lump_sum: bool,
    pub instalments: bool,
    pub revolving: bool,
    pub bonus: bool,
}

impl PlanKinds {
    /// Those of these plans.
    #[must_use]
    pub fn of(plans: &[Plan]) -> Self {
        let has = |wanted: fn(&Plan) -> bool| plans.iter().any(wanted);
        Self {
            lump_sum: has(Plan::is_lump_sum),
            instalments: has(|plan| matches!(plan, Plan::Instalments(_))),
            revolving: has(|plan| matches!(plan, Plan::Revolving)),
            bonus: has(|plan| matches!(plan, Plan::BonusLumpSum)),
        }
    }

    /// The keys: 1 one payment, 2 instalments, 3 revolving, 4 bonus.
    pub fn keys(self) -> impl Iterator<Item = u8> {
        let all = [self.lump_sum, self.instalments, self.revolving, self.bonus];
        (1..)
            .zip(all)
            .filter_map(|(key, there)| there.then_some(key))
    }
}

/// A set of numbers of instalments, `Copy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts(u128);

impl Counts {
    /// Those of these plans.
    #[must_use]
    pub fn of(plans: &[Plan]) -> Self {
        let bits = plans.iter().filter_map(|plan| match plan {
            Plan::Instalments(count) => Some(1 << count.get()),
            _ => None,
        });
        Self(bits.fold(0, |set, bit| set | bit))
    }

    /// The numbers, ascending.
    pub fn iter(self) -> impl Iterator<Item = Count> {
        (2..=99)
            .filter_map(Count::new)
            .filter(move |count| self.0 & 1 << count.get() != 0)
    }

    /// The only one.
    fn single(self) -> Option<Count> {
        self.iter().next().filter(|_| self.0.is_power_of_two())
    }

    /// Most digits of one of them.
    pub(crate) fn digits(self) -> usize {
        if self.iter().any(|count| count.get() >= 10) {
            2
        } else {
            1
        }
    }

    /// The one that is keyed.
    pub(crate) fn read(self, digits: &Digits) -> Option<Count> {
        let number = digits.expose(|digits| str::from_utf8(digits).ok()?.parse().ok())?;
        self.iter().find(|count| count.get() == number)
    }
}

pub(crate) struct ChoosePlan {
    with: With,
    at: Place,
}

enum Place {
    Kind(Menu),
    Count(Field),
    /// The number of instalments is read back.
    Read(Plan, Menu),
}

/// What is offered for this card.
fn offers(call: &Call, with: &With) -> Offers {
    call.setup.offers.with(with.truncated().brand)
}

/// Whether there is nothing to choose or to confirm of it: one payment.
pub(crate) fn is_settled(call: &Call, with: &With) -> bool {
    match call.setup.plan {
        Some(plan) => plan.is_lump_sum(),
        None => offers(call, with).is_empty(),
    }
}

/// To the confirmation, where there is nothing to choose; else the choice.
pub(crate) fn enter(call: &mut Call, now: At, with: With) -> State {
    match call.setup.plan {
        Some(plan) if offers(call, &with).allows(plan) => {
            confirm::enter(call, now, with, plan, Vec::new())
        }
        Some(_) => {
            // Heard to its end: nobody takes for his plan what was not his wish.
            call.ear.flush = Flush::UntilHeard;
            choose(call, now, with, vec![Say::Line(Line::InvalidPaymentPlan)])
        }
        None => ask(call, now, with),
    }
}

/// The choice, whatever was settled before the call.
pub(crate) fn ask(call: &mut Call, now: At, with: With) -> State {
    choose(call, now, with, Vec::new())
}

/// `before` is said once, ahead of the question.
fn choose(call: &mut Call, now: At, with: With, mut before: Vec<Say>) -> State {
    let plans = offers(call, &with).plans();
    let kinds = PlanKinds::of(&plans);
    let keys: Vec<u8> = kinds.keys().collect();
    if let [] | [1] = keys.as_slice() {
        if !call.setup.offers.is_empty() || !before.is_empty() {
            before.push(Say::Line(Line::PaymentPlanSingle));
            // Whoever expects a menu, in which 1 is one payment, has not heard what this 1 pays.
            call.ear.flush = Flush::UntilHeard;
        }
        return confirm::enter(call, now, with, Plan::LumpSum, before);
    }
    // The last digit too many of a security code chooses nothing.
    let says = vec![Say::Plans(kinds)];
    let menu = Menu::ask_to_be_heard(call, now, Step::PaymentPlan, says, before);
    let menu = menu.with_keys(keys, ErrorType::InvalidPaymentPlan);
    let at = Place::Kind(menu);
    State::Plan(ChoosePlan { with, at })
}

/// How many instalments; not asked where there is one number alone.
fn instalments(call: &mut Call, now: At, with: With) -> State {
    let counts = Counts::of(&offers(call, &with).plans());
    match counts.single() {
        Some(count) => read_back(call, now, with, count),
        None => count(call, now, with, counts, Asked::FIRST, None),
    }
}

fn count(
    call: &mut Call,
    now: At,
    with: With,
    counts: Counts,
    asked: Asked,
    why: Option<Line>,
) -> State {
    let kind = Kind::Count(counts);
    let says = why.map(Say::Line).into_iter().chain([kind.question()]);
    match Field::ask(call, now, kind, asked, says.collect()) {
        Ok(field) => State::Plan(ChoosePlan {
            with,
            at: Place::Count(field),
        }),
        Err(full) => ending::no_memory(call, now, full),
    }
}

fn read_back(call: &mut Call, now: At, with: With, count: Count) -> State {
    let plan = Plan::Instalments(count);
    let says = vec![Say::PlanRead(plan)];
    let step = Step::PaymentPlanConfirmation;
    let menu = Menu::ask_to_be_heard(call, now, step, says, Vec::new());
    let at = Place::Read(plan, menu);
    State::Plan(ChoosePlan { with, at })
}

impl ChoosePlan {
    pub(crate) fn handle(mut self, call: &mut Call, now: At, what: What) -> State {
        match what {
            What::Resume => {
                match &mut self.at {
                    Place::Kind(menu) | Place::Read(_, menu) => menu.again(call, now),
                    Place::Count(field) => field.resume(call, now),
                }
                return State::Plan(self);
            }
            What::ReAsk(Step::PaymentPlan) => return ask(call, now, self.with),
            What::ReAsk(step) if With::is_of_a_card(step) => {
                return self.with.re_ask(call, now, step);
            }
            _ => {}
        }
        let Self { with, at } = self;
        match at {
            Place::Kind(menu) => kind(call, now, with, menu, &what),
            Place::Count(field) => counted(call, now, with, field, &what),
            Place::Read(plan, menu) => heard(call, now, with, (plan, menu), &what),
        }
    }

    pub(crate) const fn is_stored(&self) -> bool {
        matches!(self.with, With::Stored(_))
    }

    pub(crate) fn card(&self) -> Truncated {
        self.with.truncated()
    }

    pub(crate) fn deadline(&self, call: &Call) -> At {
        match &self.at {
            Place::Kind(menu) | Place::Read(_, menu) => menu.deadline(call),
            Place::Count(field) => field.deadline(call),
        }
    }
}

fn kind(call: &mut Call, now: At, with: With, mut menu: Menu, what: &What) -> State {
    let plan = match menu.answer(call, now, what) {
        Answer::Key(1) => Plan::LumpSum,
        Answer::Key(2) => return instalments(call, now, with),
        Answer::Key(3) => Plan::Revolving,
        Answer::Key(_) => Plan::BonusLumpSum,
        answer => return left(call, now, with, Place::Kind(menu), answer),
    };
    confirm::enter(call, now, with, plan, Vec::new())
}

fn heard(
    call: &mut Call,
    now: At,
    with: With,
    (plan, mut menu): (Plan, Menu),
    what: &What,
) -> State {
    match menu.answer(call, now, what) {
        Answer::Key(1) => confirm::enter(call, now, with, plan, Vec::new()),
        Answer::Key(_) => ask(call, now, with),
        answer => left(call, now, with, Place::Read(plan, menu), answer),
    }
}

/// A menu in which nothing was chosen.
fn left(call: &mut Call, now: At, with: With, at: Place, answer: Answer) -> State {
    match answer {
        Answer::TooMany => ending::too_many(call, now),
        Answer::Operator => paused::by_star(call, now, State::Plan(ChoosePlan { with, at })),
        _ => State::Plan(ChoosePlan { with, at }),
    }
}

fn counted(call: &mut Call, now: At, with: With, mut field: Field, what: &What) -> State {
    let (error, why) = match field.handle(call, now, what) {
        Verdict::Stay => {
            let at = Place::Count(field);
            return State::Plan(ChoosePlan { with, at });
        }
        Verdict::Operator => {
            let at = Place::Count(field);
            return paused::by_star(call, now, State::Plan(ChoosePlan { with, at }));
        }
        Verdict::Ended => {
            let counts = Counts::of(&offers(call, &with).plans());
            let attempt = field.attempt();
            return match counts.read(&field.into_digits()) {
                Some(count) => read_back(call, now, with, count),
                None => {
                    let why = (
                        ErrorType::InvalidPaymentPlan,
                        Some(Line::InvalidPaymentPlan),
                    );
                    again(call, now, with, attempt, why)
                }
            };
        }
        Verdict::Doubtful => (
            ErrorType::DuplicateToneSuspected,
            Some(Line::DuplicateToneSuspected),
        ),
        Verdict::Long => (
            ErrorType::InvalidPaymentPlan,
            Some(Line::InvalidPaymentPlan),
        ),
        Verdict::TimedOut => (ErrorType::InputTimeout, None),
    };
    let attempt = field.attempt();
    drop(field);
    again(call, now, with, attempt, (error, why))
}

/// The number once more, after an attempt that was wrong.
fn again(
    call: &mut Call,
    now: At,
    with: With,
    attempt: u8,
    (error, why): (ErrorType, Option<Line>),
) -> State {
    call.ear.flush = Flush::UntilPause;
    if attempt >= call.settings.max_attempts {
        return ending::too_many(call, now);
    }
    let counts = Counts::of(&offers(call, &with).plans());
    let asked = Asked {
        attempt: attempt + 1,
        error: Some(error),
    };
    count(call, now, with, counts, asked, why)
}
