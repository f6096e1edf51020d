//! The line that no operator attends: how it asks, and what a merchant answers. Runs the keypad ([`ivrpay_dialogue::desk`]) on a leg
//! over ARI.
//!
//! Does not know what comes behind the keypad.

use std::time::{Duration, Instant};

use ivrpay_ari::{CallEvent, Client, Inbox, PlaybackId, RequestError};
use ivrpay_dialogue::desk::{Desk, End, Input, OrderDigits, Output, Progress};
use ivrpay_dialogue::{At, Command, Prompt, Say};
use ivrpay_payment::{Currency, Money};
use ivrpay_prompts::Language;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::events::{self, About};

/// How long a merchant is waited for, in silence, where the configuration says nothing.
pub(crate) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest from the first question to an order and its amount, wrong numbers and the merchant's answers included. The dialplan's own
/// limit (`ivrpay-pay`) is longer by this.
pub(crate) const ENTRY_MAX: Duration = Duration::from_secs(300);

/// `[tenants.line]`, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Whether the caller chooses a language, where the dialplan names none.
    pub ask_language: bool,
    /// The language where none is chosen, or the first one; the tenant's when `None`.
    pub language: Option<Language>,
    /// Digits of an order number.
    pub digits: OrderDigits,
    /// Whether 0 leads to an operator: the dialplan has one.
    pub operator: bool,
}

impl Default for Line {
    fn default() -> Self {
        const ANY: OrderDigits = match OrderDigits::new(1, OrderDigits::MAX, true) {
            Some(digits) => digits,
            None => panic!("a range of digits"),
        };
        Self {
            ask_language: false,
            language: None,
            digits: ANY,
            operator: true,
        }
    }
}

/// What a merchant says of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It costs so much.
    Payable(Money),
    /// It is paid.
    Paid,
    /// There is no such order.
    Unknown,
}

#[derive(Deserialize)]
struct RawAnswer {
    status: Status,
    amount: Option<u64>,
    currency: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Status {
    Paid,
    Payable,
    Unknown,
}

/// Reads a merchant's answer; fields that are not ours may stand in it.
///
/// # Errors
/// What is wrong, in words for an admin; never what stood there.
pub(crate) fn answer(body: &[u8]) -> Result<Answer, &'static str> {
    let raw: RawAnswer = serde_json::from_slice(body)
        .map_err(|_| "the answer is no JSON object with status payable, paid or unknown, amount as a whole number of minor units, and currency")?;
    match raw.status {
        Status::Paid => return Ok(Answer::Paid),
        Status::Unknown => return Ok(Answer::Unknown),
        Status::Payable => {}
    }
    let currency = raw
        .currency
        .ok_or("status is payable, and there is no currency")?;
    let currency: Currency = currency
        .parse()
        .map_err(|_| "currency is not one that we know")?;
    let amount = raw
        .amount
        .ok_or("status is payable, and there is no amount")?;
    Money::new(amount, currency)
        .map(Answer::Payable)
        .map_err(|_| "amount is not from 1 to 99,999,999 minor units")
}

/// A leg on which somebody keys.
pub(crate) struct Leg<'a> {
    pub(crate) client: &'a Client,
    pub(crate) about: &'a About,
    pub(crate) inbox: &'a mut Inbox,
    pub(crate) commands: &'a mut mpsc::Receiver<Command>,
    /// Time 0.
    pub(crate) began: Instant,
    /// Names the playbacks of this entry among those of the call.
    pub(crate) entry: u32,
}

/// How an entry ended, and what else became known of the leg meanwhile.
pub(crate) struct Entered {
    pub(crate) end: End,
    /// The channel left Stasis or hung up.
    pub(crate) gone: bool,
    /// Events came faster than they could be taken, and no more come.
    pub(crate) overflowed: bool,
    /// When the last key was read from the socket.
    pub(crate) last_key: Option<Instant>,
}

/// What plays on a leg.
struct Player<'a> {
    client: &'a Client,
    about: &'a About,
    entry: u32,
    playback: Option<PlaybackId>,
    playbacks: u32,
    gone: bool,
}

