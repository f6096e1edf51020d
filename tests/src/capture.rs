//! What goes to an address over the wire, as a listener at the network card has it: every UDP packet, decoded as SIP or RTP.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow};
use rustix::net::{AddressFamily, SocketType, ipproto, sockopt};

/// Packets that the kernel keeps while this machine is busy, bytes.
const KEPT: usize = 8 << 20;
/// Largest packet, bytes.
const PACKET_MAX: usize = 65_536;
/// How often it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Listens until it is stopped.
pub struct Capture {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<std::io::Result<Vec<Packet>>>>,
}

/// One UDP packet.
#[derive(Clone)]
pub struct Packet {
    /// When it came, ms since 1970.
    pub at_unix_ms: u64,
    /// Its sender.
    pub from: SocketAddrV4,
    /// Its receiver.
    pub to: SocketAddrV4,
    /// What is in it.
    pub payload: Vec<u8>,
}

/// Packets that were captured.
pub struct Wire(Vec<Packet>);

impl Capture {
    /// Listens to all that comes to these addresses of this machine.
    ///
    /// # Errors
    /// When we are not root.
    pub fn start(addresses: &[Ipv4Addr]) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for address in addresses {
            let socket =
                rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::UDP))
                    .context("no raw socket; run this as root")?;
            sockopt::set_socket_recv_buffer_size_force(&socket, KEPT)?;
            rustix::net::bind(&socket, &SocketAddrV4::new(*address, 0))?;
            let socket = UdpSocket::from(socket);
            socket.set_read_timeout(Some(LOOK))?;
            let stop = Arc::clone(&stop);
            threads.push(std::thread::spawn(move || listen(&socket, &stop)));
        }
        Ok(Self { stop, threads })
    }

    /// What has come.
    ///
    /// # Errors
    /// When the sockets failed.
    pub fn stop(self) -> anyhow::Result<Wire> {
        self.stop.store(true, Ordering::Relaxed);
        let mut packets = Vec::new();
        for thread in self.threads {
            let heard = thread.join().map_err(|_| anyhow!("the capture panicked"))?;
            packets.extend(heard?);
        }
        packets.sort_by_key(|packet| packet.at_unix_ms);
        Ok(Wire(packets))
    }
}

fn listen(socket: &UdpSocket, stop: &AtomicBool) -> std::io::Result<Vec<Packet>> {
    let mut packets = Vec::new();
    let mut buffer = vec![0; PACKET_MAX];
    while !stop.load(Ordering::Relaxed) {
        match socket.recv(&mut buffer) {
            Ok(length) => packets.extend(buffer.get(..length).and_then(packet)),
            Err(e)
                if matches!(
                    e.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(packets)
}

/// An IPv4 packet (RFC 791) that holds UDP (RFC 768).
fn packet(ip: &[u8]) -> Option<Packet> {
    let head = usize::from(ip.first()? & 15) * 4;
    let address = |at: usize| Some(Ipv4Addr::from(*ip.get(at..)?.first_chunk::<4>()?));
    let (from, to) = (address(12)?, address(16)?);
    let udp = ip.get(head..)?;
    let port = |at: usize| Some(u16::from_be_bytes(*udp.get(at..)?.first_chunk::<2>()?));
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Some(Packet {
        at_unix_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        from: SocketAddrV4::new(from, port(0)?),
        to: SocketAddrV4::new(to, port(2)?),
        payload: udp.get(8..)?.to_vec(),
    })
}

/// The head of an RTP packet (RFC 3550).
struct Rtp<'a> {
    kind: u8,
    sequence: u16,
    timestamp: u32,
    source: u32,
    payload: &'a [u8],
}

/// What a packet of µ-law sound has as its type; telephone-events have one that was agreed on.
const SOUND: u8 = 0;

impl Packet {
    fn rtp(&self) -> Option<Rtp<'_>> {
        let bytes = &self.payload;
        let four = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk::<4>()?));
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        // RTCP (RFC 5761, 4) is no RTP, nor is SIP.
        if first >> 6 != 2 || (192..=223).contains(&second) {
            return None;
        }
        Some(Rtp {
            kind: second & 127,
            sequence: u16::from_be_bytes(*bytes.get(2..)?.first_chunk::<2>()?),
            timestamp: four(4)?,
            source: four(8)?,
            payload: bytes.get(12 + 4 * usize::from(first & 15)..)?,
        })
    }

    /// RTP that is not sound: a telephone-event, and whatever else a key could be in.
    #[must_use]
    pub fn is_event(&self) -> bool {
        self.rtp().is_some_and(|rtp| rtp.kind != SOUND)
    }

    /// A SIP request or answer.
    #[must_use]
    pub fn sip(&self) -> Option<&str> {
        let text = std::str::from_utf8(&self.payload).ok()?;
        text.lines().next()?.contains("SIP/2.0").then_some(text)
    }
}

