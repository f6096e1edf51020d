//! Sound out of files: WAV, and the headerless files that Asterisk writes.
//!
//! Reads as it goes, so a file may be hours long, or still be written: a size in a header is believed only as far as the file
//! bears it out. Any bytes are a recording or an error. Does not open files.

use std::io::{self, Read};

use audio_codec_algorithms::{decode_alaw, decode_ulaw};
use zeroize::Zeroize as _;

use crate::dtmf::{Detector, RateError, Tone};

/// Most channels of one file.
pub const CHANNELS_MAX: u16 = 32;
/// Longest format chunk of a WAV file that is read, bytes; the longest in use has 40.
const FORMAT_BYTES_MAX: u32 = 1024;
/// Bytes read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Why a file is not listened to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// It can't be read.
    #[error("can't be read: {0}")]
    Read(#[from] io::Error),
    /// No bytes.
    #[error("is empty")]
    Empty,
    /// No WAV file, and its name is not that of another kind.
    #[error("is no recording of a kind that can be read")]
    Unknown,
    /// Sound by its name, of a kind that is not read.
    #[error("is sound of a kind that can't be read")]
    Other,
    /// Ends before the sound begins, or has a header that makes no sense.
    #[error("has a broken header: {0}")]
    Header(&'static str),
    /// A WAV file of a compressed kind.
    #[error("is compressed ({name}, WAV format {tag:#06x})")]
    Compressed {
        /// Format tag of the header.
        tag: u16,
        /// Its usual name.
        name: &'static str,
    },
    /// Too many channels.
    #[error("has {0} channels; {CHANNELS_MAX} can be listened to")]
    Channels(u16),
    /// Too slow or too fast.
    #[error(transparent)]
    Rate(#[from] RateError),
}

impl RecordingError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read(_) => "look at its permissions and at the disk",
            Self::Empty => "nothing was recorded, or nothing yet",
            Self::Unknown => {
                "WAV, .ulaw, .alaw and .sln files can be read; convert another one first: `sox IN -e signed -b 16 OUT.wav`"
            }
            Self::Header(_) => "look whether it is whole; Asterisk writes the header at once",
            Self::Other | Self::Compressed { .. } | Self::Channels(_) | Self::Rate(_) => {
                "convert it first: `sox IN -e signed -b 16 -r 8000 OUT.wav`"
            }
        }
    }
}

/// How a sample is written. Integers are little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// ITU-T G.711.
    MuLaw,
    /// ITU-T G.711.
    ALaw,
    U8,
    S16,
    S24,
    S32,
    F32,
    F64,
}

impl Encoding {
    const fn bytes(self) -> usize {
        match self {
            Self::MuLaw | Self::ALaw | Self::U8 => 1,
            Self::S16 => 2,
            Self::S24 => 3,
            Self::S32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// 16 bits of one sample, of which there must be [`Self::bytes`].
    fn decode(self, bytes: &[u8]) -> i16 {
        match (self, bytes) {
            (Self::MuLaw, [code]) => decode_ulaw(*code),
            (Self::ALaw, [code]) => decode_alaw(*code),
            (Self::U8, [byte]) => (i16::from(*byte) - 128) * 256,
            (Self::S16, [a, b]) | (Self::S24, [_, a, b]) | (Self::S32, [_, _, a, b]) => {
                i16::from_le_bytes([*a, *b])
            }
            (Self::F32, [a, b, c, d]) => from_unit(f64::from(f32::from_le_bytes([*a, *b, *c, *d]))),
            (Self::F64, bytes) => bytes
                .first_chunk()
                .map_or(0, |bytes| from_unit(f64::from_le_bytes(*bytes))),
            _ => 0,
        }
    }
}

/// From ±1 to 16 bits; what is louder is clipped, and what is no number is silence.
fn from_unit(sample: f64) -> i16 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast from float saturates"
    )]
    let sample = (sample * 32_768.0) as i16;
    sample
}

/// What a headerless file is, by the end of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw {
    encoding: Encoding,
    rate: u32,
}

impl Raw {
    /// The kind behind the last dot of a name, in any case: as Asterisk names its files (formats/format_pcm.c, formats/format_sln.c).
    #[must_use]
    pub fn named(extension: &str) -> Option<Self> {
        let (encoding, rate) = match extension.to_ascii_lowercase().as_str() {
            "ulaw" | "ul" | "mu" | "ulw" | "pcm" => (Encoding::MuLaw, 8000),
            "alaw" | "al" | "alw" => (Encoding::ALaw, 8000),
            "sln" | "raw" => (Encoding::S16, 8000),
            "sln12" => (Encoding::S16, 12_000),
            "sln16" => (Encoding::S16, 16_000),
            "sln24" => (Encoding::S16, 24_000),
            "sln32" => (Encoding::S16, 32_000),
            "sln44" => (Encoding::S16, 44_100),
            "sln48" => (Encoding::S16, 48_000),
            "sln96" => (Encoding::S16, 96_000),
            "sln192" => (Encoding::S16, 192_000),
            _ => return None,
        };
        Some(Self { encoding, rate })
    }
}

