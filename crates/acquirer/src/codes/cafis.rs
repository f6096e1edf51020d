//! Issuer codes of CAFIS and CARDNET (G: the issuer's verdict, C: the network), which Japanese acquirers pass on in forms of their own.
//!
//! `hard` is what the words say by themselves: lost, banned, taken in, no such card. No public list says it code by code.

use ivrpay_payment::Reason;

use super::Class::{self, Unknown};
use super::action::{A, I, L, O, P, Q, R};
use super::{Row, hard, listed, soft};

/// Where a row was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// As listed in common-repository/yamato-credit-for-woo (includes/class-kupaywc-codes.php), tricot-inc/errors-gmopg (42Gnn) and
    /// Paygent's 1Gnn, which agree.
    Cafis,
}

use Reason::{
    AmountError, CardNotSupported, CardUnusable, CvvMismatch, CvvMissing, InsufficientFunds,
    InvalidCard, InvalidExpiry, InvalidNumber, IssuerUnavailable, LimitExceeded, LostOrStolen,
    MerchantConfig, PaymentForbidden, Pickup, PinError, PlanNotAllowed, Referral, RequestRefused,
};
use Source::Cafis;

#[rustfmt::skip]
pub(crate) const TABLE: &[Row<Source>] = &[
    ("g02", "カードローン残高不足",                       soft(InsufficientFunds),     &[O], Cafis),
    ("g03", "カードローン限度額オーバ",                   soft(LimitExceeded),         &[O], Cafis),
    ("g04", "キャッシング残高不足",                       soft(InsufficientFunds),     &[O], Cafis),
    ("g05", "キャッシング限度額オーバ",                   soft(LimitExceeded),         &[O], Cafis),
    ("g06", "デビット残高不足",                           soft(InsufficientFunds),     &[O], Cafis),
    ("g07", "デビット限度額オーバ",                       soft(LimitExceeded),         &[O], Cafis),
    ("g12", "カード使用不可",                             soft(CardUnusable),          &[O, I], Cafis),
    ("g22", "支払永久禁止",                               hard(PaymentForbidden),      &[O], Cafis),
    ("g30", "取引判定保留(有人判定)",                     soft(Referral),              &[I], Cafis),
    ("g42", "暗証番号エラー",                             soft(PinError),              &[O], Cafis),
    ("g44", "セキュリティコード誤り",                     soft(CvvMismatch),           &[R], Cafis),
    ("g45", "セキュリティコード入力無",                   soft(CvvMissing),            &[R], Cafis),
    ("g46", "JIS2面情報エラー",                           soft(MerchantConfig),        &[O], Cafis),
    ("g54", "1口座利用回数・金額オーバー",                soft(LimitExceeded),         &[O, P], Cafis),
    ("g55", "1日利用限度額オーバー",                      soft(LimitExceeded),         &[O, P], Cafis),
    ("g56", "カード取り込み",                             hard(Pickup),                &[O], Cafis),
    ("g60", "事故カード",                                 hard(LostOrStolen),          &[O], Cafis),
    ("g61", "無効カード",                                 hard(InvalidCard),           &[O, R], Cafis),
    ("g65", "会員番号エラー",                             hard(InvalidNumber),         &[R], Cafis),
    ("g67", "商品コードエラー",                           soft(MerchantConfig),        &[A], Cafis),
    ("g68", "金額エラー",                                 soft(AmountError),           &[A], Cafis),
    ("g69", "税送料エラー",                               soft(MerchantConfig),        &[A], Cafis),
    ("g70", "ボーナス回数エラー",                         soft(PlanNotAllowed),        &[P], Cafis),
    ("g71", "ボーナス月エラー",                           soft(PlanNotAllowed),        &[P], Cafis),
    ("g72", "ボーナス額エラー",                           soft(PlanNotAllowed),        &[P], Cafis),
    ("g73", "支払開始月エラー",                           soft(PlanNotAllowed),        &[P], Cafis),
    ("g74", "分割回数エラー",                             soft(PlanNotAllowed),        &[P], Cafis),
    ("g75", "分割金額エラー",                             soft(PlanNotAllowed),        &[P], Cafis),
    ("g76", "初回金額エラー",                             soft(PlanNotAllowed),        &[P], Cafis),
    ("g77", "業務区分エラー",                             soft(MerchantConfig),        &[A], Cafis),
    ("g78", "支払区分エラー",                             soft(PlanNotAllowed),        &[P], Cafis),
    ("g79", "照会区分エラー",                             soft(MerchantConfig),        &[A], Cafis),
    ("g80", "取消区分エラー",                             soft(MerchantConfig),        &[A], Cafis),
    ("g81", "取扱区分エラー",                             soft(MerchantConfig),        &[A], Cafis),
    ("g83", "有効期限エラー",                             soft(InvalidExpiry),         &[R], Cafis),
    ("g84", "承認番号エラー",                             soft(MerchantConfig),        &[A], Cafis),
    ("g85", "サービス対象外カード / CAFIS代行中エラー",   soft(CardNotSupported),      &[O, L], Cafis),
    ("g91", "システム障害",                               soft(IssuerUnavailable),     &[L], Cafis),
    ("g92", "カード会社任意エラー",                       soft(RequestRefused),        &[O, I], Cafis),
    ("g94", "サイクル通番",                               soft(MerchantConfig),        &[A], Cafis),
    ("g95", "当該業務オンライン終了",                     soft(IssuerUnavailable),     &[L, O], Cafis),
    ("g96", "事故カードデータエラー",                     hard(LostOrStolen),          &[O], Cafis),
    ("g97", "当該要求拒否",                               soft(RequestRefused),        &[O, I], Cafis),
    ("g98", "当該自社対象業務エラー",                     soft(IssuerUnavailable),     &[O], Cafis),
    ("g99", "接続要求自社受付拒否",                       soft(IssuerUnavailable),     &[L, O], Cafis),
    ("999", "timeout",                                    Unknown,                     &[Q], Cafis),
    ("c01", "receiving company code wrong",               soft(MerchantConfig),        &[A], Cafis),
    ("c03", "length wrong",                               soft(MerchantConfig),        &[A], Cafis),
    ("c12", "issuer centre busy",                         soft(IssuerUnavailable),     &[L], Cafis),
    ("c13", "issuer centre failure",                      soft(IssuerUnavailable),     &[L, O], Cafis),
    ("c14", "issuer centre closed",                       soft(IssuerUnavailable),     &[L, O], Cafis),
    ("c15", "CAFIS closed",                               Unknown,                     &[Q, L], Cafis),
    ("c17", "encoding wrong",                             soft(MerchantConfig),        &[A], Cafis),
    ("c33", "CAFIS congestion",                           Unknown,                     &[Q, L], Cafis),
    ("c34", "format wrong",                               soft(MerchantConfig),        &[A], Cafis),
    ("c35", "advice already received",                    Unknown,                     &[Q], Cafis),
    ("c50", "timeout",                                    Unknown,                     &[Q], Cafis),
    ("c51", "route, service, or came while unavailable",  Unknown,                     &[Q, L], Cafis),
    ("c53", "sending company code wrong",                 soft(MerchantConfig),        &[A], Cafis),
    ("c54", "message type wrong",                         soft(MerchantConfig),        &[A], Cafis),
    ("c55", "route, service, or came while unavailable",  Unknown,                     &[Q, L], Cafis),
    ("c56", "correspondence wrong",                       soft(MerchantConfig),        &[A], Cafis),
    ("c57", "route, service, or came while unavailable",  Unknown,                     &[Q, L], Cafis),
    ("c58", "numeric check",                              soft(MerchantConfig),        &[A], Cafis),
    ("c60", "route, service, or came while unavailable",  Unknown,                     &[Q, L], Cafis),
    ("c70", "not found; only in GMO's list",              Unknown,                     &[Q, L], Cafis),
    ("c71", "not found; only in GMO's list",              Unknown,                     &[Q, L], Cafis),
    ("c72", "not found; only in GMO's list",              Unknown,                     &[Q, L], Cafis),
    ("c73", "not found; only in GMO's list",              Unknown,                     &[Q, L], Cafis),
    ("c74", "not found; only in GMO's list",              Unknown,                     &[Q, L], Cafis),
    ("c75", "not found; only in GMO's list",              Unknown,                     &[Q, L], Cafis),
    ("c76", "not found; only in GMO's list",              Unknown,                     &[Q, L], Cafis),
    ("c77", "not found; only in GMO's list",              Unknown,                     &[Q, L], Cafis),
    ("c78", "not found; only in GMO's list",              Unknown,                     &[Q, L], Cafis),
];

