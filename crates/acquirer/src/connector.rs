//! The trait, its steps, and the list of what there is.

use std::fmt;
use std::str::FromStr;

use ivrpay_card::Card;
use ivrpay_payment::{AcquirerRef, Durable, Intent, OperationKind, Outcome};
use ivrpay_secret::Full;
use serde::{Deserialize, Serialize};

use crate::generic::ParameterError;
use crate::{Reply, Request, generic, null};

/// One acquirer's way of doing operations.
pub trait Connector: Send + Sync {
    /// Which one it is.
    fn kind(&self) -> Kind;

    /// What it can do.
    fn capabilities(&self) -> &Capabilities;

    /// The next step of `op`. `card` is there until a [`Progress`] has said that it is no longer needed; `last` is the answer
    /// to the request before, `None` at the start.
    ///
    /// # Errors
    /// [`BuildError`]: nothing more can be sent.
    fn step(
        &self,
        op: &Durable<Intent>,
        card: Option<&Card>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError>;
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

/// How far an operation has come. Journalled before each request but the first, whose record is the intent itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Requests sent so far.
    pub stage: u8,
    /// The acquirer's reference of what it has begun, when it gave one.
    pub reference: Option<AcquirerRef>,
    /// Whether a later step needs the card. If not, it is wiped before the request goes out.
    pub needs_card: bool,
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
    /// Release what was reserved.
    pub void: bool,
    /// Give back.
    pub refund: bool,
    /// Read what became of an operation.
    pub query: bool,
    /// Store the card at the acquirer.
    pub tokenise: bool,
    /// Check the card without money.
    pub verify: bool,
    /// Whether the card is kept until the answer. `false`: wiped as soon as the request has been written out.
    pub card_kept: bool,
}

impl Capabilities {
    /// Whether `kind` can be asked for.
    #[must_use]
    pub const fn has(&self, kind: OperationKind) -> bool {
        match kind {
            OperationKind::Charge => self.charge,
            OperationKind::Authorise => self.authorise_without_capture,
            OperationKind::Capture => self.capture,
            OperationKind::Void => self.void,
            OperationKind::Refund => self.refund,
            OperationKind::Query => self.query,
            OperationKind::Tokenise => self.tokenise,
            OperationKind::Verify => self.verify,
            _ => false,
        }
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

/// The connectors that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// The "Generic Pay" contract: an HTTPS endpoint of the merchant or of a payment provider.
    Generic,
    /// Training and canary calls: nothing leaves, no money moves.
    Null,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 2] = [Self::Generic, Self::Null];

    /// Spelling in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Null => "null",
        }
    }

    /// Whether it sends anything, and so needs an [`crate::EndpointConfig`].
    #[must_use]
    pub const fn needs_endpoint(self) -> bool {
        !matches!(self, Self::Null)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No connector of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown acquirer kind; known are generic, null")]
pub struct UnknownKind;

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .into_iter()
            .find(|k| k.name() == text)
            .ok_or(UnknownKind)
    }
}

/// The connector of that kind, with its default settings.
#[must_use]
pub fn connector(kind: Kind) -> Box<dyn Connector> {
    match kind {
        Kind::Generic => Box::new(generic::Generic::default()),
        Kind::Null => Box::new(null::Null),
    }
}

/// The connector of that kind, with parameters of the merchant's own that go out with every request.
///
/// # Errors
/// [`ParameterError`]; a connector that sends nothing takes none.
pub fn configured(
    kind: Kind,
    parameters: &[(String, String)],
) -> Result<Box<dyn Connector>, ParameterError> {
    match kind {
        Kind::Generic => Ok(Box::new(generic::Generic::new(parameters.to_vec())?)),
        Kind::Null if parameters.is_empty() => Ok(connector(kind)),
        Kind::Null => Err(ParameterError::Name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_are_those_of_serde() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(connector(kind).kind(), kind);
        }
        assert_eq!("stripe".parse::<Kind>(), Err(UnknownKind));
    }

    #[test]
    fn what_an_acquirer_lacks_is_refused_by_name() {
        let generic = connector(Kind::Generic);
        assert_eq!(
            generic.capabilities().require(OperationKind::Charge),
            Ok(())
        );
        let refused = generic
            .capabilities()
            .require(OperationKind::Refund)
            .unwrap_err();
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
        };
        let text = serde_json::to_string(&progress).unwrap();
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), progress);
    }
}
