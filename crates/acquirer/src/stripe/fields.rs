//! Foreign names: Stripe's API. stripe/openapi (f6c2a48, 2026-08-21) and docs.stripe.com: api/errors, api/idempotent_requests,
//! payments/payment-intents/moto, declines/codes.

pub(super) const PAYMENT_METHODS: &str = "/payment_methods";
pub(super) const PAYMENT_INTENTS: &str = "/payment_intents";
pub(super) const SETUP_INTENTS: &str = "/setup_intents";
pub(super) const REFUNDS: &str = "/refunds";
pub(super) const CUSTOMERS: &str = "/customers";

/// At most 255 characters; what the first request under it was answered is kept for 24 h.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";

pub(super) const TYPE: &str = "type";
pub(super) const CARD_NUMBER: &str = "card[number]";
pub(super) const EXPIRY_MONTH: &str = "card[exp_month]";
/// Four digits.
pub(super) const EXPIRY_YEAR: &str = "card[exp_year]";
pub(super) const SECURITY_CODE: &str = "card[cvc]";
pub(super) const AMOUNT: &str = "amount";
/// Lower case.
pub(super) const CURRENCY: &str = "currency";
pub(super) const CONFIRM: &str = "confirm";
pub(super) const CAPTURE_METHOD: &str = "capture_method";
pub(super) const PAYMENT_METHOD: &str = "payment_method";
pub(super) const CUSTOMER: &str = "customer";
pub(super) const METHOD_TYPES: &str = "payment_method_types[0]";
/// The card was told by telephone; Stripe allows it per account.
pub(super) const MOTO: &str = "payment_method_options[card][moto]";
/// Refuse where the bank wants 3-D Secure, which nobody can do on the telephone.
pub(super) const NO_ACTION: &str = "error_on_requires_action";
pub(super) const USAGE: &str = "usage";
/// Our order number.
pub(super) const ORDER: &str = "metadata[order_id]";
/// Which operation of ours.
pub(super) const OPERATION: &str = "metadata[operation_id]";
pub(super) const AMOUNT_TO_CAPTURE: &str = "amount_to_capture";
pub(super) const CANCELLATION_REASON: &str = "cancellation_reason";
pub(super) const REASON: &str = "reason";
pub(super) const PAYMENT_INTENT: &str = "payment_intent";

/// Places in a webhook; below its object those of [`at`].
pub(super) mod told {
    pub(crate) const TYPE: &str = "/type";
    pub(crate) const LIVE: &str = "/livemode";
    pub(crate) const DATA: &str = "/data/object";
    /// `automatic` or `manual`.
    pub(crate) const CAPTURE_METHOD: &str = "/capture_method";
}

/// Places in an answer (JSON pointers).
pub(super) mod at {
    pub(crate) const ID: &str = "/id";
    pub(crate) const OBJECT: &str = "/object";
    pub(crate) const STATUS: &str = "/status";
    pub(crate) const AMOUNT: &str = "/amount";
    pub(crate) const RECEIVED: &str = "/amount_received";
    pub(crate) const CURRENCY: &str = "/currency";
    pub(crate) const ORDER: &str = "/metadata/order_id";
    pub(crate) const OPERATION: &str = "/metadata/operation_id";
    pub(crate) const INTENT: &str = "/payment_intent";
    pub(crate) const DATA: &str = "/data";
    pub(crate) const MORE: &str = "/has_more";
    pub(crate) const ERROR: &str = "/error";
    pub(crate) const LAST_ERROR: &str = "/last_payment_error";
    /// Below an error.
    pub(crate) const TYPE: &str = "/type";
    pub(crate) const CODE: &str = "/code";
    pub(crate) const DECLINE_CODE: &str = "/decline_code";
    pub(crate) const ADVICE: &str = "/advice_code";
    /// What the network said, since version 2024-12-18.acacia: two signs each.
    pub(crate) const NETWORK_CODE: &str = "/network_decline_code";
    pub(crate) const NETWORK_ADVICE: &str = "/network_advice_code";
    pub(crate) const ERROR_STATUS: &str = "/payment_intent/status";
}
