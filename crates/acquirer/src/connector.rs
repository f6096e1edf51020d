//! The trait and its steps.

use ivrpay_card::Card;
use ivrpay_payment::{
    AcquirerRef, Brand, Currency, Doubt, Durable, Intent, Money, OperationKind, Outcome, Parent,
    Plan, Why, plant,
};
use ivrpay_secret::Full;
use serde::{Deserialize, Serialize};

use crate::{About, Hook, Reply, Request};

/// One acquirer's way of doing operations.
pub trait Connector: Send + Sync {
    /// Which one it is, and what it can do as it is configured: less than its kind where a setting is missing that may be left out.
    fn about(&self) -> &'static About;

    /// The next step of what is asked. `last` is the answer to the request before, `None` at the start.
    ///
    /// The outcome of a query is that of the operation that it is about. What is wrong with the question itself (its credentials, its
    /// form, an acquirer that is busy) says nothing about that, and is unknown.
    ///
    /// # Errors
    /// [`BuildError`]: nothing more can be sent.
    fn step(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError>;

    /// Whether the acquirer can be asked what became of that one, where it can be asked at all: its documents may name it by what was in an
    /// answer that was lost. Else a person finds it out.
    fn can_ask(&self, _about: &Parent) -> bool {
        true
    }

    /// Whether it can be released, though nobody knows what became of it.
    fn releases(&self, _about: &Parent) -> bool {
        self.about().capabilities.void_unknown
    }

    /// Whether this answer says nothing of the operation, and by the acquirer's own document the same request may be sent again under the
    /// same key. Asked of those alone that [`Capabilities::resend`] allows it.
    fn asks_again(&self, _reply: &Reply) -> bool {
        false
    }

    /// Who reads what the acquirer sends of itself, where it does and the settings have what proves it.
    fn hook(&self) -> Option<&dyn Hook> {
        None
    }
}

/// Whether the very same request may go out again under the same key: by the acquirer's own document, not by what seems likely. Where it
/// may, a card can be kept until the answer has come ([`crate::CardKept`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    /// It would be done twice, or refused: what became of it is asked, or found out by a person.
    Never,
    /// Its key makes it one.
    ByKey,
    /// Where whoever runs the endpoint says that it makes it one.
    IfDeduplicated,
}

/// What a step is made from.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The operation.
    pub op: &'a Durable<Intent>,
    /// The card; there until a [`Progress`] has said that it is no longer needed.
    pub card: Option<&'a Card>,
    /// Now, seconds since 1970: acquirers refuse requests that are stamped wrongly.
    pub now_unix_s: i64,
}

impl<'a> Asked<'a> {
    /// The card.
    ///
    /// # Errors
    /// [`BuildError::CardGone`].
    pub fn card(&self) -> Result<&'a Card, BuildError> {
        self.card.ok_or(BuildError::CardGone)
    }

    /// What a later operation is about.
    ///
    /// # Errors
    /// [`BuildError::NoParent`].
    pub fn parent(&self) -> Result<&'a Parent, BuildError> {
        self.op.get().parent.as_deref().ok_or(BuildError::NoParent)
    }
}

/// What is to be done next.
#[allow(
    clippy::large_enum_variant,
    reason = "one of them lives at a time, and is taken apart at once"
)]
pub enum Step {
    /// Send this, remember that, and come back with the answer.
    Send(Request, Progress),
    /// The operation has ended.
    Done(Outcome),
}

impl Step {
    /// A request by which money may move. No later step needs the card.
    pub(crate) const fn send(request: Request, stage: u8, reference: Option<AcquirerRef>) -> Self {
        let progress = Progress {
            stage,
            reference,
            needs_card: false,
            harmless: false,
            again: 0,
        };
        Self::Send(request, progress)
    }

    /// A request by which none can. No later step needs the card.
    pub(crate) const fn ask(request: Request, stage: u8, reference: Option<AcquirerRef>) -> Self {
        let progress = Progress {
            stage,
            reference,
            needs_card: false,
            harmless: true,
            again: 0,
        };
        Self::Send(request, progress)
    }

    /// A request by which none can, and behind which the card is still needed.
    pub(crate) const fn open(request: Request, stage: u8) -> Self {
        let progress = Progress {
            stage,
            reference: None,
            needs_card: true,
            harmless: true,
            again: 0,
        };
        Self::Send(request, progress)
    }
}

/// How long after its intent a request of ours may still be worked on at an acquirer that publishes no limit, seconds: their clients wait
/// 20 to 120 s for an answer. Until then "not there" is no verdict.
pub(crate) const SETTLED_AFTER_S: i64 = 300;