impl Wire {
    /// Those that fit.
    #[must_use]
    pub fn only(&self, fits: impl Fn(&Packet) -> bool) -> Self {
        Self(self.0.iter().filter(|p| fits(p)).cloned().collect())
    }

    /// When the first came that fits.
    #[must_use]
    pub fn first(&self, fits: impl Fn(&Packet) -> bool) -> Option<u64> {
        self.0.iter().find(|p| fits(p)).map(|p| p.at_unix_ms)
    }

    /// Packets of RTP that are not sound.
    #[must_use]
    pub fn events(&self) -> usize {
        self.0.iter().filter(|packet| packet.is_event()).count()
    }

    /// Packets of sound.
    #[must_use]
    pub fn sounds(&self) -> usize {
        self.0
            .iter()
            .filter_map(Packet::rtp)
            .filter(|r| r.kind == SOUND)
            .count()
    }

    /// The keys of its telephone-events (RFC 4733), each once.
    #[must_use]
    pub fn keys(&self) -> String {
        let mut before = None;
        let mut keys = String::new();
        for rtp in self
            .0
            .iter()
            .filter_map(Packet::rtp)
            .filter(|r| r.kind != SOUND)
        {
            let key = rtp.payload.first().copied().unwrap_or_default();
            let this = (rtp.source, rtp.timestamp, key);
            if before != Some(this) {
                before = Some(this);
                keys.push("0123456789*#ABCD".chars().nth(key.into()).unwrap_or('?'));
            }
        }
        keys
    }

    /// SIP messages that may carry keys: INFO, or a body of a kind that does.
    #[must_use]
    pub fn infos(&self) -> usize {
        let keys = |sip: &str| {
            sip.starts_with("INFO ") || sip.to_ascii_lowercase().contains("application/dtmf")
        };
        self.0
            .iter()
            .filter_map(Packet::sip)
            .filter(|sip| keys(sip))
            .count()
    }

    /// Packets in which this text stands.
    #[must_use]
    pub fn with_text(&self, text: &str) -> usize {
        let text = text.as_bytes();
        let has = |p: &&Packet| p.payload.windows(text.len()).any(|w| w == text);
        self.0.iter().filter(has).count()
    }

    /// Packets that are missing in the numbers of a stream: what was not captured was not judged.
    #[must_use]
    pub fn missing(&self) -> usize {
        let mut last: BTreeMap<(SocketAddrV4, u32), u16> = BTreeMap::new();
        let mut missing = 0;
        for packet in &self.0 {
            let Some(rtp) = packet.rtp() else { continue };
            if let Some(before) = last.insert((packet.to, rtp.source), rtp.sequence) {
                let gap = usize::from(rtp.sequence.wrapping_sub(before));
                // Backwards: overtaken by another one.
                if (2..1_000).contains(&gap) {
                    missing += gap - 1;
                }
            }
        }
        missing
    }

