//! Calls with the operator's pay key, in each mode: what reached his telephone is searched as every other place is.

use std::path::PathBuf;

use anyhow::ensure;
use ivrpay_tests::phone::Phone;
use ivrpay_tests::service::Service;
use serde_json::json;

use crate::Check;

/// Extension, name, and how the customer keys.
const MODES: [(&str, &str, &str); 4] = [
    ("60", "he waits", "rfc4733"),
    ("60", "he waits", "inband"),
    ("67", "he stays", "rfc4733"),
    ("67", "he stays", "inband"),
];
/// Not of the queue, nor 201.
const FIRST: usize = 221;

impl Check {
    /// What the operators' telephones got.
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
            let script = "hears:1000 sleep:400 *9 wait:call-ended hears:1000 sleep:700 hangup";
            let desk = Phone::new(&operator, script)
                .with(&["--voice", "500", "--timeout", "60", "--record"])
                .with(&[&record.display().to_string()])
                .start(&self.lab)
                .await?;
            let keys = self.wallet.next()?.keys();
            let script = format!("hears:500 {keys} wait:call-ended hears:500 until-end");
            let mut options = vec!["--voice", "1000", "--dtmf", way];
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
