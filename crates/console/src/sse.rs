//! Server-sent events as they come in, piece by piece.

/// Longest event that is read, bytes; the rest of a longer one is thrown away.
const EVENT_MAX: usize = 64 << 10;

/// One event. One without data only moves the id on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) data: String,
}

/// What has come and is not whole yet.
#[derive(Default)]
pub(crate) struct Reader {
    line: Vec<u8>,
    event: Event,
    too_long: bool,
}

impl Reader {
    /// The events that end in this piece.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for byte in piece {
            match byte {
                b'\n' => self.end_line(&mut events),
                b'\r' => {}
                _ if self.line.len() + self.event.data.len() < EVENT_MAX => self.line.push(*byte),
                _ => self.too_long = true,
            }
        }
        events
    }

    fn end_line(&mut self, events: &mut Vec<Event>) {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            let whole = !std::mem::take(&mut self.too_long);
            if whole && event != Event::default() {
                events.push(event);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.event.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // Comments keep the connection alive; the pause before a new one is ours to choose.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_however_they_are_cut() {
        let text = "retry: 2000\nid: a-1\n\n: keep-alive\n\nid:a-2\nevent: gap\ndata: {\"why\":\ndata: 1}\r\n\r\ndata: half";
        let expected = vec![
            Event {
                id: Some("a-1".into()),
                ..Event::default()
            },
            Event {
                id: Some("a-2".into()),
                name: "gap".into(),
                data: "{\"why\":\n1}".into(),
            },
        ];
        for size in 1..text.len() {
            let mut reader = Reader::default();
            let pieces = text.as_bytes().chunks(size);
            let events: Vec<_> = pieces.flat_map(|piece| reader.push(piece)).collect();
            assert_eq!(events, expected, "pieces of {size}");
        }
    }

    #[test]
    fn one_that_is_too_long_is_left_out() {
        let mut reader = Reader::default();
        assert!(reader.push(&[b'x'; 2 * EVENT_MAX]).is_empty());
        let events = reader.push(b"\n\ndata: short\n\n");
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].data, "short");
    }
}
