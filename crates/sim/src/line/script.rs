//! The scripts of callers and telephones: what is keyed, waited for and done.
//!
//! Keys may be a card number. Nothing here prints them, errors name positions only.

use std::fmt;
use std::time::Duration;

/// One key of a telephone keypad, as its RFC 4733 event code (section 3.2, table 3): 0 to 9, 10 `*`, 11 `#`, 12 to 15 A to D.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(u8);

/// The signs of the keys, by event code.
const SIGNS: &[u8; 16] = b"0123456789*#ABCD";

impl Key {
    pub(crate) fn parse(sign: char) -> Option<Self> {
        let at = SIGNS.iter().position(|s| char::from(*s) == sign)?;
        u8::try_from(at).ok().map(Self)
    }

    /// The RFC 4733 event code, 0 to 15.
    pub(crate) fn event(self) -> u8 {
        self.0
    }

    /// The sign for `Signal=` of application/dtmf-relay.
    pub(crate) fn sign(self) -> char {
        char::from(SIGNS[usize::from(self.0 & 15)])
    }
}

/// A key never prints itself: it may be part of a card number.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•")
    }
}

/// One thing that a script does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Key(Key),
    Pause(Duration),
    /// Until the daemon announces this step, and with this error if one is named.
    Step {
        step: String,
        error: Option<String>,
    },
    /// Until something was heard and then nothing for [`QUIET`].
    Heard,
    /// Until the voice of this frequency was heard for [`VOICE_MIN`](super::audio::VOICE_MIN) from now on, or was not heard for
    /// [`QUIET`]; `limit` instead of the usual longest wait.
    Voice {
        hz: u32,
        there: bool,
        limit: Option<Duration>,
    },
    HangUp,
    UntilEnd,
    /// Puts the far end on hold, or takes it back.
    Hold(bool),
    /// Transfers the far end there by REFER.
    Refer(String),
    /// Puts the far end on hold, calls there, follows the script in that call, and transfers the far end into it.
    Attended {
        extension: String,
        script: Vec<Action>,
    },
}

/// How a telephone begins with one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Begins {
    /// Answers an incoming call after this time; the usual one when `None`.
    Answers(Option<Duration>),
    /// 486 Busy Here.
    Busy,
    /// 603 Decline.
    Declines,
    /// Rings until the caller gives up.
    Rings,
    /// Calls this extension.
    Calls(String),
}

/// What a telephone does with one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PhoneScript {
    pub(crate) begins: Begins,
    pub(crate) actions: Vec<Action>,
}

/// How long nothing must be heard before a prompt counts as over.
pub(crate) const QUIET: Duration = Duration::from_millis(600);

const COMMA: Duration = Duration::from_millis(500);
const SLEEP_MAX_MS: u64 = 600_000;
const ACTIONS_MAX: usize = 10_000;

/// Voices that can be sent and told apart, in Hz: what a telephone line carries.
pub(crate) const VOICE_HZ: std::ops::RangeInclusive<u32> = 200..=3400;

/// Why a script can't be used. Words are counted from 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScriptError {
    #[error(
        "word {word} of the keys, sign {sign}: not a key; keys are 0-9 * # A-D, words are `,` wait:STEP[/ERROR] sleep:MS heard hears:HZ[/MS] not-hears:HZ[/MS] hangup until-end, and of a telephone those of `ivrpay-sim phone --help`"
    )]
    NoKey { word: usize, sign: usize },
    #[error("word {word} of the keys: wait: needs the name of a step, as in wait:payment-amount")]
    NoStep { word: usize },
    #[error("word {word} of the keys: milliseconds are needed, 0 to {SLEEP_MAX_MS}")]
    NoTime { word: usize },
    #[error("word {word} of the keys: a voice is {} to {} Hz, as in hears:1000 or hears:1000/5000, which waits for 5 s", VOICE_HZ.start(), VOICE_HZ.end())]
    NoVoice { word: usize },
    #[error("word {word} of the keys: needs an extension, as in refer:8803")]
    NoExtension { word: usize },
    #[error(
        "word {word} of the keys: `{{` follows attended:EXT and ends with `}}`, and no transfer is inside"
    )]
    Brackets { word: usize },
    #[error("word {word} of the keys: nothing can follow `hangup` or `until-end`")]
    AfterEnd { word: usize },
    #[error("more than {ACTIONS_MAX} keys and words")]
    TooLong,
}

