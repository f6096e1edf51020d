//! `ivrpay connector list|accept` and `ivrpay serve` as an admin runs them, with a live connector that is another than it was.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use ivrpay_journal::{
    EnteredBy, IntentDraft, Journal, LiveConnector, Mode, NewPayment, OpenOptions, Origin, Standing,
};
use ivrpay_payment::{
    Brand, CallId, Currency, Doubt, Money, Outcome, Plan, TenantId, Transaction, Truncated,
};

const SAMPLE: &str = include_str!("../../../asterisk-conf/ivrpay.sample.toml");

/// A live connector at another address than that of the sample, and a charge there of which nobody knows.
async fn past(journal: &Path) {
    let journal = Journal::open(journal, OpenOptions::new("test"))
        .await
        .unwrap();
    let connector = LiveConnector {
        name: "generic".into(),
        kind: "generic".into(),
        url: "https://pay.example.org/charge".into(),
        live: true,
        settings: BTreeMap::from([("user".to_owned(), "shop".to_owned())]),
        credentials: BTreeMap::new(),
    };
    let new = Standing::default();
    let kept = journal.keep_connector(&connector, &new, None).await;
    kept.unwrap();
    let new = NewPayment {
        tenant: TenantId::new("shop").unwrap(),
        order: None,
        part: 0,
        operator: None,
        site: None,
        amount: Money::new(1200, Currency::Jpy).unwrap(),
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
    let intent = journal.write_intent(claim.payment().id, draft).await;
    let (intent, unknown) = (intent.unwrap(), Outcome::Unknown(Doubt::NoReply));
    journal.write_outcome(&intent, &unknown).await.unwrap();
    journal.stop().await.unwrap();
}

#[test]
fn a_live_connector_is_changed_by_a_persons_word_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    file("ari-password", "one");
    file("acquirer-password", "two");
    let text = SAMPLE
        .replace("mode = \"test\"", "mode = \"live\"")
        .replace(
            "#path = \"/var/lib/ivrpay/journal.sqlite\"",
            "path = \"journal.sqlite\"",
        );
    let config = file("ivrpay.toml", &text);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(past(&folder.path().join("journal.sqlite")));
    let ivrpay = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ivrpay"))
            .args(args)
            .arg("--config")
            .arg(&config)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        (code, text(output.stdout) + &text(output.stderr))
    };
    let accept = ["connector", "accept", "generic", "--by", "mori"];
    let force = [&accept[..], &["--force"]].concat();
    let changed =
        "[connectors.generic] is live, and is another than it was: url; what is open there";
    for (args, code, says) in [
        (
            &["connector", "list"][..],
            0,
            "is another now: url; 1 open there",
        ),
        (
            &["connector", "list", "--json"],
            0,
            "\"changed\":[\"url\"],\"open\":1",
        ),
        (&["check", "--offline"], 1, changed),
        (&["serve"], 78, changed),
        (&accept, 1, changed),
        (
            &[
                "connector",
                "accept",
                "generic",
                "--by",
                "the boss",
                "--force",
            ],
            2,
            "--by",
        ),
        (
            &["connector", "accept", "none", "--by", "mori"],
            1,
            "there is no [connectors.none]",
        ),
        (&["serve"], 78, "charge of 1200 JPY (unknown, payment "),
        (&force, 0, "mori answers for it in the journal"),
        (&force, 0, "is as it was"),
        (&["connector", "list"], 0, ", mori"),
    ] {
        let (got, said) = ivrpay(args);
        assert!(said.contains(says), "{args:?} said {said}");
        assert_eq!(got, code, "{args:?} said {said}");
    }
    assert!(!ivrpay(&["connector", "list"]).1.contains("another"));
}
