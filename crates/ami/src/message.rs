//! Lines and messages: what goes out, what comes in.

use std::fmt;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

use crate::{
    Error, FIELD_BYTES_MAX, FIELDS_MAX, LINE_BYTES_MAX, Limit, MESSAGE_BYTES_MAX, MESSAGE_LINES_MAX,
};

/// A response or an event: names and values, in Asterisk's order.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    fields: Vec<(String, String)>,
    /// Lines of a CLI command in the form of Asterisk 13 and older.
    follows: Option<Vec<String>>,
}

impl fmt::Debug for Message {
    /// Names and counts: values may be anything that is in the dialplan.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.fields.iter().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}

impl Message {
    /// The first value of that name; case does not matter, as in Asterisk.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Every value of that name: `Variable:` and `Output:` come more than once.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// All names and values.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// Name of the event; empty for a response.
    #[must_use]
    pub fn event(&self) -> &str {
        self.get("Event").unwrap_or_default()
    }

    /// Bytes of names and values.
    pub(crate) fn bytes(&self) -> usize {
        self.fields.iter().map(|(n, v)| n.len() + v.len()).sum()
    }

    pub(crate) fn into_output(self) -> Vec<String> {
        match self.follows {
            Some(lines) => lines,
            None => self
                .fields
                .into_iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case("Output"))
                .map(|(_, line)| line)
                .collect(),
        }
    }
}

/// Whether a value stays within its line.
pub(crate) fn clean(value: &str) -> bool {
    value.len() <= FIELD_BYTES_MAX && !value.contains(['\r', '\n', '\0'])
}