/// A caller's script.
///
/// # Errors
/// A word that is neither keys nor one of the named words.
pub(crate) fn parse(keys: &str) -> Result<Vec<Action>, ScriptError> {
    actions((1..).zip(keys.split_whitespace()), false)
}

/// A telephone's script: it may begin with what is done with the call, and may hold and transfer.
///
/// # Errors
/// As [`parse`].
pub(crate) fn parse_phone(text: &str) -> Result<PhoneScript, ScriptError> {
    let mut words = (1..).zip(text.split_whitespace()).peekable();
    let begins = match words.peek() {
        Some((_, "busy")) => Begins::Busy,
        Some((_, "declines")) => Begins::Declines,
        Some((_, "rings")) => Begins::Rings,
        Some((word, first)) => {
            if let Some(ms) = first.strip_prefix("answer:") {
                let after = time(ms).ok_or(ScriptError::NoTime { word: *word })?;
                Begins::Answers(Some(after))
            } else if let Some(to) = first.strip_prefix("call:") {
                Begins::Calls(extension(to).ok_or(ScriptError::NoExtension { word: *word })?)
            } else {
                Begins::Answers(None)
            }
        }
        None => Begins::Answers(None),
    };
    if begins != Begins::Answers(None) {
        words.next();
    }
    let refuses = matches!(begins, Begins::Busy | Begins::Declines | Begins::Rings);
    if let Some((word, _)) = words.peek().filter(|_| refuses) {
        return Err(ScriptError::AfterEnd { word: *word });
    }
    let actions = actions(words, true)?;
    Ok(PhoneScript { begins, actions })
}

/// `phone`: whether the words that only a telephone knows are allowed.
fn actions<'a>(
    words: impl Iterator<Item = (usize, &'a str)>,
    phone: bool,
) -> Result<Vec<Action>, ScriptError> {
    let mut actions = Vec::new();
    let mut words = words.peekable();
    while let Some((word, text)) = words.next() {
        if matches!(actions.last(), Some(Action::HangUp | Action::UntilEnd)) {
            return Err(ScriptError::AfterEnd { word });
        }
        match text.strip_prefix("attended:") {
            Some(to) if phone => {
                let extension = extension(to).ok_or(ScriptError::NoExtension { word })?;
                let mut script = Vec::new();
                if let Some((open, _)) = words.next_if(|(_, text)| *text == "{") {
                    let mut inner = Vec::new();
                    loop {
                        match words.next() {
                            Some((_, "}")) => break,
                            Some(word) => inner.push(word),
                            None => return Err(ScriptError::Brackets { word: open }),
                        }
                    }
                    script = self::actions(inner.into_iter(), false)?;
                }
                actions.push(Action::Attended { extension, script });
            }
            _ => one(word, text, phone, &mut actions)?,
        }
        if actions.len() > ACTIONS_MAX {
            return Err(ScriptError::TooLong);
        }
    }
    Ok(actions)
}

/// One word that has nothing inside.
fn one(word: usize, text: &str, phone: bool, actions: &mut Vec<Action>) -> Result<(), ScriptError> {
    actions.push(match text.split_once(':') {
        Some(("wait", step)) => wait(step).ok_or(ScriptError::NoStep { word })?,
        Some(("sleep", ms)) => Action::Pause(time(ms).ok_or(ScriptError::NoTime { word })?),
        Some((hears @ ("hears" | "not-hears"), hz)) => {
            let (hz, limit) = match hz.split_once('/') {
                Some((hz, ms)) => (hz, Some(time(ms).ok_or(ScriptError::NoTime { word })?)),
                None => (hz, None),
            };
            Action::Voice {
                hz: voice(hz).ok_or(ScriptError::NoVoice { word })?,
                there: hears == "hears",
                limit,
            }
        }
        Some(("refer", to)) if phone => {
            Action::Refer(extension(to).ok_or(ScriptError::NoExtension { word })?)
        }
        _ => match text {
            "heard" => Action::Heard,
            "hangup" => Action::HangUp,
            "until-end" => Action::UntilEnd,
            "hold" if phone => Action::Hold(true),
            "resume" if phone => Action::Hold(false),
            "{" | "}" => return Err(ScriptError::Brackets { word }),
            _ => {
                for (sign, c) in (1..).zip(text.chars()) {
                    actions.push(match c {
                        ',' => Action::Pause(COMMA),
                        _ => Action::Key(Key::parse(c).ok_or(ScriptError::NoKey { word, sign })?),
                    });
                }
                return Ok(());
            }
        },
    });
    Ok(())
}

