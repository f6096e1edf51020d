//! RTP towards Asterisk: silence or a voice, telephone-events and tones, each packet with the moment at which it is due.
//!
//! Counts samples since the answer, 8,000 a second, and knows neither sockets nor clocks, so that its packets are
//! tables in a test. A packet is due when the time that it covers is over, as with a real telephone.

use std::collections::VecDeque;
use std::time::Instant;

use super::audio::{SILENCE, tone, voice};
use super::script::Key;

/// Payload type of PCMU (RFC 3551, table 4).
pub(crate) const PCMU: u8 = 0;
/// Payload type of telephone-event that we offer; Asterisk uses the same.
pub(crate) const TELEPHONE_EVENT: u8 = 101;

/// Samples in a packet: 20 ms.
const FRAME: u64 = 160;
/// RFC 4733, 2.5.1.4: the last packet of an event goes out three times.
const ENDS: u64 = 3;
/// RFC 4733, 2.3.2: -10 dBm0.
const VOLUME: u8 = 10;

/// Longest time that a key can be held: the duration has 16 bits (RFC 4733, 2.3.5), 8,191 ms; segments are not needed here.
pub(crate) const ON_MAX_MS: u32 = 8_000;

/// What goes into the RTP stream when a key is pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carry {
    /// RFC 4733 packets instead of audio.
    Events,
    /// Tones in the audio.
    Tones,
    /// Nothing: keys go by SIP INFO.
    Nothing,
}

pub(crate) struct Sender {
    carry: Carry,
    /// What is said where no key is pressed, in Hz; silence when `None`.
    voice: Option<u32>,
    /// Samples that a key is held, and that must pass before the next.
    on: u64,
    off: u64,
    events_as: u8,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    /// First sample that no packet covers yet.
    at: u64,
    first: bool,
    keys: VecDeque<Press>,
    event: Option<Event>,
    /// First sample at which another key can begin.
    free: u64,
}

#[derive(Clone, Copy)]
pub(crate) struct Press {
    pub(crate) key: Key,
    pub(crate) begins: u64,
    /// First sample after the key.
    pub(crate) ends: u64,
    /// First sample at which something else can begin.
    pub(crate) over: u64,
}

struct Event {
    press: Press,
    /// Samples reported so far.
    reported: u64,
    /// Last packets sent.
    ends: u64,
}

