//! The forms in which a card number can stand in memory or a file.
//!
//! One table makes both what is looked for and, for the control, what is planted: a form that is in the table is searched
//! for and has to be found.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use base64::Engine as _;

/// Consecutive digits outside the last four that give a text away. Fewer would meet digits that stand there by chance.
pub(crate) const TEXT_DIGITS: usize = 8;
/// The same where a digit is half a byte or a byte of 0 to 9, as many other things are.
pub(super) const BYTE_DIGITS: usize = 12;
/// Digits at a fixed distance, in bytes: the slots of a queue, the records of a log.
pub(super) const STRIDES: std::ops::RangeInclusive<usize> = 1..=256;

/// A card to look for.
pub(crate) struct Card {
    /// Digits as numbers, 0 to 9.
    pub(super) digits: Vec<u8>,
    pub(super) expiry: String,
    pub(super) code: String,
}

/// Reads `PAN MMYY CODE` a line.
pub(crate) fn cards(path: &Path) -> anyhow::Result<Vec<Card>> {
    let mut cards = Vec::new();
    for line in BufReader::new(File::open(path)?).lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        let (Some(pan), Some(expiry), Some(code)) = (words.next(), words.next(), words.next())
        else {
            anyhow::bail!("a line of the cards' file is not `PAN MMYY CODE`");
        };
        anyhow::ensure!(
            (14..=19).contains(&pan.len()) && pan.bytes().all(|b| b.is_ascii_digit()),
            "a card number is 14 to 19 digits"
        );
        cards.push(Card {
            digits: pan.bytes().map(|b| b - b'0').collect(),
            expiry: expiry.to_owned(),
            code: code.to_owned(),
        });
    }
    anyhow::ensure!(
        !cards.is_empty(),
        "the cards' file is empty: nothing to look for"
    );
    Ok(cards)
}

/// How digits are written: a name, and the bytes of one digit after another.
struct Writing {
    name: &'static str,
    /// Digits in a row that are enough.
    enough: usize,
    write: fn(&[u8]) -> Vec<u8>,
}

fn ascii(digits: &[u8]) -> Vec<u8> {
    digits.iter().map(|d| b'0' + d).collect()
}

fn each(digits: &[u8], write: impl Fn(u8) -> Vec<u8>) -> Vec<u8> {
    digits.iter().flat_map(|d| write(*d)).collect()
}

fn joined(digits: &[u8], by: &str, write: impl Fn(u8) -> String) -> Vec<u8> {
    let words: Vec<String> = digits.iter().map(|d| write(*d)).collect();
    words.join(by).into_bytes()
}

/// Two digits a byte; what is left over of an odd count is left out.
fn packed(digits: &[u8], swapped: bool) -> Vec<u8> {
    digits
        .chunks_exact(2)
        .map(|pair| match swapped {
            false => pair[0] << 4 | pair[1],
            true => pair[1] << 4 | pair[0],
        })
        .collect()
}

const WRITINGS: &[Writing] = &[
    Writing {
        name: "ASCII",
        enough: TEXT_DIGITS,
        write: ascii,
    },
    Writing {
        name: "ASCII reversed",
        enough: TEXT_DIGITS,
        write: |d| ascii(d).into_iter().rev().collect(),
    },
    // As SHA-1 and SHA-256 keep what they are given, on a processor of the other order.
    Writing {
        name: "ASCII, words of four turned round",
        enough: TEXT_DIGITS,
        write: |d| {
            ascii(d)
                .chunks(4)
                .flat_map(|word| word.iter().rev().copied())
                .collect()
        },
    },
    Writing {
        name: "UTF-16LE",
        enough: TEXT_DIGITS,
        write: |d| each(d, |d| vec![b'0' + d, 0]),
    },
    Writing {
        name: "UTF-16BE",
        enough: TEXT_DIGITS,
        write: |d| each(d, |d| vec![0, b'0' + d]),
    },
    Writing {
        name: "UTF-32LE",
        enough: TEXT_DIGITS,
        write: |d| each(d, |d| vec![b'0' + d, 0, 0, 0]),
    },
    Writing {
        name: "UTF-32BE",
        enough: TEXT_DIGITS,
        write: |d| each(d, |d| vec![0, 0, 0, b'0' + d]),
    },
    Writing {
        name: "hexadecimal of ASCII",
        enough: TEXT_DIGITS,
        write: |d| each(d, |d| format!("3{d}").into_bytes()),
    },
    Writing {
        name: "hexadecimal of ASCII, spaced",
        enough: TEXT_DIGITS,
        write: |d| joined(d, " ", |d| format!("3{d}")),
    },
    Writing {
        name: "URL-escaped",
        enough: TEXT_DIGITS,
        write: |d| each(d, |d| format!("%3{d}").into_bytes()),
    },
    Writing {
        name: "JSON-escaped",
        enough: TEXT_DIGITS,
        write: |d| each(d, |d| format!("\\u003{d}").into_bytes()),
    },
    Writing {
        name: "XML-escaped",
        enough: TEXT_DIGITS,
        write: |d| each(d, |d| format!("&#{};", 48 + d).into_bytes()),
    },
    Writing {
        name: "list of digits",
        enough: TEXT_DIGITS,
        write: |d| joined(d, ", ", |d| d.to_string()),
    },
    Writing {
        name: "list of digits, tight",
        enough: TEXT_DIGITS,
        write: |d| joined(d, ",", |d| d.to_string()),
    },
    Writing {
        name: "list of characters",
        enough: TEXT_DIGITS,
        write: |d| joined(d, ", ", |d| format!("'{d}'")),
    },
    Writing {
        name: "list of bytes",
        enough: TEXT_DIGITS,
        write: |d| joined(d, ", ", |d| (48 + d).to_string()),
    },
    Writing {
        name: "spoken apart",
        enough: TEXT_DIGITS,
        write: |d| joined(d, " ", |d| d.to_string()),
    },
    Writing {
        name: "BCD",
        enough: BYTE_DIGITS,
        write: |d| packed(d, false),
    },
    Writing {
        name: "BCD, nibbles swapped",
        enough: BYTE_DIGITS,
        write: |d| packed(d, true),
    },
    Writing {
        name: "a byte a digit",
        enough: BYTE_DIGITS,
        write: <[u8]>::to_vec,
    },
];

