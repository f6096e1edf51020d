//! `ivrpay simulate --desk`: the keypad of an operator, or of a customer on the line that nobody attends. Nothing is paid.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use ivrpay_dialogue::desk::{Desk, End, Input, Keyed, OrderDigits, Output, Progress, Setup, Who};
use ivrpay_dialogue::{At, Settings};
use ivrpay_payment::{Currency, Money, Offers};
use ivrpay_prompts::Language;
use ivrpay_secret::{Key, KeyRing};

use super::{Typed, Typing, dots, say, speak, until};

/// Who keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Keys {
    /// Amount, order number and the customer's language
    Operator,
    /// Language and order number; 0 for an operator
    Customer,
}

/// Digits of an order number here.
const ORDER_DIGITS: (usize, usize) = (3, 10);

pub(super) async fn simulate(
    keys: Keys,
    language: Language,
    currency: Currency,
) -> anyhow::Result<String> {
    // A person may type a real card number where none belongs.
    drop(ivrpay_secret::harden());
    ivrpay_secret::init(
        ivrpay_secret::Policy::Any,
        ivrpay_secret::Layout::for_calls(1),
    )?;
    let ring = Arc::new(KeyRing::take(64)?);
    let terminal = std::io::stdin().is_terminal();
    let mut typing = Typing::begin(&ring, terminal)?;
    if terminal {
        say("keys 0-9 * # as on a telephone; q hangs up. Nothing is paid.");
    }
    let (min, max) = ORDER_DIGITS;
    let setup = match keys {
        Keys::Operator => Setup {
            who: Who::Operator,
            language,
            ask_language: true,
            amount_max: Some(Money::new(Money::MAX, currency)?),
            order: OrderDigits::new(min, max, false),
            offers: Offers::NONE,
        },
        Keys::Customer => Setup {
            who: Who::Customer { operator: true },
            language,
            ask_language: true,
            amount_max: None,
            order: OrderDigits::new(min, max, true),
            offers: Offers::NONE,
        },
    };
    let mut desk =
        Desk::new(Arc::new(Settings::default()), setup).context("memory for the keys")?;
    let began = Instant::now();
    let mut prompt_ends: Option<Instant> = None;
    desk.start(At(Duration::ZERO));
    loop {
        while let Some(output) = desk.poll_output() {
            match output {
                Output::Play(prompt, language) => {
                    prompt_ends = Some(Instant::now() + speak(&prompt, language, terminal));
                }
                Output::StopPlay => prompt_ends = None,
                Output::Progress(progress) => show(&progress, terminal),
                Output::End(end) => return Ok(told(&end)),
            }
        }
        let deadline = desk.deadline().map(|at| began + at.0);
        let input = tokio::select! {
            biased;
            typed = typing.next() => match typed {
                Typed::Key => match ring.pop().and_then(Key::from_byte) {
                    Some(key) => Input::Key(key, Duration::from_millis(100)),
                    None => continue,
                },
                Typed::Pause => continue,
                Typed::HangUp => Input::HungUp,
            },
            () = until(prompt_ends) => { prompt_ends = None; Input::PromptEnded },
            () = until(deadline) => Input::DeadlineReached,
        };
        desk.handle(At(began.elapsed()), input);
    }
}

fn show(progress: &Progress, terminal: bool) {
    if progress.asked {
        let wrong = progress
            .wrong
            .map(|wrong| format!(" ({})", wrong.name()))
            .unwrap_or_default();
        say(&format!(
            "  [{}, attempt {}{wrong}]",
            progress.step.name(),
            progress.attempt
        ));
    } else if terminal {
        dots(progress.digits);
    }
}

fn told(end: &End) -> String {
    match end {
        End::Keyed(Keyed {
            amount,
            order,
            plan: _,
            language,
        }) => {
            let amount = amount.map(|amount| format!("amount {amount}, "));
            let order = order.as_ref().map(|order| format!("order {order}, "));
            format!(
                "keyed, {}{}language {language}",
                amount.unwrap_or_default(),
                order.unwrap_or_default()
            )
        }
        End::WantsOperator => "wants-operator".to_owned(),
        End::GivenUp(why) => format!("given up, {}", why.name()),
    }
}
