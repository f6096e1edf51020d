//! Foreign names: SB Payment Service, API type (XML).
//!
//! The manual is public (developer.sbpayment.jp, system-specifications/api-type), but for the functions that take card numbers, which
//! are given to merchants with a contract about them. Names, sizes and states are those of wozaki/sbpayment.rb (af5e8c9, recorded
//! answers of the test system) and vogle/sbpayment-java (f135d76).

/// The one address, below the host's.
pub(super) const PATH: &str = "xmlapi.do";
pub(super) const CONTENT_TYPE: &str = "text/xml; charset=Shift_JIS";
pub(super) const PROLOG: &str = "<?xml version=\"1.0\" encoding=\"Shift_JIS\"?>";

pub(super) const REQUEST: &str = "sps-api-request";
pub(super) const RESPONSE: &str = "sps-api-response";
/// Attribute of both: the function.
pub(super) const ID: &str = "id";

/// Authorise, with the card's number.
pub(super) const AUTHORISE: &str = "ST01-00111-101";
/// Authorise, with a one-time token or, as here, a card that is stored.
pub(super) const AUTHORISE_STORED: &str = "ST01-00131-101";
/// 確定: makes an authorisation effective.
pub(super) const COMMIT: &str = "ST02-00101-101";
/// 売上.
pub(super) const SALES: &str = "ST02-00201-101";
/// 取消・返金.
pub(super) const CANCEL: &str = "ST02-00303-101";
/// 与信取消.
pub(super) const CANCEL_AUTHORISATION: &str = "ST02-00305-101";
/// 部分返金.
pub(super) const REFUND_PART: &str = "ST02-00307-101";
/// 決済結果参照.
pub(super) const INQUIRE: &str = "MG01-00101-101";
/// 顧客情報登録, with the card's number.
pub(super) const STORE: &str = "MG02-00101-101";

pub(super) const MERCHANT: &str = "merchant_id";
pub(super) const SERVICE: &str = "service_id";
pub(super) const CUSTOMER: &str = "cust_code";
pub(super) const CUSTOMER_MAX: usize = 64;
/// At most 38; ours is 17 digits.
pub(super) const ORDER: &str = "order_id";
pub(super) const ITEM: &str = "item_id";
/// Type M: base64 of Shift_JIS, at most 40 bytes of that.
pub(super) const ITEM_NAME: &str = "item_name";
pub(super) const ITEM_NAME_MAX: usize = 40;
/// Yen, 1 to 9999999.
pub(super) const AMOUNT: &str = "amount";
pub(super) const AMOUNT_MAX: u64 = 9_999_999;
pub(super) const CUSTOMER_INFO_RETURN: &str = "sps_cust_info_return_flg";
pub(super) const DETAILS: &str = "dtls";
/// Its children are encrypted.
pub(super) const METHOD_INFO: &str = "pay_method_info";
pub(super) const CARD_NUMBER: &str = "cc_number";
/// `YYYYMM`.
pub(super) const EXPIRY: &str = "cc_expiration";
pub(super) const SECURITY_CODE: &str = "security_code";
/// 取引区分, see [`super::dealings`].
pub(super) const DEALINGS: &str = "dealings_type";
pub(super) const TIMES: &str = "divide_times";
pub(super) const OPTIONS: &str = "pay_option_manage";
pub(super) const CUSTOMER_MANAGE: &str = "cust_manage_flg";
pub(super) const BRAND_RETURN: &str = "cardbrand_return_flg";
pub(super) const ENCRYPTED: &str = "encrypted_flg";
pub(super) const TRANSACTION: &str = "sps_transaction_id";
pub(super) const TRACKING: &str = "tracking_id";
pub(super) const PROCESSED_AT: &str = "processing_datetime";
/// 2: of the card, the last four digits alone.
pub(super) const INFO_TYPE: &str = "response_info_type";
pub(super) const REQUEST_DATE: &str = "request_date";
/// Seconds after which the request is too old to be done.
pub(super) const LIMIT_SECOND: &str = "limit_second";
pub(super) const HASH: &str = "sps_hashcode";

pub(super) const RESULT: &str = "res_result";
pub(super) const ERROR: &str = "res_err_code";
pub(super) const RES_TRANSACTION: &str = "res_sps_transaction_id";
pub(super) const RES_TRACKING: &str = "res_tracking_id";
pub(super) const RES_STATUS: &str = "res_status";
pub(super) const RECOGNIZED: &str = "res_pay_method_info/recognized_no";
pub(super) const COMMIT_STATUS: &str = "res_pay_method_info/commit_status";
pub(super) const PAYMENT_STATUS: &str = "res_pay_method_info/payment_status";