/// How a number is printed on a card, by its length.
fn groups(digits: &[u8]) -> Vec<&[u8]> {
    let sizes: &[usize] = match digits.len() {
        14 => &[4, 6, 4],
        15 => &[4, 6, 5],
        _ => &[4, 4, 4, 4, 3],
    };
    let mut rest = digits;
    let mut groups = Vec::new();
    for size in sizes {
        let (group, behind) = rest.split_at((*size).min(rest.len()));
        if !group.is_empty() {
            groups.push(group);
        }
        rest = behind;
    }
    groups
}

const SEPARATORS: &[(&str, &str)] = &[
    ("grouped by blanks", " "),
    ("grouped by dashes", "-"),
    ("grouped by points", "."),
    ("grouped, form-encoded", "+"),
    ("grouped, URL-escaped", "%20"),
];

fn base64_at(digits: &[u8], offset: usize) -> Vec<u8> {
    let padded: Vec<u8> = std::iter::repeat_n(b' ', offset)
        .chain(ascii(digits))
        .collect();
    base64::engine::general_purpose::STANDARD_NO_PAD
        .encode(&padded)
        .into_bytes()
}

/// Nineteen digits fit into 64 bits.
fn as_integer(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(0_u64, |n, d| n.wrapping_mul(10).wrapping_add(u64::from(*d)))
}

/// Forms that are more than a row of bytes.
pub(super) const AT_A_DISTANCE: &str = "ASCII at a distance";
pub(super) const BYTES_AT_A_DISTANCE: &str = "a byte a digit at a distance";
pub(super) const KEYS_TOGETHER: &str = "keys of events make up a number";
pub(super) const CODE_FIELD: &str = "code with its field";
pub(super) const CODE_BESIDE: &str = "code beside its expiry";

/// Names under which a security code is sent or kept, in lower case.
pub(super) const CODE_FIELDS: &[&str] = &[
    "cvv",
    "cvc",
    "cvn",
    "security_code",
    "securitycode",
    "security-code",
    "card_code",
];
/// How far from its field a code is one, bytes.
pub(super) const CODE_NEAR: usize = 32;

