//! What Asterisk sends, read, and what goes out, quoted (`res/res_agi.c`).
//!
//! Total: any bytes give a request or an answer, or an error.

use std::fmt;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

use crate::{
    ANSWER_BYTES_MAX, ANSWER_LINE_BYTES_MAX, ANSWER_LINES_MAX, Argument, COMMAND_BYTES_MAX,
    ENVIRONMENT_BYTES_MAX, ENVIRONMENT_LINE_BYTES_MAX, ENVIRONMENT_LINES_MAX, Error, Flaw, Limit,
};

/// The line that says that the channel was hung up.
const HANGUP: &str = "HANGUP";

/// What Asterisk says of the channel, and what the dialplan asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    script: String,
    query: Option<String>,
    channel: String,
    unique_id: String,
    language: String,
    caller_id: Option<String>,
    context: String,
    extension: String,
    priority: i32,
    arguments: Vec<String>,
}

impl fmt::Debug for Request {
    /// Its number of arguments: values may be anything that is in the dialplan.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("arguments", &self.arguments.len())
            .finish_non_exhaustive()
    }
}

impl Request {
    /// Behind the host and before the `?` of `agi://HOST/SCRIPT?QUERY`; empty where there is none.
    #[must_use]
    pub fn script(&self) -> &str {
        &self.script
    }

    /// Behind the `?`. **A comma ends it**: what follows is the first argument of `AGI()`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Name of the channel, as `PJSIP/op-00000001`.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// Unique id of the channel, which is its id in ARI.
    #[must_use]
    pub fn unique_id(&self) -> &str {
        &self.unique_id
    }

    /// Language of the channel, as `ja`; empty where Asterisk says none.
    #[must_use]
    pub fn language(&self) -> &str {
        &self.language
    }

    /// Number of the caller, where it is known.
    #[must_use]
    pub fn caller_id(&self) -> Option<&str> {
        self.caller_id.as_deref()
    }

    /// Where in the dialplan `AGI()` stands.
    #[must_use]
    pub fn context(&self) -> &str {
        &self.context
    }

    /// Where in the dialplan `AGI()` stands.
    #[must_use]
    pub fn extension(&self) -> &str {
        &self.extension
    }

    /// Where in the dialplan `AGI()` stands.
    #[must_use]
    pub fn priority(&self) -> i32 {
        self.priority
    }

    /// The arguments of `AGI()` behind its address.
    #[must_use]
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// Value of `NAME=VALUE`: the first in the query (pairs with `&` between), then in the arguments. So
    /// `agi://HOST/pay?mode=hold,tenant=demo` has both `mode` and `tenant`. Nothing is percent-decoded.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let query = self.query.iter().flat_map(|query| query.split('&'));
        query
            .chain(self.arguments.iter().map(String::as_str))
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    }
}

/// Reads the environment block to its blank line. The time limit is the caller's.
///
/// # Errors
/// [`Error::Environment`], [`Error::TooMuch`]; [`Error::Closed`] at the end of the stream.
pub async fn request(from: &mut (impl AsyncBufRead + Unpin)) -> Result<Request, Error> {
    let mut variables: Vec<(String, String)> = Vec::new();
    let mut bytes = 0;
    loop {
        let line = line(
            from,
            ENVIRONMENT_LINE_BYTES_MAX,
            Limit::EnvironmentLineBytes,
        )
        .await?;
        if line.is_empty() {
            break;
        }
        bytes += line.len();
        if bytes > ENVIRONMENT_BYTES_MAX {
            return Err(Error::TooMuch(Limit::EnvironmentBytes));
        }
        if variables.len() >= ENVIRONMENT_LINES_MAX {
            return Err(Error::TooMuch(Limit::EnvironmentLines));
        }
        let (name, value) = line.split_once(':').ok_or(Error::Environment(
            // Whoever speaks another protocol is told so, not that a variable is wrong.
            if variables.is_empty() {
                Flaw::First
            } else {
                Flaw::Line
            },
        ))?;
        let value = value.strip_prefix(' ').unwrap_or(value);
        if variables.is_empty() && (name, value) != ("agi_network", "yes") {
            return Err(Error::Environment(Flaw::First));
        }
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(good) {
            return Err(Error::Environment(Flaw::Line));
        }
        if variables.iter().any(|(known, _)| known == name) {
            return Err(Error::Environment(Flaw::Duplicate));
        }
        variables.push((name.to_owned(), value.to_owned()));
    }
    if variables.is_empty() {
        return Err(Error::Environment(Flaw::First));
    }
    let mut arguments = Vec::new();
    for (name, value) in &variables {
        if let Some(number) = name.strip_prefix("agi_arg_") {
            arguments.push(value.clone());
            if number != arguments.len().to_string() {
                return Err(Error::Environment(Flaw::Arguments));
            }
        }
    }
    let mut take = |wanted: &str| {
        let found = variables.iter_mut().find(|(name, _)| name == wanted);
        found.map(|(_, value)| std::mem::take(value))
    };
    let missing = Error::Environment(Flaw::Missing);
    let whole = take("agi_network_script").unwrap_or_default();
    let (script, query) = match whole.split_once('?') {
        Some((script, query)) => (script.to_owned(), Some(query.to_owned())),
        None => (whole, None),
    };
    let named = |value: Option<String>| value.filter(|v| !v.is_empty()).ok_or(missing);
    Ok(Request {
        script,
        query,
        channel: named(take("agi_channel"))?,
        unique_id: named(take("agi_uniqueid"))?,
        language: take("agi_language").unwrap_or_default(),
        // Asterisk's word where there is no number.
        caller_id: take("agi_callerid").filter(|id| id != "unknown" && !id.is_empty()),
        context: take("agi_context").ok_or(missing)?,
        extension: take("agi_extension").ok_or(missing)?,
        priority: take("agi_priority")
            .ok_or(missing)?
            .parse()
            .map_err(|_| Error::Environment(Flaw::Priority))?,
        arguments,
    })
}

