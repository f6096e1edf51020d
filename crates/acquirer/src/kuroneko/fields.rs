//! Foreign names: Yamato クロネコwebコレクト, API type.
//!
//! The specification is given to contracted merchants. Names and limits are those on which clients agree:
//! common-repository/yamato-credit-for-woo (bc22f61, 2024-11-01; its list of codes has the vendor's explanations) and the vendor's own
//! plug-in for EC-CUBE, YamatoPayment4.

/// Name of a function's address and its number.
#[derive(Clone, Copy)]
pub(super) struct Function(pub(super) &'static str, pub(super) &'static str);

pub(super) const CREDIT: Function = Function("credit", "A01");
pub(super) const STORED: Function = Function("creditInfoGet", "A03");
pub(super) const CANCEL: Function = Function("creditCancel", "A06");
pub(super) const CHANGE: Function = Function("creditChangePrice", "A07");
pub(super) const SHIP: Function = Function("shipmentEntry", "E01");
pub(super) const INFO: Function = Function("tradeInfo", "E04");

pub(super) const FUNCTION: &str = "function_div";
pub(super) const TRADER: &str = "trader_code";
/// 1 telephone with a browser, 2 computer, 3 other.
pub(super) const DEVICE: &str = "device_div";
/// At most 23 of 0-9 A-Z # - * / < > : @; unique in a shop. Ours is 17 digits.
pub(super) const ORDER_NO: &str = "order_no";
pub(super) const PRICE: &str = "settle_price";
pub(super) const NEW_PRICE: &str = "new_price";
/// 600 bytes.
pub(super) const GOODS: &str = "goods_name";
/// 60 bytes.
pub(super) const BUYER_NAME: &str = "buyer_name_kanji";
/// 8 to 13 of 0-9 and -.
pub(super) const BUYER_TEL: &str = "buyer_tel";
/// 64 bytes.
pub(super) const BUYER_EMAIL: &str = "buyer_email";
/// 0 neither 3-D Secure nor a security code, 2 a security code.
pub(super) const AUTH: &str = "auth_div";
/// 1 lump sum, 2 to 99 instalments, 0 revolving.
pub(super) const PAY_WAY: &str = "pay_way";
/// 00 normal, 01 with a member's stored card.
pub(super) const OPTION: &str = "option_service_div";
/// The card's brand, see [`super::company`].
pub(super) const COMPANY: &str = "card_code_api";
pub(super) const CARD_NUMBER: &str = "card_no";
pub(super) const OWNER: &str = "card_owner";
/// `MMYY`.
pub(super) const EXPIRY: &str = "card_exp";
pub(super) const SECURITY_CODE: &str = "security_code";
/// At most 64 letters and digits.
pub(super) const MEMBER_ID: &str = "member_id";
/// At most 8 letters and digits.
pub(super) const MEMBER_KEY: &str = "authentication_key";
pub(super) const CHECK_SUM: &str = "check_sum";
pub(super) const CARD_KEY: &str = "card_key";
pub(super) const LAST_USED: &str = "last_credit_date";
/// Of a shipment by somebody else than Yamato: the order's number.
pub(super) const SLIP_NO: &str = "slip_no";
/// 00 Yamato, 99 other.
pub(super) const DELIVERY: &str = "delivery_service_code";

pub(super) const ROOT: &str = "return";
/// 0 done, 1 refused.
pub(super) const RETURN_CODE: &str = "returnCode";
pub(super) const ERROR: &str = "errorCode";
pub(super) const CREDIT_ERROR: &str = "creditErrorCode";
/// The issuer's approval number.
pub(super) const APPROVAL: &str = "crdCResCd";
pub(super) const COUNT: &str = "resultCount";
pub(super) const DATA: &str = "resultData";
pub(super) const CARD: &str = "cardData";
