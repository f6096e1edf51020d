//! Runs the keypad ([`ivrpay_dialogue::desk`]) on a leg over ARI: of an operator before a transfer, and of a caller whom no operator
//! attends.
//!
//! Does not know whose leg it is, nor what comes behind the keypad.

use std::time::{Duration, Instant};

use ivrpay_dialogue::desk::{Desk, End, Input, Output, Progress};
use ivrpay_dialogue::{At, Prompt, Say};
use ivrpay_prompts::Language;
use ivrpay_secret::Key;

/// What happens on a leg.
pub(crate) enum Happens {
    /// A key, how long it was held, and when it came off the socket.
    Key(Key, Duration, Instant),
    KeysLost,
    PromptEnded,
    Shutdown,
    Due,
}

/// A leg on which somebody keys.
pub(crate) trait Leg {
    /// How a leg ends that is not given back.
    type Left;

    /// Time 0.
    fn began(&self) -> Instant;

    /// Whether it plays, or nobody is there to hear it. What played before has been stopped.
    async fn play(&mut self, prompt: &Prompt, language: Language) -> bool;

    /// Stops what plays.
    async fn stop_play(&mut self);

    /// How far whoever keys is.
    fn tell(&self, progress: &Progress);

    /// What happens next; [`Happens::Due`] at the latest when it is due. Keys come before it: a key that has arrived counts, however
    /// late we are.
    ///
    /// # Errors
    /// The leg is no more.
    async fn next(&mut self, due: Option<Instant>) -> Result<Happens, Self::Left>;
}

/// Leads somebody through the keypad. `before` is said ahead of the first question; a key stops both.
///
/// # Errors
/// The leg is no more; what was keyed is wiped.
pub(crate) async fn lead<L: Leg>(
    leg: &mut L,
    mut desk: Desk,
    before: Vec<Say>,
) -> Result<End, L::Left> {
    let mut before = before;
    let now = |leg: &L| At(leg.began().elapsed());
    desk.start(now(leg));
    loop {
        while let Some(output) = desk.poll_output() {
            match output {
                Output::Play(Prompt(says), language) => {
                    before.extend(says);
                    if !leg
                        .play(&Prompt(std::mem::take(&mut before)), language)
                        .await
                    {
                        // Nothing will end it: the entry goes on without.
                        desk.handle(now(leg), Input::PromptEnded);
                    }
                }
                Output::StopPlay => leg.stop_play().await,
                Output::Progress(progress) => leg.tell(&progress),
                Output::End(end) => {
                    leg.stop_play().await;
                    return Ok(end);
                }
            }
        }
        let due = desk.deadline().map(|at| leg.began() + at.0);
        let (at, input) = match leg.next(due).await? {
            Happens::Key(key, lasted, arrived) => (
                // It counts from when it came off the socket, however late its turn is.
                At(arrived.saturating_duration_since(leg.began())),
                Input::Key(key, lasted),
            ),
            Happens::KeysLost => (now(leg), Input::KeysLost),
            Happens::PromptEnded => (now(leg), Input::PromptEnded),
            Happens::Shutdown => (now(leg), Input::Shutdown),
            Happens::Due => (now(leg), Input::DeadlineReached),
        };
        desk.handle(at, input);
    }
}
