//! Foreign names: the "Generic Pay" contract, as published for Twilio's `<Pay>` Generic Pay Connector
//! (twilio.com/docs/voice/twiml/pay/generic-pay-connector; single root endpoint since 2022-03-30).
//!
//! Their `cvv` is our security code. An amount is a decimal text in major units; the expiry is `MM` and `YY`.

pub(super) const AMOUNT: &str = "amount";
pub(super) const CARD_NUMBER: &str = "cardnumber";
pub(super) const CURRENCY: &str = "currency_code";
pub(super) const EXPIRY_MONTH: &str = "expiry_month";
pub(super) const EXPIRY_YEAR: &str = "expiry_year";
pub(super) const METHOD: &str = "method";
pub(super) const METHOD_CHARGE: &str = "charge";
pub(super) const PARAMETERS: &str = "parameters";
pub(super) const SECURITY_CODE: &str = "cvv";
pub(super) const TRANSACTION_ID: &str = "transaction_id";

// Ours, inside `parameters`, which the contract leaves to both sides.

/// Our order number at the acquirer, 17 digits.
pub(super) const ACQUIRER_ORDER: &str = "acquirer_order";
/// The merchant's order, where there is one.
pub(super) const ORDER_ID: &str = "order_id";
/// The person who took the order, where one is known.
pub(super) const OPERATOR_ID: &str = "operator_id";
/// Mail order / telephone order: an endpoint passes it on to its acquirer (no 3-D Secure is possible).
pub(super) const MOTO: &str = "moto";
/// Our payment, by which the merchant finds the order (`GET /v1/payments/{id}`).
pub(super) const PAYMENT_ID: &str = "payment_id";
/// How it is paid back, as [`ivrpay_payment::Plan::name`] spells it.
pub(super) const PAYMENT_PLAN: &str = "payment_plan";
/// In how many parts, where the plan has some.
pub(super) const PAYMENT_PLAN_COUNT: &str = "payment_plan_count";

/// Names under which endpoints return the issuer's approval code, best first.
pub(super) const APPROVAL_CODES: [&str; 4] = [
    "approval_code",
    "authorization_code",
    "auth_code",
    "confirmation_number",
];
