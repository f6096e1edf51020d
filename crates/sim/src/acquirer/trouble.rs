//! How an answer of an acquirer with a protocol of its own goes wrong: by the amount's last four digits on the request that takes the
//! card, or on any request by the control port.

use super::held::Held;

/// What becomes of the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cut {
    /// 3 s late.
    Slow,
    /// Never.
    Silent,
    /// The connection is closed instead.
    Closed,
    /// Cut in its head.
    Head,
    /// Cut in its body.
    Body,
    /// A web page, status 200.
    Html,
    /// Status 500.
    Error,
    /// Longer than any client reads.
    Huge,
    /// The acquirer says, in its own way, that it is in maintenance.
    Maintenance,
    /// The acquirer says, in its own way, that there were too many requests.
    Throttled,
}

/// A cut, and whether the acquirer had done before what was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Trouble {
    pub(crate) cut: Cut,
    pub(crate) booked: bool,
}

/// Last four digits of the amount in minor units, the trouble, its name.
#[rustfmt::skip]
pub(crate) const TROUBLES: &[(u64, Trouble, &str)] = &[
    (9001, Trouble { cut: Cut::Slow, booked: true }, "slow"),
    (9002, Trouble { cut: Cut::Silent, booked: false }, "silent-unbooked"),
    (9003, Trouble { cut: Cut::Silent, booked: true }, "silent-booked"),
    (9004, Trouble { cut: Cut::Closed, booked: false }, "closed-unbooked"),
    (9005, Trouble { cut: Cut::Closed, booked: true }, "closed-booked"),
    (9006, Trouble { cut: Cut::Head, booked: true }, "cut-head"),
    (9007, Trouble { cut: Cut::Body, booked: true }, "cut-body"),
    (9009, Trouble { cut: Cut::Html, booked: true }, "html"),
    (9010, Trouble { cut: Cut::Error, booked: false }, "error-unbooked"),
    (9011, Trouble { cut: Cut::Error, booked: true }, "error-booked"),
    (9012, Trouble { cut: Cut::Huge, booked: true }, "huge"),
    (9016, Trouble { cut: Cut::Throttled, booked: false }, "throttled"),
    (9017, Trouble { cut: Cut::Maintenance, booked: false }, "maintenance"),
];

impl Trouble {
    pub(crate) fn named(name: &str) -> Option<Self> {
        TROUBLES.iter().find(|row| row.2 == name).map(|row| row.1)
    }

    pub(crate) fn name(self) -> &'static str {
        let row = TROUBLES.iter().find(|row| row.1 == self);
        row.map_or("", |row| row.2)
    }
}

struct Asked {
    acquirer: String,
    request: String,
    trouble: Trouble,
    times: u64,
}

/// Faults that the control port was asked for.
#[derive(Default)]
pub(crate) struct Faults(Held<Vec<Asked>>);

impl Faults {
    pub(crate) fn ask(&self, acquirer: &str, request: &str, trouble: Trouble, times: u64) {
        let asked = Asked {
            acquirer: acquirer.to_owned(),
            request: request.to_owned(),
            trouble,
            times,
        };
        self.0.with(|all| all.push(asked));
    }

    pub(crate) fn reset(&self) {
        self.0.with(Vec::clear);
    }

    /// The trouble of this request: one that was asked for, else, where `amount` is given, the amount's.
    pub(crate) fn of(&self, acquirer: &str, request: &str, amount: Option<u64>) -> Option<Trouble> {
        let asked = self.0.with(|all| {
            let found = all
                .iter_mut()
                .find(|a| a.times > 0 && a.acquirer == acquirer && a.request == request)?;
            found.times -= 1;
            Some(found.trouble)
        });
        asked.or_else(|| {
            let last = amount? % 10_000;
            TROUBLES.iter().find(|row| row.0 == last).map(|row| row.1)
        })
    }
}
