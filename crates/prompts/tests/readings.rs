//! What is heard of amounts, digits and brands: tables, and a reader that gets the number back from the sounds alone.

#![allow(clippy::unwrap_used, reason = "tests")]

use ivrpay_dialogue::operator::choice;
use ivrpay_dialogue::{Brands, Counts, Line, PlanKinds, Prompt, Say, Spelt, Waits};
use ivrpay_payment::{Brand, Count, Currency, Money, Plan, Truncated};
use ivrpay_prompts::{Language, can_say, clips, spoken, text};

fn money(minor: u64, currency: Currency) -> Money {
    Money::new(minor, currency).unwrap()
}

fn amount(minor: u64, currency: Currency) -> Prompt {
    Prompt(vec![Say::Amount(money(minor, currency))])
}

/// Only the amount: without the sentence around it.
fn heard(minor: u64, currency: Currency, language: Language) -> String {
    let (before, after) = match language {
        Language::Ja => (
            "おしはらいきんがくは、",
            "です。よろしければ いち、ちがうときは にを おしてください。",
        ),
        Language::En => (
            "The amount is ",
            " . Press 1 if this is right, 2 if it is not.",
        ),
    };
    let all = spoken(&amount(minor, currency), language);
    all.strip_prefix(before)
        .and_then(|rest| rest.strip_suffix(after))
        .unwrap_or_else(|| panic!("{all}"))
        .to_owned()
}

#[test]
fn yen_in_japanese() {
    for (yen, kana) in [
        (1, "いちえん"),
        (2, "にえん"),
        (3, "さんえん"),
        (4, "よえん"),
        (5, "ごえん"),
        (6, "ろくえん"),
        (7, "ななえん"),
        (8, "はちえん"),
        (9, "きゅうえん"),
        (10, "じゅうえん"),
        (11, "じゅういちえん"),
        (14, "じゅうよえん"),
        (19, "じゅうきゅうえん"),
        (20, "にじゅうえん"),
        (24, "にじゅうよえん"),
        (40, "よんじゅうえん"),
        (44, "よんじゅうよえん"),
        (70, "ななじゅうえん"),
        (90, "きゅうじゅうえん"),
        (99, "きゅうじゅうきゅうえん"),
        (100, "ひゃくえん"),
        (101, "ひゃくいちえん"),
        (104, "ひゃくよえん"),
        (110, "ひゃくじゅうえん"),
        (200, "にひゃくえん"),
        (300, "さんびゃくえん"),
        (333, "さんびゃくさんじゅうさんえん"),
        (400, "よんひゃくえん"),
        (500, "ごひゃくえん"),
        (600, "ろっぴゃくえん"),
        (606, "ろっぴゃくろくえん"),
        (700, "ななひゃくえん"),
        (800, "はっぴゃくえん"),
        (888, "はっぴゃくはちじゅうはちえん"),
        (900, "きゅうひゃくえん"),
        (980, "きゅうひゃくはちじゅうえん"),
        (1_000, "せんえん"),
        (1_001, "せんいちえん"),
        (1_100, "せんひゃくえん"),
        (1_280, "せんにひゃくはちじゅうえん"),
        (2_000, "にせんえん"),
        (3_000, "さんぜんえん"),
        (3_300, "さんぜんさんびゃくえん"),
        (4_000, "よんせんえん"),
        (5_000, "ごせんえん"),
        (6_000, "ろくせんえん"),
        (6_800, "ろくせんはっぴゃくえん"),
        (7_000, "ななせんえん"),
        (8_000, "はっせんえん"),
        (8_888, "はっせんはっぴゃくはちじゅうはちえん"),
        (9_000, "きゅうせんえん"),
        (9_999, "きゅうせんきゅうひゃくきゅうじゅうきゅうえん"),
        (10_000, "いちまんえん"),
        (10_004, "いちまんよえん"),
        (11_000, "いちまんせんえん"),
        (12_800, "いちまんにせんはっぴゃくえん"),
        (40_000, "よんまんえん"),
        (44_444, "よんまんよんせんよんひゃくよんじゅうよえん"),
        (80_000, "はちまんえん"),
        (100_000, "じゅうまんえん"),
        (110_000, "じゅういちまんえん"),
        (140_000, "じゅうよんまんえん"),
        (198_000, "じゅうきゅうまんはっせんえん"),
        (200_300, "にじゅうまんさんびゃくえん"),
        (1_000_000, "ひゃくまんえん"),
        (
            1_234_567,
            "ひゃくにじゅうさんまんよんせんごひゃくろくじゅうななえん",
        ),
        (3_000_000, "さんびゃくまんえん"),
        (6_080_000, "ろっぴゃくはちまんえん"),
        (8_000_000, "はっぴゃくまんえん"),
        (10_000_000, "いっせんまんえん"),
        (10_000_001, "いっせんまんいちえん"),
        (12_000_000, "せんにひゃくまんえん"),
        (13_600_800, "せんさんびゃくろくじゅうまんはっぴゃくえん"),
        (30_000_000, "さんぜんまんえん"),
        (80_000_000, "はっせんまんえん"),
        (
            99_999_999,
            "きゅうせんきゅうひゃくきゅうじゅうきゅうまんきゅうせんきゅうひゃくきゅうじゅうきゅうえん",
        ),
    ] {
        assert_eq!(heard(yen, Currency::Jpy, Language::Ja), kana, "{yen}");
    }
}