/// What it means that the operation that is asked about is not there, or not done.
pub(crate) fn never(early: bool) -> Outcome {
    if early && !plant::is("not-there-believed-at-once") {
        Outcome::Unknown(Doubt::Pending)
    } else {
        Outcome::NotCharged(Why::NotArrived)
    }
}

/// What it means that a charge is reserved and not taken.
pub(crate) fn half_done(early: bool) -> Outcome {
    Outcome::Unknown(if early {
        Doubt::Pending
    } else {
        Doubt::HalfDone
    })
}

/// Whether a request of ours may still be on its way, or be worked on.
pub(crate) const fn is_early(about: &Parent, settled_after_s: i64, now_unix_s: i64) -> bool {
    now_unix_s.saturating_sub(about.at_unix_s) < settled_after_s
}

/// How far an operation has come. Journalled before each request but the first, whose record is the intent itself. Nothing secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Requests sent so far.
    pub stage: u8,
    /// The acquirer's reference of what it has begun, when it gave one.
    pub reference: Option<AcquirerRef>,
    /// Whether a later step needs the card. If not, it is wiped before the request goes out.
    pub needs_card: bool,
    /// Whether no money can move by the request that goes out now, whatever becomes of it: an order is only opened, a card only stored.
    #[serde(default)]
    pub harmless: bool,
    /// How often the very same request has gone out before, under the same key.
    #[serde(default, skip_serializing_if = "is_first")]
    pub again: u8,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_first(again: &u8) -> bool {
    *again == 0
}

/// What a connector can do. To ask for what it can't is an error at start-up ([`Capabilities::require`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Authorise and capture at once.
    pub charge: bool,
    /// Reserve only.
    pub authorise_without_capture: bool,
    /// Take what was reserved.
    pub capture: bool,
    /// Take a part of what was reserved.
    pub partial_capture: bool,
    /// Reserve another amount instead of the one that is reserved, a smaller or a larger one.
    pub change: bool,
    /// Release what was reserved.
    pub void: bool,
    /// Release by our order number what may have been reserved or not: its documents say that this is safe where the answer was lost.
    pub void_unknown: bool,
    /// Give back.
    pub refund: bool,
    /// Give a part back.
    pub partial_refund: bool,
    /// Whether what is charged is captured by the acquirer itself some time later: until then no part of it can be given back.
    pub captured_later: bool,
    /// Read what became of an operation.
    pub query: bool,
    /// Store the card at the acquirer.
    pub tokenise: bool,
    /// Check the card without money.
    pub verify: bool,
    /// The plans that it can carry; which a merchant may offer is his contract's business.
    pub plans: Plans,
    /// Whether it takes yen and no other currency.
    pub yen_only: bool,
    /// The largest amount that its requests have room for, minor units; what a merchant may ask for is his contract's business.
    pub amount_max: u64,
    /// The brands that its requests have a name for; every one when empty.
    pub brands: &'static [Brand],
    /// Days after which a reserved amount lapses, where that is known; else the merchant's contract says so.
    pub authorisation_days: Option<u16>,
    /// Whether the same request may be sent again.
    pub resend: Resend,
}

/// Which payment plans an acquirer's requests have a place for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of `Plan`")]
pub struct Plans {
    pub instalments: bool,
    pub bonus_lump_sum: bool,
    pub bonus_instalments: bool,
    pub revolving: bool,
    /// The numbers of instalments that it has; every one when empty.
    pub counts: &'static [u8],
}

impl Plans {
    /// One payment, and nothing else.
    pub const LUMP_SUM: Self = Self {
        instalments: false,
        bonus_lump_sum: false,
        bonus_instalments: false,
        revolving: false,
        counts: &[],
    };

    /// Whether there is a place for `plan`.
    #[must_use]
    pub fn has(&self, plan: Plan) -> bool {
        match plan {
            Plan::LumpSum => true,
            Plan::Instalments(count) => {
                self.instalments && (self.counts.is_empty() || self.counts.contains(&count.get()))
            }
            Plan::BonusLumpSum => self.bonus_lump_sum,
            Plan::BonusInstalments(_) => self.bonus_instalments,
            Plan::Revolving => self.revolving,
        }
    }
}