/// The bytes of an action.
pub(crate) fn action(name: &str, id: &str, fields: &[(&str, &str)]) -> Result<Vec<u8>, Error> {
    if fields.len() > FIELDS_MAX {
        return Err(Error::Field);
    }
    let mut out = Vec::with_capacity(128);
    let lines = [("Action", name), ("ActionID", id)];
    for (name, value) in lines.iter().chain(fields) {
        let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        if !named || name.len() + value.len() > FIELD_BYTES_MAX || !clean(value) {
            return Err(Error::Field);
        }
        for part in [name, ": ", value, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(out)
}

/// One line without its end.
///
/// # Errors
/// [`Error::Closed`] at the end of the stream, also in the middle of a line; [`Error::TooMuch`].
pub(crate) async fn line(from: &mut (impl AsyncBufRead + Unpin)) -> Result<String, Error> {
    let mut line = Vec::new();
    loop {
        let ready = from.fill_buf().await.map_err(|_| Error::Closed)?;
        if ready.is_empty() {
            return Err(Error::Closed);
        }
        let end = ready.iter().position(|b| *b == b'\n');
        let used = end.map_or(ready.len(), |end| end + 1);
        line.extend_from_slice(ready.get(..used).unwrap_or_default());
        from.consume(used);
        if line.len() > LINE_BYTES_MAX {
            return Err(Error::TooMuch(Limit::LineBytes));
        }
        if end.is_some() {
            while line.last().is_some_and(|b| matches!(b, b'\r' | b'\n')) {
                line.pop();
            }
            return Ok(String::from_utf8_lossy(&line).into_owned());
        }
    }
}

const END: &str = "--END COMMAND--";

/// One message.
///
/// # Errors
/// As [`line`].
pub(crate) async fn message(from: &mut (impl AsyncBufRead + Unpin)) -> Result<Message, Error> {
    let mut fields: Vec<(String, String)> = Vec::new();
    let (mut lines, mut bytes) = (0, 0);
    let mut count = |line: &str| {
        lines += 1;
        bytes += line.len();
        if lines > MESSAGE_LINES_MAX {
            return Err(Error::TooMuch(Limit::MessageLines));
        }
        if bytes > MESSAGE_BYTES_MAX {
            return Err(Error::TooMuch(Limit::MessageBytes));
        }
        Ok(())
    };
    let mut follows: Option<Vec<String>> = None;
    loop {
        let mut line = line(from).await?;
        count(&line)?;
        if let Some(output) = &mut follows {
            // After `Response: Follows` come `Privilege` and `ActionID`, then the command's own lines, empty ones too. Its last
            // line may have no end, and the mark stands behind it.
            let header = output.is_empty()
                && fields.len() < 3
                && (line.starts_with("Privilege: ") || line.starts_with("ActionID: "));
            if !header {
                let ended = line.ends_with(END);
                line.truncate(line.len() - if ended { END.len() } else { 0 });
                if !ended || !line.is_empty() {
                    output.push(line);
                }
                if !ended {
                    continue;
                }
                // The mark stands on a line of its own, or before an empty one.
                return Ok(Message { fields, follows });
            }
        }
        if line.is_empty() {
            // Between messages; the one after the mark above too.
            if fields.is_empty() {
                continue;
            }
            return Ok(Message { fields, follows });
        }
        match line.split_once(':') {
            Some((name, value)) if !name.is_empty() && !name.contains(' ') => {
                let value = value.strip_prefix(' ').unwrap_or(value);
                if fields.is_empty() && name == "Response" && value == "Follows" {
                    follows = Some(Vec::new());
                }
                fields.push((name.to_owned(), value.to_owned()));
            }
            // A value with a line break in it: `Getvar` writes it as it is.
            _ => {
                if let Some((_, value)) = fields.last_mut() {
                    value.push('\n');
                    value.push_str(&line);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &str) -> Result<Message, Error> {
        message(&mut text.as_bytes()).await
    }

    #[test]
    fn an_action_is_lines_and_never_more_than_asked_for() {
        let bytes = action("Getvar", "7", &[("Variable", "A:B"), ("Channel", "")]);
        assert_eq!(
            bytes.as_deref(),
            Ok(&b"Action: Getvar\r\nActionID: 7\r\nVariable: A:B\r\nChannel: \r\n\r\n"[..])
        );
        let long = "x".repeat(FIELD_BYTES_MAX);
        let bad: [(&str, &[(&str, &str)]); 8] = [
            ("Ping\r\nAction: Originate", &[]),
            ("Ping", &[("Channel", "x\r\nAction: Originate")]),
            ("Ping", &[("Channel", "x\nAction: Originate")]),
            ("Ping", &[("Channel", "x\rAction: Originate")]),
            ("Ping", &[("Channel", "x\0")]),
            ("Ping", &[("A: b\r\nChannel", "x")]),
            ("Ping", &[("", "x")]),
            ("Ping", &[("Channel", &long)]),
        ];
        for (name, fields) in bad {
            assert_eq!(action(name, "7", fields), Err(Error::Field));
        }
        let many = vec![("Variable", "x"); FIELDS_MAX + 1];
        assert_eq!(action("Ping", "7", &many), Err(Error::Field));
    }

    #[tokio::test]
    async fn output_of_a_command_old_and_new() {
        let table: [(&str, &[&str]); 6] = [
            // 14 and later
            (
                "Response: Success\r\nActionID: 1\r\nMessage: Command output follows\r\nOutput: a: 1\r\nOutput: \r\nOutput:   b\r\n\r\n",
                &["a: 1", "", "  b"],
            ),
            ("Response: Success\r\nActionID: 1\r\n\r\n", &[]),
            // 13 and older
            (
                "Response: Follows\r\nPrivilege: Command\r\nActionID: 1\r\na: 1\n\n  b\n--END COMMAND--\r\n\r\n",
                &["a: 1", "", "  b"],
            ),
            (
                "Response: Follows\r\nPrivilege: Command\r\na\nlast--END COMMAND--\r\n\r\n",
                &["a", "last"],
            ),
            (
                "Response: Follows\r\nPrivilege: Command\r\nActionID: 1\r\n--END COMMAND--\r\n\r\n",
                &[],
            ),
            (
                "Response: Follows\r\nPrivilege: Command\r\nActionID: 1\r\nx\nPrivilege: of the output\n--END COMMAND--\r\n\r\n",
                &["x", "Privilege: of the output"],
            ),
        ];
        for (text, expected) in table {
            let got = read(text).await.expect("a message").into_output();
            assert_eq!(got, expected, "{text:?}");
        }
    }

    #[tokio::test]
    async fn what_is_behind_an_old_output_is_the_next_message() {
        let mut text = &b"Response: Follows\r\nPrivilege: Command\r\na\n--END COMMAND--\r\n\r\nEvent: X\r\n\r\n"[..];
        message(&mut text).await.expect("the output");
        let next = message(&mut text).await.expect("the event");
        assert_eq!(next.event(), "X");
    }

    #[tokio::test]
    async fn values_with_line_breaks_and_repeated_names() {
        let got =
            read("Response: Success\r\nVALUE: one\ntwo words\r\nVariable: a\r\nvariable:b\r\n\r\n");
        let got = got.await.expect("a message");
        assert_eq!(got.get("Value"), Some("one\ntwo words"));
        assert_eq!(got.all("Variable").collect::<Vec<_>>(), ["a", "b"]);
        // Names alone: a value may be anything.
        assert_eq!(
            format!("{got:?}"),
            r#"["Response", "VALUE", "Variable", "variable"]"#
        );
    }

    #[tokio::test]
    async fn too_much_is_an_error_and_not_memory() {
        let table = [
            ("x".repeat(LINE_BYTES_MAX + 2), Limit::LineBytes),
            (
                format!("Event: X\r\n{}", "a: b\n".repeat(MESSAGE_LINES_MAX + 1)),
                Limit::MessageLines,
            ),
            ("\n".repeat(MESSAGE_LINES_MAX + 1), Limit::MessageLines),
            (
                format!("a: {}\n", "x".repeat(60_000)).repeat(MESSAGE_BYTES_MAX / 60_000 + 1),
                Limit::MessageBytes,
            ),
            (
                format!(
                    "Response: Follows\r\n{}",
                    "line\n".repeat(MESSAGE_LINES_MAX)
                ),
                Limit::MessageLines,
            ),
        ];
        for (text, limit) in table {
            assert_eq!(read(&text).await, Err(Error::TooMuch(limit)));
        }
        for text in ["", "Event: X", "Event: X\r\n", "Response: Follows\r\na\n"] {
            assert_eq!(read(text).await, Err(Error::Closed), "{text:?}");
        }
    }
}
