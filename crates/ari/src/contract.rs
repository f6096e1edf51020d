//! What we take for granted about Asterisk's interface, as a table.
//!
//! A test compares it with `/ari/api-docs/` of a running Asterisk; another one compares it with what the client sends.

/// A request that we send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// File under `/ari/api-docs/`.
    pub document: &'static str,
    /// HTTP method.
    pub method: &'static str,
    /// Path below `/ari`, with `{name}` for what varies.
    pub path: &'static str,
    /// Parameters that we may send in the body.
    pub parameters: &'static [&'static str],
}

const fn sent(
    document: &'static str,
    method: &'static str,
    path: &'static str,
    parameters: &'static [&'static str],
) -> Sent {
    Sent {
        document,
        method,
        path,
        parameters,
    }
}

/// Every request of [`crate::Client`], and that of the socket.
pub const REQUESTS: &[Sent] = &[
    sent("events.json", "GET", "/events", &["app"]),
    sent("channels.json", "GET", "/channels", &[]),
    sent(
        "channels.json",
        "POST",
        "/channels",
        &[
            "endpoint",
            "formats",
            "app",
            "channelId",
            "otherChannelId",
            "context",
            "extension",
            "priority",
            "timeout",
            "variables",
        ],
    ),
    sent("channels.json", "GET", "/channels/{channelId}", &[]),
    sent(
        "channels.json",
        "DELETE",
        "/channels/{channelId}",
        &["reason"],
    ),
    sent("channels.json", "POST", "/channels/{channelId}/answer", &[]),
    sent(
        "channels.json",
        "POST",
        "/channels/{channelId}/continue",
        &["context", "extension", "priority"],
    ),
    sent(
        "channels.json",
        "POST",
        "/channels/{channelId}/dtmf",
        &["dtmf", "duration"],
    ),
    sent(
        "channels.json",
        "POST",
        "/channels/{channelId}/mute",
        &["direction"],
    ),
    sent(
        "channels.json",
        "DELETE",
        "/channels/{channelId}/mute",
        &["direction"],
    ),
    sent(
        "channels.json",
        "POST",
        "/channels/{channelId}/play/{playbackId}",
        &["media", "lang"],
    ),
    sent(
        "channels.json",
        "POST",
        "/channels/{channelId}/silence",
        &[],
    ),
    sent(
        "channels.json",
        "GET",
        "/channels/{channelId}/variable",
        &["variable"],
    ),
    sent(
        "channels.json",
        "POST",
        "/channels/{channelId}/variable",
        &["variable", "value"],
    ),
    sent(
        "channels.json",
        "POST",
        "/channels/{channelId}/record",
        &[
            "name",
            "format",
            "maxDurationSeconds",
            "maxSilenceSeconds",
            "ifExists",
        ],
    ),
    sent(
        "channels.json",
        "GET",
        "/channels/{channelId}/rtp_statistics",
        &[],
    ),
    sent(
        "recordings.json",
        "GET",
        "/recordings/live/{recordingName}",
        &[],
    ),
    sent(
        "recordings.json",
        "GET",
        "/recordings/stored/{recordingName}/file",
        &[],
    ),
    sent(
        "recordings.json",
        "DELETE",
        "/recordings/stored/{recordingName}",
        &[],
    ),
    sent("playbacks.json", "DELETE", "/playbacks/{playbackId}", &[]),
    sent("applications.json", "GET", "/applications", &[]),
    sent(
        "applications.json",
        "GET",
        "/applications/{applicationName}",
        &[],
    ),
    // The body is the parameter.
    sent(
        "applications.json",
        "PUT",
        "/applications/{applicationName}/eventFilter",
        &["filter"],
    ),
    sent(
        "asterisk.json",
        "GET",
        "/asterisk/config/dynamic/{configClass}/{objectType}/{id}",
        &[],
    ),
    sent("asterisk.json", "GET", "/asterisk/info", &[]),
    sent("asterisk.json", "GET", "/asterisk/logging", &[]),
    sent("asterisk.json", "GET", "/asterisk/modules", &[]),
    sent("asterisk.json", "GET", "/asterisk/ping", &[]),
    sent("channels.json", "POST", "/channels/{channelId}/moh", &[]),
    sent("channels.json", "DELETE", "/channels/{channelId}/moh", &[]),
    sent("bridges.json", "GET", "/bridges", &[]),
    sent("bridges.json", "GET", "/bridges/{bridgeId}", &[]),
    sent(
        "bridges.json",
        "POST",
        "/bridges/{bridgeId}",
        &["type", "name"],
    ),
    sent("bridges.json", "DELETE", "/bridges/{bridgeId}", &[]),
    sent(
        "bridges.json",
        "POST",
        "/bridges/{bridgeId}/addChannel",
        &["channel", "absorbDTMF"],
    ),
    sent(
        "bridges.json",
        "POST",
        "/bridges/{bridgeId}/removeChannel",
        &["channel"],
    ),
    sent("deviceStates.json", "GET", "/deviceStates", &[]),
    sent(
        "deviceStates.json",
        "PUT",
        "/deviceStates/{deviceName}",
        &["deviceState"],
    ),
    sent(
        "deviceStates.json",
        "DELETE",
        "/deviceStates/{deviceName}",
        &[],
    ),
    sent("endpoints.json", "GET", "/endpoints", &[]),
    sent("sounds.json", "GET", "/sounds", &[]),
];

