//! The KEYS argument: what the caller keys and what it waits for.
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

/// One thing that the caller does.
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
    HangUp,
    UntilEnd,
}

/// How long nothing must be heard before a prompt counts as over.
pub(crate) const QUIET: Duration = Duration::from_millis(600);

const COMMA: Duration = Duration::from_millis(500);
const SLEEP_MAX_MS: u64 = 600_000;
const ACTIONS_MAX: usize = 10_000;

/// Why a script can't be used. Words are counted from 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScriptError {
    #[error(
        "word {word} of the keys, sign {sign}: not a key; keys are 0-9 * # A-D, words are `,` wait:STEP[/ERROR] sleep:MS heard hangup until-end"
    )]
    NoKey { word: usize, sign: usize },
    #[error("word {word} of the keys: wait: needs the name of a step, as in wait:payment-amount")]
    NoStep { word: usize },
    #[error("word {word} of the keys: sleep: needs milliseconds, 0 to {SLEEP_MAX_MS}")]
    NoTime { word: usize },
    #[error("word {word} of the keys: nothing can follow `hangup` or `until-end`")]
    AfterEnd { word: usize },
    #[error("more than {ACTIONS_MAX} keys and words")]
    TooLong,
}

/// # Errors
/// A word that is neither keys nor one of the named words.
pub(crate) fn parse(keys: &str) -> Result<Vec<Action>, ScriptError> {
    let mut actions = Vec::new();
    for (word, text) in (1..).zip(keys.split_whitespace()) {
        if matches!(actions.last(), Some(Action::HangUp | Action::UntilEnd)) {
            return Err(ScriptError::AfterEnd { word });
        }
        if let Some(step) = text.strip_prefix("wait:") {
            actions.push(wait(step).ok_or(ScriptError::NoStep { word })?);
        } else if let Some(ms) = text.strip_prefix("sleep:") {
            let ms = ms
                .parse()
                .ok()
                .filter(|ms| *ms <= SLEEP_MAX_MS)
                .ok_or(ScriptError::NoTime { word })?;
            actions.push(Action::Pause(Duration::from_millis(ms)));
        } else {
            match text {
                "heard" => actions.push(Action::Heard),
                "hangup" => actions.push(Action::HangUp),
                "until-end" => actions.push(Action::UntilEnd),
                _ => {
                    for (sign, c) in (1..).zip(text.chars()) {
                        actions.push(match c {
                            ',' => Action::Pause(COMMA),
                            _ => {
                                Action::Key(Key::parse(c).ok_or(ScriptError::NoKey { word, sign })?)
                            }
                        });
                    }
                }
            }
        }
        if actions.len() > ACTIONS_MAX {
            return Err(ScriptError::TooLong);
        }
    }
    Ok(actions)
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

    /// Compares in one notation: `•` a key, `N` a pause of N ms, words as they are.
    #[track_caller]
    fn check(keys: &str, expected: Result<&str, ScriptError>) {
        let shown = parse(keys).map(|actions| {
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
                    Action::HangUp => "bye".into(),
                    Action::UntilEnd => "end".into(),
                })
                .collect();
            words.join(" ")
        });
        assert_eq!(shown, expected.map(str::to_owned), "{keys:?}");
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