/// Bytes to be looked for, and what they are.
pub(super) struct Needle {
    pub(super) form: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// All that gives one of these cards away at one place, stride 1.
pub(super) fn needles(cards: &[Card], text_digits: usize) -> Vec<Needle> {
    let mut needles = Vec::new();
    for card in cards {
        let secret = &card.digits[..card.digits.len() - 4];
        for writing in WRITINGS {
            // The last four may be shown; a byte form needs some of them for its length.
            let (among, enough) = match writing.enough {
                TEXT_DIGITS => (secret, text_digits.min(secret.len())),
                enough => (&card.digits[..], enough),
            };
            for window in among.windows(enough) {
                needles.push(Needle {
                    form: writing.name,
                    bytes: (writing.write)(window),
                });
            }
        }
        for (form, by) in SEPARATORS {
            // A time in seconds and parts of them is two groups with a point between.
            let groups_enough = if *by == "." || text_digits > TEXT_DIGITS {
                3
            } else {
                2
            };
            for some in groups(&card.digits).windows(groups_enough) {
                let parts: Vec<Vec<u8>> = some.iter().copied().map(ascii).collect();
                if some.iter().map(|g| g.len()).sum::<usize>() >= TEXT_DIGITS {
                    needles.push(Needle {
                        form,
                        bytes: parts.join(by.as_bytes()),
                    });
                }
            }
        }
        for offset in 0..3 {
            let text = base64_at(&card.digits, offset);
            // The first group depends on what stands before, the last on what stands behind.
            let whole = text.len() / 4 * 4;
            if let Some(middle) = text.get(4..whole - 4) {
                needles.push(Needle {
                    form: "base64",
                    bytes: middle.to_vec(),
                });
            }
        }
        let number = as_integer(&card.digits);
        needles.push(Needle {
            form: "integer",
            bytes: number.to_le_bytes().to_vec(),
        });
        needles.push(Needle {
            form: "integer, big-endian",
            bytes: number.to_be_bytes().to_vec(),
        });
        for text in [
            format!("{}#{}", card.expiry, card.code),
            format!("{}#{}", card.code, card.expiry),
        ] {
            needles.push(Needle {
                form: CODE_BESIDE,
                bytes: text.into_bytes(),
            });
        }
    }
    needles
}

/// A copy of a card that the search has to find.
pub(super) struct Plant {
    pub(super) name: String,
    /// The form under which it is found.
    pub(super) form: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// One whole copy of the card in each form, for the control.
pub(super) fn planted(card: &Card) -> Vec<Plant> {
    let mut plants = Vec::new();
    let mut add = |name: String, form, bytes| plants.push(Plant { name, form, bytes });
    let digits = card.digits.as_slice();
    for writing in WRITINGS {
        add(
            writing.name.to_owned(),
            writing.name,
            (writing.write)(digits),
        );
    }
    for (form, by) in SEPARATORS {
        let parts: Vec<Vec<u8>> = groups(digits).into_iter().map(ascii).collect();
        add((*form).to_owned(), form, parts.join(by.as_bytes()));
    }
    for offset in 0..3 {
        add(
            format!("base64 at {offset}"),
            "base64",
            base64_at(digits, offset),
        );
    }
    let number = as_integer(digits);
    add("integer".into(), "integer", number.to_le_bytes().to_vec());
    add(
        "integer, big-endian".into(),
        "integer, big-endian",
        number.to_be_bytes().to_vec(),
    );
    // What is left of it when its beginning and the last four are overwritten.
    let hidden = digits.len() - 4;
    add(
        "eight digits in the middle".into(),
        "ASCII",
        ascii(&digits[hidden - TEXT_DIGITS..hidden]),
    );
    for stride in [2, 3, 7, 24, 32, 100, 256] {
        let mut apart = vec![b'~'; stride * digits.len()];
        let mut bytes = vec![0xaa; stride * digits.len()];
        for (i, digit) in digits.iter().enumerate() {
            apart[i * stride] = b'0' + digit;
            bytes[i * stride] = *digit;
        }
        add(format!("ASCII, every {stride} bytes"), AT_A_DISTANCE, apart);
        add(
            format!("a byte a digit, every {stride} bytes"),
            BYTES_AT_A_DISTANCE,
            bytes,
        );
    }
    for (name, marker, end) in [
        (
            "ARI events",
            r#"{"type":"ChannelDtmfReceived","digit":""#,
            r#"","duration_ms":100,"channel":{"id":"1700000000.7"}}"#,
        ),
        (
            "AMI events",
            "Event: DTMFEnd\r\nUniqueid: 1700000000.7\r\nDigit: ",
            "\r\n\r\n",
        ),
        (
            "log of keys",
            "DTMF[7] channel.c: DTMF end '",
            "' received on PJSIP/trunk-00000007\n",
        ),
        (
            "CEL in CSV",
            r#""DTMF","1700000000.7","{""digit"":"""#,
            "\"\"}\"\n",
        ),
        ("SIP INFO", "Signal=", "\r\nDuration=100\r\n\r\n"),
    ] {
        let all: String = digits.iter().map(|d| format!("{marker}{d}{end}")).collect();
        add(name.to_owned(), KEYS_TOGETHER, all.into_bytes());
    }
    let (expiry, code) = (&card.expiry, &card.code);
    for (name, form, text) in [
        ("code in a form", CODE_FIELD, format!("&cvc={code}&")),
        (
            "code in JSON",
            CODE_FIELD,
            format!("\"securityCode\": \"{code}\""),
        ),
        (
            "code beside its expiry",
            CODE_BESIDE,
            format!("{expiry}#{code}#"),
        ),
    ] {
        add(name.to_owned(), form, text.into_bytes());
    }
    plants
}
