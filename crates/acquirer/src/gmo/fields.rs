//! Foreign names: GMO Payment Gateway, PGマルチペイメントサービス, protocol type, and the same under the name of SMBC GMO PAYMENT.
//!
//! The specification is given to contracted merchants. Names and limits are those on which public clients agree: t-k/gmo-payment-ruby
//! (8ff4677, 2026-02-09; recorded answers of the test system), pepabo/gmopg (faeadce), tricot-inc/errors-gmopg (d207573).

pub(super) const ENTRY: &str = "EntryTran.idPass";
pub(super) const EXECUTE: &str = "ExecTran.idPass";
pub(super) const ALTER: &str = "AlterTran.idPass";
pub(super) const CHANGE: &str = "ChangeTran.idPass";
pub(super) const SEARCH: &str = "SearchTrade.idPass";
pub(super) const SAVE_MEMBER: &str = "SaveMember.idPass";
pub(super) const SAVE_CARD: &str = "SaveCard.idPass";

pub(super) const SHOP_ID: &str = "ShopID";
pub(super) const SHOP_PASS: &str = "ShopPass";
pub(super) const SITE_ID: &str = "SiteID";
pub(super) const SITE_PASS: &str = "SitePass";
pub(super) const ACCESS_ID: &str = "AccessID";
pub(super) const ACCESS_PASS: &str = "AccessPass";
/// At most 27 of A-Z a-z 0-9 and -; unique in a shop for ever. Ours is 17 digits.
pub(super) const ORDER_ID: &str = "OrderID";
pub(super) const JOB: &str = "JobCd";
/// Yen, 1 to 9999999.
pub(super) const AMOUNT: &str = "Amount";
pub(super) const AMOUNT_MAX: u64 = 9_999_999;
/// Method of payment, see [`super::method`].
pub(super) const METHOD: &str = "Method";
pub(super) const PAY_TIMES: &str = "PayTimes";
/// The numbers of instalments that there are; which of them a shop has is its contract's business.
pub(super) const PAY_TIMES_OF: &[u8] = &[2, 3, 5, 6, 10, 12, 15, 18, 20, 24];
pub(super) const CARD_NUMBER: &str = "CardNo";
/// `YYMM`.
pub(super) const EXPIRY: &str = "Expire";
pub(super) const SECURITY_CODE: &str = "SecurityCode";
pub(super) const MEMBER_ID: &str = "MemberID";
pub(super) const SEQUENCE_MODE: &str = "SeqMode";
pub(super) const CARD_SEQUENCE: &str = "CardSeq";
/// 0: no browser that a 3-D Secure page could be shown to.
pub(super) const DEVICE: &str = "DeviceCategory";

pub(super) const ERROR_CLASS: &str = "ErrCode";
pub(super) const ERROR: &str = "ErrInfo";
pub(super) const ACS: &str = "ACS";
pub(super) const FORWARD: &str = "Forward";
pub(super) const APPROVE: &str = "Approve";
pub(super) const TRANSACTION: &str = "TranID";
pub(super) const TRANSACTION_DATE: &str = "TranDate";
pub(super) const CHECK_STRING: &str = "CheckString";
pub(super) const STATUS: &str = "Status";
