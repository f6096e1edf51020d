//! `ivrpay journal …` and `ivrpay reconcile` as an admin and an accountant run them.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use ivrpay_journal::{
    By, EnteredBy, IntentDraft, Journal, Later, LaterDraft, Mode, NewPayment, OpenOptions, Origin,
};
use ivrpay_payment::{
    AcquirerRef, Approval, Brand, CallId, Currency, Money, OperationKind, OperatorId, OrderId,
    Outcome, Plan, SiteId, TenantId, Transaction, Truncated,
};

const SAMPLE: &str = include_str!("../../../asterisk-conf/ivrpay.sample.toml");
/// The 26th, an hour before midnight in Tokyo.
const LATE_MS: i64 = 1_795_701_600_000;

fn yes(reference: &str) -> Outcome {
    Outcome::Approved(Approval {
        acquirer_ref: AcquirerRef::new(reference).unwrap(),
        code: Some("123456".into()),
        card: None,
    })
}

/// Charges of 1,200 and 3,400 yen on the 26th, a refund of 200 of the first; one of 5,600 on the 27th. Says the order numbers at the acquirer.
async fn past(file: &Path) -> Vec<String> {
    let mut orders = Vec::new();
    for (day, amounts) in [(0, &[1200, 3400][..]), (1, &[5600])] {
        let mut options = OpenOptions::new("ivrpay");
        options.clock = Arc::new(move || LATE_MS + day * 24 * 3_600_000);
        let journal = Journal::open(file, options).await.unwrap();
        for amount in amounts {
            let new = NewPayment {
                tenant: TenantId::new("shop").unwrap(),
                order: Some(OrderId::new(format!("A-{amount}")).unwrap()),
                part: 0,
                operator: Some(OperatorId::new("mori").unwrap()),
                site: Some(SiteId::new("osaka").unwrap()),
                amount: Money::new(*amount, Currency::Jpy).unwrap(),
                mode: Mode::Live,
                connector: "generic".into(),
                connector_named: false,
                language: "ja".into(),
                prompt_version: "1".into(),
                origin: Origin::Dialplan,
                entered_by: EnteredBy::Caller,
                expires_ms: None,
                operator_extension: None,
                caller_number: None,
                request: None,
                asked_plan: None,
                transaction: Transaction::Charge,
                stored: None,
                attached: ivrpay_journal::Attached::default(),
            };
            let call = CallId::new(uuid::Uuid::now_v7());
            let claim = journal.create_claimed(new, call).await.unwrap();
            let draft = IntentDraft {
                stored: false,
                amount: claim.payment().amount,
                card: Truncated::new(Brand::Visa, [1, 1, 1, 1]).unwrap(),
                plan: Plan::LumpSum,
                connector: "generic".into(),
                evidence: serde_json::Value::Null,
            };
            let id = claim.payment().id;
            let intent = journal.write_intent(id, draft).await.unwrap();
            let reference = format!("ref-{amount}");
            journal
                .write_outcome(&intent, &yes(&reference))
                .await
                .unwrap();
            let nothing = serde_json::Value::Null;
            journal.release(&claim, "success", nothing).await.unwrap();
            orders.push(intent.get().acquirer_order.to_string());
            if *amount == 1200 {
                let refund = LaterDraft {
                    kind: OperationKind::Refund,
                    amount_minor: Some(200),
                    by: By {
                        person: OperatorId::new("sato").unwrap(),
                        via: "test".into(),
                    },
                    request: None,
                    judged: None,
                };
                let Later::New(refund) = journal.write_later(id, refund).await.unwrap() else {
                    panic!("no request was given")
                };
                journal.write_outcome(&refund, &yes("back")).await.unwrap();
            }
        }
        journal.stop().await.unwrap();
    }
    orders
}

struct Shop {
    folder: tempfile::TempDir,
    orders: Vec<String>,
}

