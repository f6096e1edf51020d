//! From what a call has shown to how keys arrive, and what to change. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use super::{KEYS, Measured, Pressed, Round};

/// Two of the same key nearer than this are one press: a finger that presses each key once does not come back so soon.
const TWICE_MS: u64 = 400;
/// Fewest tones that are keys: a voice makes one now and then.
const TONES_MIN: usize = 3;
/// Fewest telephone-events of a key that was pressed (RFC 4733, 2.5.1.3: at least its end, three times).
const EVENTS_MIN: u64 = 3;
/// Longest that a key is held which was pressed and released.
const HELD_MAX_MS: u64 = 1_500;
/// Shortest that Asterisk takes without doubling it at speed (`mindtmfduration`).
const HELD_MIN_MS: u64 = 40;
/// Asterisk's detector of tones measures in blocks of so many µs (main/dsp.c: 102 samples of 8 kHz), and tells whole ms.
const BLOCK_US: u64 = 12_750;
/// What Asterisk's detector of tones can hear.
const DETECTABLE: [&str; 4] = ["ulaw", "alaw", "slin", "signed linear"];

/// What was heard in the recorded round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sound {
    /// Whole keys.
    pub decoded: usize,
    /// Pieces of keys, too short for a receiver: what Asterisk's detector leaves of a key that it found.
    pub like: usize,
}

/// How keys arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Telephone-events in RTP (RFC 4733).
    Rfc4733,
    /// Telephone-events, and the tone of each in the sound.
    Rfc4733AndSound,
    /// By SIP: INFO.
    Info,
    /// By SIP, and the tone of each in the sound.
    InfoAndSound,
    /// Tones, which Asterisk detects.
    Inband,
    /// Tones, which nobody detects.
    SoundOnly,
    /// Telephone-events that Asterisk makes no keys of.
    EventsWithoutKeys,
    /// Keys came, and a channel without RTP does not show how.
    NotTold,
    /// Nothing.
    Nothing,
}

impl Way {
    /// For people.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::Rfc4733 => "telephone-events (RFC 4733)",
            Self::Rfc4733AndSound => "telephone-events (RFC 4733), and at once as sound",
            Self::Info => "SIP INFO",
            Self::InfoAndSound => "SIP INFO, and at once as sound",
            Self::Inband => "sound, in which Asterisk detects them",
            Self::SoundOnly => "sound alone, in which nobody detects them",
            Self::EventsWithoutKeys => "telephone-events of which Asterisk makes no keys",
            Self::NotTold => "keys, of a channel without RTP that does not show how",
            Self::Nothing => "nothing",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether payments suffer from it.
    pub bad: bool,
    /// What was found.
    pub fact: String,
    /// What to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How a round's keys compare with those that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Events of keys.
    pub events: usize,
    /// Of these, the same key once more.
    pub twice: usize,
    /// Keys that were asked for and did not come.
    pub lost: usize,
    /// Keys that came and were not asked for, or in another order.
    pub other: usize,
}

impl Tally {
    /// Of a round.
    #[must_use]
    pub fn of(keys: &[Pressed]) -> Self {
        let mut once: Vec<char> = Vec::new();
        let mut last: Option<&Pressed> = None;
        for pressed in keys {
            let again = last.is_some_and(|last| {
                last.key == pressed.key && pressed.at_ms.saturating_sub(last.at_ms) < TWICE_MS
            });
            if !again {
                once.push(pressed.key);
            }
            last = Some(pressed);
        }
        // In order: each key that comes where it is expected; a gap in the row is a lost one.
        let mut expected = KEYS.chars();
        let right = once
            .iter()
            .filter(|key| {
                let mut rest = expected.clone();
                let there = rest.any(|e| e == **key);
                if there {
                    expected = rest;
                }
                there
            })
            .count();
        Self {
            events: keys.len(),
            twice: keys.len() - once.len(),
            lost: KEYS.len() - right,
            other: once.len() - right,
        }
    }
}