#[test]
fn other_currencies_in_japanese() {
    for (minor, currency, kana) in [
        (1, Currency::Usd, "いちセント"),
        (50, Currency::Usd, "ごじゅうセント"),
        (100, Currency::Usd, "いちドル"),
        (400, Currency::Usd, "よんドル"),
        (1_250, Currency::Usd, "じゅうにドルごじゅうセント"),
        (120_000_000 / 2, Currency::Usd, "ろくじゅうまんドル"),
        (904, Currency::Eur, "きゅうユーロよんセント"),
        (2_501, Currency::Gbp, "にじゅうごポンドいちペンス"),
        (30_005, Currency::Chf, "さんびゃくスイスフランごサンチーム"),
        (800_000, Currency::Aud, "はっせんオーストラリアドル"),
        (300, Currency::Cad, "さんカナダドル"),
        (300, Currency::Hkd, "さんほんこんドル"),
        (300, Currency::Nzd, "さんニュージーランドドル"),
        (300, Currency::Sgd, "さんシンガポールドル"),
        (34_000, Currency::Krw, "さんまんよんせんウォン"),
    ] {
        assert_eq!(
            heard(minor, currency, Language::Ja),
            kana,
            "{minor} {currency}"
        );
    }
}

#[test]
fn amounts_in_english() {
    for (minor, currency, words) in [
        (1, Currency::Jpy, "one yen"),
        (12_800, Currency::Jpy, "twelve thousand eight hundred yen"),
        (1_000_000, Currency::Jpy, "one million yen"),
        (
            99_999_999,
            Currency::Jpy,
            "ninety-nine million nine hundred ninety-nine thousand nine hundred ninety-nine yen",
        ),
        (1, Currency::Usd, "one cent"),
        (99, Currency::Usd, "ninety-nine cents"),
        (100, Currency::Usd, "one dollar"),
        (101, Currency::Usd, "one dollar and one cent"),
        (250, Currency::Usd, "two dollars and fifty cents"),
        (1_905, Currency::Usd, "nineteen dollars and five cents"),
        (100_000, Currency::Usd, "one thousand dollars"),
        (
            1_234_500,
            Currency::Usd,
            "twelve thousand three hundred forty-five dollars",
        ),
        (
            99_999_999,
            Currency::Usd,
            "nine hundred ninety-nine thousand nine hundred ninety-nine dollars and ninety-nine cents",
        ),
        (100, Currency::Gbp, "one pound"),
        (201, Currency::Gbp, "two pounds and one penny"),
        (299, Currency::Gbp, "two pounds and ninety-nine pence"),
        (100, Currency::Eur, "one euro"),
        (550, Currency::Eur, "five euros and fifty cents"),
        (101, Currency::Chf, "one Swiss franc and one centime"),
        (230, Currency::Chf, "two Swiss francs and thirty centimes"),
        (100, Currency::Aud, "one Australian dollar"),
        (200, Currency::Cad, "two Canadian dollars"),
        (200, Currency::Hkd, "two Hong Kong dollars"),
        (200, Currency::Nzd, "two New Zealand dollars"),
        (200, Currency::Sgd, "two Singapore dollars"),
        (1, Currency::Krw, "one won"),
        (34_000, Currency::Krw, "thirty-four thousand won"),
    ] {
        assert_eq!(
            heard(minor, currency, Language::En),
            words,
            "{minor} {currency}"
        );
    }
}

