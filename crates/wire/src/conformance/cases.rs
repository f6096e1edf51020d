//! The list of cases, as `docs/connector-test.md` has it.

use ivrpay_acquirer::Capabilities;
use ivrpay_payment::{Count, OperationKind, Plan};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// Name, TCP and TLS.
    Reach,
    /// A check of the card.
    Verify,
    /// Reserve and release.
    AuthoriseVoid,
    /// Reserve and take.
    AuthoriseCapture,
    /// Reserve and take a part.
    CapturePart,
    /// Reserve, reserve more instead, and release.
    Change,
    /// Take and release.
    ChargeVoid,
    /// Take and give back.
    ChargeRefund,
    /// Take and give a part back.
    RefundPart,
    /// Ask for what was taken.
    Query,
    /// Ask for what never was.
    QueryNever,
    /// The same operation twice.
    Double,
    /// A card that is refused.
    Decline,
    /// A payment plan.
    Plan(Plan),
    /// Store a card and take by it.
    Token,
    /// Wrong keys.
    Credentials,
}

/// What there is to say of a case.
pub struct Listed {
    /// The case.
    pub case: Case,
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub what: &'static str,
    /// What is expected.
    pub expected: &'static str,
}

const fn listed(
    case: Case,
    name: &'static str,
    what: &'static str,
    expected: &'static str,
) -> Listed {
    Listed {
        case,
        name,
        what,
        expected,
    }
}

/// Yen of a payment plan, where a merchant's offer allows them.
pub(super) const PLAN_AMOUNT: u64 = 12_000;

/// What a case of a plan does.
pub(super) fn taken_as(plan: Plan, amount: u64) -> String {
    let amount = match (amount / 1_000, amount % 1_000) {
        (0, ones) => ones.to_string(),
        (thousands, ones) => format!("{thousands},{ones:03}"),
    };
    match plan {
        Plan::LumpSum => format!("takes {amount} at once"),
        Plan::Instalments(count) => format!("takes {amount} in {} instalments (分割)", count.get()),
        Plan::BonusLumpSum => format!("takes {amount} at the next bonus (ボーナス一括)"),
        Plan::BonusInstalments(count) => {
            format!("takes {amount} in {} bonuses (ボーナス分割)", count.get())
        }
        Plan::Revolving => format!("takes {amount} as revolving credit (リボ)"),
    }
}

/// Instalments and bonus instalments of the cases: few enough for every contract that has any.
const THREE: Count = Count::new(3).unwrap();
const TWO: Count = Count::new(2).unwrap();

/// All of them, in the order in which they are run.
#[rustfmt::skip]
pub const CASES: &[Listed] = &[
    listed(Case::Reach, "reach", "connects and shakes hands, sends nothing", "TLS 1.2 or 1.3 with a certificate that is trusted"),
    listed(Case::Verify, "verify", "checks the card without money", "approved"),
    listed(Case::AuthoriseVoid, "authorize-void", "reserves 1,000 and releases it", "both approved"),
    listed(Case::AuthoriseCapture, "authorize-capture", "reserves 1,000 and takes it", "both approved"),
    listed(Case::CapturePart, "capture-part", "reserves 1,000 and takes 400", "both approved"),
    listed(Case::Change, "change", "reserves 1,000, 1,200 instead of it, and releases that", "all approved"),
    listed(Case::ChargeVoid, "charge-void", "takes 1,000 and voids it, where nothing can be reserved", "both approved"),
    listed(Case::ChargeRefund, "charge-refund", "takes 1,000 and gives it back", "both approved"),
    listed(Case::RefundPart, "refund-part", "takes 1,000 and gives 400 back", "both approved"),
    listed(Case::Query, "query", "takes 1,000 and asks what became of it", "approved, by number and amount"),
    listed(Case::QueryNever, "query-never", "asks for an order that never was", "there is no such order"),
    listed(Case::Double, "double", "sends the same charge twice, which ivrpay does by itself only where card_kept says so", "taken once: refused, or answered as before"),
    listed(Case::Decline, "decline", "charges a card that is refused", "declined"),
    listed(Case::Plan(Plan::Instalments(THREE)), "plan-installments", "takes 12,000 in 3 instalments (分割)", "approved"),
    listed(Case::Plan(Plan::BonusLumpSum), "plan-bonus", "takes 12,000 at the next bonus (ボーナス一括)", "approved"),
    listed(Case::Plan(Plan::BonusInstalments(TWO)), "plan-bonus-installments", "takes 12,000 in 2 bonuses (ボーナス分割)", "approved"),
    listed(Case::Plan(Plan::Revolving), "plan-revolving", "takes 12,000 as revolving credit (リボ)", "approved"),
    listed(Case::Token, "token", "stores the card and takes 1,000 by its token", "both approved"),
    listed(Case::Credentials, "credentials", "asks with keys whose last sign is wrong, for what moves no money", "refused"),
];

impl Case {
    /// Whether a connector has what the case is about.
    pub(super) fn is_for(self, can: &Capabilities) -> bool {
        match self {
            Self::Reach | Self::Decline | Self::Double => can.charge,
            Self::Verify => can.verify,
            Self::AuthoriseVoid => can.authorise_without_capture && can.void,
            Self::AuthoriseCapture => can.authorise_without_capture && can.capture,
            Self::CapturePart => can.authorise_without_capture && can.partial_capture,
            Self::Change => can.authorise_without_capture && can.change && can.void,
            Self::ChargeVoid => can.void && !can.authorise_without_capture,
            Self::ChargeRefund => can.has(OperationKind::Refund),
            Self::RefundPart => can.partial_refund,
            Self::Query | Self::QueryNever => can.query,
            Self::Plan(plan) => can.plans.has(plan),
            Self::Token => can.tokenise,
            Self::Credentials => can.query || can.verify,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_told_as_the_list_has_it() {
        let mut plans = 0;
        for listed in CASES {
            if let Case::Plan(plan) = listed.case {
                assert_eq!(taken_as(plan, PLAN_AMOUNT), listed.what);
                plans += 1;
            }
        }
        assert_eq!(plans, 4);
        let ten = Plan::Instalments(Count::new(10).unwrap());
        assert_eq!(
            taken_as(ten, 30_050),
            "takes 30,050 in 10 instalments (分割)"
        );
        assert_eq!(taken_as(Plan::LumpSum, 999), "takes 999 at once");
    }
}
