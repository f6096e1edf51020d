//! Foreign names: ZEUS, Secure API in XML, with the change of an amount and the inquiry of an order.
//!
//! ZEUS gives its specification to contracted merchants. Names are those of a public client (common-repository/usc-e-shop 7b1775d,
//! classes/paymentZeus.class.php, 2024-10-31); sizes, counts and statuses those of ZEUS's guide to the same interface with EMV 3-D
//! Secure, as public repositories quote it.

pub(super) const API: &str = "secure/api.cgi";
pub(super) const CHANGE_API: &str = "credit/price_change/reflect/index.cgi";
/// By ZEUS's number alone; answers in Shift_JIS.
pub(super) const INQUIRY: &str = "order_ref.cgi";

pub(super) const CONTENT_TYPE: &str = "text/xml";
pub(super) const PROLOG: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>";

pub(super) const REQUEST: &str = "request";
pub(super) const RESPONSE: &str = "response";
pub(super) const SERVICE: &str = "service";
pub(super) const SECURE_LINK: &str = "secure_link";
pub(super) const ACTION: &str = "action";
pub(super) const PAYMENT: &str = "payment";
pub(super) const PAYMENT_RETURN: &str = "payment_return";

pub(super) const AUTHENTICATION: &str = "authentication";
/// IPコード, 5 or 10 digits.
pub(super) const CLIENT: &str = "clientip";
/// 認証キー, 40 letters and digits.
pub(super) const KEY: &str = "key";
pub(super) const CARD: &str = "card";
pub(super) const NUMBER: &str = "number";
pub(super) const EXPIRES: &str = "expires";
/// Four digits.
pub(super) const YEAR: &str = "year";
/// Two digits.
pub(super) const MONTH: &str = "month";
pub(super) const SECURITY_CODE: &str = "cvv";
pub(super) const NAME: &str = "name";
/// Nobody keys a name on a telephone.
pub(super) const NO_NAME: &str = "TEL ORDER";
/// A card that came with the same `sendid` before.
pub(super) const HISTORY: &str = "history";
pub(super) const SEND_EMAIL: &str = "send_email";
/// Yen, 1 to 9999999.
pub(super) const AMOUNT: &str = "amount";
pub(super) const AMOUNT_MAX: u64 = 9_999_999;
/// 支払方法, see [`super::count`].
pub(super) const COUNT: &str = "count";
pub(super) const USER: &str = "user";
pub(super) const TELNO: &str = "telno";
pub(super) const EMAIL: &str = "email";
pub(super) const UNIQUE: &str = "uniq_key";
/// At most 25 letters and digits; ours is the order's number.
pub(super) const SENDID: &str = "sendid";
pub(super) const SENDID_MAX: usize = 25;
/// At most 50; ours is the order's number, by which a person finds it in the portal.
pub(super) const SENDPOINT: &str = "sendpoint";
pub(super) const RETURN: &str = "return";
pub(super) const ORDER_NUMBER: &str = "order_number";
pub(super) const TRANSACTION: &str = "transaction";
pub(super) const MONEY: &str = "money";
/// "yes": no notice to the merchant's web server.
pub(super) const PUBSEC: &str = "pubsec";
pub(super) const ZKEY: &str = "zkey";
pub(super) const ORDER_NO: &str = "order_no";

pub(super) const STATUS: &str = "result/status";
pub(super) const CODE: &str = "result/code";
pub(super) const SUFFIX: &str = "card/number/suffix";
pub(super) const APPROVAL: &str = "am_data/syonin";
pub(super) const RETURNED_SENDPOINT: &str = "addition_value/sendpoint";
pub(super) const NEW_ORDER_NUMBER: &str = "result/result_order_number";
/// Longest `order_number`, bytes.
pub(super) const ORDER_NUMBER_MAX: usize = 50;
/// How the numbers of orders begin that move no money.
pub(super) const TEST_ORDER: &str = "TEST-";

pub(super) const MESSAGE: &str = "message";
pub(super) const RESULT: &str = "response/data/RESULT";
pub(super) const KING: &str = "response/data/KING";
