//! Foreign names: Hyperswitch. Its API reference (api-reference.hyperswitch.io) and source (juspay/hyperswitch).

pub(super) const PAYMENTS: &str = "/payments";
pub(super) const REFUNDS: &str = "/refunds";

pub(super) const API_KEY: &str = "api-key";

/// Ours, 30 characters.
pub(super) const PAYMENT_ID: &str = "payment_id";
/// Ours, at most 30 characters.
pub(super) const REFUND_ID: &str = "refund_id";
/// Minor units.
pub(super) const AMOUNT: &str = "amount";
pub(super) const CURRENCY: &str = "currency";
pub(super) const CONFIRM: &str = "confirm";
pub(super) const CAPTURE_METHOD: &str = "capture_method";
pub(super) const AUTHENTICATION: &str = "authentication_type";
/// Read by a few of its processors only.
pub(super) const CHANNEL: &str = "payment_channel";
pub(super) const METHOD: &str = "payment_method";
pub(super) const METHOD_DATA: &str = "payment_method_data";
pub(super) const CARD: &str = "card";
pub(super) const NUMBER: &str = "card_number";
pub(super) const EXPIRY_MONTH: &str = "card_exp_month";
/// Four digits.
pub(super) const EXPIRY_YEAR: &str = "card_exp_year";
pub(super) const SECURITY_CODE: &str = "card_cvc";
pub(super) const HOLDER: &str = "card_holder_name";
/// Nobody spells his name by keys.
pub(super) const NOBODY: &str = "TEL ORDER";
pub(super) const ORDER: &str = "merchant_order_reference_id";
pub(super) const METADATA: &str = "metadata";
pub(super) const OPERATION: &str = "operation_id";
pub(super) const AMOUNT_TO_CAPTURE: &str = "amount_to_capture";
pub(super) const CANCELLATION_REASON: &str = "cancellation_reason";

/// Places in an answer (JSON pointers).
pub(super) mod at {
    pub(crate) const PAYMENT_ID: &str = "/payment_id";
    pub(crate) const REFUND_ID: &str = "/refund_id";
    pub(crate) const STATUS: &str = "/status";
    pub(crate) const AMOUNT: &str = "/amount";
    pub(crate) const RECEIVED: &str = "/amount_received";
    pub(crate) const CURRENCY: &str = "/currency";
    pub(crate) const OPERATION: &str = "/metadata/operation_id";
    /// The processor's own.
    pub(crate) const REFUSAL: &str = "/error_code";
    pub(crate) const ERROR_CODE: &str = "/error/code";
}
