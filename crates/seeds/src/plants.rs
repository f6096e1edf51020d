//! Mistakes on purpose, each of which the auditor has to find.

/// A mistake.
#[derive(Debug, Clone, Copy)]
pub struct Plant {
    /// Its name.
    pub name: &'static str,
    /// What is done wrong.
    pub what: &'static str,
}

/// This mistake is made on this thread from now on; none for an empty name.
pub fn choose(name: &'static str) {
    ivrpay_payment::plant::choose(name);
}

const fn plant(name: &'static str, what: &'static str) -> Plant {
    Plant { name, what }
}

/// All of them.
pub const PLANTS: &[Plant] = &[
    plant("no-sync", "nothing is synced"),
];