#[test]
fn amounts_as_text() {
    for (minor, currency, ja, en) in [
        (
            12_800,
            Currency::Jpy,
            "お支払い金額は、12,800円です。",
            "The amount is 12,800 yen. ",
        ),
        (
            150_001,
            Currency::Usd,
            "お支払い金額は、1,500ドル1セントです。",
            "The amount is 1,500 dollars and 1 cent. ",
        ),
        (
            5,
            Currency::Gbp,
            "お支払い金額は、5ペンスです。",
            "The amount is 5 pence. ",
        ),
    ] {
        let prompt = amount(minor, currency);
        assert!(
            text(&prompt, Language::Ja).starts_with(ja),
            "{}",
            text(&prompt, Language::Ja)
        );
        assert!(
            text(&prompt, Language::En).starts_with(en),
            "{}",
            text(&prompt, Language::En)
        );
    }
}

#[test]
fn fewest_clips() {
    for (minor, currency, ja, en) in [
        (
            10_000_000,
            Currency::Jpy,
            &["yen-10000000"][..],
            &["number-10", "million", "unit-jpy"][..],
        ),
        (
            12_804,
            Currency::Jpy,
            &["number-10000", "number-2000", "number-800", "yen-4"],
            &[
                "number-12",
                "thousand",
                "number-800",
                "number-4",
                "unit-jpy",
            ],
        ),
        (
            250,
            Currency::Usd,
            &["number-2", "unit-usd", "number-50", "unit-cent"],
            &[
                "number-2",
                "unit-usd",
                "and",
                "number-50",
                "unit-cent",
                "pause",
            ],
        ),
    ] {
        for (language, wanted) in [(Language::Ja, ja), (Language::En, en)] {
            let clips = clips(&amount(minor, currency), language);
            let inner: Vec<_> = clips
                .into_iter()
                .filter(|clip| {
                    !clip.starts_with("payment-amount")
                        && (wanted.contains(&"pause") || *clip != "pause")
                })
                .collect();
            assert_eq!(inner, wanted, "{minor} {currency} {language}");
        }
    }
}

#[test]
fn confirmation() {
    let card = Truncated::new(Brand::Visa, [1, 2, 0, 5]).unwrap();
    let prompt = Prompt(vec![Say::Confirm(card, money(1_234, Currency::Jpy))]);
    assert_eq!(
        text(&prompt, Language::Ja),
        "しもよんけた、1205のカードで、1,234円をお支払いします。よろしければ1、入れ直すときは2を押してください。"
    );
    assert_eq!(
        spoken(&prompt, Language::Ja),
        "しもよんけた、いちにーゼロごーの カードで、せんにひゃくさんじゅうよえんを おしはらいします。よろしければ いち、いれなおす ときは にを おしてください。"
    );
    assert_eq!(
        text(&prompt, Language::En),
        "1,234 yen will be paid with the card ending in 1205. Press 1 to continue, 2 to enter it again."
    );
    assert_eq!(
        clips(&prompt, Language::En),
        [
            "number-1",
            "thousand",
            "number-200",
            "number-34",
            "unit-jpy",
            "confirmation-1",
            "digit-1",
            "digit-2",
            "digit-0",
            "digit-5",
            "pause",
            "confirmation-2"
        ]
    );
}

#[test]
fn reference_is_read_digit_by_digit_in_fours() {
    for (reference, ja) in [
        (7, "なな"),
        (1234, "いちにーさんよん"),
        (40_962_350, "よんゼロきゅうろくにーさんごーゼロ"),
    ] {
        let prompt = Prompt(vec![Say::Reference(reference)]);
        assert_eq!(
            spoken(&prompt, Language::Ja),
            format!("うけつけばんごうは、{ja}です。")
        );
        let pauses = clips(&prompt, Language::Ja)
            .iter()
            .filter(|clip| **clip == "pause")
            .count();
        assert_eq!(pauses, usize::from(reference > 9_999));
    }
    assert_eq!(
        text(&Prompt(vec![Say::Reference(123)]), Language::Ja),
        "受付番号は、123です。"
    );
}

