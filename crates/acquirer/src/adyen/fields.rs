//! Foreign names: Adyen Checkout, version 72. Adyen/adyen-openapi, json/CheckoutService-v72.json (aa014f0, 2026-07-01); docs.adyen.com:
//! online-payments/capture, cancel, refund, reversal, development-resources/api-idempotency and error-codes.

pub(super) const PAYMENTS: &str = "/payments";
/// Cancels by our reference: the technical cancel.
pub(super) const CANCELS: &str = "/cancels";

/// At most 64 characters.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";
pub(super) const API_KEY: &str = "x-api-key";

pub(super) const MERCHANT_ACCOUNT: &str = "merchantAccount";
pub(super) const AMOUNT: &str = "amount";
/// Minor units.
pub(super) const VALUE: &str = "value";
pub(super) const CURRENCY: &str = "currency";
/// At most 80 characters.
pub(super) const REFERENCE: &str = "reference";
/// Our reference of the payment that is cancelled.
pub(super) const PAYMENT_REFERENCE: &str = "paymentReference";
pub(super) const INTERACTION: &str = "shopperInteraction";
/// Has to be there; nobody is sent to it.
pub(super) const RETURN_URL: &str = "returnUrl";
pub(super) const NOWHERE: &str = "https://example.com/none";
pub(super) const PAYMENT_METHOD: &str = "paymentMethod";
pub(super) const TYPE: &str = "type";
pub(super) const NUMBER: &str = "number";
pub(super) const EXPIRY_MONTH: &str = "expiryMonth";
/// Four digits.
pub(super) const EXPIRY_YEAR: &str = "expiryYear";
pub(super) const SECURITY_CODE: &str = "cvc";
pub(super) const HOLDER: &str = "holderName";
/// Nobody spells his name by keys.
pub(super) const NOBODY: &str = "TEL ORDER";
pub(super) const STORED: &str = "storedPaymentMethodId";
pub(super) const CAPTURE_DELAY: &str = "captureDelayHours";
pub(super) const ADDITIONAL: &str = "additionalData";
pub(super) const MANUAL_CAPTURE: &str = "manualCapture";
pub(super) const INSTALLMENTS: &str = "installments";
pub(super) const PLAN: &str = "plan";
pub(super) const STORE: &str = "storePaymentMethod";
/// At least 3 characters.
pub(super) const SHOPPER: &str = "shopperReference";
pub(super) const PROCESSING_MODEL: &str = "recurringProcessingModel";

/// Places in an answer (JSON pointers).
pub(super) mod at {
    pub(crate) const PSP_REFERENCE: &str = "/pspReference";
    pub(crate) const RESULT: &str = "/resultCode";
    pub(crate) const REFUSAL: &str = "/refusalReasonCode";
    /// What the network said, as far as the merchant's account passes it on: `05 : Do not honor`.
    pub(crate) const NETWORK_CODE: &str = "/additionalData/refusalReasonRaw";
    /// `03: Do not try again` (Adyen/adyen-node-api-library, src/typings/checkout/responseAdditionalDataCommon.ts).
    pub(crate) const NETWORK_ADVICE: &str = "/additionalData/merchantAdviceCode";
    pub(crate) const REFERENCE: &str = "/merchantReference";
    pub(crate) const AMOUNT: &str = "/amount";
    pub(crate) const VALUE: &str = "/amount/value";
    pub(crate) const CURRENCY: &str = "/amount/currency";
    pub(crate) const APPROVAL: &str = "/additionalData/authCode";
    /// The second is the older name.
    pub(crate) const STORED: [&str; 2] = [
        "/additionalData/tokenization.storedPaymentMethodId",
        "/additionalData/recurring.recurringDetailReference",
    ];
    pub(crate) const STATUS: &str = "/status";
    pub(crate) const OF_PSP_REFERENCE: &str = "/paymentPspReference";
    pub(crate) const OF_REFERENCE: &str = "/paymentReference";
    pub(crate) const ERROR_CODE: &str = "/errorCode";
    pub(crate) const ERROR_TYPE: &str = "/errorType";
}

/// Places in a standard webhook (json/Webhooks-v1.json; docs.adyen.com/development-resources/webhooks).
pub(super) mod told {
    pub(crate) const LIVE: &str = "/live";
    pub(crate) const ITEMS: &str = "/notificationItems";
    pub(crate) const ITEM: &str = "/NotificationRequestItem";
    pub(crate) const PSP_REFERENCE: &str = "/pspReference";
    pub(crate) const ORIGINAL: &str = "/originalReference";
    pub(crate) const MERCHANT_ACCOUNT: &str = "/merchantAccountCode";
    /// That of the request which it is about: of a modification its own, of a technical cancel that of the payment.
    pub(crate) const REFERENCE: &str = "/merchantReference";
    pub(crate) const VALUE: &str = "/amount/value";
    pub(crate) const CURRENCY: &str = "/amount/currency";
    pub(crate) const EVENT: &str = "/eventCode";
    /// `true` or `false`, as a text.
    pub(crate) const SUCCESS: &str = "/success";
    /// Why not; of an authorisation `code:last four:expiry`.
    pub(crate) const REASON: &str = "/reason";
    pub(crate) const APPROVAL: &str = "/additionalData/authCode";
    pub(crate) const SIGNATURE: &str = "/additionalData/hmacSignature";
}
