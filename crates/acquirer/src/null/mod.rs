//! Training and canary calls: the whole call as it is, but nothing leaves and no money moves.
//!
//! Approves; an amount whose last two digits (minor units) are 99 is declined, so that both ends of a call can be trained.

use ivrpay_payment::{AcquirerRef, Approval, Decline, Outcome, Reason};

use crate::{About, Asked, BuildError, Capabilities, Connector, Plans, Progress, Reply, Step, Sandbox};

/// Sends nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Null;

/// What there is to say of it.
pub const ABOUT: About = About {
    name: "null",
    title: "practice",
    capabilities: Capabilities {
        charge: true,
        authorise_without_capture: true,
        capture: true,
        partial_capture: true,
        void: true,
        refund: true,
        partial_refund: true,
        tokenise: true,
        verify: true,
        plans: Plans {
            instalments: true,
            bonus_lump_sum: true,
            bonus_instalments: true,
            revolving: true,
            counts: &[],
        },
        ..Capabilities::NONE
    },
    hosts: None,
    basic: false,
    raw_pan: false,
    settings: &[],
    sandbox: Sandbox::NO_CARDS,
    make: |_| Ok(Box::new(Null)),
};

impl Connector for Null {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn step(
        &self,
        asked: &Asked<'_>,
        _progress: &Progress,
        _last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let op = asked.op.get();
        ABOUT.capabilities.require(op.kind)?;
        if op.amount.minor() % 100 == 99 {
            return Ok(Step::Done(Outcome::Declined(Decline {
                reason: Reason::CardUnusable,
                code: "training".into(),
                hard: false,
                action: None,
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
    use crate::testing::{asked, intent};

    #[track_caller]
    fn ends(minor: u64) -> Outcome {
        match Null.step(&asked(&intent(minor), None), &Progress::default(), None) {
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