#[test]
fn waiting_orders_each_with_its_key() {
    let yen = |minor| money(minor, Currency::Jpy);
    for (orders, ja, kana, en) in [
        (
            &[Waits::For(yen(1_200)), Waits::For(yen(3_400))][..],
            "ご注文が2件あります。1,200円は1、3,400円は2を押してください。",
            "ごちゅうもんがにけんあります。せんにひゃくえんは いちさんぜんよんひゃくえんは にを おしてください。",
            "two orders are waiting. Press 1 for 1,200 yen, 2 for 3,400 yen.",
        ),
        (
            &[
                Waits::For(yen(4)),
                Waits::For(yen(980)),
                Waits::For(yen(3_400)),
            ],
            "ご注文が3件あります。4円は1、980円は2、3,400円は3を押してください。",
            "ごちゅうもんがさんけんあります。よえんは いちきゅうひゃくはちじゅうえんは にさんぜんよんひゃくえんは さんを おしてください。",
            "three orders are waiting. Press 1 for 4 yen, 2 for 980 yen, 3 for 3,400 yen.",
        ),
        (
            &[Waits::ToRegister, Waits::For(yen(980)), Waits::ToCheck],
            "ご注文が3件あります。カードの登録は1、980円は2、カードの確認は3を押してください。",
            "ごちゅうもんがさんけんあります。カードの とうろくは いちきゅうひゃくはちじゅうえんは にカードの かくにんは さんを おしてください。",
            "three orders are waiting. Press 1 for a card to register, 2 for 980 yen, 3 for a card to check.",
        ),
    ] {
        let prompt = choice(orders).unwrap();
        assert_eq!(text(&prompt, Language::Ja), ja);
        assert_eq!(spoken(&prompt, Language::Ja), kana);
        assert_eq!(text(&prompt, Language::En), en);
    }
    let dollars = [250, 1_200].map(|cents| Waits::For(money(cents, Currency::Usd)));
    assert_eq!(
        spoken(&choice(&dollars).unwrap(), Language::En),
        "two orders are waiting. Press one for two dollars and fifty cents two for twelve dollars"
    );
    // As many as there are keys.
    let nine = choice(&[Waits::For(yen(100)); 9]).unwrap();
    for language in Language::ALL {
        let keys = clips(&nine, language)
            .into_iter()
            .filter(|clip| clip.starts_with("choice-"))
            .count();
        assert_eq!(keys, 9, "{language}");
    }
    assert_eq!(choice(&[Waits::For(yen(100)); 10]), None);
}

#[test]
fn signs_are_read_one_by_one() {
    for (say, ja, kana, en) in [
        (
            Say::Goodbye(Spelt::new("0120-123-456").unwrap()),
            "申しわけございません。担当者が出られません。0120-123-456まで、お電話ください。",
            "ゼロいちにーゼロいちにーさんよんごーろくまで、",
            "Please call 0120-123-456.",
        ),
        (
            Say::KeyedOrder(Spelt::new("456789").unwrap()),
            "注文番号、456789。",
            "ちゅうもんばんごう、よんごーろくななはちきゅう",
            "Order number, 456789.",
        ),
        (
            Say::Manager(Spelt::new("g65").unwrap()),
            "管理者に連絡を。コードG65。",
            "コードジーろくごー",
            "Call your manager. Code G65.",
        ),
    ] {
        let prompt = Prompt(vec![say]);
        assert_eq!(text(&prompt, Language::Ja), ja);
        assert!(
            spoken(&prompt, Language::Ja).contains(kana),
            "{}",
            spoken(&prompt, Language::Ja)
        );
        assert!(
            text(&prompt, Language::En).ends_with(en),
            "{}",
            text(&prompt, Language::En)
        );
    }
    // A pause at each hyphen, else behind each fourth sign.
    for (signs, pauses) in [
        ("0120-123-456", 2),
        ("4567", 0),
        ("456789", 1),
        ("123456789", 2),
    ] {
        let prompt = Prompt(vec![Say::KeyedOrder(Spelt::new(signs).unwrap())]);
        let said = clips(&prompt, Language::Ja);
        let between = said.iter().filter(|clip| **clip == "pause").count();
        let after = usize::from(said.last() == Some(&"pause"));
        assert_eq!(between - after, pauses, "{signs}");
    }
}

