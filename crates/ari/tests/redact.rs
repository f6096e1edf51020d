//! The redactor: tables of single messages, and arbitrary streams in arbitrary pieces.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[allow(unreachable_pub, reason = "shared with the fuzz target")]
mod oracle;

use ivrpay_ari::redact::{Redact, Window};
use proptest::{collection::vec, prelude::*, sample::select};

const WINDOW: usize = 64 * 1024;

fn frame(opcode: u8, last: bool, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![opcode | if last { 0x80 } else { 0 }];
    match payload.len() {
        len @ 0..126 => out.push(u8::try_from(len).unwrap()),
        len @ 126..0x1_0000 => {
            out.push(126);
            out.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            out.push(127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
    out
}

#[track_caller]
fn check(text: &str, redacted: &str, key: Option<u8>) {
    let mut window = Window::take(WINDOW).unwrap();
    let out = oracle::redact(&mut window, &frame(1, true, text.as_bytes()), &[], 4096);
    let after = oracle::messages(&out.released);
    assert_eq!(after.len(), 1);
    assert_eq!(std::str::from_utf8(&after[0]).unwrap(), redacted);
    assert!(out.keys == [key]);
    oracle::check(text.as_bytes(), &after[0], key);
}

#[test]
fn the_top_level_digit_of_a_key_event_is_taken() {
    check(
        r#"{"type":"ChannelDtmfReceived","digit":"4"}"#,
        r#"{"type":"ChannelDtmfReceived","digit":"x"}"#,
        Some(b'4'),
    );
    check(
        r#"{"digit":"*","type":"ChannelDtmfReceived"}"#,
        r#"{"digit":"x","type":"ChannelDtmfReceived"}"#,
        Some(b'*'),
    );
    check(
        "{\n  \"type\": \"ChannelDtmfReceived\",\n  \"digit\" :\t\"#\" \n}",
        "{\n  \"type\": \"ChannelDtmfReceived\",\n  \"digit\" :\t\"x\" \n}",
        Some(b'#'),
    );
    check(
        r#"{"\u0074ype":"Channel\u0044tmfReceived","d\u0069git":"\u0037"}"#,
        r#"{"\u0074ype":"Channel\u0044tmfReceived","d\u0069git":"xxxxxx"}"#,
        Some(b'7'),
    );
    check(
        r#"{"type":"ChannelDtmfReceived","digit":"A"}"#,
        r#"{"type":"ChannelDtmfReceived","digit":"x"}"#,
        Some(b'A'),
    );
}

#[test]
fn a_digit_elsewhere_is_left_alone() {
    check(
        r#"{"type":"ChannelDtmfReceived","channel":{"digit":"7","name":"\",\"digit\":\"7"},"digit":"1"}"#,
        r#"{"type":"ChannelDtmfReceived","channel":{"digit":"7","name":"\",\"digit\":\"7"},"digit":"x"}"#,
        Some(b'1'),
    );
    check(
        r#"{"type":"ChannelVarset","variable":"\"type\":\"ChannelDtmfReceived\",\"digit\":\"7\"","value":"x\\","digit":"7"}"#,
        r#"{"type":"ChannelVarset","variable":"\"type\":\"ChannelDtmfReceived\",\"digit\":\"7\"","value":"x\\","digit":"7"}"#,
        None,
    );
    check(
        r#"{"type":"StasisStart","channel":{"type":"ChannelDtmfReceived","digit":"7"},"digit":"7"}"#,
        r#"{"type":"StasisStart","channel":{"type":"ChannelDtmfReceived","digit":"7"},"digit":"7"}"#,
        None,
    );
    check(
        r#"[{"type":"ChannelDtmfReceived","digit":"7"}]"#,
        r#"[{"type":"ChannelDtmfReceived","digit":"7"}]"#,
        None,
    );
    check(
        r#"{"type":["ChannelDtmfReceived"],"digit":"7"}"#,
        r#"{"type":["ChannelDtmfReceived"],"digit":"7"}"#,
        None,
    );
}

#[test]
fn what_is_no_single_key_is_hidden_and_gives_none() {
    check(
        r#"{"type":"ChannelDtmfReceived","digit":"12"}"#,
        r#"{"type":"ChannelDtmfReceived","digit":"xx"}"#,
        None,
    );
    check(
        r#"{"type":"ChannelDtmfReceived","digit":""}"#,
        r#"{"type":"ChannelDtmfReceived","digit":""}"#,
        None,
    );
    check(
        r#"{"type":"ChannelDtmfReceived","digit":"x"}"#,
        r#"{"type":"ChannelDtmfReceived","digit":"x"}"#,
        None,
    );
    check(
        r#"{"type":"ChannelDtmfReceived","digit":"４"}"#,
        r#"{"type":"ChannelDtmfReceived","digit":"xxx"}"#,
        None,
    );
    check(
        r#"{"type":"ChannelDtmfReceived","digit":"\"1"}"#,
        r#"{"type":"ChannelDtmfReceived","digit":"xxx"}"#,
        None,
    );
    check(
        r#"{"type":"ChannelDtmfReceived","digit":12 }"#,
        r#"{"type":"ChannelDtmfReceived","digit":0  }"#,
        None,
    );
    check(
        r#"{"type":"ChannelDtmfReceived","digit":[{"a":"1,2"},3],"b":"4"}"#,
        r#"{"type":"ChannelDtmfReceived","digit":0              ,"b":"4"}"#,
        None,
    );
    check(
        r#"{"type":"ChannelDtmfReceived","digit":"1","digit":"2"}"#,
        r#"{"type":"ChannelDtmfReceived","digit":"x","digit":"x"}"#,
        None,
    );
    check(
        r#"{"type":"ChannelDtmfReceived","type":"StasisEnd","digit":"2"}"#,
        r#"{"type":"ChannelDtmfReceived","type":"StasisEnd","digit":"x"}"#,
        None,
    );
    check(
        r#"{"type":"ChannelDtmfReceived"}"#,
        r#"{"type":"ChannelDtmfReceived"}"#,
        None,
    );
}

/// Broken text is nobody's event, yet its digit goes no further either.
#[test]
fn cut_off_text_is_hidden_all_the_same() {
    check(
        r#"{"type":"ChannelDtmfReceived","digit":"4"#,
        r#"{"type":"ChannelDtmfReceived","digit":"x"#,
        None,
    );
    check(
        r#"{"type":"ChannelDtmfReceived","digit":4"#,
        r#"{"type":"ChannelDtmfReceived","digit":0"#,
        None,
    );
    check(
        r#"{"type":"ChannelDtmfReceived",,"digit":"4"}"#,
        r#"{"type":"ChannelDtmfReceived",,"digit":"x"}"#,
        Some(b'4'),
    );
}

#[test]
fn no_digit_of_a_card_is_released() {
    let card = b"4111111111111111#1230#737#";
    let stream: Vec<u8> = card
        .iter()
        .flat_map(|key| {
            let key = char::from(*key);
            let text = format!(r#"{{"type":"ChannelDtmfReceived","digit":"{key}","duration_ms":100,"channel":{{"id":"a"}}}}"#);
            [frame(9, true, b""), frame(1, true, text.as_bytes())].concat()
        })
        .collect();
    let mut window = Window::take(WINDOW).unwrap();
    let out = oracle::redact(&mut window, &stream, &[255, 3, 90], 100);
    assert_eq!(out.released.len(), stream.len());
    let released = String::from_utf8_lossy(&out.released);
    assert_eq!(released.matches(r#""digit":"x""#).count(), card.len());
    assert_eq!(released.matches(r#""digit":""#).count(), card.len());
    assert!(
        out.keys
            .iter()
            .map(|key| key.unwrap())
            .eq(card.iter().copied()),
        "keys come out in order"
    );
}

/// A key that nobody asked for must not become the next event's key.
#[test]
fn a_key_not_taken_is_not_the_next_ones() {
    let text = |key: char| format!(r#"{{"type":"ChannelDtmfReceived","digit":"{key}"}}"#);
    let bytes = [
        oracle::HEAD,
        &frame(1, true, text('1').as_bytes()),
        &frame(1, true, b"{}"),
        &frame(2, true, text('2').as_bytes()),
        &frame(1, true, text('3').as_bytes()),
    ]
    .concat();
    let mut window = Window::take(WINDOW).unwrap();
    let mut stream = Redact::new(
        oracle::Pieces {
            bytes: &bytes,
            lens: &[],
            turn: 0,
        },
        &mut window,
    );
    let mut keys = stream.keys();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut all = Vec::new();
    runtime
        .block_on(tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut all))
        .unwrap();
    assert!(keys.take_for(1).is_none());
    assert!(keys.take_for(1).is_none());
    assert!(keys.take_for(3) == Some(b'3'));
    assert!(keys.take_for(4).is_none());
}

#[test]
fn what_no_server_may_send_ends_the_stream() {
    #[track_caller]
    fn check(frames: &[u8]) {
        let mut window = Window::take(WINDOW).unwrap();
        let out = oracle::redact(&mut window, frames, &[], 4096);
        assert!(out.failed);
        assert!(out.released.is_empty());
    }
    check(&[0x81, 0x81, 0, 0, 0, 0, b'1']); // masked
    check(&[0xC1, 1, b'1']); // compressed
    check(&[0x83, 0]); // reserved opcode
    check(&[0x80, 1, b'1']); // continuation of nothing
    check(&[0x09, 0]); // fragmented ping
    check(&[0x89, 126, 0, 126]); // long ping
    check(&[frame(1, false, b"{"), frame(1, true, b"}")].concat()); // two messages at once
    check(&[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]); // 64 KiB and its header
    check(&[0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255]);
    check(&frame(1, false, &[b' '; 40_000]).repeat(2)); // too long in sum
}

#[test]
fn an_endless_head_ends_the_stream() {
    let mut window = Window::take(WINDOW).unwrap();
    let bytes = vec![b'a'; 20_000];
    let mut stream = Redact::new(
        oracle::Pieces {
            bytes: &bytes,
            lens: &[],
            turn: 0,
        },
        &mut window,
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut all = Vec::new();
    runtime
        .block_on(tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut all))
        .unwrap_err();
    assert!(all.is_empty());
}

#[test]
fn a_message_of_exactly_the_limit_passes() {
    let text = format!(
        r#"{{"type":"ChannelDtmfReceived","pad":"{}","digit":"9"}}"#,
        "\\\"".repeat(10_000)
    );
    let one = frame(1, true, text.as_bytes());
    let mut window = Window::take(one.len()).unwrap();
    let out = oracle::redact(&mut window, &one.repeat(3), &[250], 4096);
    assert!(!out.failed);
    assert!(out.keys == [Some(b'9'); 3]);
}

/// Text that looks like events: members of all kinds in any order, some broken.
fn text() -> impl Strategy<Value = String> {
    let name = select(vec![
        "type",
        "digit",
        "ty\\u0070e",
        "\\u0064igit",
        "channel",
        "Digit",
        "digit ",
        "name",
        "",
    ]);
    let value = select(vec![
        "\"ChannelDtmfReceived\"",
        "\"ChannelDtmfReceived\"",
        "\"Channel\\u0044tmfReceived\"",
        "\"StasisStart\"",
        "\"1\"",
        "\"#\"",
        "\"\\u0035\"",
        "\"\\ud83d\\ude00\"",
        "\"55\"",
        "\"\"",
        "\"\\\"\"",
        "\"\\\\\"",
        "\"客\"",
        "\"\\\",\\\"digit\\\":\\\"3\"",
        "{\"type\":\"ChannelDtmfReceived\",\"digit\":\"2\"}",
        "[\"digit\",{\"digit\":\"3\"}]",
        "12",
        "-0.5e3",
        "null",
        "{}",
        "",
    ]);
    let space = select(vec!["", "", " ", "\n\t", "\r\n  "]);
    let member =
        (name, value, space).prop_map(|(name, value, s)| format!("{s}\"{name}\"{s}:{s}{value}{s}"));
    let object = vec(member, 0..6).prop_map(|all| format!("{{{}}}", all.join(",")));
    let event = (object.clone(), any::<bool>()).prop_map(|(mut text, first)| {
        let at = if first { 1 } else { text.len() - 1 };
        let comma = if text.len() > 2 { "," } else { "" };
        let kind = "\"type\":\"ChannelDtmfReceived\"";
        text.insert_str(
            at,
            &if first {
                format!("{kind}{comma}")
            } else {
                format!("{comma}{kind}")
            },
        );
        text
    });
    prop_oneof![3 => event, 3 => object, 1 => "[ -~]{0,40}", 1 => ".{0,10}"]
}

/// `make prove` sets the number.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(2_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn redactor_and_serde_are_serde_but_for_the_digit(
        texts in vec((text(), vec(any::<prop::sample::Index>(), 0..4), any::<bool>(), 0..4usize), 1..6),
        lens in vec(any::<u8>(), 0..5),
        room in 1..5000usize,
    ) {
        let mut stream = Vec::new();
        for (text, cuts, ping, pad) in &texts {
            let padded = format!("{}{text}", " ".repeat([0, 100, 400, 5000][*pad]));
            let bytes = padded.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let mut from = 0;
            for (i, cut) in cuts.iter().copied().chain([bytes.len()]).enumerate() {
                let opcode = u8::from(i == 0);
                stream.extend(frame(opcode, i == cuts.len(), &bytes[from..cut]));
                if *ping && i < cuts.len() {
                    stream.extend(frame(9, true, br#"{"type":"ChannelDtmfReceived","digit":"8"}"#));
                }
                from = cut;
            }
        }
        let mut window = Window::take(WINDOW).unwrap();
        let out = oracle::redact(&mut window, &stream, &lens, room);
        prop_assert!(!out.failed);
        prop_assert_eq!(out.released.len(), stream.len());
        let before = oracle::messages(&stream);
        let after = oracle::messages(&out.released);
        prop_assert_eq!(before.len(), texts.len());
        prop_assert_eq!(after.len(), texts.len());
        for ((before, after), key) in before.iter().zip(&after).zip(&out.keys) {
            oracle::check(before, after, *key);
        }
    }

    /// Any bytes: no panic, and nothing longer than what went in.
    #[test]
    fn any_bytes_have_an_end(bytes in vec(any::<u8>(), 0..300), lens in vec(any::<u8>(), 0..4)) {
        let mut window = Window::take(WINDOW).unwrap();
        let out = oracle::redact(&mut window, &bytes, &lens, 64);
        prop_assert!(out.released.len() <= bytes.len());
    }
}