fn time(ms: &str) -> Option<Duration> {
    let ms = ms.parse().ok().filter(|ms| *ms <= SLEEP_MAX_MS)?;
    Some(Duration::from_millis(ms))
}

/// A voice in Hz; `None` when a telephone line does not carry it.
pub(crate) fn voice(hz: &str) -> Option<u32> {
    hz.parse().ok().filter(|hz| VOICE_HZ.contains(hz))
}

/// An extension, which may be given as `sip:EXT`.
fn extension(text: &str) -> Option<String> {
    user(text.strip_prefix("sip:").unwrap_or(text)).ok()
}

/// The user part of a SIP URI, as far as telephone numbers and extensions need it.
///
/// # Errors
/// Says what fits.
pub(crate) fn user(text: &str) -> Result<String, String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"+*#-_.".contains(&b);
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(fits) {
        // RFC 3261, 25.1: `#` is not allowed unescaped.
        Ok(text.replace('#', "%23"))
    } else {
        Err("1 to 64 letters, digits or + * # - _ .".into())
    }
}

/// The voices that a script waits for.
pub(crate) fn voices(script: &[Action]) -> Vec<u32> {
    let mut all = Vec::new();
    for action in script {
        match action {
            Action::Voice { hz, .. } => all.push(*hz),
            Action::Attended { script, .. } => all.extend(voices(script)),
            _ => {}
        }
    }
    all
}

/// Whether a script waits for what the daemon announces.
pub(crate) fn waits_for_steps(script: &[Action]) -> bool {
    script.iter().any(|action| match action {
        Action::Step { .. } => true,
        Action::Attended { script, .. } => waits_for_steps(script),
        _ => false,
    })
}

/// Whether a script waits for this step.
pub(crate) fn waits_for(script: &[Action], what: &str) -> bool {
    script
        .iter()
        .any(|action| matches!(action, Action::Step { step, .. } if step == what))
}