impl Sender {
    /// `seed` gives the random SSRC, first sequence number and first timestamp (RFC 3550, 5.1).
    pub(crate) fn new(
        carry: Carry,
        on_ms: u32,
        off_ms: u32,
        voice: Option<u32>,
        seed: u128,
    ) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, ..] = seed.to_le_bytes();
        Self {
            carry,
            voice,
            on: u64::from(on_ms) * 8,
            off: u64::from(off_ms) * 8,
            events_as: TELEPHONE_EVENT,
            ssrc: u32::from_le_bytes([a, b, c, d]),
            sequence: u16::from_le_bytes([e, f]),
            timestamp: u32::from_le_bytes([g, h, i, j]),
            at: 0,
            first: true,
            keys: VecDeque::new(),
            event: None,
            free: 0,
        }
    }

    /// Nothing is sent up to this sample: the call is held.
    pub(crate) fn pass_over(&mut self, sample: u64) {
        self.at = self.at.max(sample);
        self.first = true;
        self.event = None;
        self.keys.clear();
    }

    /// The payload type that the far end wants for telephone-events.
    pub(crate) fn events_as(&mut self, payload_type: u8) {
        self.events_as = payload_type & 0x7f;
    }

    /// Presses a key as soon as the one before is over.
    pub(crate) fn press(&mut self, key: Key) -> Press {
        let begins = self.free.max(self.at);
        let ends = begins + self.on;
        self.free = ends + self.off;
        let press = Press {
            key,
            begins,
            ends,
            over: self.free,
        };
        if self.carry != Carry::Nothing {
            self.keys.push_back(press);
        }
        press
    }

    /// The sample at which the next packet is due.
    pub(crate) fn due(&self) -> u64 {
        if let Some(event) = &self.event {
            return event.due(self.gap());
        }
        match self.next_event() {
            Some(press) => press.begins + FRAME.min(self.on),
            None => self.at + FRAME,
        }
    }

    /// Writes the packet that is due into `packet`.
    pub(crate) fn poll(&mut self, packet: &mut Vec<u8>) {
        packet.clear();
        if self.event.is_none() && self.next_event().is_some() {
            self.event = self.keys.pop_front().map(|press| Event {
                press,
                reported: 0,
                ends: 0,
            });
        }
        if let Some(event) = &mut self.event {
            let marker = event.reported == 0 && event.ends == 0;
            let last = event.reported + FRAME >= self.on;
            event.reported = if last {
                self.on
            } else {
                event.reported + FRAME
            };
            event.ends += u64::from(last);
            let (key, begins, reported) = (event.press.key, event.press.begins, event.reported);
            if event.ends == ENDS {
                self.at = event.press.ends + (ENDS - 1) * self.gap();
                self.event = None;
            }
            self.header(packet, self.events_as, marker, begins);
            let flags = if last { 0x80 } else { 0 } | VOLUME;
            packet.extend_from_slice(&[key.event(), flags]);
            packet.extend_from_slice(&u16::try_from(reported).unwrap_or(u16::MAX).to_be_bytes());
        } else {
            let marker = std::mem::take(&mut self.first);
            self.header(packet, PCMU, marker, self.at);
            for sample in self.at..self.at + FRAME {
                while self
                    .keys
                    .front()
                    .is_some_and(|press| self.carry == Carry::Tones && press.ends <= sample)
                {
                    self.keys.pop_front();
                }
                packet.push(match self.keys.front() {
                    Some(press) if self.carry == Carry::Tones && press.begins <= sample => {
                        tone(press.key, sample - press.begins)
                    }
                    _ => self.voice.map_or(SILENCE, |hz| voice(hz, sample)),
                });
            }
            self.at += FRAME;
        }
    }

    /// The key whose event begins before another whole packet of audio would be over. What remains before it is not
    /// sent at all, so that the event begins at its own sample.
    fn next_event(&self) -> Option<Press> {
        let press = self.keys.front().copied()?;
        (self.carry == Carry::Events && press.begins < self.at + FRAME).then_some(press)
    }

    /// Samples between the last packets of an event: 20 ms, less where the next key comes sooner.
    fn gap(&self) -> u64 {
        FRAME.min(self.off / ENDS)
    }

    fn header(&mut self, packet: &mut Vec<u8>, payload_type: u8, marker: bool, sample: u64) {
        self.sequence = self.sequence.wrapping_add(1);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "RTP time wraps, RFC 3550, 5.1"
        )]
        let timestamp = self.timestamp.wrapping_add(sample as u32);
        packet.extend_from_slice(&[0x80, u8::from(marker) << 7 | payload_type]);
        packet.extend_from_slice(&self.sequence.to_be_bytes());
        packet.extend_from_slice(&timestamp.to_be_bytes());
        packet.extend_from_slice(&self.ssrc.to_be_bytes());
    }
}

impl Event {
    fn due(&self, gap: u64) -> u64 {
        let length = self.press.ends - self.press.begins;
        if self.reported + FRAME < length {
            self.press.begins + self.reported + FRAME
        } else {
            self.press.ends + self.ends * gap
        }
    }
}

/// A packet that came in.
pub(crate) struct Packet<'a> {
    pub(crate) payload_type: u8,
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests' far side checks it"))]
    pub(crate) marker: bool,
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests' far side checks it"))]
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// `None`: not RTP version 2, or cut.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<12>()?;
        let [first, second, s1, s0, t3, t2, t1, t0, ..] = *header;
        if first >> 6 != 2 {
            return None;
        }
        let mut begins = 12 + 4 * usize::from(first & 0x0f);
        if first & 0x10 != 0 {
            let words = bytes.get(begins + 2..begins + 4)?;
            begins += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
        }
        let padding = if first & 0x20 != 0 {
            usize::from(*bytes.last()?)
        } else {
            0
        };
        Some(Self {
            payload_type: second & 0x7f,
            marker: second & 0x80 != 0,
            sequence: u16::from_be_bytes([s1, s0]),
            timestamp: u32::from_be_bytes([t3, t2, t1, t0]),
            payload: bytes.get(begins..bytes.len().checked_sub(padding)?)?,
        })
    }
}

/// Telephone-events that reached this telephone: keys of somebody else. When, and never which.
#[derive(Default)]
pub(crate) struct Leaked {
    events: Vec<(u32, Instant)>,
}

/// Bounded: a leak of more than a thousand keys is a leak.
const LEAKED_MAX: usize = 1000;

impl Leaked {
    /// One event is all packets with its timestamp (RFC 4733, 2.2.1).
    pub(crate) fn take(&mut self, packet: &Packet<'_>, now: Instant) {
        let known = self.events.iter().any(|(t, _)| *t == packet.timestamp);
        if !known && self.events.len() < LEAKED_MAX {
            self.events.push((packet.timestamp, now));
        }
    }

