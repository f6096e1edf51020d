//! Versions of Asterisk: which have what, and until when each is mended.

use std::fmt;

use jiff::civil::{Date, date};

/// A version, as far as it decides something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Release series, 13 to 23.
    pub major: u32,
    /// Release of the series.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Version {
    /// Reads what `core show version` or `GET /asterisk/info` says: `22.10.1+dfsg`, `16.28.0~dfsg-0+deb11u4`,
    /// `certified/20.7-cert3`. `None` for a build from git, which has no number.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let begin = text.find(|c: char| c.is_ascii_digit())?;
        // Nothing but `certified` and `Asterisk` stands before a number; a git build has numbers elsewhere.
        if text.get(..begin)?.contains("GIT") {
            return None;
        }
        let mut parts = text.get(begin..)?.split(|c: char| !c.is_ascii_digit());
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next().and_then(|p| p.parse().ok()).unwrap_or(0);
        (1..100).contains(&major).then_some(Self { major, minor })
    }

    /// Whether a feature is there that came with the given releases, one a series, oldest first. A series between them that is
    /// not named counts as without.
    #[must_use]
    pub fn has(self, first: &[(u32, u32)]) -> bool {
        match first.iter().find(|(major, _)| *major == self.major) {
            Some((_, minor)) => self.minor >= *minor,
            None => first.last().is_some_and(|(major, _)| self.major > *major),
        }
    }

    /// Whether CEL of this version has the event DTMF (main/cel.c); one that can't be read may have it.
    #[must_use]
    pub fn cel_knows_keys(version: Option<Self>) -> bool {
        version.is_none_or(|v| v.has(CEL_DTMF))
    }

    /// The last day of security fixes; `None` for a series that is not in the calendar.
    #[must_use]
    pub fn ends(self) -> Option<Date> {
        let row = CALENDAR.iter().find(|(major, _)| *major == self.major);
        row.map(|(_, end)| *end)
    }
}

/// End of life of each series: docs.asterisk.org, "Asterisk Versions"; a long-term series has four years and one of security
/// fixes, the others one and one.
const CALENDAR: [(u32, Date); 11] = [
    (13, date(2021, 10, 24)),
    (14, date(2018, 9, 26)),
    (15, date(2019, 10, 3)),
    (16, date(2023, 10, 9)),
    (17, date(2021, 10, 28)),
    (18, date(2025, 10, 20)),
    (19, date(2023, 11, 2)),
    (20, date(2027, 10, 19)),
    (21, date(2025, 10, 18)),
    (22, date(2029, 10, 16)),
    (23, date(2027, 10, 15)),
];

/// The CEL event DTMF.
pub(crate) const CEL_DTMF: &[(u32, u32)] = &[(20, 16), (21, 11), (22, 6), (23, 0)];

#[cfg(test)]
mod tests {
    use super::*;

    /// `disabledevents` of manager.conf.
    const DISABLED_EVENTS: &[(u32, u32)] = &[(16, 25), (18, 11), (20, 0)];

    #[test]
    fn versions_are_read() {
        for (text, expected) in [
            ("22.10.1+dfsg+~cs6.17.60671434-1", Some((22, 10))),
            ("16.28.0~dfsg-0+deb11u4", Some((16, 28))),
            ("certified/20.7-cert3", Some((20, 7))),
            ("Asterisk 18.26.4 built by x", Some((18, 26))),
            ("GIT-master-f0c1c1a7b7", None),
            ("", None),
            ("unknown", None),
            ("99999999999999999999", None),
        ] {
            let read = Version::read(text).map(|v| (v.major, v.minor));
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn features_come_a_series_at_a_time() {
        for (version, disabled, cel) in [
            ((16, 24), false, false),
            ((16, 28), true, false),
            ((17, 9), false, false),
            ((18, 11), true, false),
            ((19, 0), false, false),
            ((20, 0), true, false),
            ((20, 16), true, true),
            ((21, 10), true, false),
            ((22, 10), true, true),
            ((24, 0), true, true),
        ] {
            let v = Version {
                major: version.0,
                minor: version.1,
            };
            assert_eq!(v.has(DISABLED_EVENTS), disabled, "{v}");
            assert_eq!(v.has(CEL_DTMF), cel, "{v}");
        }
    }
}