/// Leads somebody through the keypad. `before` is said ahead of the first question; a key stops both.
pub(crate) async fn enter(
    leg: Leg<'_>,
    mut desk: Desk,
    before: Vec<Say>,
    tell: impl Fn(&Progress),
) -> Entered {
    let Leg {
        client,
        about,
        inbox,
        commands,
        began,
        entry,
    } = leg;
    let mut before = Some(before);
    let mut player = Player {
        client,
        about,
        entry,
        playback: None,
        playbacks: 0,
        gone: false,
    };
    let (mut overflowed, mut last_key) = (false, None);
    let now = || At(began.elapsed());
    desk.start(now());
    loop {
        while let Some(output) = desk.poll_output() {
            match output {
                Output::Play(Prompt(says), language) => {
                    let ahead = before.take().unwrap_or_default();
                    let prompt = Prompt(ahead.into_iter().chain(says).collect());
                    if !player.play(&prompt, language).await {
                        // Nothing will end it: the entry goes on without.
                        desk.handle(now(), Input::PromptEnded);
                    }
                }
                Output::StopPlay => player.stop().await,
                Output::Progress(progress) => tell(&progress),
                Output::End(end) => {
                    player.stop().await;
                    return Entered {
                        end,
                        gone: player.gone,
                        overflowed,
                        last_key,
                    };
                }
            }
        }
        let deadline = desk
            .deadline()
            .map(|at| tokio::time::Instant::from_std(began + at.0));
        let mut at = None;
        let input = tokio::select! {
            // Keys before deadlines: a key that has arrived counts, however late we are.
            biased;
            event = inbox.recv(), if !player.gone && !overflowed => match event {
                Some(CallEvent::KeyWaiting { arrived, lasted }) => {
                    (at, last_key) = (Some(arrived), Some(arrived));
                    inbox.take_key().map(|key| Input::Key(key, lasted))
                }
                Some(CallEvent::PlaybackFinished { id, failed }) => player.ended(&id, failed),
                Some(CallEvent::KeysLost) => {
                    events::keys_lost(about);
                    Some(Input::KeysLost)
                }
                Some(CallEvent::Overflow) => {
                    events::overflow(about);
                    overflowed = true;
                    Some(Input::HungUp)
                }
                Some(
                    CallEvent::HangupRequest
                    | CallEvent::StasisEnd
                    | CallEvent::Destroyed { .. }
                    | CallEvent::Gone,
                ) => {
                    player.gone = true;
                    Some(Input::HungUp)
                }
                // Nobody reads Asterisk's socket any more; the caller is there, and is given back.
                None => {
                    overflowed = true;
                    Some(Input::HungUp)
                }
                Some(_) => None,
            },
            Some(command) = commands.recv() => match command {
                Command::Shutdown => Some(Input::Shutdown),
                // There is no payment yet to which another could apply.
                _ => None,
            },
            () = crate::call::sleep_until(deadline) => Some(Input::DeadlineReached),
        };
        if let Some(input) = input {
            // A key counts from when it came off the socket, however late its turn is.
            let at = at.map_or_else(now, |arrived| At(arrived.saturating_duration_since(began)));
            desk.handle(at, input);
        }
    }
}

impl Player<'_> {
    /// Whether it plays, or nobody is there to hear it.
    async fn play(&mut self, prompt: &Prompt, language: Language) -> bool {
        self.stop().await;
        if self.gone {
            return true;
        }
        self.playbacks += 1;
        let id = format!(
            "ivrpay-{}-entry-{}-{}",
            self.about.call_id, self.entry, self.playbacks
        );
        let Ok(id) = PlaybackId::new(&id) else {
            return false;
        };
        let media: Vec<String> = ivrpay_prompts::clips(prompt, language)
            .iter()
            .map(|clip| format!("sound:ivrpay/{clip}"))
            .collect();
        let media: Vec<&str> = media.iter().map(String::as_str).collect();
        let channel = &self.about.channel_id;
        match self
            .client
            .play(channel, &id, &media, Some(language.code()))
            .await
        {
            // It may play all the same; then its end is told.
            Ok(()) | Err(RequestError::OutcomeUnknown) => {
                self.playback = Some(id);
                true
            }
            Err(error) => {
                events::ari_request_failed(self.about, "play", &error);
                false
            }
        }
    }

    async fn stop(&mut self) {
        if let Some(id) = self.playback.take()
            && !self.gone
            && let Err(error) = self.client.stop_playback(&id).await
        {
            events::ari_request_failed(self.about, "stop", &error);
        }
    }

    fn ended(&mut self, id: &PlaybackId, failed: bool) -> Option<Input> {
        self.playback.take_if(|playing| playing == id)?;
        if failed && !self.gone {
            events::prompt_failed(self.about);
        }
        Some(Input::PromptEnded)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_merchants_answer_is_an_amount_or_nothing() {
        let yen = |minor| Answer::Payable(Money::new(minor, Currency::Jpy).unwrap());
        for (body, expected) in [
            (
                r#"{"amount":1200,"currency":"JPY","status":"payable","description":"tea","colour":1}"#,
                Some(yen(1_200)),
            ),
            (r#"{"status":"paid"}"#, Some(Answer::Paid)),
            (
                r#"{"status":"unknown","amount":null}"#,
                Some(Answer::Unknown),
            ),
            (r#"{"amount":1200,"status":"payable"}"#, None),
            (r#"{"currency":"JPY","status":"payable"}"#, None),
            (r#"{"amount":0,"currency":"JPY","status":"payable"}"#, None),
            (
                r#"{"amount":12.5,"currency":"JPY","status":"payable"}"#,
                None,
            ),
            (r#"{"amount":-1,"currency":"JPY","status":"payable"}"#, None),
            (
                r#"{"amount":"1200","currency":"JPY","status":"payable"}"#,
                None,
            ),
            (
                r#"{"amount":100000000,"currency":"JPY","status":"payable"}"#,
                None,
            ),
            (
                r#"{"amount":1200,"currency":"XXX","status":"payable"}"#,
                None,
            ),
            (r#"{"amount":1200,"currency":"JPY"}"#, None),
            (
                r#"{"amount":1200,"currency":"JPY","status":"Payable"}"#,
                None,
            ),
            (r#"[{"status":"paid"}]"#, None),
            ("", None),
            ("<html>", None),
            ("\u{feff}{}", None),
        ] {
            assert_eq!(answer(body.as_bytes()).ok(), expected, "{body}");
        }
        assert!(answer(&[0xff, 0xfe]).is_err());
    }
}
