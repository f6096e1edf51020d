//! `ivrpay simulate` as a script drives it: what was keyed, as it was read back, and nothing else.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Write as _;
use std::process::{Command, Stdio};

/// `,` is half a second.
fn simulate(args: &[&str], keys: &str) -> (String, bool) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ivrpay"))
        .arg("simulate")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(keys.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    (
        String::from_utf8(output.stdout).unwrap(),
        output.status.success(),
    )
}

#[test]
fn the_keypad_in_the_terminal() {
    for (args, keys, said, result) in [
        (
            &["--desk", "--language", "ja"][..],
            "1200#456#2,,1",
            "金額、1,200円。注文番号、456。ご案内は、英語です。よろしければ1、違うときは2を押してください。",
            "result: keyed, amount 1200 JPY, order 456, language en",
        ),
        (
            &["--desk", "--currency", "USD"],
            "1250#,,#1,,1",
            "Amount, 12 dollars and 50 cents. No order number. Prompts in Japanese.",
            "result: keyed, amount 12.50 USD, language ja",
        ),
        // Only published test numbers.
        (
            &["--desk"],
            "4111111111111111,,,q",
            "A card number does not belong here.",
            "result: given up, hung-up",
        ),
        (
            &["--desk=customer"],
            "2,4567#,,1",
            "Order number, 4567.",
            "result: keyed, order 4567, language en",
        ),
        (
            &["--desk=customer"],
            "0",
            "担当者は、ゼロを押してください。",
            "result: wants-operator",
        ),
    ] {
        let (out, success) = simulate(args, keys);
        assert!(success, "{args:?}");
        assert!(out.contains(said), "{args:?}\n{out}");
        assert_eq!(out.lines().last(), Some(result), "{args:?}\n{out}");
    }
}

#[test]
fn a_plan_is_chosen_in_the_terminal() {
    // Only published test numbers.
    let card = "1,,4111111111111111#,,1230,,123,,";
    let plans = [
        "--language",
        "ja",
        "--plans",
        "installments:3,installments:10,bonus",
    ];
    for (keys, said) in [
        ("2,,3#,,1,,1", "3回払いでお支払いします。"),
        ("4,,1", "ボーナス払いでお支払いします。"),
        ("3,,1,,1", "そのお支払い方法は、お選びいただけません。"),
    ] {
        let (out, success) = simulate(&plans, &format!("{card}{keys}"));
        assert!(success, "{out}");
        let menu = "1回払いは1、分割払いは2、ボーナス払いは4を押してください。";
        assert!(out.contains(menu) && out.contains(said), "{keys}\n{out}");
        assert_eq!(out.lines().last(), Some("result: success"), "{out}");
    }
    let (_, success) = simulate(&["--plans", "installments:4"], "");
    assert!(!success, "there is no word for it");
}
