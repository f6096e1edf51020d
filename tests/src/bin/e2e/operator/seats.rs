//! People and seats: whoever sits at a telephone takes the payment, and nothing is set up here for either.

use super::*;

/// Half of the seats, and as many people.
const PEOPLE: usize = 25;
const FIRST_SEAT: usize = 201;
/// Pairs at once.
const WAVE: usize = 5;

impl Floor<'_> {
    /// Each of the fifty seats takes a payment by the key: 25 people at 25 seats, then the same people at 25 others. A login at the telephone
    /// says who sits there (a variable of the lab's Asterisk); the service runs on with the configuration that it had, in which no seat
    /// and nobody is named.
    ///
    /// In waves of [`WAVE`]: `make bench` plays 50 at once on two cores that do nothing else, but a full run does much beside.
    pub(super) async fn fifty_seats(&self) -> anyhow::Result<()> {
        for moved in [false, true] {
            let waves = (0..PEOPLE).map(|n| {
                let seat = FIRST_SEAT + n + if moved { PEOPLE } else { 0 };
                async move {
                    let name = format!("seat {seat}");
                    let taken =
                        crate::patiently(&name, || self.taken_by(seat, format!("person-{n}")));
                    taken.await.context(name.clone())
                }
            });
            let done: Vec<anyhow::Result<()>> = futures_util::stream::iter(waves)
                .buffer_unordered(WAVE)
                .collect()
                .await;
            let wrong: Vec<String> = done
                .into_iter()
                .filter_map(Result::err)
                .map(|error| format!("{error:#}"))
                .collect();
            ensure!(
                wrong.is_empty(),
                "{} of {PEOPLE}: {}",
                wrong.len(),
                wrong.join("; ")
            );
        }
        Ok(())
    }

    async fn taken_by(&self, operator: usize, person: String) -> anyhow::Result<()> {
        let login = format!("/asterisk/variable?variable=lab_seat_{operator}&value={person}");
        self.lab.ari("POST", &login).await?;
        let seat = Seat::new(self.lab, operator)?;
        let call = seat.customer(self.lab, format!("69{operator}"), &pays(), "rfc4733")?;
        let payment = self.paid(&seat, call.with(&crate::UNHURRIED)).await?;
        ensure!(
            payment["operator"] == *person
                && payment["operator_extension"] == *operator.to_string()
                && payment["amount"] == 1200,
            "of {person} at {operator} the payment is {payment}"
        );
        Ok(())
    }
}