    /// When each began to arrive.
    pub(crate) fn times(&self) -> impl ExactSizeIterator<Item = Instant> {
        self.events.iter().map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sent {
        due: u64,
        kind: u8,
        marker: bool,
        sequence: u16,
        timestamp: u32,
        payload: Vec<u8>,
    }

    fn sent(sender: &mut Sender, until: u64) -> Vec<Sent> {
        let mut all = Vec::new();
        let mut bytes = Vec::new();
        while sender.due() <= until {
            let due = sender.due();
            sender.poll(&mut bytes);
            let packet = Packet::parse(&bytes).unwrap();
            all.push(Sent {
                due,
                kind: packet.payload_type,
                marker: packet.marker,
                sequence: packet.sequence,
                timestamp: packet.timestamp,
                payload: packet.payload.to_vec(),
            });
        }
        all
    }

    fn key(sign: char) -> Key {
        Key::parse(sign).unwrap()
    }

    /// Three keys after 100 ms; `updates` are the durations, in samples, before the three last packets.
    #[track_caller]
    fn check(on_ms: u32, off_ms: u32, updates: &[u16]) {
        let mut sender = Sender::new(Carry::Events, on_ms, off_ms, None, 7 << 100);
        let mut all = sent(&mut sender, 800);
        let presses: Vec<Press> = "1#D".chars().map(|c| sender.press(key(c))).collect();
        let (on, off) = (u64::from(on_ms) * 8, u64::from(off_ms) * 8);
        all.extend(sent(&mut sender, presses[2].over + 1600));

        let mut end_of_last = 0;
        for (n, press) in presses.iter().enumerate() {
            assert_eq!(
                press.begins,
                800 + n as u64 * (on + off),
                "begin of key {n}"
            );
            let mine: Vec<&Sent> = all
                .iter()
                .filter(|p| p.kind == TELEPHONE_EVENT && u64::from(p.timestamp) == press.begins)
                .collect();
            let durations: Vec<u16> = mine
                .iter()
                .map(|p| u16::from_be_bytes([p.payload[2], p.payload[3]]))
                .collect();
            let mut expected = updates.to_vec();
            expected.extend([u16::try_from(on).unwrap(); 3]);
            assert_eq!(durations, expected, "durations of key {n}");
            let markers: Vec<bool> = mine.iter().map(|p| p.marker).collect();
            assert_eq!(markers.iter().filter(|m| **m).count(), 1);
            assert!(markers[0], "the marker is on the first packet");
            for (i, p) in mine.iter().enumerate() {
                assert_eq!(p.payload[0], press.key.event());
                assert_eq!(p.payload[1], if i < updates.len() { 10 } else { 0x8a });
                let covered = u64::from(durations[i]) + press.begins;
                assert!(p.due >= covered, "not before the time that it reports");
            }
            assert_eq!(
                mine[updates.len()].due,
                press.ends,
                "the end goes out in time"
            );
            let last = mine.last().unwrap().due;
            assert!(last <= press.over, "all ends before the next key");
            let between = all.iter().filter(|p| {
                p.kind == PCMU
                    && u64::from(p.timestamp) + 160 > press.begins
                    && u64::from(p.timestamp) < press.ends
            });
            assert_eq!(between.count(), 0, "no audio while a key is held");
            assert!(press.begins >= end_of_last);
            end_of_last = last;
        }
        for pair in all.windows(2) {
            assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
            assert!(pair[1].due >= pair[0].due && pair[1].due - pair[0].due <= 320);
        }
        assert!(all[0].marker && all[0].kind == PCMU);
        let audio_after = all.iter().filter(|p| p.due > presses[2].over).count();
        assert!(audio_after >= 8, "audio goes on afterwards");
    }

    #[test]
    fn events_are_exact_at_every_speed() {
        let up_to = |n: u16| (1..=n).map(|i| i * 160).collect::<Vec<u16>>();
        check(40, 40, &up_to(1));
        check(40, 60, &up_to(1));
        check(80, 20, &up_to(3));
        check(100, 20, &up_to(4));
        check(100, 80, &up_to(4));
        check(200, 200, &up_to(9));
        check(1000, 2000, &up_to(49));
        // Not whole packets.
        check(50, 30, &up_to(2));
        check(45, 5, &up_to(2));
        check(15, 25, &[]);
        check(20, 20, &[]);
        check(41, 0, &up_to(2));
        check(8000, 50, &up_to(399));
    }

    #[test]
    fn audio_is_silence_every_20_ms() {
        let mut sender = Sender::new(Carry::Events, 100, 100, None, u128::MAX);
        let all = sent(&mut sender, 8000);
        assert_eq!(all.len(), 50);
        for (n, p) in (0_u32..).zip(&all) {
            assert_eq!(p.timestamp, u32::MAX.wrapping_add(n * 160));
            assert_eq!(p.due, u64::from(n + 1) * 160);
            assert_eq!(p.payload, [SILENCE; 160]);
        }
    }

    #[test]
    fn tones_begin_and_end_at_their_own_sample() {
        let mut sender = Sender::new(Carry::Tones, 45, 33, None, 0);
        let presses = [sender.press(key('5')), sender.press(key('5'))];
        let all = sent(&mut sender, presses[1].over + 320);
        assert!(all.iter().all(|p| p.kind == PCMU && p.payload.len() == 160));
        let audio: Vec<u8> = all.into_iter().flat_map(|p| p.payload).collect();
        for (at, sample) in (0_u64..).zip(&audio) {
            let press = presses.iter().find(|p| (p.begins..p.ends).contains(&at));
            let expected = press.map_or(SILENCE, |p| tone(p.key, at - p.begins));
            assert_eq!(*sample, expected, "sample {at}");
        }
        assert_eq!(presses[1].begins, (45 + 33) * 8);
    }

    #[test]
    fn a_humming_caller_is_quiet_only_while_he_keys() {
        let mut sender = Sender::new(Carry::Tones, 40, 40, Some(440), 0);
        let press = sender.press(key('5'));
        let audio: Vec<u8> = sent(&mut sender, press.over + 8_000)
            .into_iter()
            .flat_map(|p| p.payload)
            .collect();
        for (at, sample) in (0_u64..).zip(&audio) {
            let keys = (press.begins..press.ends).contains(&at);
            let expected = if keys {
                tone(press.key, at - press.begins)
            } else {
                voice(440, at)
            };
            assert_eq!(*sample, expected, "sample {at}");
        }
        assert!(audio.len() > 8_000, "also behind a whole second");
    }

    #[test]
    fn a_held_call_sends_nothing_and_goes_on_in_its_own_time() {
        let mut sender = Sender::new(Carry::Events, 40, 40, Some(440), 0);
        let before = sent(&mut sender, 800);
        sender.press(key('1'));
        sender.pass_over(8_000);
        let after = sent(&mut sender, 8_800);
        assert_eq!((before.len(), after.len()), (5, 5), "and no key");
        assert!(after[0].marker && !after[1].marker);
        assert_eq!((after[0].timestamp, after[0].sequence), (8_000, 6));
    }

    #[test]
    fn keys_by_info_leave_the_audio_alone_but_take_their_time() {
        let mut sender = Sender::new(Carry::Nothing, 100, 80, None, 0);
        sender.press(key('1'));
        let press = sender.press(key('2'));
        assert_eq!((press.begins, press.ends, press.over), (1440, 2240, 2880));
        let all = sent(&mut sender, 4000);
        assert!(
            all.iter()
                .all(|p| p.kind == PCMU && p.payload == [SILENCE; 160])
        );
    }

    #[test]
    fn foreign_packets() {
        assert!(Packet::parse(b"").is_none());
        assert!(Packet::parse(&[0x40; 20]).is_none(), "version 1");
        assert!(
            Packet::parse(&[0x8f; 20]).is_none(),
            "15 sources, none there"
        );
        assert!(
            Packet::parse(&[0xa0; 13]).is_none(),
            "padding longer than the packet"
        );
        let extended = [
            0x91, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 9, 9, 9, 9, 0, 0, 0, 1, 8, 8, 8, 8, 7,
        ];
        assert_eq!(Packet::parse(&extended).unwrap().payload, [7]);
        let padded = [0xa0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 5, 0, 2];
        assert_eq!(Packet::parse(&padded).unwrap().payload, [5]);
    }

    #[test]
    fn leaked_keys_count_once_each() {
        let mut leaked = Leaked::default();
        let mut sender = Sender::new(Carry::Events, 100, 100, None, 0);
        let until = [sender.press(key('1')), sender.press(key('1'))][1].over;
        for p in sent(&mut sender, until)
            .iter()
            .filter(|p| p.kind == TELEPHONE_EVENT)
        {
            let packet = Packet {
                payload_type: p.kind,
                marker: p.marker,
                sequence: p.sequence,
                timestamp: p.timestamp,
                payload: &p.payload,
            };
            leaked.take(&packet, Instant::now());
        }
        assert_eq!(leaked.times().len(), 2);
    }
}