/// The class of an issuer code in any of its forms: `G12`, `42G120000`, `42G12`, `(G12)`, `1G12`.
pub(crate) fn class(code: &str) -> Option<Class> {
    let code = code.trim().to_ascii_lowercase();
    listed(TABLE, &code).or_else(|| {
        let bare = code.trim_matches(['(', ')']);
        let bare = bare
            .strip_prefix("42")
            .or_else(|| bare.strip_prefix('1'))
            .unwrap_or(bare);
        let bare = bare.strip_suffix("0000").unwrap_or(bare);
        matches!(bare.as_bytes(), [b'g' | b'c', _, _]).then(|| listed(TABLE, bare))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_in_their_forms() {
        crate::codes::check_rows(
            TABLE,
            "g02, g03, g04, g05, g06, g07, g12, g22, g30, g42, g44, g45, g46, g54, g55, g56, g60, g61, g65, g67, g68, g69, \
             g70, g71, g72, g73, g74, g75, g76, g77, g78, g79, g80, g81, g83, g84, g85, g91, g92, g94, g95, g96, g97, g98, \
             g99, c01, c03, c12, c13, c14, c15, c17, c33, c34, c35, c50, c51, c53, c54, c55, c56, c57, c58, c60, c70, c71, \
             c72, c73, c74, c75, c76, c77, c78, 999",
        );
        for (code, class_) in [
            ("G44", Some(soft(CvvMismatch))),
            ("42G440000", Some(soft(CvvMismatch))),
            ("(G44)", Some(soft(CvvMismatch))),
            ("1G44", Some(soft(CvvMismatch))),
            ("42G600000", Some(hard(LostOrStolen))),
            ("42C500000", Some(Unknown)),
            ("G00", None),
            ("", None),
            ("四", None),
        ] {
            assert_eq!(class(code), class_, "{code}");
        }
    }
}