/// A file that is being listened to.
pub struct Recording<R> {
    reader: R,
    encoding: Encoding,
    channels: u16,
    rate: u32,
    /// Of the bytes read ahead, those that belong to the sound.
    ahead: Vec<u8>,
    /// Bytes that the sound still has by the header; `None` is "to the end of the file".
    left: Option<u64>,
    /// Whether chunks follow the sound, and begin one byte later, since chunks begin at even places.
    chunks: bool,
    pad: bool,
}

impl<R: Read> Recording<R> {
    /// Reads the header, if there is one. `raw` tells what it is without one.
    ///
    /// # Errors
    /// [`RecordingError`].
    pub fn open(mut reader: R, raw: Option<Raw>) -> Result<Self, RecordingError> {
        let mut head = [0; 12];
        let n = fill(&mut reader, &mut head)?;
        let head = head.get(..n).unwrap_or_default();
        let recording = match head {
            [] => return Err(RecordingError::Empty),
            // RF64: sizes are elsewhere, and -1 here (EBU Tech 3306).
            [
                b'R',
                b'I' | b'F',
                b'F' | b'6',
                b'F' | b'4',
                _,
                _,
                _,
                _,
                b'W',
                b'A',
                b'V',
                b'E',
            ] => Self::wav(reader)?,
            head => {
                let raw = raw.ok_or(RecordingError::Unknown)?;
                Self {
                    reader,
                    encoding: raw.encoding,
                    channels: 1,
                    rate: raw.rate,
                    ahead: head.to_vec(),
                    left: None,
                    chunks: false,
                    pad: false,
                }
            }
        };
        if recording.channels > CHANNELS_MAX {
            return Err(RecordingError::Channels(recording.channels));
        }
        // Whether the rate can be listened to is known before anything is.
        Detector::new(recording.rate)?;
        Ok(recording)
    }

    /// Reads the chunks of a WAV file as far as the sound.
    fn wav(mut reader: R) -> Result<Self, RecordingError> {
        let mut format = None;
        loop {
            let mut head = [0; 8];
            if fill(&mut reader, &mut head)? < head.len() {
                return Err(RecordingError::Header("it ends before the sound begins"));
            }
            let [a, b, c, d, size @ ..] = head;
            let size = u32::from_le_bytes(size);
            match &[a, b, c, d] {
                b"fmt " => format = Some(wav_format(&mut reader, size)?),
                b"data" => {
                    let (encoding, channels, rate) = format
                        .ok_or(RecordingError::Header("the sound comes before its format"))?;
                    return Ok(Self {
                        reader,
                        encoding,
                        channels,
                        rate,
                        ahead: Vec::new(),
                        // 0 and -1 are of one who did not know yet, or can't say it in 32 bits.
                        left: (size != 0 && size != u32::MAX).then(|| u64::from(size)),
                        chunks: true,
                        pad: size % 2 == 1,
                    });
                }
                _ => skip(&mut reader, size)?,
            }
        }
    }

    /// Channels: each is listened to by itself.
    #[must_use]
    pub fn channels(&self) -> u16 {
        self.channels
    }

    /// Samples a second of one channel.
    #[must_use]
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Listens to the end; tells the keys of each channel (from 0 on) as they end. Gives the length in samples of one channel.
    ///
    /// # Errors
    /// [`RecordingError::Read`]; keys that were heard before it were told.
    pub fn listen(mut self, mut heard: impl FnMut(u16, Tone)) -> Result<u64, RecordingError> {
        let mut ears = Vec::new();
        for channel in 0..self.channels {
            ears.push((channel, Detector::new(self.rate)?));
        }
        let frame = self.encoding.bytes() * usize::from(self.channels);
        let mut piece = Piece(vec![0; PIECE_BYTES], Vec::new());
        let (mut begun, mut frames) = (0, 0);
        let ended = loop {
            let n = match self.read(piece.0.get_mut(begun..).unwrap_or_default()) {
                Ok(0) => break Ok(()),
                Ok(n) => begun + n,
                // What was on when the disk failed is told as well.
                Err(error) => break Err(error),
            };
            let whole = n - n % frame;
            frames += (whole / frame) as u64;
            let sound = piece.0.get(..whole).unwrap_or_default();
            for (channel, ear) in &mut ears {
                piece.1.clear();
                piece.1.extend(
                    sound
                        .chunks_exact(self.encoding.bytes())
                        .skip(usize::from(*channel))
                        .step_by(usize::from(self.channels))
                        .map(|bytes| self.encoding.decode(bytes)),
                );
                ear.push(&piece.1, |tone| heard(*channel, tone));
            }
            piece.0.copy_within(whole..n, 0);
            begun = n - whole;
        };
        for (channel, ear) in ears {
            ear.finish(|tone| heard(channel, tone));
        }
        ended.map(|()| frames)
    }

