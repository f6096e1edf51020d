//! What a receipt says, refuses, and looks like: with the fonts of Debian's `fonts-ipafont-gothic` and `pdftotext` of `poppler-utils`
//! (`scripts/setup`).

#![allow(clippy::unwrap_used, reason = "a test")]

use std::process::Command;

use ivrpay_payment::Currency;
use ivrpay_receipt::{
    Card, Font, Issuer, Kind, Language, Line, PdfError, Receipt, Refused, Rounding, Sale, Template,
    Wish, give_back, issue, pdf, plain, reissue,
};
use jiff::civil::{Date, date};

const FONT: &str = "/usr/share/fonts/opentype/ipafont-gothic/ipagp.ttf";
const TODAY: Date = date(2026, 11, 27);

fn issuer() -> Issuer {
    Issuer {
        name: "株式会社みどり通販".into(),
        address: vec![
            "〒100-0001 東京都千代田区千代田1-1".into(),
            "電話 03-1234-5678".into(),
        ],
        registration: Some("T7000012050002".parse().unwrap()),
        tax_id: None,
        simplified: false,
        purpose: None,
        rate: Some("10".parse().unwrap()),
        registered_on: None,
        rounding: Rounding::Down,
        language: Language::Ja,
    }
}

fn sale(amount: u64) -> Sale {
    Sale {
        payment: "01890000-0000-7000-8000-000000000001".into(),
        order: Some("A-1024".into()),
        amount,
        currency: Currency::Jpy,
        paid_on: date(2026, 11, 26),
        card: Some(Card {
            brand: "jcb".into(),
            last4: "0505".into(),
            plan: "installments".into(),
            count: Some(3),
        }),
        test: false,
    }
}

fn line(description: &str, amount: i64, rate: &str) -> Line {
    Line {
        description: description.into(),
        amount,
        rate: rate.parse().unwrap(),
    }
}

fn wish(lines: Vec<Line>) -> Wish {
    Wish {
        recipient: Some("山田太郎".into()),
        lines,
        ..Wish::default()
    }
}

fn mixed() -> Vec<Line> {
    vec![
        line("緑茶ティーバッグ", 1_080, "8"),
        line("急須", 3_300, "10"),
        line("湯呑み", 1_105, "10"),
        line("クーポン", -100, "10"),
    ]
}

fn numbered(receipt: Receipt, number: &str) -> Receipt {
    Receipt {
        number: number.into(),
        ..receipt
    }
}