/// A field that we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// File under `/ari/api-docs/`.
    pub document: &'static str,
    /// Model in it.
    pub model: &'static str,
    /// Field; `type` stands in the base model `Message`.
    pub field: &'static str,
    /// Type as Asterisk describes it.
    pub kind: &'static str,
    /// Whether a message without it can't be read by us, so that Asterisk must promise it.
    pub needed: bool,
}

const fn read(
    document: &'static str,
    model: &'static str,
    field: &'static str,
    kind: &'static str,
    needed: bool,
) -> Read {
    Read {
        document,
        model,
        field,
        kind,
        needed,
    }
}

/// Every field that [`crate::read`] and the answers of [`crate::Client`] use.
pub const FIELDS: &[Read] = &[
    read("events.json", "Message", "type", "string", true),
    read("events.json", "StasisStart", "args", "List[string]", true),
    read("events.json", "StasisStart", "channel", "Channel", true),
    read("events.json", "StasisEnd", "channel", "Channel", true),
    read(
        "events.json",
        "ChannelDtmfReceived",
        "digit",
        "string",
        true,
    ),
    read(
        "events.json",
        "ChannelDtmfReceived",
        "duration_ms",
        "int",
        true,
    ),
    read(
        "events.json",
        "ChannelDtmfReceived",
        "channel",
        "Channel",
        true,
    ),
    read(
        "events.json",
        "ChannelHangupRequest",
        "channel",
        "Channel",
        true,
    ),
    read(
        "events.json",
        "ChannelDestroyed",
        "channel",
        "Channel",
        true,
    ),
    read("events.json", "ChannelDestroyed", "cause", "int", true),
    read(
        "events.json",
        "PlaybackStarted",
        "playback",
        "Playback",
        true,
    ),
    read(
        "events.json",
        "PlaybackFinished",
        "playback",
        "Playback",
        true,
    ),
    read(
        "events.json",
        "ChannelEnteredBridge",
        "channel",
        "Channel",
        false,
    ),
    read(
        "events.json",
        "ChannelLeftBridge",
        "channel",
        "Channel",
        true,
    ),
    read("events.json", "Event", "application", "string", true),
    read("channels.json", "Channel", "id", "string", true),
    read("channels.json", "Channel", "name", "string", true),
    read("channels.json", "Channel", "state", "string", true),
    read("channels.json", "Channel", "caller", "CallerID", true),
    read("channels.json", "Channel", "dialplan", "DialplanCEP", true),
    read("channels.json", "Channel", "language", "string", true),
    read("channels.json", "Channel", "protocol_id", "string", true),
    read("channels.json", "CallerID", "number", "string", true),
    read("channels.json", "DialplanCEP", "context", "string", true),
    read("channels.json", "DialplanCEP", "exten", "string", true),
    read("channels.json", "DialplanCEP", "app_name", "string", true),
    read("channels.json", "DialplanCEP", "app_data", "string", true),
    read("channels.json", "RTPstat", "rxcount", "int", true),
    read("channels.json", "RTPstat", "rxoctetcount", "int", true),
    read("asterisk.json", "Variable", "value", "string", true),
    read("playbacks.json", "Playback", "id", "string", true),
    read("playbacks.json", "Playback", "target_uri", "string", true),
    read("playbacks.json", "Playback", "state", "string", true),
    read("applications.json", "Application", "name", "string", true),
    read(
        "applications.json",
        "Application",
        "channel_ids",
        "List[string]",
        true,
    ),
    read(
        "applications.json",
        "Application",
        "endpoint_ids",
        "List[string]",
        true,
    ),
    read(
        "applications.json",
        "Application",
        "events_allowed",
        "List[object]",
        true,
    ),
    read(
        "applications.json",
        "Application",
        "events_disallowed",
        "List[object]",
        true,
    ),
    read("bridges.json", "Bridge", "id", "string", true),
    read("deviceStates.json", "DeviceState", "name", "string", true),
    read("bridges.json", "Bridge", "technology", "string", true),
    read("bridges.json", "Bridge", "channels", "List[string]", true),
    read("asterisk.json", "AsteriskInfo", "build", "BuildInfo", false),
    read("asterisk.json", "BuildInfo", "options", "string", true),
    read("asterisk.json", "ConfigTuple", "attribute", "string", true),
    read("asterisk.json", "ConfigTuple", "value", "string", true),
    read("endpoints.json", "Endpoint", "technology", "string", true),
    read("endpoints.json", "Endpoint", "resource", "string", true),
    read(
        "asterisk.json",
        "AsteriskInfo",
        "system",
        "SystemInfo",
        false,
    ),
    read("asterisk.json", "SystemInfo", "version", "string", true),
    read("asterisk.json", "LogChannel", "channel", "string", true),
    read("asterisk.json", "LogChannel", "type", "string", true),
    read("asterisk.json", "LogChannel", "status", "string", true),
    read(
        "asterisk.json",
        "LogChannel",
        "configuration",
        "string",
        true,
    ),
    read("asterisk.json", "Module", "name", "string", true),
    read("asterisk.json", "Module", "status", "string", true),
    read("sounds.json", "Sound", "id", "string", true),
    read(
        "sounds.json",
        "Sound",
        "formats",
        "List[FormatLangPair]",
        true,
    ),
    read("sounds.json", "FormatLangPair", "language", "string", true),
];
