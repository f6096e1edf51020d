//! What an operator is advised of a refused card, once for every reason, in both languages.
//!
//! Each sentence says what to tell the caller, and what to do. Where the reason is not the caller's to hear (fraud, lost,
//! stolen), it says so and does not name it. `docs/operators.md` has the same table; a test compares the two.

use crate::{Action, Reason};

/// A sentence for an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// Japanese.
    pub ja: &'static str,
    /// English.
    pub en: &'static str,
}

const fn say(ja: &'static str, en: &'static str) -> Advice {
    Advice { ja, en }
}

impl Reason {
    /// What to tell the caller, and what to do.
    #[must_use]
    #[rustfmt::skip]
    pub const fn advice(self) -> Advice {
        match self {
            Self::AmountError => say(
                "「金額を確認いたします」と伝え、金額を見直して、管理者に連絡してください。",
                "Say that you are checking the amount; look at it again, and call your manager.",
            ),
            Self::AuthenticationRequired => say(
                "「このカードは、お電話ではご利用いただけません」と伝え、別のカードをお願いしてください。",
                "Say that this card can't be used by telephone, and ask for another card.",
            ),
            Self::CardNotSupported => say(
                "「このカードは、当店ではご利用いただけません」と伝え、別のカードをお願いしてください。",
                "Say that this shop can't take this card, and ask for another card.",
            ),
            Self::CardUnusable => say(
                "「このカードは、ご利用いただけませんでした」と伝え、別のカードか、カード会社への確認をお願いしてください。",
                "Say that this card could not be used, and ask for another card, or that the caller asks the card company.",
            ),
            Self::CvvMismatch => say(
                "「セキュリティコードを、もう一度ご確認ください」と伝え、同じカードをもう一度押していただいてください。",
                "Ask the caller to look at the security code again, and to enter the same card once more.",
            ),
            Self::CvvMissing => say(
                "「セキュリティコードが必要です」と伝え、同じカードをもう一度押していただいてください。",
                "Say that the security code is needed, and let the caller enter the same card once more.",
            ),
            Self::Duplicate => say(
                "「お支払いの記録を確認いたします」と伝え、同じお支払いが済んでいないか、管理画面で先に確認してください。",
                "Say that you are checking the records; before anything else, look up whether the same payment has been made already.",
            ),
            Self::ExpiredCard => say(
                "「カードの有効期限をご確認ください」と伝え、新しいカードか、別のカードをお願いしてください。",
                "Ask the caller to look at the expiry date; take the new card, or another one.",
            ),
            Self::FraudSuspected => say(
                "理由は伝えず、「このカードは、ご利用いただけませんでした」とだけ伝え、別のカードをお願いしてください。",
                "Say only that this card could not be used, and ask for another card; don't tell the reason.",
            ),
            Self::HardDeclinedBefore => say(
                "「このカードは、ご利用いただけませんでした」とだけ伝え、本日はもう送れないカードなので、別のカードをお願いしてください。",
                "Say only that this card could not be used, and ask for another card; this one is not sent again today.",
            ),
            Self::InsufficientFunds => say(
                "「このカードは、ご利用いただけませんでした」と伝え、別のカードか、金額やお支払い方法の変更をお願いしてください。",
                "Say that this card could not be used, and offer another card, a lower amount or another way to pay.",
            ),
            Self::InvalidCard => say(
                "「カード番号を、もう一度ご確認ください」と伝え、番号が正しければ、別のカードをお願いしてください。",
                "Ask the caller to look at the card number again; if it was right, ask for another card.",
            ),
            Self::InvalidExpiry => say(
                "「有効期限を、もう一度ご確認ください」と伝え、同じカードをもう一度押していただいてください。",
                "Ask the caller to look at the expiry date again, and to enter the same card once more.",
            ),
            Self::InvalidNumber => say(
                "「カード番号を、もう一度ご確認ください」と伝え、もう一度押していただいてください。",
                "Ask the caller to look at the card number again, and to enter it once more.",
            ),
            Self::IssuerUnavailable => say(
                "「カード会社につながりませんでした」と伝え、時間をおいてかけ直していただくか、別のカードをお願いしてください。",
                "Say that the card company could not be reached; try later, or ask for another card.",
            ),
            Self::LimitExceeded => say(
                "「このカードは、ご利用いただけませんでした」と伝え、別のカードか、金額やお支払い方法の変更をお願いしてください。",
                "Say that this card could not be used, and offer another card, a lower amount or another way to pay.",
            ),
            Self::LostOrStolen => say(
                "理由は伝えず、「このカードは、ご利用いただけませんでした」とだけ伝え、別のカードをお願いしてください。",
                "Say only that this card could not be used, and ask for another card; don't tell the reason.",
            ),
            Self::MerchantConfig => say(
                "「こちらの不具合で、ただいまカードをお受けできません」と伝え、コードを添えて、管理者に連絡してください。",
                "Say that it is our fault that no card can be taken now, and tell your manager the code.",
            ),
            Self::Other => say(
                "「このカードは、ご利用いただけませんでした」と伝え、別のカードをお願いし、コードを管理者に知らせてください。",
                "Say that this card could not be used, ask for another card, and tell your manager the code.",
            ),
            Self::PaymentForbidden => say(
                "「このカードは、ご利用いただけませんでした」とだけ伝え、別のカードをお願いしてください。",
                "Say only that this card could not be used, and ask for another card.",
            ),
            Self::Pickup => say(
                "理由は伝えず、「このカードは、ご利用いただけませんでした」とだけ伝え、別のカードをお願いしてください。",
                "Say only that this card could not be used, and ask for another card; don't tell the reason.",
            ),
            Self::PinError => say(
                "「このカードは、お電話ではご利用いただけません」と伝え、別のカードをお願いし、暗証番号は聞かないでください。",
                "Say that this card can't be used by telephone, and ask for another card; never ask for a PIN.",
            ),
            Self::PlanNotAllowed => say(
                "「このお支払い方法は、ご利用いただけません」と伝え、一括払いなど、別のお支払い方法をお願いしてください。",
                "Say that this way to pay is not possible, and offer another one, such as one payment.",
            ),
            Self::Referral => say(
                "「カード会社へのご確認が必要です」と伝え、カード裏面の番号に電話していただいてから、もう一度お願いしてください。",
                "Say that the card company wants to be asked; let the caller ring the number on the card, then try again.",
            ),
            Self::RequestRefused => say(
                "「このカードは、ご利用いただけませんでした」と伝え、別のカードか、カード会社への確認をお願いしてください。",
                "Say that this card could not be used, and ask for another card, or that the caller asks the card company.",
            ),
            Self::TriesExceeded => say(
                "「このカードは、ご利用いただけませんでした」とだけ伝え、何度も試されて明日まで送れないカードなので、別のカードをお願いしてください。",
                "Say only that this card could not be used, and ask for another card; this one was tried too often and is not sent until tomorrow.",
            ),
        }
    }
}