/// How keys arrive on a line, and what to change.
#[must_use]
pub fn judge(measured: &Measured, sound: Sound) -> (Way, Vec<Finding>) {
    let way = way(measured, sound);
    let mut findings = Findings {
        line: measured.line(),
        sip: measured.mode.is_some(),
        all: Vec::new(),
    };
    findings.way(way, measured, sound);
    findings.round("slowly", &measured.slow, way, true);
    findings.round("quickly", &measured.fast, way, false);
    findings.settings(measured);
    (way, findings.all)
}

fn way(measured: &Measured, sound: Sound) -> Way {
    let keys = measured.slow.keys.len() + measured.fast.keys.len();
    let events = [&measured.slow, &measured.fast, &measured.sound]
        .into_iter()
        .filter_map(|round| round.events)
        .max();
    let tones = sound.decoded.max(sound.like) >= TONES_MIN;
    let in_rtp = events.is_some_and(|events| events >= EVENTS_MIN);
    // Asterisk takes what it detects out of the sound, all but a piece at the beginning (main/dsp.c, squelch). Asterisk 16 takes away the
    // sound under a key of SIP INFO too: there how long it was held tells the two apart.
    let pressed = measured.slow.keys.iter().chain(&measured.fast.keys);
    let in_blocks = |held_ms: u64| {
        let blocks = (held_ms + 1) * 1_000 / BLOCK_US;
        blocks * BLOCK_US / 1_000 == held_ms
    };
    let detects = matches!(measured.mode.as_deref(), Some("inband" | "auto"))
        && sound.decoded < TONES_MIN
        && pressed.into_iter().all(|key| in_blocks(key.lasted_ms));
    match (keys > 0, in_rtp, tones) {
        (true, _, _) if events.is_none() => Way::NotTold,
        (true, true, true) => Way::Rfc4733AndSound,
        (true, true, false) => Way::Rfc4733,
        (true, false, true) if detects => Way::Inband,
        (true, false, true) => Way::InfoAndSound,
        (true, false, false) => Way::Info,
        (false, true, _) => Way::EventsWithoutKeys,
        (false, false, true) => Way::SoundOnly,
        (false, false, false) => Way::Nothing,
    }
}

struct Findings<'a> {
    line: &'a str,
    sip: bool,
    all: Vec<Finding>,
}

