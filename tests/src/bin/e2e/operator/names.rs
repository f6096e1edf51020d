//! Whom each of the two is shown as the other: in Asterisk (the connected line of each channel), and on displays that are told of it
//! (P-Asserted-Identity of INVITE, re-INVITE and UPDATE).

use super::*;

/// The lab's telephone that shows with whom it talks.
const SHOWS: usize = 250;

/// With whom a channel talks, as Asterisk has it.
#[derive(Debug, PartialEq, Eq)]
struct Lines {
    operator: Value,
    customer: Value,
}

impl Floor<'_> {
    /// Before the payment, in it and behind it each is shown the other, and nobody else: in the second talk as in the first.
    pub(super) async fn names(&self, by: By) -> anyhow::Result<()> {
        let seat = Seat::new(self.lab, SHOWS)?;
        let payment = self.announce(SHOWS, 3300, None).await?;
        let takes = format!("{PRESS} wait:call-ended hears:1000 sleep:2500 hangup");
        let desk = seat.phone(&[takes])?.start(self.lab).await?;
        let call = seat.customer(self.lab, by.extension(SHOWS), &pays(), "rfc4733")?;
        let call = call.with(&["--bind", self.lab.get("NAMED_IP")?]);
        let mut events = self.service.events().await?;
        let looks = async {
            let began = Instant::now();
            let before = loop {
                match self.lines(&seat).await? {
                    Some((lines, talk)) if talk => break lines,
                    _ => {}
                }
                ensure!(began.elapsed() < Duration::from_secs(20), "no talk");
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            let mut of = async |what: (&str, &str)| {
                events
                    .first(|e| e[what.0] == what.1 && e["payment_id"] == *payment)
                    .await
            };
            of(("step", "payment-card-number")).await?;
            let during = self.lines(&seat).await?.context("nobody pays")?.0;
            of(("event", "call-ended")).await?;
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            let behind = self.lines(&seat).await?.context("nobody talks")?.0;
            anyhow::Ok([before, during, behind])
        };
        let (report, looks) = tokio::join!(call.place(self.lab), looks);
        let (report, operator) = (report?, ended(desk).await?);
        OtherResult::judge(&report, &["success"])?;
        let lines = looks?;
        let told = || {
            format!(
                "in Asterisk {lines:#?}; on the customer's display {:?}, on the operator's {:?}",
                report.shown, operator.shown
            )
        };
        let [before, during, behind] = &lines;
        let line = |number: &str| json!({"name": format!("Operator {number}"), "number": number});
        ensure!(
            before.operator[1]["number"] == seat.from.as_str()
                && before.customer[1] == line(&SHOWS.to_string()),
            "before the payment: {}",
            told()
        );
        ensure!(during == before && behind == before, "{}", told());
        // Told once, when they came together.
        let shows =
            |shown: &[(u64, String)], who: &str| shown.len() == 1 && shown[0].1.contains(who);
        ensure!(
            shows(&report.shown, &format!("Operator {SHOWS} <{SHOWS}>"))
                && shows(&operator.shown, &format!("<{}>", seat.from)),
            "{}",
            told()
        );
        self.nothing_left(&seat, report.call_id.as_deref()).await
    }

    /// What Asterisk has of the two, and whether both are in a bridge.
    async fn lines(&self, seat: &Seat) -> anyhow::Result<Option<(Lines, bool)>> {
        let channels = self.lab.ari("GET", "/channels").await?;
        let bridges = self.lab.ari("GET", "/bridges").await?;
        let all = channels.as_array().map(Vec::as_slice).unwrap_or_default();
        let by = |name: &str| {
            all.iter()
                .find(|c| c["name"].as_str().is_some_and(|n| n.starts_with(name)))
        };
        let operator = by(&format!("PJSIP/{}-", seat.operator));
        let customer = all.iter().find(|c| {
            c["caller"]["number"] == seat.from.as_str()
                && c["name"]
                    .as_str()
                    .is_some_and(|n| n.starts_with("PJSIP/named-"))
        });
        let (Some(operator), Some(customer)) = (operator, customer) else {
            return Ok(None);
        };
        let in_one = |bridge: &Value| {
            let members = bridge["channels"].as_array().map(Vec::as_slice);
            let members = members.unwrap_or_default();
            members.contains(&operator["id"]) && members.contains(&customer["id"])
        };
        let talk = bridges.as_array().is_some_and(|all| all.iter().any(in_one));
        let lines = Lines {
            operator: json!([operator["caller"], operator["connected"]]),
            customer: json!([customer["caller"], customer["connected"]]),
        };
        Ok(Some((lines, talk)))
    }
}
