//! A telephone line: SIP, RTP, keys and voices, as a caller and a telephone on a desk both need them.
//!
//! `leg` is one call, `follow` leads it by a script. Sockets and the clock are with whoever owns them.

pub(crate) mod audio;
pub(crate) mod events;
pub(crate) mod follow;
pub(crate) mod leg;
pub(crate) mod rtp;
pub(crate) mod script;
pub(crate) mod sip;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// No timer is set: look again after this.
pub(crate) const IDLE: Duration = Duration::from_secs(3600);

/// How keys travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Dtmf {
    /// RFC 4733 telephone-events in RTP.
    Rfc4733,
    /// SIP INFO with application/dtmf-relay.
    Info,
    /// Tones in the sound.
    Inband,
    /// RFC 4733 and INFO for each key, as some telephones do.
    Both,
    /// INFO and tones for each key, as some gateways do.
    InfoInband,
}

/// When a SIP INFO goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum InfoAt {
    /// When the key is pressed.
    Press,
    /// When it is released.
    Release,
}

/// What a telephone sends and hears.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Handset {
    /// How keys travel.
    #[arg(long, value_enum, default_value = "rfc4733")]
    pub(crate) dtmf: Dtmf,
    /// When a SIP INFO goes out.
    #[arg(long, value_enum, default_value = "release")]
    pub(crate) info_at: InfoAt,
    /// How long a key is held, in ms.
    #[arg(long = "on", value_name = "ON", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(rtp::ON_MAX_MS)))]
    pub(crate) on_ms: u32,
    /// Shortest time between two keys, in ms.
    #[arg(long = "off", value_name = "OFF", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub(crate) off_ms: u32,
    /// Speaks with this tone where no key is pressed, 200 to 3400 Hz; keep away from the tones of keys (697 to 1633 Hz) where those
    /// are heard as tones.
    #[arg(long, value_name = "HZ", value_parser = voice)]
    pub(crate) voice: Option<u32>,
    /// Reports when this voice was heard, besides those of `hears:`; several with commas.
    #[arg(long, value_name = "HZ", value_delimiter = ',', value_parser = voice)]
    pub(crate) hear: Vec<u32>,
}

fn voice(text: &str) -> Result<u32, String> {
    script::voice(text).ok_or_else(|| "a voice is 200 to 3400 Hz".into())
}

/// A step as the daemon announced it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Step {
    pub(crate) step: String,
    pub(crate) attempt: Option<u32>,
    pub(crate) error: Option<String>,
    /// Since the INVITE.
    pub(crate) ms: u64,
}

/// What reached a telephone in one call. Times are ms since its INVITE, at `began_unix_ms`: so what two telephones heard can be compared.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Heard {
    pub(crate) began_unix_ms: u64,
    /// Sound that was louder than a quiet line.
    pub(crate) heard_ms: u64,
    /// Begin and end of each stretch, by voice in Hz.
    pub(crate) voices: BTreeMap<u32, Vec<(u64, u64)>>,
    /// Begin and end of each time of 2 s or more in which nothing was heard and no key pressed, from the answer to the end.
    pub(crate) quiet: Vec<(u64, u64)>,
    pub(crate) telephone_events_received: usize,
    /// When each began to arrive; which keys they were is not kept.
    pub(crate) telephone_events_at_ms: Vec<u64>,
    pub(crate) keys_sent: usize,
    /// When the last of them was released.
    pub(crate) last_key_ms: Option<u64>,
    /// Whom the display showed as the far end, `NAME <NUMBER>`, and from when on; where Asterisk tells it (P-Asserted-Identity).
    pub(crate) shown: Vec<(u64, String)>,
    /// The latest that a packet of ours left after its time: over some 20 ms, this machine is too slow for the test.
    pub(crate) late_ms_max: u64,
}

/// The process's exit code. Several calls: the first that is not 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    Unexpected = 1,
    TimedOut = 3,
    WithoutResult = 4,
    NoEvents = 5,
    // Not 2, with which clap ends.
    Rejected = 6,
    Usage = 64,
    Io = 74,
}

/// Milliseconds since 1970 of a moment of this process.
fn unix_ms(at: Instant) -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    audio::millis(now.saturating_sub(at.elapsed()))
}

/// An address of a simulator.
///
/// # Errors
/// When it leaves this machine.
pub(crate) fn loopback(text: &str) -> Result<IpAddr, String> {
    let ip: std::net::Ipv4Addr = text.parse().map_err(|_| "not an IPv4 address")?;
    ip.is_loopback()
        .then_some(ip.into())
        .ok_or_else(|| "only 127.0.0.0/8: this is a simulator".into())
}

/// An address and port of a simulator; 5060 without a port.
///
/// # Errors
/// When it leaves this machine.
pub(crate) fn loopback_port(text: &str) -> Result<SocketAddr, String> {
    let (ip, port) = text.split_once(':').unwrap_or((text, "5060"));
    Ok((loopback(ip)?, port.parse().map_err(|_| "not a port")?).into())
}

/// Standard error, for people. A closed one is no reason to end a call.
pub(crate) fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}

/// Standard output, for scripts.
pub(crate) fn print(line: &str) {
    writeln!(std::io::stdout(), "{line}").ok();
}