/// An answer to a command.
#[derive(Clone, PartialEq, Eq)]
pub enum Answer {
    /// 200: `200 result=RESULT (TEXT) endpos=ENDPOS`.
    Done {
        /// What it means depends on the command; -1 is failure.
        result: i32,
        /// Value of a variable, or a word such as `timeout`.
        text: Option<String>,
        /// Where a sound file was when it ended, in samples.
        endpos: Option<u64>,
    },
    /// 510
    NoSuchCommand,
    /// 511: only on a channel that is up.
    Dead,
    /// 520, with all its lines.
    Usage,
}

impl fmt::Debug for Answer {
    /// Its kind: result and text may be a key or the value of a variable.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done { .. } => "Done",
            Self::NoSuchCommand => "NoSuchCommand",
            Self::Dead => "Dead",
            Self::Usage => "Usage",
        })
    }
}

/// Reads one answer. `HANGUP` lines before it or in it are taken out and set `hung_up`. The time limit is the caller's.
///
/// # Errors
/// [`Error::NotAnAnswer`], [`Error::TooMuch`]; at the end of the stream [`Error::HungUp`] where that was said, else
/// [`Error::Closed`].
pub async fn answer(
    from: &mut (impl AsyncBufRead + Unpin),
    hung_up: &mut bool,
) -> Result<Answer, Error> {
    let (mut lines, mut bytes) = (0, 0);
    let mut usage = false;
    loop {
        let line = match line(from, ANSWER_LINE_BYTES_MAX, Limit::AnswerLineBytes).await {
            Err(Error::Closed) if *hung_up => return Err(Error::HungUp),
            line => line?,
        };
        lines += 1;
        bytes += line.len();
        if lines > ANSWER_LINES_MAX {
            return Err(Error::TooMuch(Limit::AnswerLines));
        }
        if bytes > ANSWER_BYTES_MAX {
            return Err(Error::TooMuch(Limit::AnswerBytes));
        }
        if line == HANGUP {
            *hung_up = true;
        } else if usage {
            // Its text, until the line that ends it.
            if line.starts_with("520 ") {
                return Ok(Answer::Usage);
            }
        } else if line.starts_with("520-") {
            usage = true;
        } else {
            return one_line(&line).ok_or(Error::NotAnAnswer);
        }
    }
}

/// Reads a line that must be `HANGUP`: nothing else comes unasked.
pub(crate) async fn unasked(from: &mut (impl AsyncBufRead + Unpin)) -> Result<(), Error> {
    match line(from, ANSWER_LINE_BYTES_MAX, Limit::AnswerLineBytes).await {
        Ok(line) if line == HANGUP => Ok(()),
        Ok(_) => Err(Error::OutOfStep),
        Err(error) => Err(error),
    }
}

fn one_line(line: &str) -> Option<Answer> {
    let (code, rest) = line.split_once(' ')?;
    match code {
        "200" => done(rest),
        "510" => Some(Answer::NoSuchCommand),
        "511" => Some(Answer::Dead),
        "520" => Some(Answer::Usage),
        _ => None,
    }
}