#[test]
fn paid_is_whispered_with_amount_and_last_four() {
    let card = Truncated::new(Brand::Visa, [1, 2, 0, 5]).unwrap();
    let prompt = Prompt(vec![Say::Paid(card, money(1_234, Currency::Jpy))]);
    assert_eq!(
        text(&prompt, Language::Ja),
        "お支払い、完了。1,234円。しもよんけた1205。"
    );
    assert_eq!(text(&prompt, Language::En), "Paid. 1,234 yen. Ending 1205.");
}

#[test]
fn plans_are_offered_by_key_and_read_back() {
    let all: Vec<Plan> = [
        "lump_sum",
        "installments:3",
        "installments:6",
        "installments:10",
        "revolving",
        "bonus",
    ]
    .map(|plan| plan.parse().unwrap())
    .into();
    let some = [all[0], all[4]];
    let card = Truncated::new(Brand::Visa, [1, 2, 0, 5]).unwrap();
    let amount = money(12_800, Currency::Jpy);
    for (say, ja, en) in [
        (
            Say::Plans(PlanKinds::of(&all)),
            "お支払い方法をお選びください。1回払いは1、分割払いは2、リボ払いは3、ボーナス払いは4を押してください。",
            "Choose how to pay: 1 single payment, 2 instalments, 3 revolving, 4 bonus.",
        ),
        (
            Say::Plans(PlanKinds::of(&some)),
            "お支払い方法をお選びください。1回払いは1、リボ払いは3を押してください。",
            "Choose how to pay: 1 single payment, 3 revolving.",
        ),
        (
            Say::Plans(PlanKinds::of(&all[4..])),
            "お支払い方法をお選びください。リボ払いは3、ボーナス払いは4を押してください。",
            "Choose how to pay: 3 revolving, 4 bonus.",
        ),
        (
            Say::PlanCounts(Counts::of(&all)),
            "回数を押し、最後に、シャープを押してください。3回、6回、10回からお選びいただけます。",
            "Enter the number of instalments, then pound. You may choose three, six or ten.",
        ),
        (
            Say::PlanRead(all[3]),
            "10回払いでよろしければ1、選び直すときは2を押してください。",
            "It will be paid in 10 instalments. Press 1 if this is right, 2 to choose again.",
        ),
        (
            Say::ConfirmPlan(card, amount, all[1]),
            "しもよんけた、1205のカードで、12,800円、3回払いでお支払いします。よろしければ1、入れ直すときは2を押してください。",
            "12,800 yen will be paid in 3 instalments, by the card ending in 1205. Press 1 to pay, 2 to enter it again.",
        ),
        (
            Say::ConfirmPlan(card, amount, Plan::Revolving),
            "しもよんけた、1205のカードで、12,800円、リボ払いでお支払いします。よろしければ1、入れ直すときは2を押してください。",
            "12,800 yen will be paid as revolving credit, by the card ending in 1205. Press 1 to pay, 2 to enter it again.",
        ),
        (
            Say::ConfirmPlan(card, amount, Plan::BonusLumpSum),
            "しもよんけた、1205のカードで、12,800円、ボーナス払いでお支払いします。よろしければ1、入れ直すときは2を押してください。",
            "12,800 yen will be paid with the next bonus, by the card ending in 1205. Press 1 to pay, 2 to enter it again.",
        ),
    ] {
        let prompt = Prompt(vec![say]);
        assert_eq!(text(&prompt, Language::Ja), ja);
        assert_eq!(text(&prompt, Language::En), en);
    }
    assert_eq!(
        spoken(
            &Prompt(vec![Say::PlanCounts(Counts::of(&all))]),
            Language::Ja
        ),
        "かいすうを おし、さいごに、シャープを おしてください。さんかいろっかいじゅっかいから おえらびいただけます。"
    );
    // Every number of instalments that can be said is heard in each sentence that names it.
    let said: Vec<u8> = (2..=99)
        .filter(|n| can_say(Plan::Instalments(Count::new(*n).unwrap())))
        .collect();
    assert_eq!(said, [2, 3, 5, 6, 10, 12, 15, 18, 20, 24, 30, 36]);
    for plan in said
        .iter()
        .map(|n| Plan::Instalments(Count::new(*n).unwrap()))
    {
        for say in [
            Say::PlanCounts(Counts::of(&[plan])),
            Say::PlanRead(plan),
            Say::ConfirmPlan(card, amount, plan),
        ] {
            for language in Language::ALL {
                assert!(!clips(&Prompt(vec![say]), language).is_empty());
            }
        }
    }
    let bonuses = Plan::BonusInstalments(Count::new(2).unwrap());
    assert!(can_say(Plan::Revolving) && can_say(Plan::BonusLumpSum) && !can_say(bonuses));
}

