//! What requests carry, and what Asterisk answers.

use serde::{Deserialize, Serialize};

/// Which voice a mute takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// What the channel sends.
    In,
    /// What the channel hears.
    Out,
    /// Both.
    Both,
}

/// What the other side is told about a hang-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HangupReason {
    /// Normal end.
    Normal,
    /// Busy.
    Busy,
    /// No circuit or capacity.
    Congestion,
    /// Something failed.
    Failure,
}

#[derive(Serialize)]
pub(crate) struct Hangup {
    pub(crate) reason: HangupReason,
}

#[derive(Serialize)]
pub(crate) struct Continue<'a> {
    pub(crate) context: &'a str,
    pub(crate) extension: &'a str,
    pub(crate) priority: u32,
}

#[derive(Serialize)]
pub(crate) struct SetVariable<'a> {
    pub(crate) variable: &'a str,
    pub(crate) value: &'a str,
}

#[derive(Serialize)]
pub(crate) struct GetVariable<'a> {
    pub(crate) variable: &'a str,
}

#[derive(Deserialize)]
pub(crate) struct Variable {
    pub(crate) value: String,
}

#[derive(Serialize)]
pub(crate) struct Play<'a> {
    pub(crate) media: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lang: Option<&'a str>,
}

#[derive(Serialize)]
pub(crate) struct Mute {
    pub(crate) direction: Direction,
}

#[derive(Serialize)]
pub(crate) struct EventFilter {
    pub(crate) allowed: Vec<EventType>,
}

/// A type of event, in a filter of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventType {
    /// For example `ChannelDtmfReceived`.
    #[serde(rename = "type")]
    pub kind: String,
}

#[derive(Deserialize)]
pub(crate) struct Setting {
    pub(crate) attribute: String,
    pub(crate) value: String,
}

/// The text of a refusal. Only compared, never shown: it may hold anything.
#[derive(Deserialize)]
pub(crate) struct Message {
    #[serde(default)]
    pub(crate) message: String,
}

/// A log channel of Asterisk (logger.conf).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LogChannel {
    /// File name, `Console`, `syslog:…`.
    pub channel: String,
    /// `File`, `Console`, `Syslog`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `Enabled` or `Disabled`.
    pub status: String,
    /// Its levels, as one text, `DTMF` among them.
    pub configuration: String,
}

/// An ARI application, as Asterisk knows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Application {
    /// Name.
    pub name: String,
    /// Channels it is subscribed to; `__AST_CHANNEL_ALL_TOPIC` for all.
    pub channel_ids: Vec<String>,
    /// Endpoints it is subscribed to, as `PJSIP/trunk`: with their channels.
    #[serde(default)]
    pub endpoint_ids: Vec<String>,
    /// The only events it is sent, where there are any; from Asterisk 16.3 on.
    #[serde(default)]
    pub events_allowed: Vec<EventType>,
    /// Events it is not sent.
    #[serde(default)]
    pub events_disallowed: Vec<EventType>,
}

/// A bridge.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Bridge {
    /// Unique id.
    pub id: String,
    /// What carries it now: `simple_bridge`, `softmix`, `native_rtp`, `holding_bridge`.
    pub technology: String,
    /// Ids of the channels in it.
    pub channels: Vec<String>,
}

/// About Asterisk.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Info {
    /// Version, for example `22.10.1`.
    #[serde(rename = "system", deserialize_with = "version")]
    pub version: String,
}

fn version<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    struct System {
        version: String,
    }
    System::deserialize(deserializer).map(|system| system.version)
}

/// A loadable module.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Module {
    /// File name, for example `res_pjsip.so`.
    pub name: String,
    /// `Running` or not.
    pub status: String,
}

/// A sound that Asterisk found below its folder of sounds when it started.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Sound {
    /// As in `sound:ID`, for example `ivrpay/greeting`.
    pub id: String,
    /// The languages in which it is there.
    #[serde(rename = "formats")]
    pub languages: Vec<SoundLanguage>,
}

/// A language of a [`Sound`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SoundLanguage {
    /// For example `ja`.
    pub language: String,
}