    /// Writes the sound of each stream into a file of its own: 16 bit, 8 kHz.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn save_sound(&self, folder: &Path, name: &str) -> anyhow::Result<Vec<PathBuf>> {
        let mut streams: BTreeMap<(SocketAddrV4, u32), Vec<u8>> = BTreeMap::new();
        for packet in &self.0 {
            if let Some(rtp) = packet.rtp()
                && rtp.kind == SOUND
            {
                let stream = streams.entry((packet.to, rtp.source)).or_default();
                stream.extend(
                    rtp.payload
                        .iter()
                        .flat_map(|byte| linear(*byte).to_le_bytes()),
                );
            }
        }
        let mut files = Vec::new();
        for (n, samples) in streams.into_values().enumerate() {
            let path = folder.join(format!("{name}-{n}.wav"));
            let size = u32::try_from(samples.len())?;
            let mut wav = b"RIFF".to_vec();
            wav.extend((36 + size).to_le_bytes());
            wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data");
            wav.extend(size.to_le_bytes());
            wav.extend(samples);
            std::fs::write(&path, wav)?;
            files.push(path);
        }
        Ok(files)
    }
}

/// ITU-T G.711, µ-law.
fn linear(byte: u8) -> i16 {
    let byte = !byte;
    let magnitude = ((i16::from(byte & 15) << 3) + 0x84) << ((byte >> 4) & 7);
    if byte & 0x80 == 0 {
        magnitude - 0x84
    } else {
        0x84 - magnitude
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn rtp(kind: u8, sequence: u16, timestamp: u32, payload: &[u8]) -> Packet {
        let mut bytes = vec![0x80, kind];
        bytes.extend(sequence.to_be_bytes());
        bytes.extend(timestamp.to_be_bytes());
        bytes.extend(7_u32.to_be_bytes());
        bytes.extend(payload);
        udp(&bytes)
    }

    fn udp(payload: &[u8]) -> Packet {
        let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
        ip.extend([127, 0, 0, 1, 127, 0, 0, 6]);
        ip.extend([0x13, 0xc4, 0x27, 0x10, 0, 0, 0, 0]);
        ip.extend(payload);
        packet(&ip).unwrap()
    }

    #[test]
    fn keys_are_found_however_they_are_sent() {
        let event = |sequence, timestamp, key| rtp(101, sequence, timestamp, &[key, 10, 0, 160]);
        let wire = Wire(vec![
            rtp(0, 1, 0, &[0xff; 160]),
            event(2, 160, 4),
            event(3, 160, 4),
            event(6, 960, 4),
            event(7, 1_760, 11),
            udp(
                b"INFO sip:x@y SIP/2.0\r\nContent-Type: application/dtmf-relay\r\n\r\nSignal=4\r\n",
            ),
            udp(b"SIP/2.0 200 OK\r\n\r\n"),
            // RTCP.
            udp(&[0x80, 200, 0, 1, 0, 0, 0, 7]),
            udp(b"\0"),
        ]);
        assert_eq!(
            (wire.events(), wire.sounds(), wire.infos(), wire.missing()),
            (4, 1, 1, 2)
        );
        assert_eq!(wire.keys(), "44#");
        assert_eq!(wire.with_text("Signal=4"), 1);
        assert_eq!(wire.0[0].to, "127.0.0.6:10000".parse().unwrap());
        assert_eq!(wire.only(|p| p.sip().is_some()).0.len(), 2);
    }

    #[test]
    fn sound_is_linear_again() {
        for (byte, sample) in [
            (0xff, 0),
            (0x7f, 0),
            (0x00, -32_124),
            (0x80, 32_124),
            (0xce, 988),
        ] {
            assert_eq!(linear(byte), sample, "{byte:#x}");
        }
        let folder = tempfile::tempdir().unwrap();
        let wire = Wire(vec![rtp(0, 1, 0, &[0x80; 160]), rtp(0, 2, 160, &[0; 160])]);
        let files = wire.save_sound(folder.path(), "link").unwrap();
        assert_eq!(files.len(), 1);
        assert_eq!(std::fs::read(&files[0]).unwrap().len(), 44 + 640);
    }
}
