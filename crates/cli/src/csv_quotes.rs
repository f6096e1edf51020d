//! Quotes of a CSV file, before its rows are believed.

/// How far a field between quotes may go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fields {
    /// One that is open where its line ends is a mistake.
    EndInTheirLine,
    /// Descriptions of more than one line, as other people's files have them.
    MayGoOn,
}

/// A quote that stands wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) line: u64,
    pub(crate) why: &'static str,
}

/// The reader makes something of every quote, and money would move, or be missed, by it: `"400"5` is 4005 there, and rows vanish in a quote that
/// is not closed. Where one stands wrong nobody knows how far it goes, so the file is none.
pub(crate) fn quotes(text: &str, delimiter: char, fields: Fields) -> Result<(), Wrong> {
    enum At {
        Start,
        Plain,
        Quoted,
        /// Behind a quote that ends the field, unless a second one follows.
        Closed,
    }
    let unclosed = match fields {
        Fields::EndInTheirLine => "a field begins with a quote (\") that is not closed in its line",
        Fields::MayGoOn => "a field begins with a quote (\") that is not closed",
    };
    let (mut at, mut line, mut opened) = (At::Start, 1, 1);
    for sign in text.chars() {
        let wrong = |line, why| Err(Wrong { line, why });
        let ends = matches!(sign, '\r' | '\n');
        at = match (at, sign) {
            (At::Quoted, '"') => At::Closed,
            (At::Quoted, _) if ends && fields == Fields::EndInTheirLine => {
                return wrong(opened, unclosed);
            }
            (At::Quoted, _) | (At::Closed, '"') => At::Quoted,
            (_, sign) if sign == delimiter || ends => At::Start,
            (At::Closed, ' ' | '\t') => At::Closed,
            (At::Closed, _) => {
                let why =
                    "something stands between a field's closing quote (\") and the next field";
                return wrong(line, why);
            }
            (At::Start, '"') => {
                opened = line;
                At::Quoted
            }
            (At::Plain, '"') => {
                let why = "a quote (\") stands inside of a field that does not begin with one; a field with quotes is written \"A \"\"2\"\"\"";
                return wrong(line, why);
            }
            (At::Start | At::Plain, _) => At::Plain,
        };
        if sign == '\n' {
            line += 1;
        }
    }
    match at {
        At::Quoted => Err(Wrong {
            line: opened,
            why: unclosed,
        }),
        _ => Ok(()),
    }
}