    /// Bytes of the sound; 0 at its end.
    fn read(&mut self, to: &mut [u8]) -> Result<usize, RecordingError> {
        loop {
            if !self.ahead.is_empty() {
                let n = self.ahead.len().min(to.len());
                for (to, byte) in to.iter_mut().zip(self.ahead.drain(..n)) {
                    *to = byte;
                }
                return Ok(n);
            }
            if self.left == Some(0) {
                if !self.next_sound()? {
                    return Ok(0);
                }
                continue;
            }
            let most = self
                .left
                .and_then(|left| usize::try_from(left).ok())
                .unwrap_or(usize::MAX)
                .min(to.len());
            let n = fill(&mut self.reader, to.get_mut(..most).unwrap_or_default())?;
            if let Some(left) = &mut self.left {
                *left = left.saturating_sub(n as u64);
            }
            return Ok(n);
        }
    }

    /// Behind the sound by its size: other chunks, more sound, or, where a recording goes on behind a header of before, what is no chunk.
    fn next_sound(&mut self) -> Result<bool, RecordingError> {
        while self.chunks {
            if std::mem::take(&mut self.pad) {
                fill(&mut self.reader, &mut [0])?;
            }
            let mut head = [0; 8];
            let n = fill(&mut self.reader, &mut head)?;
            let [a, b, c, d, size @ ..] = head;
            let size = u32::from_le_bytes(size);
            if n < head.len() {
                break;
            }
            match &[a, b, c, d] {
                b"data" => {
                    self.pad = size % 2 == 1;
                    self.left = (size != 0 && size != u32::MAX).then(|| u64::from(size));
                    return Ok(true);
                }
                name if name.iter().all(|c| c.is_ascii_graphic() || *c == b' ') => {
                    skip(&mut self.reader, size)?;
                }
                _ => {
                    self.ahead.extend(head);
                    self.left = None;
                    return Ok(true);
                }
            }
        }
        self.chunks = false;
        Ok(false)
    }
}

/// Bytes and samples of one read, wiped at the end.
struct Piece(Vec<u8>, Vec<i16>);

impl Drop for Piece {
    fn drop(&mut self) {
        self.0.zeroize();
        self.1.zeroize();
    }
}

/// Encoding, channels and rate of a format chunk (Microsoft, "Multiple Channel Audio Data and WAVE Files").
fn wav_format(reader: &mut impl Read, size: u32) -> Result<(Encoding, u16, u32), RecordingError> {
    let short = RecordingError::Header("its format is cut off");
    if !(16..=FORMAT_BYTES_MAX).contains(&size) {
        return Err(RecordingError::Header("its format has no sensible size"));
    }
    let mut chunk = vec![0; size as usize + size as usize % 2];
    if fill(reader, &mut chunk)? < size as usize {
        return Err(short);
    }
    let at = |place: usize| match chunk.get(place..place + 2) {
        Some([a, b]) => u16::from_le_bytes([*a, *b]),
        _ => 0,
    };
    let (channels, align, bits) = (at(2), at(12), at(14));
    let rate = u32::from(at(4)) | u32::from(at(6)) << 16;
    // Extensible: what it is stands further down.
    let tag = if at(0) == 0xfffe { at(24) } else { at(0) };
    if channels == 0 {
        return Err(RecordingError::Header("it has no channel"));
    }
    // How wide a sample is stands in two places; where they differ (20 bits in 3 bytes), the room it takes counts.
    let bytes = match align / channels {
        0 => bits.div_ceil(8),
        bytes => bytes,
    };
    let encoding = match (tag, bytes) {
        (1, 1) => Encoding::U8,
        (1, 2) => Encoding::S16,
        (1, 3) => Encoding::S24,
        (1, 4) => Encoding::S32,
        (3, 4) => Encoding::F32,
        (3, 8) => Encoding::F64,
        (6, 1) => Encoding::ALaw,
        (7, 1) => Encoding::MuLaw,
        (1 | 3 | 6 | 7, _) => {
            return Err(RecordingError::Header(
                "its samples have a size that its kind has not",
            ));
        }
        (tag, _) => {
            return Err(RecordingError::Compressed {
                tag,
                name: match tag {
                    0x02 | 0x11 => "ADPCM",
                    0x31 => "GSM, Asterisk's wav49",
                    0x50 | 0x55 => "MPEG",
                    _ => "unknown",
                },
            });
        }
    };
    Ok((encoding, channels, rate))
}

/// Skips a chunk; chunks begin at even places.
fn skip(reader: &mut impl Read, size: u32) -> Result<(), RecordingError> {
    let size = u64::from(size) + u64::from(size % 2);
    io::copy(&mut reader.by_ref().take(size), &mut io::sink())?;
    Ok(())
}

/// Reads until `to` is full or there is no more.
fn fill(reader: &mut impl Read, to: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while let Some(rest) = to.get_mut(n..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => n += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(n)
}
