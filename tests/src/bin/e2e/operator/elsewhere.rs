//! Somebody takes one of the two, or both, out of a payment that is on: the operator by his telephone's transfer key, another program by
//! AMI's Redirect. No key of the card goes along, nobody is left behind.

use super::redirect::Manager;
use super::*;

/// The card number, slowly: the other one acts in its middle.
fn slowly() -> String {
    let (half, other) = VISA.split_at(8);
    paying(VISA).replacen(VISA, &format!("{half},,,,{other}"), 1)
}

/// A colleague's telephone, recorded: it must not get anything of the customer.
async fn colleague(lab: &Lab, seat: &Seat) -> anyhow::Result<Desk> {
    Phone::new(seat.operator.to_string(), "until-end")
        .with(&["--hear", "1000", "--limit", "60", "--record"])
        .with(&[&seat.wav.display().to_string()])
        .start(lab)
        .await
}

impl Floor<'_> {
    /// By his telephone the operator gives the customer to a colleague, in the middle of the card number. Where he stays, Asterisk puts the
    /// colleague into his place in our bridge, and not the customer elsewhere.
    pub(super) async fn transferred_meanwhile(
        &self,
        by: By,
        operator: usize,
        to: usize,
    ) -> anyhow::Result<()> {
        let (seat, other) = (Seat::new(self.lab, operator)?, Seat::new(self.lab, to)?);
        let paid = self.announce(operator, 3300, None).await?;
        let press = format!("{PRESS} wait:payment-card-number sleep:1500 refer:{to}");
        let scripts = match by {
            By::Stay => vec![press, BACK.to_owned()],
            // Refused: he is in no bridge, and goes on waiting.
            By::Hold | By::Queue => vec![format!("{press} {GOODBYE}")],
        };
        let desk = seat.phone(&scripts)?.start(self.lab).await?;
        let colleague = colleague(self.lab, &other).await?;
        let customer = format!("hears:500 {} wait:call-ended hears:500 until-end", slowly());
        let call = seat.customer(self.lab, by.extension(operator), &customer, "rfc4733")?;
        let mut events = self.service.events().await?;
        // One more that waits for this operator: who takes his place must not be asked for it.
        let another = async {
            loop {
                let event = events.step("payment-card-number").await?;
                if event["payment_id"] == paid.as_str() {
                    return self.announce(operator, 4400, None).await;
                }
            }
        };
        let (report, waits) = tokio::join!(call.place(self.lab), another);
        let theirs = colleague.stop().await?;
        let (report, waits) = (report?, waits?);
        let operators = if report.result == "success" {
            desk.reports().await?
        } else {
            desk.stop().await?
        };
        let told = || {
            format!(
                "the customer: {report:?}; the operator: {operators:?}; his colleague: {theirs:?}"
            )
        };
        ensure!(
            report.result == "success" && report.payment_id.as_ref() == Some(&paid),
            "{}",
            told()
        );
        self.state_is(&paid, PAID).await?;
        self.state_is(&waits, &["waiting"]).await?;
        hand_over(self.service, &waits).await?;
        for one in &theirs {
            ensure!(
                one.telephone_events_received == 0 && one.heard(CUSTOMER) == 0,
                "{}",
                told()
            );
        }
        if theirs.iter().any(|one| one.answered_ms.is_some()) {
            let keys = keys_in(&other.wav).await?;
            ensure!(keys == 0, "{keys} keys can be heard by the colleague");
        }
        for one in &operators {
            ensure!(one.telephone_events_received == 0, "{}", told());
        }
        if by == By::Stay {
            let log = std::fs::read_to_string(self.service.folder.join("log"))?;
            ensure!(
                log.contains("an operator transferred while his customer pays"),
                "nobody took his place in our bridge; {}",
                told()
            );
        }
        let last = operators.last().with_context(told)?;
        ensure!(
            last.result == "hung-up" && last.heard(CUSTOMER) >= 500,
            "they did not talk again; {}",
            told()
        );
        ensure!(
            ivrpay_tests::phone::heard(&report.voices, OPERATOR) >= 900,
            "{}",
            told()
        );
        self.nothing_left(&seat, report.call_id.as_deref()).await?;
        self.nothing_left(&other, None).await
    }

    /// Another program redirects the customer, the operator, or both, in the middle of the card number.
    pub(super) async fn redirected_meanwhile(
        &self,
        whom: Whom,
        operator: usize,
    ) -> anyhow::Result<()> {
        let (seat, lab) = (Seat::new(self.lab, operator)?, self.lab);
        let payment = self.announce(operator, 3300, None).await?;
        let press = format!("{PRESS} until-end");
        let scripts = match whom {
            // The ladder rings him again.
            Whom::Operator => vec![press, BACK.to_owned()],
            Whom::Customer | Whom::Both => vec![press],
        };
        let desk = seat.phone(&scripts)?.start(lab).await?;
        let customer = match whom {
            Whom::Operator => format!("hears:500 {} wait:call-ended hears:500 until-end", slowly()),
            // He keys on, wherever he is.
            Whom::Customer | Whom::Both => {
                let (half, other) = VISA.split_at(8);
                format!(
                    "hears:500 wait:greeting 1 wait:payment-card-number {half},,,,{other} until-end"
                )
            }
        };
        let extension = By::Hold.extension(operator);
        let call = seat.customer(lab, extension, &customer, "rfc4733")?;
        let mut events = self.service.events().await?;
        let redirect = async {
            loop {
                let event = events.first(|e| e["digits"] == 8).await?;
                let his = event["payment_id"].as_str().unwrap_or_default();
                if his == payment {
                    break;
                }
            }
            let channels = channels_of(lab, operator, &seat.from).await?;
            let of = |operators: bool| {
                let prefix = format!("PJSIP/{operator}-");
                let found = channels
                    .iter()
                    .find(|name| name.starts_with(&prefix) == operators);
                found.cloned().context("a channel is missing")
            };
            let (customer, operator) = (of(false)?, of(true)?);
            let place = "Context: lab\r\nExten: talker\r\nPriority: 1\r\n";
            let fields = match whom {
                Whom::Customer => format!("Channel: {customer}\r\n{place}"),
                Whom::Operator => format!("Channel: {operator}\r\n{place}"),
                Whom::Both => format!(
                    "Channel: {customer}\r\n{place}ExtraChannel: {operator}\r\n\
                     ExtraContext: lab\r\nExtraExten: talker\r\nExtraPriority: 1\r\n"
                ),
            };
            let said = Manager::login(lab)
                .await?
                .action("Redirect", &fields)
                .await?;
            ensure!(said.contains("successful"), "Redirect: {said}");
            anyhow::Ok(())
        };
        let (report, redirected) = tokio::join!(call.place(lab), redirect);
        redirected?;
        let (report, operators) = (report?, desk.reports().await?);
        let told = || format!("the customer: {report:?}; the operator: {operators:?}");
        for one in &operators {
            ensure!(one.telephone_events_received == 0, "{}", told());
        }
        let keys = keys_in(&seat.wav).await?;
        ensure!(keys == 0, "{keys} keys can be heard by the operator");
        match whom {
            Whom::Operator => {
                ensure!(report.result == "success", "{}", told());
                self.state_is(&payment, PAID).await?;
                let last = operators.last().with_context(told)?;
                ensure!(last.heard(CUSTOMER) >= 500, "{}", told());
            }
            Whom::Customer | Whom::Both => {
                // For the service he is gone; nothing was sent.
                ensure!(report.result == "caller-hung-up", "{}", told());
                self.state_is(&payment, WAITING).await?;
                hand_over(self.service, &payment).await?;
                let last = operators.last().with_context(told)?;
                ensure!(last.result == "far-hung-up", "{}", told());
            }
        }
        self.nothing_left(&seat, report.call_id.as_deref()).await
    }
}

/// Who is taken out.
#[derive(Clone, Copy)]
pub(super) enum Whom {
    Customer,
    Operator,
    Both,
}