fn text_of(pdf: &[u8]) -> String {
    let folder = std::env::temp_dir().join(format!(
        "ivrpay-receipt-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::write(&folder, pdf).unwrap();
    let text = Command::new("pdftotext")
        .arg("-layout")
        .arg(&folder)
        .arg("-")
        .output()
        .unwrap();
    std::fs::remove_file(&folder).unwrap();
    assert!(text.status.success());
    String::from_utf8(text.stdout).unwrap()
}

/// Letters that stand apart are words all the same.
fn has(text: &str, part: &str) -> bool {
    let close = |text: &str| text.split_whitespace().collect::<String>();
    close(text).contains(&close(part))
}

fn made(receipt: &Receipt) -> Vec<u8> {
    let template = Template::read(Template::built_in(receipt.language)).unwrap();
    let font = Font::new(std::fs::read(FONT).unwrap(), 0).unwrap();
    pdf(receipt, &template, &font).unwrap()
}

type Change = Box<dyn Fn(&mut Issuer, &mut Sale, &mut Wish)>;

/// One rounding for each rate of the document, not one for each line.
#[test]
fn tax_is_rounded_once_for_each_rate() {
    let receipt = issue(&issuer(), &sale(5_385), &wish(mixed()), TODAY).unwrap();
    let sums: Vec<_> = receipt
        .sums
        .iter()
        .map(|s| (s.rate.to_string(), s.gross, s.tax.unwrap()))
        .collect();
    assert_eq!(
        sums,
        [("10".to_owned(), 4_305, 391), ("8".to_owned(), 1_080, 80)]
    );
    let three = vec![
        line("a", 105, "10"),
        line("b", 105, "10"),
        line("c", 105, "10"),
    ];
    let receipt = issue(&issuer(), &sale(315), &wish(three), TODAY).unwrap();
    // 9 three times would be 27.
    assert_eq!(receipt.sums[0].tax, Some(28));
}

#[test]
fn what_the_law_does_not_allow_is_refused() {
    let cases: [(&str, Change, Refused); 9] = [
        (
            "another sum",
            Box::new(|_, s, _| s.amount += 1),
            Refused::Sum {
                sum: 5_385,
                charged: 5_386,
            },
        ),
        (
            "nobody",
            Box::new(|_, _, w| w.recipient = None),
            Refused::Recipient,
        ),
        (
            "another rate",
            Box::new(|_, _, w| w.lines[0].rate = "5".parse().unwrap()),
            Refused::Rate("5".parse().unwrap()),
        ),
        (
            "no rate",
            Box::new(|i, _, w| (i.rate, w.lines) = (None, Vec::new())),
            Refused::NoRate,
        ),
        (
            "below zero",
            Box::new(|_, s, w| {
                w.lines[0].amount = -10;
                s.amount = 4_295;
            }),
            Refused::Negative("8".parse().unwrap()),
        ),
        (
            "too many",
            Box::new(|_, _, w| w.lines = vec![line("a", 1, "10"); 61]),
            Refused::Lines,
        ),
        (
            "two lines",
            Box::new(|_, _, w| w.recipient = Some("a\nb".into())),
            Refused::Text { field: "recipient" },
        ),
        (
            "no words",
            Box::new(|_, _, w| w.lines[0].description = "  ".into()),
            Refused::Text { field: "lines" },
        ),
        (
            "sold tomorrow",
            Box::new(|_, _, w| w.sold_on = Some(date(2026, 11, 28))),
            Refused::SoldOn,
        ),
    ];
    for (what, change, why) in cases {
        let (mut issuer, mut sale, mut wish) = (issuer(), sale(5_385), wish(mixed()));
        change(&mut issuer, &mut sale, &mut wish);
        assert_eq!(
            issue(&issuer, &sale, &wish, TODAY).unwrap_err(),
            why,
            "{what}"
        );
    }
    // Who may issue simplified ones, and who is not registered, may leave the recipient out; the latter shows no tax.
    let simplified = Issuer {
        simplified: true,
        ..issuer()
    };
    let nobody = Wish::default();
    assert!(
        issue(&simplified, &sale(100), &nobody, TODAY).unwrap().sums[0]
            .tax
            .is_some()
    );
    let small = Issuer {
        registration: None,
        ..issuer()
    };
    let receipt = issue(&small, &sale(100), &nobody, TODAY).unwrap();
    assert_eq!(receipt.sums[0].tax, None);
    assert!(!plain(&receipt).contains("消費税 ¥"));
}

#[test]
fn what_is_given_back_refers_to_its_receipt_and_is_never_more() {
    let receipt = numbered(
        issue(&issuer(), &sale(5_385), &wish(mixed()), TODAY).unwrap(),
        "R-000001",
    );
    let back = |amount, lines, before: &[Receipt]| {
        give_back(
            &issuer(),
            &receipt,
            before,
            (amount, TODAY),
            &wish(lines),
            TODAY,
        )
    };
    assert_eq!(back(0, vec![], &[]), Err(Refused::NothingBack));
    assert_eq!(back(1_080, vec![], &[]), Err(Refused::NoRate));
    let tea = numbered(
        back(1_080, vec![line("緑茶ティーバッグ", 1_080, "8")], &[]).unwrap(),
        "R-000002",
    );
    assert_eq!((tea.kind, tea.total), (Kind::Return, 1_080));
    let original = tea.original.clone().unwrap();
    assert_eq!(
        (&*original.number, original.sold_on),
        ("R-000001", date(2026, 11, 26))
    );
    let again = back(
        1_080,
        vec![line("緑茶ティーバッグ", 1_080, "8")],
        std::slice::from_ref(&tea),
    );
    assert!(
        matches!(again, Err(Refused::MoreThanSold { left: 0, .. })),
        "{again:?}"
    );
    assert!(
        back(
            4_305,
            vec![line("急須ほか", 4_305, "10")],
            std::slice::from_ref(&tea)
        )
        .is_ok()
    );
    let whole = back(5_385, vec![], &[]).unwrap();
    assert_eq!(whole.lines, receipt.lines);
    let text = text_of(&made(&tea));
    for part in [
        "適格返還請求書",
        "R-000001",
        "R-000002",
        "T7000012050002",
        "2026年11月27日",
        "2026年11月26日",
        "¥1,080",
        "8%対象",
    ] {
        assert!(has(&text, part), "{part}: {text}");
    }
}

/// The text of the file says all that the law wants, a second issue says that it is one, and the same is the same file.
#[test]
fn the_file_says_it() {
    let first = numbered(
        issue(&issuer(), &sale(5_385), &wish(mixed()), TODAY).unwrap(),
        "R-000001",
    );
    let bytes = made(&first);
    assert_eq!(
        bytes,
        made(&serde_json::from_str(&serde_json::to_string(&first).unwrap()).unwrap())
    );
    let text = text_of(&bytes);
    let plain_text = plain(&first);
    for part in [
        "領",
        "R-000001",
        "2026年11月27日",
        "山田太郎　様",
        "¥5,385",
        "お品代として",
        "緑茶ティーバッグ ※",
        "¥1,080",
        "10%対象",
        "¥391",
        "8%対象 ※",
        "¥80",
        "軽減税率",
        "クレジットカード利用（JCB 下4桁 0505・分割払い 3回）",
        "収入印紙",
        "株式会社みどり通販",
        "T7000012050002",
        "A-1024",
    ] {
        assert!(has(&text, part), "{part}: {text}");
        assert!(has(&plain_text, part), "{part}: {plain_text}");
    }
    assert!(!text.contains("再発行") && !text.contains("見本"));
    let second = reissue(
        &issuer(),
        &sale(5_385),
        &Wish {
            recipient: Some("山田商店 御中".into()),
            ..Wish::default()
        },
        &first,
        false,
        TODAY,
    )
    .unwrap();
    let text = text_of(&made(&second));
    assert!(
        has(&text, "再発行") && has(&text, "山田商店 御中") && has(&text, "R-000001"),
        "{text}"
    );
    let test = Receipt {
        test: true,
        ..first
    };
    assert!(text_of(&made(&test)).contains("見本"));
}

#[test]
fn it_speaks_english_and_other_taxes() {
    let issuer = Issuer {
        name: "Green Mail Order Ltd".into(),
        registration: None,
        tax_id: Some("VAT GB 123 4567 89".into()),
        language: Language::En,
        rate: Some("20".parse().unwrap()),
        ..issuer()
    };
    let sale = Sale {
        currency: Currency::Gbp,
        ..sale(12_345)
    };
    let receipt = numbered(
        issue(&issuer, &sale, &Wish::default(), TODAY).unwrap(),
        "R-000007",
    );
    let text = text_of(&made(&receipt));
    for part in [
        "Receipt",
        "GBP 123.45",
        "GBP 20.57",
        "20%",
        "VAT GB 123 4567 89",
        "26 November 2026",
        "JCB ending 0505, 3 instalments",
    ] {
        assert!(has(&text, part), "{part}: {text}");
    }
}

/// More lines than a page has room for go on with their heads; a letter that the font lacks is told.
#[test]
fn it_goes_on_to_another_page() {
    let lines: Vec<Line> = (0..60)
        .map(|n| {
            line(
                &format!("品物その{n} とても長い名前のもので一行には入りきらないことがあるもの"),
                10,
                "10",
            )
        })
        .collect();
    let receipt = numbered(
        issue(&issuer(), &sale(600), &wish(lines), TODAY).unwrap(),
        "R-000001",
    );
    let text = text_of(&made(&receipt));
    assert!(text.contains("1/") && text.contains("品物その59"), "{text}");
    let odd = Receipt {
        recipient: Some("𠮷野\u{1F600}".into()),
        ..receipt
    };
    let template = Template::read(Template::built_in(Language::Ja)).unwrap();
    let font = Font::new(std::fs::read(FONT).unwrap(), 0).unwrap();
    let error = pdf(&odd, &template, &font).unwrap_err();
    assert!(matches!(error, PdfError::Glyph(_)), "{error}");
    assert!(Font::new(b"no font".to_vec(), 0).is_err());
}