impl Findings<'_> {
    fn say(&mut self, bad: bool, fact: impl Into<String>, hint: Option<String>) {
        self.all.push(Finding {
            bad,
            fact: fact.into(),
            hint,
        });
    }

    /// The line to write into the endpoint.
    fn write(&self, setting: &str) -> String {
        format!("in pjsip.conf, [{}]: {setting}", self.line)
    }

    fn way(&mut self, way: Way, measured: &Measured, sound: Sound) {
        let fact = format!("keys arrive as {}", way.what());
        let mode = measured.mode.as_deref().unwrap_or("");
        match way {
            Way::Rfc4733 | Way::NotTold => self.say(false, fact, None),
            Way::Inband => {
                self.say(
                    false,
                    fact,
                    Some(
                        "it works while the line is G.711 and clean; ask the provider for telephone-events (RFC 4733), which lose less"
                            .to_owned(),
                    ),
                );
            }
            Way::Rfc4733AndSound => {
                let hint = if mode == "inband" {
                    self.write("dtmf_mode = auto; else each key counts twice")
                } else {
                    "ask the provider to take the tone out of the sound; ivrpay takes the caller's voice away while he keys, so that no recorder hears it".to_owned()
                };
                self.say(mode == "inband", fact, Some(hint));
            }
            Way::Info | Way::InfoAndSound => {
                let hint = format!(
                    "keys then stand in SIP, and in every log and capture of it: {}, and have the trunk's side send RFC 4733",
                    self.write("dtmf_mode = auto")
                );
                self.say(false, fact, Some(hint));
            }
            Way::SoundOnly => {
                let deaf = measured
                    .codec
                    .as_deref()
                    .is_some_and(|codec| !DETECTABLE.iter().any(|c| codec.contains(c)));
                let hint = if deaf {
                    self.write("allow = !all,ulaw,alaw (Asterisk detects no tones in another codec), and dtmf_mode = inband")
                } else if matches!(mode, "auto" | "inband") {
                    self.write("dtmf_mode = inband (the line promises telephone-events and sends none), or have the trunk's side send RFC 4733")
                } else {
                    self.write("dtmf_mode = auto; where that changes nothing, dtmf_mode = inband")
                };
                self.say(true, fact, Some(hint));
            }
            Way::EventsWithoutKeys => {
                let hint = format!(
                    "{}; on the trunk's side, see that each event has its end, three times (RFC 4733, 2.5.1.4)",
                    self.write("dtmf_mode = auto")
                );
                self.say(true, fact, Some(hint));
            }
            Way::Nothing => {
                let quiet = measured.slow.packets == Some(0);
                let hint = if quiet {
                    "no RTP came at all: see to NAT and firewall (external_media_address, rtp.conf: rtpstart, rtpend), and run it again"
                } else if self.sip {
                    "press the keys on the keypad while it asks; on a desk phone, switch it to tone; else the trunk's side takes them out: ask the provider for RFC 4733"
                } else {
                    "press the keys while it asks"
                };
                self.say(true, fact, Some(hint.to_owned()));
            }
        }
        if way != Way::SoundOnly && sound.decoded >= TONES_MIN {
            self.say(
                false,
                format!("{} keys could be heard whole in the sound", sound.decoded),
                None,
            );
        }
    }

    fn round(&mut self, how: &str, round: &Round, way: Way, slow: bool) {
        if round.keys.is_empty() {
            if matches!(way, Way::SoundOnly | Way::Nothing | Way::EventsWithoutKeys) {
                return;
            }
            let hint = "run it again, and press all keys each time that it asks".to_owned();
            return self.say(slow, format!("pressed {how}: no key came"), Some(hint));
        }
        let tally = Tally::of(&round.keys);
        let mut fact = format!(
            "pressed {how}: {} of {} keys",
            KEYS.len() - tally.lost,
            KEYS.len()
        );
        for (count, what) in [
            (tally.twice, "came twice"),
            (tally.lost, "were lost"),
            (tally.other, "came out of order"),
        ] {
            if count > 0 {
                // A `String` takes all that is written.
                write!(fact, ", {count} {what}").ok();
            }
        }
        let held: Vec<u64> = round.keys.iter().map(|key| key.lasted_ms).collect();
        let (shortest, longest) = (
            held.iter().min().copied().unwrap_or(0),
            held.iter().max().copied().unwrap_or(0),
        );
        write!(fact, "; held {shortest} to {longest} ms").ok();
        let hint = if tally.twice > 0 {
            Some(match way {
                Way::Rfc4733 => "the line sends each key by RFC 4733 and by SIP INFO, or presses too fast for Asterisk: switch INFO off on the trunk's side or in the telephone".to_owned(),
                Way::Info | Way::InfoAndSound => "the line sends more than one INFO for a key: let the trunk's side send RFC 4733 alone".to_owned(),
                _ => format!("each key is taken from two ways: {}, and let the trunk's side send one", self.write("dtmf_mode = auto")),
            })
        } else if tally.lost + tally.other > 0 {
            Some("run it again; where it stays, ask the provider to keep each key for 80 ms and more (rtp.conf, [general]: dtmftimeout = 3000 helps where ends are lost)".to_owned())
        } else if longest > HELD_MAX_MS {
            Some("ends of keys come late or are lost: rtp.conf, [general]: dtmftimeout = 1200 (150 ms) lets Asterisk end a key by itself".to_owned())
        } else if shortest > 0 && shortest < HELD_MIN_MS {
            Some(
                "shorter keys than a receiver must take (40 ms, ITU-T Q.24): ask the provider"
                    .to_owned(),
            )
        } else {
            None
        };
        // Of keys pressed as fast as can be some may be lost; callers press slowly.
        let bad =
            tally.twice > 0 || (slow && tally.lost + tally.other > 0) || longest > HELD_MAX_MS;
        self.say(bad, fact, hint);
    }

    fn settings(&mut self, measured: &Measured) {
        let is = |name: &str| {
            let found = measured.settings.iter().find(|s| s.attribute == name);
            found.map(|setting| setting.value.as_str())
        };
        let mut shown: Vec<String> = ["dtmf_mode", "rtp_engine", "allow", "direct_media"]
            .into_iter()
            .filter_map(|name| is(name).map(|value| format!("{name} = {value}")))
            .collect();
        if let Some(codec) = &measured.codec {
            shown.push(format!("codec of this call {codec}"));
        }
        if !shown.is_empty() {
            self.say(
                false,
                format!("[{}]: {}", self.line, shown.join(", ")),
                None,
            );
        }
        if is("direct_media") == Some("true") {
            let hint = self.write("direct_media = no");
            self.say(
                true,
                "sound and keys may go past Asterisk (direct_media)",
                Some(hint),
            );
        }
        if is("rtp_engine").is_some_and(|engine| engine != "asterisk") {
            let hint = self.write("rtp_engine = asterisk");
            self.say(
                true,
                "its RTP is not Asterisk's own, which alone takes telephone-events",
                Some(hint),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use ivrpay_ari::Setting;

    use super::*;

    fn keys(text: &str, every_ms: u64) -> Vec<Pressed> {
        let at = (0..).step_by(usize::try_from(every_ms).unwrap());
        text.chars()
            .zip(at)
            .map(|(key, at_ms)| Pressed {
                key,
                at_ms: at_ms as u64,
                lasted_ms: 100,
            })
            .collect()
    }

    fn doubled() -> Vec<Pressed> {
        let twice = |pressed: Pressed| {
            let again = Pressed {
                at_ms: pressed.at_ms + 5,
                ..pressed
            };
            [pressed, again]
        };
        keys(KEYS, 800).into_iter().flat_map(twice).collect()
    }

    fn measured(pressed: Vec<Pressed>, events: Option<u64>, mode: &str) -> Measured {
        let round = |keys: Vec<Pressed>| Round {
            keys,
            packets: events.map(|_| 500),
            events,
        };
        Measured {
            channel: "PJSIP/hikari-0000002a".into(),
            mode: Some(mode.into()).filter(|mode: &String| !mode.is_empty()),
            codec: Some("ulaw".into()),
            settings: vec![Setting {
                attribute: "direct_media".into(),
                value: "false".into(),
            }],
            slow: round(pressed.clone()),
            fast: round(pressed),
            sound: round(Vec::new()),
            recording: Vec::new(),
        }
    }

    #[test]
    fn keys_are_compared_with_what_was_asked_for() {
        for (pressed, twice, lost, other) in [
            (keys(KEYS, 800), 0, 0, 0),
            (doubled(), 12, 0, 0),
            (keys("13456789*0#", 800), 0, 1, 0),
            (keys("213456789*0#", 800), 0, 1, 1),
            (keys("", 800), 0, 12, 0),
            (keys("AAAA", 800), 0, 12, 4),
        ] {
            let tally = Tally::of(&pressed);
            let got = (tally.events, tally.twice, tally.lost, tally.other);
            assert_eq!(got, (pressed.len(), twice, lost, other));
        }
    }

    #[test]
    fn each_way_is_told_with_what_to_change() {
        let none = Sound::default();
        let whole = Sound {
            decoded: 12,
            like: 0,
        };
        let pieces = Sound {
            decoded: 0,
            like: 9,
        };
        let all = || keys(KEYS, 800);
        // As they were measured: seven blocks, or eight.
        let detected = || -> Vec<Pressed> {
            let held = [89, 102].into_iter().cycle();
            let held = all().into_iter().zip(held);
            held.map(|(key, lasted_ms)| Pressed { lasted_ms, ..key })
                .collect()
        };
        let nothing = Vec::new;
        // What came, telephone-events, dtmf_mode, sound; way, whether something is bad, a piece of the hint.
        for (pressed, events, mode, sound, expected, bad, hint) in [
            (all(), Some(84), "auto", none, Way::Rfc4733, false, ""),
            (
                all(),
                Some(84),
                "auto",
                whole,
                Way::Rfc4733AndSound,
                false,
                "out of the sound",
            ),
            (
                doubled(),
                Some(84),
                "inband",
                whole,
                Way::Rfc4733AndSound,
                true,
                "dtmf_mode = auto",
            ),
            (
                doubled(),
                Some(84),
                "auto",
                none,
                Way::Rfc4733,
                true,
                "switch INFO off",
            ),
            (
                all(),
                Some(0),
                "rfc4733",
                none,
                Way::Info,
                false,
                "dtmf_mode = auto",
            ),
            (
                all(),
                Some(0),
                "rfc4733",
                whole,
                Way::InfoAndSound,
                false,
                "dtmf_mode = auto",
            ),
            (
                detected(),
                Some(0),
                "inband",
                pieces,
                Way::Inband,
                false,
                "ask the provider",
            ),
            (
                detected(),
                Some(0),
                "auto",
                pieces,
                Way::Inband,
                false,
                "ask the provider",
            ),
            (
                all(),
                Some(0),
                "auto",
                pieces,
                Way::InfoAndSound,
                false,
                "dtmf_mode = auto",
            ),
            (
                nothing(),
                Some(0),
                "auto",
                whole,
                Way::SoundOnly,
                true,
                "[hikari]: dtmf_mode = inband",
            ),
            (
                nothing(),
                Some(1),
                "rfc4733",
                whole,
                Way::SoundOnly,
                true,
                "dtmf_mode = auto",
            ),
            (
                nothing(),
                Some(90),
                "auto",
                none,
                Way::EventsWithoutKeys,
                true,
                "its end",
            ),
            (
                nothing(),
                Some(0),
                "auto",
                none,
                Way::Nothing,
                true,
                "switch it to tone",
            ),
            (all(), None, "", none, Way::NotTold, false, ""),
        ] {
            let (way, findings) = judge(&measured(pressed, events, mode), sound);
            assert_eq!(way, expected);
            assert_eq!(findings.iter().any(|f| f.bad), bad, "{way:?}: {findings:?}");
            let hints: Vec<_> = findings.iter().filter_map(|f| f.hint.as_deref()).collect();
            assert!(
                hints.iter().any(|h| h.contains(hint)) || (hint.is_empty() && hints.is_empty()),
                "{way:?}: {hints:?}"
            );
        }
    }

    #[test]
    fn settings_that_let_keys_pass_are_bad() {
        let mut measured = measured(keys(KEYS, 800), Some(84), "auto");
        measured.settings = [("direct_media", "true"), ("rtp_engine", "multicast")]
            .map(|(attribute, value)| Setting {
                attribute: attribute.into(),
                value: value.into(),
            })
            .into();
        let (_, findings) = judge(&measured, Sound::default());
        let bad: Vec<_> = findings.iter().filter(|f| f.bad).collect();
        assert_eq!(bad.len(), 2, "{findings:?}");
        // A codec in which Asterisk detects nothing.
        measured.codec = Some("g729".into());
        measured.slow.keys.clear();
        measured.fast.keys.clear();
        for round in [&mut measured.slow, &mut measured.fast, &mut measured.sound] {
            round.events = Some(0);
        }
        let sound = Sound {
            decoded: 12,
            like: 0,
        };
        let (_, findings) = judge(&measured, sound);
        let hint = findings[0].hint.as_deref().unwrap_or_default();
        assert!(hint.contains("allow = !all,ulaw"), "{hint}");
    }
}
