//! Finds telephone keys (DTMF) in sound, and reads the sound out of recordings.
//!
//! A [`Detector`] takes the samples of one channel and tells each [`Tone`] with its place and its [`Grade`]. There are two
//! thresholds, since the question is not only "was a key pressed?" but also "could somebody with this recording tell which?":
//!
//! - [`Grade::Decoded`]: what a receiver must accept and nothing that it must refuse. 40 ms of tone and 30 ms of pause, -33 to -3 dBm0,
//!   high group -8 to +6 dB against low, ±1.8 % in frequency, 15 dB over noise. Refused: ±3.5 %, 20 ms. Equal keys with a pause of
//!   30 ms are two, a drop-out of 15 ms does not end one.
//! - [`Grade::ToneLike`]: two steady tones of the keypad that a receiver refuses: from 10 ms (in silence from 5 ms: what is left of a
//!   key that was muted late), from -50 dBm0, up to 16 dB apart, up to 5 % off, from 2 dB over noise or speech. A voice
//!   makes some of these as well (measured: none in 43 minutes of English, 1.3 a minute in a Japanese synthetic voice), so one
//!   alone means little, and a row of them much. What it does not find may still be read by somebody: 2 ms are enough on a
//!   quiet line.
//!
//! What was measured is printed by `cargo run --release -p ivrpay-tone --example measure`.
//!
//! A [`Recording`] reads WAV and Asterisk's headerless files from any reader, bounded in memory, and listens to each channel.
//!
//! This crate is pure: no files, no clock. Sound is wiped when dropped; a [`Key`] prints nothing. It does not know what a card number is.

mod dtmf;
mod goertzel;
mod key;
mod recording;

pub use dtmf::{Detector, Grade, RATES, RateError, Tone};
pub use key::Key;
pub use recording::{CHANNELS_MAX, Raw, Recording, RecordingError};

#[cfg(test)]
mod tests {
    use std::fmt::{Debug, Display};

    use static_assertions::{assert_impl_all, assert_not_impl_any};

    use super::*;

    // Keys are compared; they print nothing.
    assert_not_impl_any!(Key: Debug, Display);
    assert_not_impl_any!(Tone: Debug, Display);
    assert_not_impl_any!(Detector: Clone, Debug, Display);
    assert_impl_all!(Detector: Send);
}