impl Action {
    /// The same, for a code that allows something else than its reason does.
    #[must_use]
    #[rustfmt::skip]
    pub const fn advice(self) -> Advice {
        match self {
            Self::AskIssuer => say(
                "「このカードは、ご利用いただけませんでした」と伝え、カード会社への確認をお願いしてください。",
                "Say that this card could not be used, and let the caller ask the card company.",
            ),
            Self::Later => say(
                "「ただいま、このカードはご利用いただけません」と伝え、時間をおいてもう一度お願いしてください。",
                "Say that this card can't be used just now, and try again later.",
            ),
            Self::LookUp => say(
                "「お支払いの記録を確認いたします」と伝え、先に管理画面で結果を確認してください。",
                "Say that you are checking the records, and look up the result before anything else.",
            ),
            Self::Operator => say(
                "「ただいま、お手続きができません」と伝え、コードを添えて、管理者に連絡してください。",
                "Say that it can't be done just now, and tell your manager the code.",
            ),
            Self::OtherCard => say(
                "「このカードは、ご利用いただけませんでした」とだけ伝え、別のカードをお願いしてください。",
                "Say only that this card could not be used, and ask for another card.",
            ),
            Self::OtherPlan => say(
                "「このお支払い方法は、ご利用いただけません」と伝え、別のお支払い方法か、低い金額をお願いしてください。",
                "Say that this way to pay is not possible, and offer another one or a lower amount.",
            ),
            Self::ReEnter => say(
                "「カードの番号を、もう一度ご確認ください」と伝え、もう一度押していただいてください。",
                "Ask the caller to look at the card again, and to enter it once more.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Advice> {
        let actions = Action::ALL.into_iter().map(Action::advice);
        Reason::ALL.into_iter().map(Reason::advice).chain(actions)
    }

    #[test]
    fn every_advice_is_short_and_in_both_languages() {
        for Advice { ja, en } in all() {
            assert!(ja.ends_with('。') && ja.matches('。').count() == 1, "{ja}");
            assert!(ja.chars().count() <= 75, "{ja}");
            assert!(
                en.ends_with('.') && en.is_ascii() && en.matches('.').count() == 1,
                "{en}"
            );
            assert!(en.len() <= 140, "{en}");
        }
    }

    /// What is quoted in the Japanese sentence is for the caller's ear: no word of why the issuer distrusts the card.
    #[test]
    fn nothing_that_the_caller_may_not_hear() {
        for Advice { ja, en } in all() {
            for word in [
                "盗難",
                "紛失",
                "不正",
                "偽造",
                "残高",
                "限度額",
                "回収",
                "事故",
            ] {
                assert!(!ja.contains(word), "{ja}");
            }
            for word in ["stolen", "lost", "fraud", "fund", "limit", "pick"] {
                assert!(!en.to_lowercase().contains(word), "{en}");
            }
        }
    }

    /// `docs/operators.md` has the table that operators read.
    #[test]
    fn the_page_says_the_same() {
        let page = include_str!("../../../docs/operators.md");
        for reason in Reason::ALL {
            let Advice { ja, en } = reason.advice();
            let row = format!("| `{}` | {ja} | {en} |", reason.name());
            assert!(page.contains(&row), "docs/operators.md lacks: {row}");
        }
        for action in Action::ALL {
            let Advice { ja, en } = action.advice();
            let row = format!("| `{}` | {ja} | {en} |", action.name());
            assert!(page.contains(&row), "docs/operators.md lacks: {row}");
        }
    }
}
