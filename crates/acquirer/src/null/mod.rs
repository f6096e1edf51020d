//! Training and canary calls: the whole call as it is, but nothing leaves and no money moves.
//!
//! Approves; an amount whose last two digits (minor units) are 99 is declined, so that both ends of a call can be trained.

use ivrpay_card::Card;
use ivrpay_payment::{AcquirerRef, Approval, Decline, Durable, Intent, Outcome, Reason};

use crate::{BuildError, Capabilities, Connector, Kind, Progress, Reply, Step};

/// Sends nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Null;

const CAPABILITIES: Capabilities = Capabilities {
    charge: true,
    authorise_without_capture: true,
    capture: true,
    void: true,
    refund: true,
    query: false,
    tokenise: false,
    verify: true,
    card_kept: false,
};

impl Connector for Null {
    fn kind(&self) -> Kind {
        Kind::Null
    }

    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn step(
        &self,
        op: &Durable<Intent>,
        _card: Option<&Card>,
        _progress: &Progress,
        _last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let op = op.get();
        CAPABILITIES.require(op.kind)?;
        if op.amount.minor() % 100 == 99 {
            return Ok(Step::Done(Outcome::Declined(Decline {
                reason: Reason::CardUnusable,
                code: "training".into(),
            })));
        }
        let acquirer_ref = AcquirerRef::new(format!("training-{}", op.operation_id))
            .expect("letters, digits and hyphens, 45 characters");
        Ok(Step::Done(Outcome::Approved(Approval {
            acquirer_ref,
            code: None,
            card: Some(op.card),
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generic::tests::intent;

    #[track_caller]
    fn ends(minor: u64) -> Outcome {
        match Null.step(&intent(minor), None, &Progress::default(), None) {
            Ok(Step::Done(outcome)) => outcome,
            _ => panic!("training sends nothing"),
        }
    }

    #[test]
    fn approves_and_declines_without_a_request() {
        let Outcome::Approved(approval) = ends(1500) else {
            panic!("approved")
        };
        assert!(approval.acquirer_ref.as_str().starts_with("training-"));
        assert!(matches!(ends(1599), Outcome::Declined(_)));
    }
}