impl Shop {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for secret in ["ari-password", "acquirer-password", "ami-password"] {
            let path = folder.path().join(secret);
            std::fs::write(&path, "secret\n").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let text = SAMPLE.replace(
            "#path = \"/var/lib/ivrpay/journal.sqlite\"",
            "path = \"journal.sqlite\"",
        );
        std::fs::write(folder.path().join("ivrpay.toml"), text).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let orders = runtime.block_on(past(&folder.path().join("journal.sqlite")));
        Self { folder, orders }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Exit code, and what was said on both.
    fn run(&self, args: &[&str]) -> (i32, String) {
        let done = Command::new(env!("CARGO_BIN_EXE_ivrpay"))
            .args(args)
            .env("IVRPAY_CONFIG", self.file("ivrpay.toml"))
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let said = [done.stdout, done.stderr].concat();
        (
            done.status.code().unwrap(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }
}

#[test]
fn a_day_is_closed_and_exported_in_the_time_of_the_merchant() {
    let shop = Shop::new();
    let (code, said) = shop.run(&["journal", "close", "2026-11-26", "--json"]);
    assert_eq!(code, 0, "{said}");
    let total = said.lines().last().unwrap();
    let total: serde_json::Value = serde_json::from_str(total).unwrap();
    assert_eq!(total["sums"]["net_minor"], 4400);
    assert_eq!(total["sums"]["sales"]["count"], 2);
    let (_, text) = shop.run(&["journal", "close", "2026-11-26"]);
    assert!(
        text.contains("osaka") && text.contains("mori") && text.contains("2 × 4600"),
        "{text}"
    );
    let export = |args: &[&str]| {
        let args = [&["journal", "export", "--from", "2026-11-26"], args].concat();
        shop.run(&args)
    };
    let (code, rows) = export(&[]);
    assert_eq!((code, rows.lines().count()), (0, 4), "{rows}");
    assert!(
        rows.contains("2026-11-26,23:00:00+09:00,shop,osaka,mori,A-1200,0,refund,200,-200,JPY"),
        "{rows}"
    );
    let (_, both) = export(&["--to", "2026-11-27"]);
    assert_eq!(both.lines().count(), 5, "{both}");
    let (code, _) = export(&["--encoding", "cp932", "--header", "ja", "--out", "a.csv"]);
    assert_eq!(code, 0);
    let bytes = std::fs::read(shop.file("a.csv")).unwrap();
    let (text, _, wrong) = encoding_rs::SHIFT_JIS.decode(&bytes);
    assert!(!wrong && text.starts_with("日付,時刻,加盟店"), "{text}");
    let (code, said) = export(&["--out", "a.csv"]);
    assert!(
        code == 1 && said.contains("a.csv"),
        "nothing is overwritten: {said}"
    );
    let (code, said) = export(&["--to", "2026-11-01"]);
    assert!(
        code == 1 && said.contains("is before the first one"),
        "{said}"
    );
    let (code, said) = export(&["--tenant", "nobody"]);
    assert!(code == 1 && said.contains("there are shop"), "{said}");
}

#[test]
fn a_settlement_file_is_even_or_says_where_not() {
    let shop = Shop::new();
    let [first, second, _] = shop.orders.as_slice() else {
        panic!("three were paid")
    };
    let compare = |text: &str| {
        std::fs::write(shop.file("settled.csv"), text).unwrap();
        shop.run(&[
            "reconcile",
            "settled.csv",
            "--connector",
            "generic",
            "--map",
            "ivrpay",
            "--from",
            "2026-11-26",
        ])
    };
    let write = |rows: &str| compare(&format!("order,reference,kind,amount,currency\n{rows}"));
    let even = format!(
        "{first},,sale,\"1,200\",JPY\n{first},,refund,200,JPY\n,ref-3400,sale,3400,JPY\n,,fee,12,JPY\n"
    );
    let (code, said) = write(&even);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("not compared: 1 of kind fee"), "{said}");
    assert!(said.ends_with("3 matched, 0 different, 0 missing here, 0 missing there, 0 cancelled before settlement: even\n"), "{said}");
    let (code, said) = write(&format!(
        "{first},,sale,1200,JPY\n{second},,sale,3401,JPY\n4111111111111111,,sale,1,JPY\n"
    ));
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("DIFFERENT  line 3") && said.contains("here: charge of 3400 JPY"),
        "{said}"
    );
    assert!(said.contains("MISSING THERE  refund of -200 JPY"), "{said}");
    // A row of digits may be a card number by mistake: it is not shown.
    assert!(
        said.contains("MISSING HERE  line 4") && !said.contains("4111111111111111"),
        "{said}"
    );
    let (code, said) = write(&format!("{first},,sale,12.5,JPY\n{second},,sale\n"));
    assert!(code == 1 && said.contains("nothing was compared"), "{said}");
    assert!(
        said.contains("line 2: the amount is no number of JPY")
            && said.contains("line 3: has 3 fields"),
        "{said}"
    );
    // The rows behind it would be a part of one field.
    let (code, said) = write(&format!(
        "{first},,sale,1200,JPY\n{second},,\"sale,3401,JPY\n{first},,refund,200,JPY\n"
    ));
    assert!(
        code == 1 && said.contains("nothing was compared\nline 3: a field begins with a quote"),
        "{said}"
    );
    let (code, said) = write(&format!("{first},,sale,\"1\"200,JPY\n"));
    assert!(
        code == 1 && said.contains("line 2: something stands between"),
        "{said}"
    );
    // A description of two lines is one field.
    let text = format!(
        "\u{feff}\"note\",order,reference,kind,amount,currency\n\"a\nb\",{first},,sale,1200,JPY\n,{first},,refund,200,JPY\n,,ref-3400,sale,3400,JPY\n"
    );
    let (code, said) = compare(&text);
    assert!(code == 0 && said.contains("3 matched"), "{said}");
    let (_, said) = shop.run(&[
        "reconcile",
        "settled.csv",
        "--connector",
        "generic",
        "--from",
        "2026-11-26",
    ]);
    assert!(said.contains("no map of that name comes along"), "{said}");
    let (_, said) = shop.run(&[
        "reconcile",
        "settled.csv",
        "--connector",
        "gmo",
        "--from",
        "2026-11-26",
    ]);
    assert!(said.contains("there are generic"), "{said}");
}

/// Who can write the file can write its hashes anew; the end that was kept elsewhere tells.
#[test]
fn a_copy_and_a_check_and_what_was_kept_elsewhere() {
    let shop = Shop::new();
    let (_, head) = shop.run(&["journal", "head"]);
    std::fs::write(shop.file("kept"), &head).unwrap();
    let (code, said) = shop.run(&["journal", "verify", "--anchor", "kept"]);
    assert!(
        code == 0 && said.ends_with("1 ends kept elsewhere: sound\n"),
        "{said}"
    );
    let (code, said) = shop.run(&["journal", "backup", "copy.sqlite"]);
    assert!(code == 0 && said.contains("3 payments"), "{said}");
    let (code, said) = shop.run(&["journal", "backup", "copy.sqlite"]);
    assert!(code == 1 && said.contains("copy.sqlite"), "{said}");
    let (code, _) = shop.run(&[
        "journal",
        "verify",
        "--file",
        "copy.sqlite",
        "--anchor",
        "kept",
    ]);
    assert_eq!(code, 0);
    let words: Vec<&str> = head.split_whitespace().collect();
    let [_, word, writer, _, hash] = words.as_slice() else {
        panic!("{head}")
    };
    std::fs::write(shop.file("other"), format!("{word} {writer} 9000 {hash}")).unwrap();
    let (code, said) = shop.run(&["journal", "verify", "--anchor", "other"]);
    assert!(
        code == 1 && said.contains("is not there any more"),
        "{said}"
    );
    let (code, said) = shop.run(&["journal", "verify", "--anchor", "ivrpay.toml"]);
    assert!(code == 1 && said.contains("there is no line of"), "{said}");
}