#[test]
fn or_stands_before_the_last_brand() {
    for (brands, ja, kana, en) in [
        (&[Brand::Visa][..], "ビザ", "ビザ", "Visa"),
        (
            &[Brand::Visa, Brand::Jcb],
            "JCB、またはビザ",
            "ジェーシービーまたはビザ",
            "JCB or Visa",
        ),
        (
            &[Brand::Amex, Brand::Mastercard, Brand::Visa],
            "アメックス、マスターカード、またはビザ",
            "アメックスマスターカードまたはビザ",
            "American Express, Mastercard or Visa",
        ),
    ] {
        let prompt = Prompt(vec![Say::Brands(Brands::of(brands))]);
        let around = |brands: &str| {
            format!("このカードは、ご利用いただけません。{brands}のカードでお願いします。")
        };
        assert_eq!(text(&prompt, Language::Ja), around(ja));
        assert!(
            spoken(&prompt, Language::Ja).contains(kana),
            "{}",
            spoken(&prompt, Language::Ja)
        );
        assert_eq!(
            text(&prompt, Language::En),
            format!("We cannot take this card. Please use {en}.")
        );
        assert_eq!(clips(&prompt, Language::En).last(), Some(&"pause"));
    }
}

#[test]
fn two_lines_are_one_text() {
    let prompt = Prompt(vec![
        Say::Line(Line::InvalidCardNumberShort),
        Say::Line(Line::PaymentCardNumberAgain),
    ]);
    assert_eq!(
        clips(&prompt, Language::Ja),
        ["invalid-card-number-short", "payment-card-number-again"]
    );
    assert_eq!(
        text(&prompt, Language::En),
        "Some digits seem to be missing. Please enter the card number again, slowly, then press pound."
    );
    assert!(text(&prompt, Language::Ja).starts_with("桁数が足りないようです。もう一度、"));
}

/// The number from its Japanese sounds. Every change of sound is written out: a wrong one is not read at all.
fn read_japanese(kana: &str) -> Option<u64> {
    const PLACES: [&[(&str, u64)]; 4] = [
        &[
            ("いっせん", 1000),
            ("にせん", 2000),
            ("さんぜん", 3000),
            ("よんせん", 4000),
            ("ごせん", 5000),
            ("ろくせん", 6000),
            ("ななせん", 7000),
            ("はっせん", 8000),
            ("きゅうせん", 9000),
            ("せん", 1000),
        ],
        &[
            ("にひゃく", 200),
            ("さんびゃく", 300),
            ("よんひゃく", 400),
            ("ごひゃく", 500),
            ("ろっぴゃく", 600),
            ("ななひゃく", 700),
            ("はっぴゃく", 800),
            ("きゅうひゃく", 900),
            ("ひゃく", 100),
        ],
        &[
            ("にじゅう", 20),
            ("さんじゅう", 30),
            ("よんじゅう", 40),
            ("ごじゅう", 50),
            ("ろくじゅう", 60),
            ("ななじゅう", 70),
            ("はちじゅう", 80),
            ("きゅうじゅう", 90),
            ("じゅう", 10),
        ],
        &[
            ("いち", 1),
            ("に", 2),
            ("さん", 3),
            ("よん", 4),
            ("よ", 4),
            ("ご", 5),
            ("ろく", 6),
            ("なな", 7),
            ("はち", 8),
            ("きゅう", 9),
        ],
    ];
    fn below_ten_thousand(mut kana: &str) -> Option<u64> {
        let mut number = 0;
        for place in PLACES {
            if let Some((rest, value)) = place
                .iter()
                .find_map(|(sound, value)| kana.strip_prefix(sound).map(|rest| (rest, value)))
            {
                kana = rest;
                number += value;
            }
        }
        (kana.is_empty() && number > 0).then_some(number)
    }
    match kana.split_once("まん") {
        Some((high, "")) => Some(below_ten_thousand(high)? * 10_000),
        Some((high, low)) => Some(below_ten_thousand(high)? * 10_000 + below_ten_thousand(low)?),
        None => below_ten_thousand(kana),
    }
}

