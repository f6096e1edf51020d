//! The events that we use, out of the text of a message.
//!
//! Unknown types and unknown fields are ignored. What is kept for a moment only is borrowed from the text.

use std::borrow::Cow;

use serde::Deserialize;

use crate::ids::{ChannelId, PlaybackId};

/// An event of Asterisk.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A channel entered our application.
    StasisStart {
        /// The channel.
        channel: Box<Channel>,
        /// Arguments of `Stasis()` after the application's name.
        args: Vec<String>,
        /// Whose place it took by an attended transfer; then there are no arguments.
        replaced: Option<Box<Channel>>,
    },
    /// A channel left our application.
    StasisEnd {
        /// Its id.
        channel: Cow<'a, str>,
    },
    /// A key was released. Which one, only the redactor knows.
    DtmfReceived {
        /// Id of the channel.
        channel: Cow<'a, str>,
        /// How long it was held; 0 where Asterisk doesn't know.
        duration_ms: u32,
    },
    /// The caller hung up, or somebody wants the channel to end.
    HangupRequest {
        /// Id of the channel.
        channel: Cow<'a, str>,
    },
    /// The channel is no more.
    Destroyed {
        /// Id of the channel.
        channel: Cow<'a, str>,
        /// Cause (ITU-T Q.850).
        cause: u32,
    },
    /// A playback (each item of its list) began.
    PlaybackStarted(Playback<'a>),
    /// A playback ended: played, stopped or failed.
    PlaybackFinished(Playback<'a>),
    /// A channel entered a bridge.
    EnteredBridge {
        /// Id of the channel.
        channel: Cow<'a, str>,
    },
    /// A channel left a bridge.
    LeftBridge {
        /// Id of the channel.
        channel: Cow<'a, str>,
    },
    /// Another websocket took the application's name: this one gets nothing any more.
    ApplicationReplaced,
}

/// A channel, as events and `GET /channels` show it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Channel {
    /// Unique id.
    pub id: ChannelId,
    /// Name, for example `PJSIP/trunk-00000001`.
    pub name: String,
    /// `Up`, `Ring`, `Ringing`, `Down` ...
    pub state: String,
    /// SIP Call-ID; from Asterisk 16.27, 18.13 and 20.0 on.
    #[serde(default)]
    pub protocol_id: String,
    /// The caller as the trunk said: never proof of who it is.
    #[serde(default)]
    pub caller: Caller,
    /// The other one's number, as Asterisk shows it to this one.
    #[serde(default)]
    pub connected: Caller,
    /// When it was made, as ARI writes times (`2026-11-27T18:00:00.000+0000`).
    #[serde(default)]
    pub creationtime: String,
    /// Where it stands in the dialplan.
    #[serde(default)]
    pub dialplan: Dialplan,
    /// Language of the channel.
    #[serde(default)]
    pub language: String,
}

/// Caller id.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Caller {
    /// Number, empty when withheld.
    pub number: String,
}

/// Place in the dialplan.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Dialplan {
    /// Context.
    pub context: String,
    /// Extension.
    pub exten: String,
    /// Priority, from 1.
    pub priority: i64,
    /// Application that runs.
    pub app_name: String,
    /// Its arguments.
    pub app_data: String,
}

impl Channel {
    /// Whether the channel stands in `Stasis()` of the application `app`.
    #[must_use]
    pub fn is_in(&self, app: &str) -> bool {
        self.dialplan.app_name.eq_ignore_ascii_case("Stasis")
            && self.dialplan.app_data.split(',').next().map(str::trim) == Some(app)
    }

    /// Arguments of the `Stasis()` that the channel stands in, after the application's name. One that took another's place stands where
    /// that one stood.
    #[must_use]
    pub fn stasis_arguments(&self) -> Vec<String> {
        let args = self.dialplan.app_data.split(',').skip(1);
        args.map(str::to_owned).collect()
    }
}

