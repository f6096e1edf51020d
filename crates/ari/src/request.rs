//! What requests carry, and what Asterisk answers.

use std::collections::BTreeMap;

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

#[derive(Serialize)]
pub(crate) struct EventBan {
    pub(crate) disallowed: Vec<EventType>,
}

/// A call of our own: it stands in an application. Of a Local channel one half does, the other runs the dialplan.
#[derive(Debug, Clone, Serialize)]
pub struct Originate<'a> {
    /// `Local/EXTENSION@CONTEXT/n`.
    pub endpoint: &'a str,
    /// Formats; without them Asterisk takes the widest of a Local channel, and what an endpoint allows.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub formats: &'a str,
    /// Application in which the near half stands. Asterisk subscribes it to the other half as well.
    pub app: &'a str,
    /// Id of the near half. Asterisk refuses one that is there already.
    #[serde(rename = "channelId")]
    pub channel: &'a str,
    /// Id of the half that runs the dialplan.
    #[serde(rename = "otherChannelId")]
    pub other: &'a str,
    /// Seconds until the dialplan must have answered.
    pub timeout: u32,
    /// Variables that both halves have from the beginning.
    pub variables: BTreeMap<&'a str, &'a str>,
}

/// A call of our own that runs the dialplan when it is answered.
#[derive(Debug, Clone, Serialize)]
pub struct Dial<'a> {
    /// Who is rung: `PJSIP/201`, or `Local/NUMBER@CONTEXT/n`, whose far half runs the dialplan at once.
    pub endpoint: &'a str,
    /// Where the channel goes when it is answered.
    pub context: &'a str,
    /// Extension there.
    pub extension: &'a str,
    /// Priority there.
    pub priority: u32,
    /// Who seems to call; empty for nobody.
    #[serde(rename = "callerId", skip_serializing_if = "str::is_empty")]
    pub caller: &'a str,
    /// Id of the channel. Asterisk refuses one that is there already, and gives one where this is empty.
    #[serde(rename = "channelId", skip_serializing_if = "str::is_empty")]
    pub channel: &'a str,
    /// Seconds until it must have been answered.
    pub timeout: u32,
    /// Variables that the channel has from the beginning, both halves of a Local channel.
    pub variables: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
pub(crate) struct Dtmf {
    pub(crate) dtmf: char,
    /// Milliseconds.
    pub(crate) duration: u32,
}

#[derive(Serialize)]
pub(crate) struct EventType {
    #[serde(rename = "type")]
    pub(crate) kind: String,
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
    /// Endpoints it is subscribed to, as `PJSIP/trunk`.
    #[serde(default)]
    pub endpoint_ids: Vec<String>,
    /// Types of events that alone it gets; empty = all. From Asterisk 13.26 and 16.3 on.
    #[serde(default, deserialize_with = "kinds")]
    pub events_allowed: Vec<String>,
    /// Types of events that it does not get.
    #[serde(default, deserialize_with = "kinds")]
    pub events_disallowed: Vec<String>,
}

fn kinds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "type")]
        kind: String,
    }
    let kinds: Vec<Kind> = Vec::deserialize(deserializer)?;
    Ok(kinds.into_iter().map(|k| k.kind).collect())
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
    /// How it was built, for example `OPTIONAL_API, TEST_FRAMEWORK`.
    #[serde(rename = "build", default, deserialize_with = "options")]
    pub build_options: String,
}

fn options<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    struct Build {
        options: String,
    }
    Build::deserialize(deserializer).map(|build| build.options)
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

/// Somebody who calls and is called.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Endpoint {
    /// For example `PJSIP`.
    pub technology: String,
    /// Name, for example `trunk`.
    pub resource: String,
}

/// One setting of a configuration object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Setting {
    /// For example `direct_media`.
    pub attribute: String,
    /// For example `false`.
    pub value: String,
}