fn done(rest: &str) -> Option<Answer> {
    let rest = rest.strip_prefix("result=")?;
    let (result, mut rest) = match rest.split_once(' ') {
        Some((result, rest)) => (result, Some(rest)),
        None => (rest, None),
    };
    let result = result.parse().ok()?;
    // A value may have any text in it; whatever ends with a bracket has no position behind it.
    let mut endpos = None;
    if let Some(text) = rest.filter(|text| !text.ends_with(')')) {
        let (before, position) = text.rsplit_once("endpos=")?;
        endpos = Some(position.parse().ok()?);
        rest = Some(before.strip_suffix(' ').unwrap_or(before)).filter(|before| !before.is_empty());
    }
    let text = match rest {
        Some(text) => Some(text.strip_prefix('(')?.strip_suffix(')')?.to_owned()),
        None => None,
    };
    Some(Answer::Done {
        result,
        text,
        endpos,
    })
}

/// One line without its end, at most `max` bytes. What is not UTF-8 (a caller's name) has U+FFFD in its place.
async fn line(
    from: &mut (impl AsyncBufRead + Unpin),
    max: usize,
    limit: Limit,
) -> Result<String, Error> {
    let mut line = Vec::new();
    loop {
        let ready = from.fill_buf().await.map_err(|_| Error::Closed)?;
        if ready.is_empty() {
            return Err(Error::Closed);
        }
        let end = ready.iter().position(|b| *b == b'\n');
        let text = ready.get(..end.unwrap_or(ready.len())).unwrap_or_default();
        if line.len() + text.len() > max {
            return Err(Error::TooMuch(limit));
        }
        line.extend_from_slice(text);
        let used = text.len() + usize::from(end.is_some());
        from.consume(used);
        if end.is_some() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(String::from_utf8_lossy(&line).into_owned());
        }
    }
}

