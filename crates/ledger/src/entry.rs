use ivrpay_payment::{
    Currency, Money, OperationId, OperationKind, OperatorId, OrderId, PaymentId, Plan, SiteId,
    TenantId, Truncated,
};
use jiff::Timestamp;

/// One operation that was approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When its approval was written.
    pub at: Timestamp,
    /// Whose.
    pub tenant: TenantId,
    /// Place or brand of the merchant.
    pub site: Option<SiteId>,
    /// Who was in the call.
    pub operator: Option<OperatorId>,
    /// The merchant's order.
    pub order: Option<OrderId>,
    /// Part of the order; 0 is the first.
    pub part: u32,
    /// The payment.
    pub payment: PaymentId,
    /// The operation.
    pub operation: OperationId,
    /// Charge, authorise, capture, void or refund.
    pub kind: OperationKind,
    /// How much was asked.
    pub amount: Money,
    /// What of the payment had been taken when a void undid it, minor units; 0 for every other kind, and where nothing was taken.
    pub undone_minor: u64,
    /// Brand and last four.
    pub card: Truncated,
    /// How it is paid back.
    pub plan: Plan,
    /// The issuer's approval code.
    pub approval_code: Option<String>,
    /// Whom it was asked of.
    pub connector: String,
    /// Our order number there, 17 digits.
    pub acquirer_order: String,
    /// The acquirer's reference of the payment.
    pub acquirer_ref: Option<String>,
}

impl Entry {
    /// What it moved, minor units, to the merchant: an authorisation moves nothing yet, a refund and the void of what was taken move it back.
    #[must_use]
    pub fn moved(&self) -> i64 {
        let minor = |minor: u64| i64::try_from(minor).unwrap_or(i64::MAX);
        match self.kind {
            OperationKind::Charge | OperationKind::Capture => minor(self.amount.minor()),
            OperationKind::Refund => -minor(self.amount.minor()),
            OperationKind::Void => -minor(self.undone_minor),
            _ => 0,
        }
    }
}

/// Minor units in major ones: `1500` yen, `-12.34` dollars.
#[must_use]
pub fn decimal(minor: i64, currency: Currency) -> String {
    let digits = currency.exponent();
    let unit = 10_u64.pow(digits);
    let (whole, rest) = (minor.unsigned_abs() / unit, minor.unsigned_abs() % unit);
    let sign = if minor < 0 { "-" } else { "" };
    match digits {
        0 => format!("{sign}{whole}"),
        digits => format!("{sign}{whole}.{rest:0width$}", width = digits as usize),
    }
}