impl Capabilities {
    /// None; what an acquirer has is named beside it.
    pub const NONE: Self = Self {
        charge: false,
        authorise_without_capture: false,
        capture: false,
        partial_capture: false,
        change: false,
        void: false,
        void_unknown: false,
        refund: false,
        partial_refund: false,
        captured_later: false,
        query: false,
        tokenise: false,
        verify: false,
        plans: Plans::LUMP_SUM,
        yen_only: false,
        amount_max: Money::MAX,
        brands: &[],
        authorisation_days: None,
        resend: Resend::Never,
    };

    /// Whether `kind` can be asked for.
    #[must_use]
    pub const fn has(&self, kind: OperationKind) -> bool {
        match kind {
            OperationKind::Charge => self.charge,
            OperationKind::Authorise => self.authorise_without_capture,
            OperationKind::Capture => self.capture,
            OperationKind::Change => self.change,
            OperationKind::Void => self.void,
            OperationKind::Refund => self.refund,
            OperationKind::Query => self.query,
            OperationKind::Tokenise => self.tokenise,
            OperationKind::Verify => self.verify,
            _ => false,
        }
    }

    /// Whether its requests have room for the amount.
    #[must_use]
    pub fn takes(&self, amount: Money) -> bool {
        self.takes_currency(amount.currency()) && amount.minor() <= self.amount_max
    }

    /// Whether it takes amounts of this currency.
    #[must_use]
    pub fn takes_currency(&self, currency: Currency) -> bool {
        !self.yen_only || currency == Currency::Jpy
    }

    /// Whether it takes cards of this brand.
    #[must_use]
    pub fn takes_brand(&self, brand: Brand) -> bool {
        self.brands.is_empty() || self.brands.contains(&brand)
    }

    /// Refuses what the connector can't do; for the start-up.
    ///
    /// # Errors
    /// [`BuildError::Unsupported`].
    pub const fn require(&self, kind: OperationKind) -> Result<(), BuildError> {
        if self.has(kind) {
            Ok(())
        } else {
            Err(BuildError::Unsupported { kind })
        }
    }
}

/// Why a request could not be made. Not one byte was sent for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The operation needs a card, and it is gone.
    #[error("the card is no longer there; nothing was sent")]
    CardGone,
    /// No locked memory for the request, or the request is longer than its limit.
    #[error("no locked memory for the request; nothing was sent")]
    Full,
    /// A step that this connector does not have: a record of another version.
    #[error("step {stage} does not exist for this connector")]
    Stage {
        /// The step asked for.
        stage: u8,
    },
    /// A capture, void, refund or query of nothing.
    #[error("what this operation is about is not known; nothing was sent")]
    NoParent,
    /// A value of ours that this acquirer's field can't hold.
    #[error("`{field}` does not fit into this acquirer's request; nothing was sent")]
    Field {
        /// Its name.
        field: &'static str,
    },
    /// The acquirer has no place for such a plan.
    #[error("this acquirer has no payment plan `{name}`", name = plan.name())]
    Plan {
        /// The plan asked for.
        plan: Plan,
    },
    /// The acquirer has no such operation.
    #[error("this acquirer has no operation `{name}`", name = kind.name())]
    Unsupported {
        /// The operation asked for.
        kind: OperationKind,
    },
}

impl BuildError {
    /// What the operator can do.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::CardGone => "let the caller enter the card again",
            Self::Full => "raise [limits] calls_max, or wait for a call to end",
            Self::NoParent => "this is a bug of ivrpay: please report it",
            Self::Field { .. } => "look at the limits of this acquirer in docs/acquirers",
            Self::Plan { .. } => "offer only plans that the acquirer has: [tenants.plans]",
            Self::Stage { .. } => "settle this payment in the acquirer's own console",
            Self::Unsupported { .. } => {
                "this acquirer has no such operation: use a connector that has it"
            }
        }
    }
}

impl From<Full> for BuildError {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_acquirer_lacks_is_refused_by_name() {
        let none = Capabilities {
            charge: true,
            ..Capabilities::NONE
        };
        assert_eq!(none.require(OperationKind::Charge), Ok(()));
        let refused = none.require(OperationKind::Refund).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "this acquirer has no operation `refund`"
        );
    }

    #[test]
    fn progress_survives_the_journal() {
        let progress = Progress {
            stage: 1,
            reference: AcquirerRef::new("ch_1").ok(),
            needs_card: true,
            harmless: true,
            again: 2,
        };
        let text = serde_json::to_string(&progress).unwrap();
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), progress);
        // As it was written before there was such a thing, and is where nothing went out twice.
        let first = Progress {
            again: 0,
            ..progress
        };
        let text = serde_json::to_string(&first).unwrap();
        assert!(!text.contains("again"), "{text}");
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), first);
    }
}