fn wait(step: &str) -> Option<Action> {
    let (step, error) = match step.split_once('/') {
        Some((step, error)) => (step, Some(error)),
        None => (step, None),
    };
    let named = |s: &str| {
        !s.is_empty()
            && s.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    (named(step) && error.is_none_or(named)).then(|| Action::Step {
        step: step.to_owned(),
        error: error.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One notation: keys as they are, `N` a pause of N ms, words as they are.
    fn shown(actions: &[Action]) -> String {
        let words: Vec<String> = actions
            .iter()
            .map(|action| match action {
                Action::Key(key) => key.sign().to_string(),
                Action::Pause(time) => time.as_millis().to_string(),
                Action::Step { step, error: None } => format!("step={step}"),
                Action::Step {
                    step,
                    error: Some(error),
                } => format!("step={step} error={error}"),
                Action::Heard => "heard".into(),
                Action::Voice { hz, there, limit } => {
                    let limit = limit.map_or(String::new(), |l| format!(" in {}", l.as_millis()));
                    format!("{}{hz}{limit}", if *there { "+" } else { "-" })
                }
                Action::HangUp => "bye".into(),
                Action::UntilEnd => "end".into(),
                Action::Hold(on) => format!("hold={on}"),
                Action::Refer(to) => format!("refer={to}"),
                Action::Attended { extension, script } => {
                    format!("attended={extension} ({})", shown(script))
                }
            })
            .collect();
        words.join(" ")
    }

    #[track_caller]
    fn check(keys: &str, expected: Result<&str, ScriptError>) {
        let parsed = parse(keys).map(|actions| shown(&actions));
        assert_eq!(parsed, expected.map(str::to_owned), "{keys:?}");
    }

    #[track_caller]
    fn check_phone(text: &str, expected: Result<(Begins, &str), ScriptError>) {
        let parsed = parse_phone(text).map(|s| (s.begins, shown(&s.actions)));
        assert_eq!(parsed, expected.map(|(b, s)| (b, s.to_owned())), "{text:?}");
    }

    #[test]
    fn scripts_of_telephones() {
        let ms = |n| Some(Duration::from_millis(n));
        for (text, begins, actions) in [
            ("", Begins::Answers(None), ""),
            ("*9 hangup", Begins::Answers(None), "* 9 bye"),
            ("answer:250 1", Begins::Answers(ms(250)), "1"),
            ("busy", Begins::Busy, ""),
            ("declines", Begins::Declines, ""),
            ("rings", Begins::Rings, ""),
            ("call:6203 heard", Begins::Calls("6203".into()), "heard"),
            (
                "hold sleep:9 resume",
                Begins::Answers(None),
                "hold=true 9 hold=false",
            ),
            ("refer:8803", Begins::Answers(None), "refer=8803"),
            ("refer:sip:*9#", Begins::Answers(None), "refer=*9%23"),
            (
                "attended:8803 1",
                Begins::Answers(None),
                "attended=8803 () 1",
            ),
            (
                "1 attended:sip:8803 { heard 12# hangup } 2",
                Begins::Answers(None),
                "1 attended=8803 (heard 1 2 # bye) 2",
            ),
        ] {
            check_phone(text, Ok((begins, actions)));
        }
        check_phone("busy 1", Err(ScriptError::AfterEnd { word: 2 }));
        check_phone("answer:x", Err(ScriptError::NoTime { word: 1 }));
        check_phone("call:", Err(ScriptError::NoExtension { word: 1 }));
        check_phone("1 call:2", Err(ScriptError::NoKey { word: 2, sign: 1 }));
        check_phone("refer:a@b", Err(ScriptError::NoExtension { word: 1 }));
        check_phone("attended:1 { 2", Err(ScriptError::Brackets { word: 2 }));
        check_phone("attended:1 2 }", Err(ScriptError::Brackets { word: 3 }));
        check_phone("{ 1 }", Err(ScriptError::Brackets { word: 1 }));
        check_phone(
            "attended:1 { refer:2 }",
            Err(ScriptError::NoKey { word: 3, sign: 1 }),
        );
        let parsed = parse_phone("hears:440 attended:1 { wait:x not-hears:500 }").unwrap();
        assert_eq!(voices(&parsed.actions), [440, 500]);
        assert!(waits_for_steps(&parsed.actions));
    }

    #[test]
    fn scripts() {
        check("", Ok(""));
        check("12*#AD", Ok("1 2 * # A D"));
        check("1,,2", Ok("1 500 500 2"));
        check(
            "wait:payment-amount 1\twait:payment-card-number/invalid 9#",
            Ok("step=payment-amount 1 step=payment-card-number error=invalid 9 #"),
        );
        check("heard sleep:1250 hangup", Ok("heard 1250 bye"));
        check("1 until-end", Ok("1 end"));
        check("hears:1000 not-hears:440/2500", Ok("+1000 -440 in 2500"));
        check("hears:100", Err(ScriptError::NoVoice { word: 1 }));
        check("hears:", Err(ScriptError::NoVoice { word: 1 }));
        check("hears:440/x", Err(ScriptError::NoTime { word: 1 }));
        for phones_only in ["hold", "refer:1", "attended:1", "busy", "call:1"] {
            check(phones_only, Err(ScriptError::NoKey { word: 1, sign: 1 }));
        }
        check("12 3x", Err(ScriptError::NoKey { word: 2, sign: 2 }));
        check("a", Err(ScriptError::NoKey { word: 1, sign: 1 }));
        check("wait:", Err(ScriptError::NoStep { word: 1 }));
        check("wait:x/", Err(ScriptError::NoStep { word: 1 }));
        check("wait:a,b", Err(ScriptError::NoStep { word: 1 }));
        check("1 sleep:x", Err(ScriptError::NoTime { word: 2 }));
        check("sleep:600001", Err(ScriptError::NoTime { word: 1 }));
        check("hangup 1", Err(ScriptError::AfterEnd { word: 2 }));
        check(&"1".repeat(10_001), Err(ScriptError::TooLong));
    }

    #[test]
    fn neither_keys_nor_errors_show_a_digit_that_was_keyed() {
        let actions = parse("7777#").unwrap();
        assert!(!format!("{actions:?}").contains('7'));
        let error = parse("77777777x").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("77"));
    }
}
