//! Foreign names: DGFT VeriTrans4G.
//!
//! The specification is given to contracted merchants. Names and limits are those of the vendor's development kit as copied in
//! yunliantiao/veritrans-tgmdk (3498a7c, 2024-06-22), and of clients written against it: ekerik220/3g-mdk-go (with recorded answers of the
//! dummy mode), st-minhho2/veritrans-mdk-sample (fff7103), joji-iba/lambda-practice-on-veritrans (2cbc203).

/// Behind `/paynow` or `/test-paynow`.
pub(super) const AUTHORISE: &str = "/v2/Authorize/card";
pub(super) const CAPTURE: &str = "/v2/Capture/card";
pub(super) const CANCEL: &str = "/v2/Cancel/card";
pub(super) const SEARCH: &str = "-search/v2/Search/search";
pub(super) const ADD_ACCOUNT: &str = "id/v1/Add/account";
pub(super) const ADD_CARD: &str = "id/v1/Add/cardinfo";

pub(super) const PARAMS: &str = "params";
pub(super) const AUTH_HASH: &str = "authHash";
pub(super) const VERSION: (&str, &str) = ("txnVersion", "2.0.0");
/// `1` in the dummy mode, which also has paths of its own.
pub(super) const DUMMY: &str = "dummyRequest";
/// 24 characters, of which the last are `cc`.
pub(super) const CCID: &str = "merchantCcid";

/// At most 100 of A-Z a-z 0-9 - and _; unique in a shop. Ours is 17 digits.
pub(super) const ORDER_ID: &str = "orderId";
/// Yen, 1 to 99999999.
pub(super) const AMOUNT: &str = "amount";
/// Method of payment, see [`super::jpo`].
pub(super) const JPO: &str = "jpo";
pub(super) const WITH_CAPTURE: &str = "withCapture";
pub(super) const CARD_NUMBER: &str = "cardNumber";
/// `MM/YY`.
pub(super) const EXPIRY: &str = "cardExpire";
pub(super) const SECURITY_CODE: &str = "securityCode";
/// Stored cards: `{"accountParam": {"accountId", "cardParam": {…}}}`.
pub(super) const PAY_NOW_ID: &str = "payNowIdParam";
pub(super) const ACCOUNT: &str = "accountParam";
pub(super) const ACCOUNT_ID: &str = "accountId";
pub(super) const CARD: &str = "cardParam";
pub(super) const DEFAULT_CARD: &str = "defaultCard";

/// `true`: only the newest transaction of an order.
pub(super) const NEWEST: &str = "newerFlag";
pub(super) const WITH_DUMMIES: &str = "containDummyFlag";
pub(super) const SERVICES: &str = "serviceTypeCd";
pub(super) const SEARCHED: &str = "searchParameters";
pub(super) const COMMON: &str = "common";

pub(super) const RESULT: &str = "result";
/// `success`, `failure` or `pending`.
pub(super) const STATUS: &str = "mstatus";
/// 16 characters, four codes of four; the first one decides.
pub(super) const CODE: &str = "vResultCode";
/// The issuer's code, blanks where there is none.
pub(super) const CENTER_CODE: &str = "resCenterErrorCode";
/// Their number of a transaction; in a search [`TRANSACTION_ID`].
pub(super) const TRANSACTION: &str = "custTxn";
pub(super) const TRANSACTION_ID: &str = "txnId";
pub(super) const APPROVAL: &str = "resAuthCode";
pub(super) const REQUESTED_AMOUNT: &str = "reqAmount";
pub(super) const COMMAND: &str = "command";
pub(super) const PROPER: &str = "properTransactionInfo";
/// In a search, what [`WITH_CAPTURE`] was.
pub(super) const ASKED_WITH_CAPTURE: &str = "reqWithCapture";
