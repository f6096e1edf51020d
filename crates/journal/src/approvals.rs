//! What a person may not ask of an acquirer alone: kept until a second one says yes or no, or the time is over.

use ivrpay_payment::{
    ApprovalId, Money, OperationId, OperationKind, OperatorId, PaymentId, TenantId,
};
use serde_json::json;
use uuid::Uuid;

use crate::Error;
use crate::journal::Journal;
use crate::store::{Durability, Tx};

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalState {
    /// Nobody has said anything.
    Open,
    /// A second person has said yes; the acquirer was not asked yet, or nobody knows.
    Approved,
    /// A second person has said no.
    Refused,
    /// The acquirer was asked.
    Done,
    /// Nobody has said anything in time.
    Lapsed,
}

impl ApprovalState {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Open,
        Self::Approved,
        Self::Refused,
        Self::Done,
        Self::Lapsed,
    ];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Done => "done",
            Self::Lapsed => "lapsed",
        }
    }

    /// By its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// What is to be allowed.
#[derive(Debug, Clone)]
pub struct NewApproval {
    /// Whose.
    pub tenant: TenantId,
    /// About which payment.
    pub payment: PaymentId,
    /// What.
    pub kind: OperationKind,
    /// As it was asked; `None`: the whole.
    pub asked_minor: Option<u64>,
    /// What that is now.
    pub amount: Money,
    /// By which the same wish is known again.
    pub request: String,
    /// Who asks.
    pub asked_by: OperatorId,
    /// Until when, UTC milliseconds.
    pub until_ms: i64,
}

/// The same as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// Whose.
    pub tenant: TenantId,
    /// About which payment.
    pub payment: PaymentId,
    /// What.
    pub kind: OperationKind,
    /// As it was asked.
    pub asked_minor: Option<u64>,
    /// What that was then.
    pub amount: Money,
    /// Who asked.
    pub asked_by: OperatorId,
    /// When.
    pub asked_ms: i64,
    /// Until when.
    pub until_ms: i64,
    /// Where it stands.
    pub state: ApprovalState,
    /// Who has decided.
    pub decided_by: Option<OperatorId>,
    /// When.
    pub decided_ms: Option<i64>,
    /// What came of it.
    pub operation: Option<OperationId>,
}

/// Which of them.
#[derive(Debug, Clone, Default)]
pub struct ApprovalFilter {
    /// Of this merchant.
    pub tenant: Option<TenantId>,
    /// In this state.
    pub state: Option<ApprovalState>,
    /// Before this one; the newest come first.
    pub after: Option<ApprovalId>,
    /// At most so many.
    pub limit: u32,
}

/// Why it is not decided.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApprovalError {
    /// No such one.
    #[error("there is no such approval")]
    NotFound,
    /// Who decides has asked for it.
    #[error("nobody approves or refuses what he has asked for himself")]
    Own,
    /// It is decided already.
    #[error("it is {} already", state.name())]
    Over {
        /// Where it stands.
        state: ApprovalState,
    },
    /// The journal's own.
    #[error(transparent)]
    Journal(#[from] Error),
}

impl Journal {
    /// Keeps a wish, or finds the same one that is open.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn ask_approval(&self, new: NewApproval) -> Result<Approval, Error> {
        let mut tx = self.begin(Durability::Synced).await?;
        let asked = ask(&mut tx, new).await;
        tx.end(asked).await
    }

    /// A second person says yes or no. Yes may be said again until it is done: what it allows is asked of the acquirer once.
    ///
    /// # Errors
    /// [`ApprovalError`].
    pub async fn decide(
        &self,
        id: ApprovalId,
        by: &OperatorId,
        yes: bool,
    ) -> Result<Approval, ApprovalError> {
        let mut tx = self.begin(Durability::Synced).await?;
        let decided = decide(&mut tx, id, by, yes).await;
        tx.end(decided).await
    }

    /// The acquirer was asked.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn approval_done(&self, id: ApprovalId, operation: OperationId) -> Result<(), Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let done = tx.approval_done(id, operation).await;
        tx.end(done).await
    }

    /// Wishes, the newest first.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn approvals(&self, filter: &ApprovalFilter) -> Result<Vec<Approval>, Error> {
        self.store().approvals(filter, self.now_ms()).await
    }

    /// One wish.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn approval(&self, id: ApprovalId) -> Result<Option<Approval>, Error> {
        self.store().approval(id, self.now_ms()).await
    }
}

async fn ask(tx: &mut Tx<'_>, new: NewApproval) -> Result<Approval, Error> {
    tx.lapse_approvals(new.payment).await?;
    if let Some(before) = tx.open_approval(new.payment, &new.request).await? {
        return Ok(before);
    }
    let approval = Approval {
        id: ApprovalId::new(Uuid::now_v7()),
        tenant: new.tenant,
        payment: new.payment,
        kind: new.kind,
        asked_minor: new.asked_minor,
        amount: new.amount,
        asked_by: new.asked_by,
        asked_ms: tx.now_ms,
        until_ms: new.until_ms,
        state: ApprovalState::Open,
        decided_by: None,
        decided_ms: None,
        operation: None,
    };
    tx.insert_approval(&approval, &new.request).await?;
    let by = approval.asked_by.clone();
    record(tx, &approval, "approval-asked", &by).await?;
    Ok(approval)
}

async fn decide(
    tx: &mut Tx<'_>,
    id: ApprovalId,
    by: &OperatorId,
    yes: bool,
) -> Result<Approval, ApprovalError> {
    let Some(approval) = tx.approval(id).await? else {
        return Err(ApprovalError::NotFound);
    };
    // Names of people are in small letters; on the machine anybody writes his as he likes.
    if approval.asked_by.as_str().eq_ignore_ascii_case(by.as_str()) {
        return Err(ApprovalError::Own);
    }
    let to = if yes {
        ApprovalState::Approved
    } else {
        ApprovalState::Refused
    };
    match approval.state {
        ApprovalState::Open => {
            tx.decide_approval(id, to, by).await?;
            let decided = Approval {
                state: to,
                decided_by: Some(by.clone()),
                decided_ms: Some(tx.now_ms),
                ..approval
            };
            record(
                tx,
                &decided,
                if yes {
                    "approval-given"
                } else {
                    "approval-refused"
                },
                by,
            )
            .await?;
            Ok(decided)
        }
        // What was to come of it may have been lost with the service.
        ApprovalState::Approved if yes => Ok(approval),
        state => Err(ApprovalError::Over { state }),
    }
}

/// Into the payment's own story.
async fn record(
    tx: &mut Tx<'_>,
    approval: &Approval,
    kind: &str,
    by: &OperatorId,
) -> Result<(), Error> {
    let Some(payment) = tx.payment(approval.payment).await? else {
        return Ok(());
    };
    let body = json!({
        "approval": approval.id.to_string(), "kind": approval.kind.name(), "amount": approval.amount.minor(), "by": by,
    });
    tx.append(kind, &payment, None, body).await
}