/// A playback.
#[derive(Debug, PartialEq, Deserialize)]
pub struct Playback<'a> {
    /// Id, chosen by who asked for it.
    pub id: PlaybackId,
    /// `channel:ID` or `bridge:ID`.
    #[serde(borrow)]
    pub target_uri: Cow<'a, str>,
    /// `queued`, `playing`, `continuing`, `done` or `failed`.
    #[serde(borrow)]
    pub state: Cow<'a, str>,
}

/// Not JSON, or a known type without a field that it must have. Holds nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event can't be read ({len} bytes)")]
pub struct Malformed {
    /// Length of the text.
    pub len: usize,
    /// Whether its type could be read and is that of a key.
    pub was_key: bool,
}

/// Reads the text of one message. `None` is an event of a type that we don't use.
///
/// # Errors
/// [`Malformed`].
pub fn read(text: &str) -> Result<Option<Event<'_>>, Malformed> {
    let len = text.len();
    let head: Head<'_> = serde_json::from_str(text).map_err(|_| Malformed {
        len,
        was_key: false,
    })?;
    let was_key = head.kind == "ChannelDtmfReceived";
    read_as(&head.kind, text).map_err(|_| Malformed { len, was_key })
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

/// Asterisk's own time of an event, ms: the same event sent again has the same. `None` where there is none.
pub(crate) fn stamp(text: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Stamped<'a> {
        #[serde(borrow)]
        timestamp: Cow<'a, str>,
    }
    let stamped: Stamped<'_> = serde_json::from_str(text).ok()?;
    Some(stamped.timestamp)
}

#[derive(Deserialize)]
struct OfChannel<'a> {
    #[serde(borrow)]
    channel: IdOnly<'a>,
    #[serde(default)]
    cause: u32,
    #[serde(default)]
    duration_ms: u32,
}

#[derive(Deserialize)]
struct IdOnly<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct OfStart {
    channel: Box<Channel>,
    args: Vec<String>,
    #[serde(default)]
    replace_channel: Option<Box<Channel>>,
}

#[derive(Deserialize)]
struct OfPlayback<'a> {
    #[serde(borrow)]
    playback: Playback<'a>,
}

/// The events that a driver of calls needs. The rest, one in three of all that Asterisk would send (variables, dialplan, starts of
/// playbacks), is not worth the work on either side.
pub(crate) const NEEDED: [&str; 9] = [
    "ApplicationReplaced",
    "ChannelDestroyed",
    "ChannelDtmfReceived",
    "ChannelEnteredBridge",
    "ChannelHangupRequest",
    "ChannelLeftBridge",
    "PlaybackFinished",
    "StasisEnd",
    "StasisStart",
];

