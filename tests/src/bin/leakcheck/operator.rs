//! Calls with the operator's pay key, in each mode: what reached his telephone is searched as every other place is.

use std::path::PathBuf;

use anyhow::ensure;
use ivrpay_tests::phone::Phone;
use ivrpay_tests::service::Service;
use serde_json::json;

use crate::Check;

/// Extension, name, and how the customer keys; of the last one how the operator does, who keys for him.
const MODES: [(&str, &str, &str); 5] = [
    ("60", "he waits", "rfc4733"),
    ("60", "he waits", "inband"),
    ("67", "he stays", "rfc4733"),
    ("67", "he stays", "inband"),
    ("60", KEYED, "rfc4733"),
];
const KEYED: &str = "he keys";
/// Not of the queue, nor 201.
const FIRST: usize = 221;

impl Check {
    /// What the telephones got: the operators', and the customer's whose card an operator keyed.
    pub(crate) fn telephones(&self) -> PathBuf {
        self.lab.folder.join("telephones")
    }

    /// One payment a mode.
    pub(crate) async fn pay_keys(&mut self, service: &Service) -> anyhow::Result<()> {
        let folder = self.telephones();
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder)?;
        for (n, (extension, name, way)) in MODES.into_iter().enumerate() {
            let operator = (FIRST + n).to_string();
            let body = json!({"amount": 1200, "order_id": format!("P-{}", uuid::Uuid::now_v7()), "operator_extension": operator});
            let (status, payment) = service.post("/v1/payments", &body, None).await?;
            ensure!(status == 201, "announcing answered {status}: {payment}");
            let record = folder.join(format!("{operator}.wav"));
            let keys = self.wallet.next()?.keys();
            let keyed = name == KEYED;
            let (press, customers) = if keyed {
                (format!("*7 {keys}"), String::new())
            } else {
                ("*9".to_owned(), keys)
            };
            let script =
                format!("hears:1000 sleep:400 {press} wait:call-ended hears:1000 sleep:700 hangup");
            let desk = Phone::new(&operator, script)
                .with(&["--voice", "500", "--timeout", "60", "--record"])
                .with(&[&record.display().to_string()])
                .start(&self.lab)
                .await?;
            let script = format!("hears:500 {customers} wait:call-ended hears:500 until-end");
            let far = folder.join(format!("{operator}-customer.wav"));
            let far = far.display().to_string();
            let mut options = vec!["--voice", "1000", "--dtmf", way];
            if keyed {
                // What he hears must hold no key of the operator's.
                options.extend(["--save-audio", &far]);
            }
            if way == "inband" {
                options.extend(["--bind", self.lab.get("INBAND_IP")?]);
            }
            let call = ivrpay_tests::call::Call::new(format!("{extension}{operator}"), script)
                .with(&options);
            let report = call.place(&self.lab).await?;
            let got = desk.report().await?;
            ensure!(
                report.result == "success" && got.result == "hung-up",
                "pay key, {name}, {way}: ended with {} and {}, by {}",
                report.result,
                got.result,
                report.way()
            );
            self.places.count(
                "operator's telephone: telephone-events",
                "telephone-event",
                got.telephone_events_received,
            );
            self.places.count(
                "customer's telephone: telephone-events",
                "telephone-event",
                report.telephone_events_received,
            );
            std::fs::write(
                folder.join(format!("{operator}.report")),
                format!("{got:?}"),
            )?;
        }
        println!("{} calls with the pay key", MODES.len());
        self.places
            .listen("operator's telephone: sound, tones decoded", &folder)
            .await?;
        Ok(())
    }
}