/// The number from its English words.
fn read_english(words: &str) -> Option<u64> {
    const SMALL: &str = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen \
                         seventeen eighteen nineteen";
    const TENS: &str = "ten twenty thirty forty fifty sixty seventy eighty ninety";
    let place = |list: &str, word: &str| {
        list.split_whitespace()
            .zip(1_u64..)
            .find(|(w, _)| *w == word)
            .map(|(_, n)| n)
    };
    let (mut number, mut group) = (0, 0);
    for word in words.split([' ', '-']) {
        match word {
            "million" => (number, group) = (number + group * 1_000_000, 0),
            "thousand" => (number, group) = (number + group * 1000, 0),
            "hundred" => group *= 100,
            _ => group += place(SMALL, word).or_else(|| place(TENS, word).map(|n| n * 10))?,
        }
    }
    Some(number + group)
}

#[track_caller]
fn reads_back(minor: u64) {
    let ja = heard(minor, Currency::Jpy, Language::Ja);
    assert_eq!(
        ja.strip_suffix("えん").and_then(read_japanese),
        Some(minor),
        "{ja}"
    );
    let ja = heard(minor, Currency::Krw, Language::Ja);
    assert_eq!(
        ja.strip_suffix("ウォン").and_then(read_japanese),
        Some(minor),
        "{ja}"
    );
    let en = heard(minor, Currency::Krw, Language::En);
    assert_eq!(
        en.strip_suffix(" won").and_then(read_english),
        Some(minor),
        "{en}"
    );
}

#[test]
fn small_amounts_read_back() {
    (1..=20_000).for_each(reads_back);
}

proptest::proptest! {
    #[test]
    fn any_amount_reads_back(minor in 1..=Money::MAX) {
        reads_back(minor);
        // Both halves of a currency with two.
        for (currency, whole, rest) in [(Currency::Usd, "ドル", "セント"), (Currency::Gbp, "ポンド", "ペンス")] {
            let ja = heard(minor, currency, Language::Ja);
            let (high, low) = ja.split_once(whole).unwrap_or(("", ja.as_str()));
            let low = low.strip_suffix(rest).unwrap_or(low);
            let read = |kana: &str| if kana.is_empty() { Some(0) } else { read_japanese(kana) };
            proptest::prop_assert_eq!(read(high).zip(read(low)), Some((minor / 100, minor % 100)), "{}", ja);
        }
    }

    #[test]
    fn every_currency_can_be_said(minor in 1..=Money::MAX) {
        for currency in Currency::ALL {
            for language in Language::ALL {
                proptest::prop_assert!(!heard(minor, currency, language).is_empty());
                proptest::prop_assert!(!text(&amount(minor, currency), language).is_empty());
            }
        }
    }

    #[test]
    fn any_last_four_and_reference_can_be_said(last4 in proptest::array::uniform4(0..=9_u8), reference in proptest::num::u32::ANY) {
        for brand in Brand::ALL {
            let card = Truncated::new(brand, last4).unwrap();
            let prompt = Prompt(vec![Say::Confirm(card, money(1, Currency::Jpy)), Say::Reference(reference)]);
            for language in Language::ALL {
                let digits: String = clips(&prompt, language).iter().filter_map(|clip| clip.strip_prefix("digit-")).collect();
                proptest::prop_assert_eq!(digits, format!("{}{reference}", card.last4_text()));
            }
        }
    }
}