fn read_as<'a>(kind: &str, text: &'a str) -> serde_json::Result<Option<Event<'a>>> {
    let of_channel = || serde_json::from_str::<OfChannel<'a>>(text);
    Ok(Some(match kind {
        "StasisStart" => {
            let OfStart {
                channel,
                args,
                replace_channel,
            } = serde_json::from_str(text)?;
            Event::StasisStart {
                channel,
                args,
                replaced: replace_channel,
            }
        }
        "StasisEnd" => Event::StasisEnd {
            channel: of_channel()?.channel.id,
        },
        "ChannelDtmfReceived" => {
            let OfChannel {
                channel,
                duration_ms,
                ..
            } = of_channel()?;
            Event::DtmfReceived {
                channel: channel.id,
                duration_ms,
            }
        }
        "ChannelHangupRequest" => Event::HangupRequest {
            channel: of_channel()?.channel.id,
        },
        "ChannelDestroyed" => {
            let OfChannel { channel, cause, .. } = of_channel()?;
            Event::Destroyed {
                channel: channel.id,
                cause,
            }
        }
        "PlaybackStarted" => {
            Event::PlaybackStarted(serde_json::from_str::<OfPlayback<'a>>(text)?.playback)
        }
        "PlaybackFinished" => {
            Event::PlaybackFinished(serde_json::from_str::<OfPlayback<'a>>(text)?.playback)
        }
        "ChannelEnteredBridge" => Event::EnteredBridge {
            channel: of_channel()?.channel.id,
        },
        "ChannelLeftBridge" => Event::LeftBridge {
            channel: of_channel()?.channel.id,
        },
        "ApplicationReplaced" => Event::ApplicationReplaced,
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<Option<Event<'_>>, bool>) {
        assert_eq!(read(text).map_err(|e| e.was_key), expected, "{text}");
    }

    #[test]
    fn events_that_we_use() {
        check(
            r#"{"type":"ChannelDtmfReceived","timestamp":"t","digit":"x","duration_ms":100,"channel":{"id":"1.2","name":"n"},"asterisk_id":"a","application":"ivrpay"}"#,
            Ok(Some(Event::DtmfReceived {
                channel: "1.2".into(),
                duration_ms: 100,
            })),
        );
        check(
            r#"{"channel":{"id":"1\u002e2"},"cause":16,"type":"Channel\u0044estroyed"}"#,
            Ok(Some(Event::Destroyed {
                channel: "1.2".into(),
                cause: 16,
            })),
        );
        check(
            r#"{"type":"PlaybackFinished","playback":{"id":"p1","media_uri":"sound:x","target_uri":"channel:1.2","state":"failed"}}"#,
            Ok(Some(Event::PlaybackFinished(Playback {
                id: PlaybackId::new("p1").unwrap(),
                target_uri: "channel:1.2".into(),
                state: "failed".into(),
            }))),
        );
        check(
            r#"{"type":"ApplicationReplaced","application":"ivrpay"}"#,
            Ok(Some(Event::ApplicationReplaced)),
        );
    }

    #[test]
    fn what_is_needed_is_understood() {
        for kind in NEEDED {
            let text = r#"{"channel":{"id":"1","name":"n","state":"Up"},"args":[],"playback":{"id":"1","target_uri":"channel:1","state":"done"}}"#;
            assert!(
                matches!(read_as(kind, text), Ok(Some(_))),
                "{kind} is asked for and not understood"
            );
        }
    }

    #[test]
    fn unknown_is_ignored_and_malformed_is_told() {
        check(
            r#"{"type":"DeviceStateChanged","device_state":{}}"#,
            Ok(None),
        );
        check(r#"{"type":"ChannelDtmfReceived","digit":"x"}"#, Err(true));
        check(
            r#"{"type":"ChannelDtmfReceived","channel":{"id":7}}"#,
            Err(true),
        );
        check(
            r#"{"type":"StasisStart","args":[],"channel":{"id":"..","name":"n","state":"Up"}}"#,
            Err(false),
        );
        check(r#"{"type":7}"#, Err(false));
        check(
            r#"{"type":"StasisEnd","type":"StasisEnd","channel":{"id":"1"}}"#,
            Err(false),
        );
        check("", Err(false));
        check("[[[[", Err(false));
        check(&"[".repeat(100_000), Err(false));
    }

    #[test]
    fn a_channel_belongs_to_the_app_named_first() {
        #[track_caller]
        fn check(app_name: &str, app_data: &str, ours: bool) {
            let dialplan = Dialplan {
                app_name: app_name.into(),
                app_data: app_data.into(),
                ..Dialplan::default()
            };
            let channel = Channel {
                id: ChannelId::new("1").unwrap(),
                name: String::new(),
                state: String::new(),
                protocol_id: String::new(),
                caller: Caller::default(),
                connected: Caller::default(),
                creationtime: String::new(),
                dialplan,
                language: String::new(),
            };
            assert_eq!(channel.is_in("ivrpay"), ours, "{app_name} {app_data}");
        }
        check("Stasis", "ivrpay,tenant=t,order=5", true);
        check("Stasis", "ivrpay", true);
        check("Stasis", "ivrpay2,ivrpay", false);
        check("Dial", "ivrpay", false);
        check("", "", false);
    }
}
