//! The sound of a channel of our own as a file, and what its RTP has brought: for `ivrpay check trunk`, where no card is keyed.

use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::{
    Client, RequestError,
    ids::{ChannelId, encode_segment},
};

#[derive(Serialize)]
struct Record<'a> {
    name: &'a str,
    format: &'a str,
    #[serde(rename = "maxDurationSeconds")]
    seconds_max: u32,
    #[serde(rename = "maxSilenceSeconds")]
    silence_seconds: u32,
    #[serde(rename = "ifExists")]
    if_exists: &'a str,
}

#[derive(Deserialize)]
struct Live {}

/// What RTP has brought since the call began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct RtpReceived {
    /// Packets.
    #[serde(rename = "rxcount")]
    pub packets: u64,
    /// Bytes in them, without headers.
    #[serde(rename = "rxoctetcount")]
    pub octets: u64,
}

impl Client {
    /// Records what a channel sends, as WAV of this name below Asterisk's folder of recordings. Ends after `seconds_max`, and after so many
    /// seconds of silence.
    ///
    /// # Errors
    /// [`RequestError`]; status 500 where that folder can't be written.
    pub async fn record(
        &self,
        channel: &ChannelId,
        name: &str,
        seconds_max: u32,
        silence_seconds: u32,
    ) -> Result<(), RequestError> {
        let path = format!("/channels/{}/record", channel.segment());
        let body = Record {
            name,
            format: "wav",
            seconds_max,
            silence_seconds,
            if_exists: "overwrite",
        };
        self.done(Method::POST, &path, Some(body)).await
    }

    /// Whether it is being recorded still.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn records(&self, name: &str) -> Result<bool, RequestError> {
        let path = format!("/recordings/live/{}", encode_segment(name));
        match self.get::<Live>(&path).await {
            Ok(Live {}) => Ok(true),
            Err(RequestError::Gone) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The file, whole.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn recording(&self, name: &str) -> Result<Vec<u8>, RequestError> {
        let path = format!("/recordings/stored/{}/file", encode_segment(name));
        self.bytes(&path).await
    }

    /// Deletes it. One that is not there is no error.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn delete_recording(&self, name: &str) -> Result<(), RequestError> {
        let path = format!("/recordings/stored/{}", encode_segment(name));
        match self.done(Method::DELETE, &path, None::<()>).await {
            Err(RequestError::Gone) => Ok(()),
            other => other,
        }
    }

    /// What RTP has brought to a channel.
    ///
    /// # Errors
    /// [`RequestError`]: [`RequestError::Gone`] for a channel without RTP too.
    pub async fn rtp_received(&self, channel: &ChannelId) -> Result<RtpReceived, RequestError> {
        let path = format!("/channels/{}/rtp_statistics", channel.segment());
        self.get(&path).await
    }
}
