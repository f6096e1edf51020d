//! Mistakes on purpose, each of which the auditor has to find. Where they are made in real code, that is the code of the service.

/// A mistake.
#[derive(Debug, Clone, Copy)]
pub struct Plant {
    /// Its name.
    pub name: &'static str,
    /// What is done wrong.
    pub what: &'static str,
    /// In which code: a crate of the service, or this one.
    pub place: &'static str,
}

/// This mistake is made on this thread from now on; none for an empty name.
pub fn choose(name: &'static str) {
    ivrpay_payment::plant::choose(name);
}

const fn plant(name: &'static str, place: &'static str, what: &'static str) -> Plant {
    Plant { name, what, place }
}

/// All of them.
pub const PLANTS: &[Plant] = &[
    plant(
        "captured-twice",
        "payment",
        "what was taken is taken once more",
    ),
    plant(
        "told-though-nothing-changed",
        "payment",
        "the merchant is told of a state once more",
    ),
    plant(
        "found-out-and-nobody-told",
        "payment",
        "an approval that was found out makes no call back",
    ),
    plant(
        "unheard-is-heard",
        "payment",
        "an approval that nobody heard makes no call back",
    ),
    plant(
        "unknown-is-over-with-its-call",
        "payment",
        "an unknown outcome is a decline when the caller hangs up",
    ),
    plant(
        "not-there-believed-at-once",
        "payment, acquirer",
        "\"not there\" is believed while a request may be on its way",
    ),
    plant(
        "another-card-though-unknown",
        "dialogue",
        "another card is asked for behind an unknown outcome",
    ),
    plant(
        "unknown-is-spoken-as-paid",
        "dialogue",
        "the caller hears that an unknown outcome is paid",
    ),
    plant(
        "hung-up-is-forgotten",
        "dialogue",
        "a caller who has hung up has heard everything",
    ),
    plant(
        "amount-not-compared",
        "acquirer",
        "an answer of another amount is an approval",
    ),
    plant(
        "currency-not-compared",
        "acquirer",
        "an answer of another currency is an approval",
    ),
    plant(
        "another-order-taken-for-ours",
        "acquirer",
        "an answer about another order is an approval",
    ),
    plant(
        "500-is-declined",
        "acquirer",
        "a server's fault is a decline",
    ),
    plant(
        "no-reply-is-not-charged",
        "acquirer",
        "no answer means that nothing was charged",
    ),
    plant(
        "no-to-the-second-sending-believed",
        "acquirer",
        "a refusal of the second sending is one of the first",
    ),
    plant(
        "webhook-not-proven",
        "acquirer",
        "a message is believed whoever has signed it",
    ),
    plant(
        "unknown-is-declined",
        "seeds",
        "what is unknown is declined",
    ),
    plant(
        "unknown-is-approved",
        "seeds",
        "what is unknown is approved",
    ),
    plant("no-sync", "seeds", "nothing is synced"),
    plant(
        "intent-not-synced",
        "seeds",
        "an intent rides on the next commit that is synced",
    ),
    plant(
        "outcome-not-synced",
        "seeds",
        "an outcome rides on the next commit that is synced",
    ),
    plant(
        "told-before-it-is-written",
        "seeds",
        "the caller hears an outcome before it is on the disk",
    ),
    plant(
        "torn-tail-is-read",
        "seeds",
        "half a commit is read at the start",
    ),
    plant("no-recovery", "seeds", "a start makes nothing good"),
    plant("nobody-asks", "seeds", "what is unknown is not asked about"),
    plant(
        "again-without-a-key",
        "seeds",
        "a request without an answer goes out once more",
    ),
    plant(
        "again-under-another-key",
        "seeds",
        "the same request goes out once more under another key",
    ),
    plant(
        "again-and-not-written",
        "seeds",
        "a further sending is not written before",
    ),
    plant(
        "fail-over-behind-a-sending",
        "seeds",
        "a second acquirer is asked though the first may have done it",
    ),
    plant(
        "fail-over-not-written",
        "seeds",
        "a second acquirer is asked and the journal does not know it",
    ),
    plant(
        "unknown-locks-no-order",
        "seeds",
        "an order whose payment is unknown can be paid again",
    ),
    plant("claimed-by-two", "seeds", "two calls take one payment"),
    plant(
        "expired-is-claimed",
        "seeds",
        "a call takes a payment whose time is over",
    ),
    plant(
        "release-forgotten",
        "seeds",
        "an approval that nobody knows of is not released",
    ),
    plant(
        "released-over-a-person",
        "seeds",
        "an approval is released though a person has it",
    ),
    plant(
        "released-though-a-person-knows",
        "seeds",
        "an approval that a person found out is released",
    ),
    plant(
        "webhook-of-another-payment",
        "seeds",
        "a message settles another payment",
    ),
    plant(
        "webhook-of-any-amount",
        "seeds",
        "a message of another amount settles a payment",
    ),
    plant(
        "told-twice-by-the-webhook",
        "seeds",
        "the merchant is told twice of what a message settles",
    ),
];