/// One command: its words as they are, its arguments quoted so that Asterisk reads each as one (`res/res_agi.c: parse_args`).
///
/// # Errors
/// [`Error::Argument`] when a byte would end the line, or Asterisk would cut it in two.
pub fn command(words: &str, arguments: &[&str]) -> Result<Vec<u8>, Error> {
    let mut out = String::with_capacity(128);
    out.push_str(words);
    for argument in arguments {
        if argument.chars().any(char::is_control) {
            return Err(Error::Argument(Argument::Control));
        }
        out.push_str(" \"");
        for c in argument.chars() {
            if matches!(c, '"' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
        out.push('"');
    }
    if out.len() >= COMMAND_BYTES_MAX {
        return Err(Error::Argument(Argument::Long));
    }
    out.push('\n');
    Ok(out.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMUM: &str = "agi_network: yes\nagi_channel: PJSIP/op-1\nagi_uniqueid: 1.2\nagi_context: c\nagi_extension: s\nagi_priority: 3\n";

    async fn read(text: &str) -> Result<Request, Error> {
        request(&mut text.as_bytes()).await
    }

    #[tokio::test]
    async fn the_environment_of_asterisk_22() {
        let request = read(
            "agi_network: yes\nagi_network_script: pay?mode=hold&x=1\nagi_request: agi://127.0.0.1/pay?mode=hold&x=1\n\
             agi_channel: PJSIP/op-00000001\nagi_language: ja\nagi_type: PJSIP\nagi_uniqueid: 1795674000.7\nagi_version: 22.10.1\n\
             agi_callerid: 0312345678\nagi_calleridname: unknown\nagi_callingpres: 0\nagi_callingani2: 0\nagi_callington: 0\n\
             agi_callingtns: 0\nagi_dnid: unknown\nagi_rdnis: unknown\nagi_context: ivrpay-key\nagi_extension: s\nagi_priority: 2\n\
             agi_enhanced: 0.0\nagi_accountcode: \nagi_threadid: 139637\nagi_arg_1: tenant=demo\nagi_arg_2: \nagi_arg_3: a: b\n\n",
        )
        .await
        .unwrap();
        assert_eq!(
            (request.script(), request.query()),
            ("pay", Some("mode=hold&x=1"))
        );
        assert_eq!(
            (request.channel(), request.unique_id(), request.language()),
            ("PJSIP/op-00000001", "1795674000.7", "ja")
        );
        assert_eq!(request.caller_id(), Some("0312345678"));
        assert_eq!(
            (request.context(), request.extension(), request.priority()),
            ("ivrpay-key", "s", 2)
        );
        assert_eq!(request.arguments(), ["tenant=demo", "", "a: b"]);
        for (name, value) in [
            ("mode", Some("hold")),
            ("x", Some("1")),
            ("tenant", Some("demo")),
            ("none", None),
        ] {
            assert_eq!(request.parameter(name), value, "{name}");
        }
        let shown = format!("{request:?}");
        assert!(
            !shown.contains("demo") && !shown.contains("0312"),
            "{shown}"
        );
    }

    #[tokio::test]
    async fn environments() {
        let with = |lines: &str| format!("{MINIMUM}{lines}\n");
        let flaw = |flaw| Some(Error::Environment(flaw));
        let table = [
            (with(""), None),
            (with("agi_of_tomorrow: 1\nX_2:\n"), None),
            (MINIMUM.to_owned(), Some(Error::Closed)),
            (MINIMUM.replace("\nagi_pri", ""), Some(Error::Closed)),
            (String::new(), Some(Error::Closed)),
            ("\n".into(), flaw(Flaw::First)),
            ("GET / HTTP/1.1\r\n".into(), flaw(Flaw::First)),
            ("agi_network: no\n\n".into(), flaw(Flaw::First)),
            ("agi_channel: x\n\n".into(), flaw(Flaw::First)),
            ("\u{0}\u{1}\u{ff}\n".into(), flaw(Flaw::First)),
            (with("HANGUP\n"), flaw(Flaw::Line)),
            (with("a b: c\n"), flaw(Flaw::Line)),
            (with(": c\n"), flaw(Flaw::Line)),
            (with("agi_channel: y\n"), flaw(Flaw::Duplicate)),
            (with("unknown: 1\nunknown: 1\n"), flaw(Flaw::Duplicate)),
            (with("agi_arg_2: x\n"), flaw(Flaw::Arguments)),
            (with("agi_arg_1: x\nagi_arg_01: x\n"), flaw(Flaw::Arguments)),
            (
                with("").replace("agi_context: c\n", ""),
                flaw(Flaw::Missing),
            ),
            (with("").replace("1.2", ""), flaw(Flaw::Missing)),
            (
                with("").replace("priority: 3", "priority: x"),
                flaw(Flaw::Priority),
            ),
            (
                with(&"x".repeat(ENVIRONMENT_LINE_BYTES_MAX + 1)),
                Some(Error::TooMuch(Limit::EnvironmentLineBytes)),
            ),
            (
                (0..9).fold(MINIMUM.to_owned(), |all, n| {
                    format!("{all}v{n}: {}\n", "x".repeat(4000))
                }),
                Some(Error::TooMuch(Limit::EnvironmentBytes)),
            ),
            (
                (0..200).fold(MINIMUM.to_owned(), |all, n| format!("{all}v{n}: x\n")),
                Some(Error::TooMuch(Limit::EnvironmentLines)),
            ),
        ];
        for (text, expected) in table {
            let got = read(&text).await.err();
            assert_eq!(got, expected, "{:.60}", text.replace('\n', "|"));
        }
    }

    #[tokio::test]
    async fn answers() {
        let done = |result, text: Option<&str>, endpos| {
            Ok(Answer::Done {
                result,
                text: text.map(str::to_owned),
                endpos,
            })
        };
        let usage = "520-Invalid command syntax.  Proper usage follows:\nUsage: EXEC\n\n200 result=1\n520 End of proper usage.\n";
        let table = [
            ("200 result=0\n".into(), done(0, None, None)),
            ("200 result=-1\r\n".into(), done(-1, None, None)),
            ("200 result=1 (a b)\n".into(), done(1, Some("a b"), None)),
            ("200 result=1 ()\n".into(), done(1, Some(""), None)),
            (
                "200 result=1 (a) (b))\n".into(),
                done(1, Some("a) (b)"), None),
            ),
            (
                "200 result=1 (a) endpos=5)\n".into(),
                done(1, Some("a) endpos=5"), None),
            ),
            ("200 result=0 endpos=960\n".into(), done(0, None, Some(960))),
            (
                "200 result=0 (timeout) endpos=960\n".into(),
                done(0, Some("timeout"), Some(960)),
            ),
            ("HANGUP\nHANGUP\n200 result=0\n".into(), done(0, None, None)),
            (
                "510 Invalid or unknown command\n".into(),
                Ok(Answer::NoSuchCommand),
            ),
            (
                "511 Command Not Permitted on a dead channel\n".into(),
                Ok(Answer::Dead),
            ),
            (
                "520 Invalid command syntax.  Proper usage not available.\n".into(),
                Ok(Answer::Usage),
            ),
            (usage.to_owned(), Ok(Answer::Usage)),
            (usage.replace("Usage:", "HANGUP\nUsage:"), Ok(Answer::Usage)),
            ("200 result=\n".into(), Err(Error::NotAnAnswer)),
            ("200 result=x\n".into(), Err(Error::NotAnAnswer)),
            ("200 result=99999999999\n".into(), Err(Error::NotAnAnswer)),
            ("200 result=1 (a\n".into(), Err(Error::NotAnAnswer)),
            ("200 result=1 a)\n".into(), Err(Error::NotAnAnswer)),
            ("200 result=1 endpos=x\n".into(), Err(Error::NotAnAnswer)),
            ("200\n".into(), Err(Error::NotAnAnswer)),
            ("\n".into(), Err(Error::NotAnAnswer)),
            ("hangup\n".into(), Err(Error::NotAnAnswer)),
            ("200 result=0".into(), Err(Error::Closed)),
            ("".into(), Err(Error::Closed)),
            ("HANGUP\n".into(), Err(Error::HungUp)),
            ("HANGUP".into(), Err(Error::Closed)),
            ("520-x\nUsage\n".into(), Err(Error::Closed)),
            (
                "x".repeat(ANSWER_LINE_BYTES_MAX + 1),
                Err(Error::TooMuch(Limit::AnswerLineBytes)),
            ),
            (
                format!("520-x\n{}", "\n".repeat(300)),
                Err(Error::TooMuch(Limit::AnswerLines)),
            ),
            (
                "HANGUP\n".repeat(300),
                Err(Error::TooMuch(Limit::AnswerLines)),
            ),
            (
                format!("520-x\n{}", format!("{}\n", "x".repeat(8000)).repeat(9)),
                Err(Error::TooMuch(Limit::AnswerBytes)),
            ),
        ];
        for (text, expected) in table {
            let mut hung_up = false;
            let got = answer(&mut text.as_bytes(), &mut hung_up).await;
            assert_eq!(got, expected, "{:.60}", text.replace('\n', "|"));
            assert_eq!(hung_up, text.contains("HANGUP\n"), "{text:.60}");
        }
    }

    #[test]
    fn an_answer_shows_no_value() {
        let answer = Answer::Done {
            result: 53,
            text: Some("secret".into()),
            endpos: None,
        };
        assert_eq!(format!("{answer:?}"), "Done");
    }

    /// `parse_args`, as it is in Asterisk 13 to 23.
    fn read_by_asterisk(line: &str) -> Vec<String> {
        let (mut words, mut quoted, mut escaped, mut between) =
            (Vec::<String>::new(), false, false, true);
        for c in line.chars() {
            match c {
                '"' if !escaped => {
                    quoted = !quoted;
                    if quoted && between {
                        words.push(String::new());
                        between = false;
                    }
                    continue;
                }
                ' ' | '\t' if !quoted && !escaped => {
                    between = true;
                    continue;
                }
                '\\' if !escaped => {
                    escaped = true;
                    continue;
                }
                _ => {}
            }
            if between {
                words.push(String::new());
                between = false;
            }
            words.last_mut().unwrap().push(c);
            escaped = false;
        }
        words
    }

    #[test]
    fn arguments_stay_arguments() {
        for argument in [
            "",
            "plain",
            "two words",
            "a \"quoted\" word",
            "\"",
            "\\",
            "\\\\\" x",
            "ends with \\",
            "x\" \"EXEC",
            "${SHELL(x)}",
            "番号",
        ] {
            let line = String::from_utf8(command("SET VARIABLE", &["X", argument]).unwrap());
            let line = line.unwrap();
            assert_eq!(line.matches('\n').count(), 1);
            assert_eq!(
                read_by_asterisk(line.trim_end_matches('\n')),
                ["SET", "VARIABLE", "X", argument]
            );
        }
        for argument in [
            "a\nHANGUP",
            "a\r",
            "\0",
            "tab\t",
            "\u{85}",
            "\u{7f}",
            "\u{1b}[2J",
        ] {
            assert_eq!(
                command("VERBOSE", &[argument]),
                Err(Error::Argument(Argument::Control)),
                "{argument:?}"
            );
        }
        let long = "\"".repeat(COMMAND_BYTES_MAX / 2);
        assert_eq!(
            command("VERBOSE", &[&long]),
            Err(Error::Argument(Argument::Long))
        );
    }
}
