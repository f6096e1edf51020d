//! A prompt of ours on a channel: the one place that knows where the clips lie.

use ivrpay_ari::{ChannelId, Client, PlaybackId, RequestError};
use ivrpay_dialogue::Prompt;
use ivrpay_prompts::Language;

/// Plays a prompt in a language, as one playback.
///
/// # Errors
/// [`RequestError`]; behind [`RequestError::OutcomeUnknown`] it may play all the same, and then its end is told.
pub(crate) async fn play(
    client: &Client,
    channel: &ChannelId,
    playback: &PlaybackId,
    prompt: &Prompt,
    language: Language,
) -> Result<(), RequestError> {
    let media: Vec<String> = ivrpay_prompts::clips(prompt, language)
        .iter()
        .map(|clip| format!("sound:ivrpay/{clip}"))
        .collect();
    let media: Vec<&str> = media.iter().map(String::as_str).collect();
    client
        .play(channel, playback, &media, Some(language.code()))
        .await
}
