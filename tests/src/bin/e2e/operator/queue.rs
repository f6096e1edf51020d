//! The key in a call of a queue: what the queue's own record (`queue_log`) says of the time in which the customer pays, and whom the queue
//! rings meanwhile.

use super::*;

/// Wrap-up of the lab's queues of one operator, s.
const WRAP_UP: u64 = 5;
/// How long both talk behind the payment: longer than a wrap-up that would have begun with its end.
const TALK_BEHIND: &str = "sleep:7000";

/// A line of the record.
#[derive(Debug)]
struct Line {
    /// s since 1970.
    at: u64,
    call: String,
    agent: String,
    event: String,
    data: Vec<String>,
}

impl Line {
    fn data(&self, n: usize) -> &str {
        self.data.get(n).map_or("", String::as_str)
    }
}

async fn record(lab: &Lab, queue: &str) -> anyhow::Result<Vec<Line>> {
    let log = tokio::fs::read_to_string(lab.folder.join("log/queue_log")).await?;
    let line = |text: &str| -> Option<Line> {
        let mut fields = text.split('|').map(str::to_owned);
        let (at, call) = (fields.next()?.parse().ok()?, fields.next()?);
        let of = fields.next()?;
        let (agent, event) = (fields.next()?, fields.next()?);
        let data = fields.collect();
        (of == queue).then_some(Line {
            at,
            call,
            agent,
            event,
            data,
        })
    };
    Ok(log.lines().filter_map(line).collect())
}

impl Floor<'_> {
    /// One operator is in the queue. While his customer pays another one calls, and waits until the two have talked and the wrap-up behind
    /// that is over; the record has the payment, and the end when it was.
    pub(super) async fn recorded_by_the_queue(
        &self,
        by: &str,
        operator: usize,
    ) -> anyhow::Result<()> {
        let (lab, extension) = (self.lab, format!("{by}{operator}"));
        let (seat, waiting) = (Seat::new(lab, operator)?, Seat::new(lab, operator)?);
        let payment = self.announce(operator, 3300, None).await?;
        let takes = format!("{PRESS} wait:call-ended hears:1000 {TALK_BEHIND} hangup");
        let desk = seat.phone(&[takes, BACK.to_owned()])?.start(lab).await?;
        let first = seat.customer(lab, extension.clone(), &pays(), "rfc4733")?;
        let second = Call {
            deaf: true,
            ..waiting.customer(lab, extension, "hears:500 until-end", "rfc4733")?
        };
        let mut events = self.service.events().await?;
        let meanwhile = async {
            loop {
                let event = events.next().await?;
                if event["step"] == "payment-card-number" && event["payment_id"] == *payment {
                    return second.place(lab).await;
                }
            }
        };
        let mut events = self.service.events().await?;
        let behind = async {
            loop {
                let event = events.next().await?;
                if event["event"] == "call-ended" && event["payment_id"] == *payment {
                    break;
                }
            }
            tokio::time::sleep(Duration::from_secs(3)).await;
            self.same_channel(operator).await
        };
        let (report, other, same) = tokio::join!(first.place(lab), meanwhile, behind);
        let (report, other, operators) = (report?, other?, desk.reports().await?);
        OtherResult::judge(&report, &["success"])?;
        OtherResult::judge(&other, &["ended-without-result"])?;
        OtherResult::never_silent(&report)?;
        same?;
        let [paid, next] = &operators[..] else {
            bail!("the queue rang the operator {} times", operators.len());
        };
        for one in [paid, next] {
            ensure!(one.result == "hung-up", "{one:?}");
        }

        let all = record(lab, &format!("seat-{operator}")).await?;
        let end = all
            .iter()
            .find(|l| l.event == "IVRPAYEND" && l.data(1) == payment);
        let end = end.with_context(|| format!("no end of the payment in {all:?}"))?;
        let of = |call: &str| all.iter().filter(|l| l.call == call).collect::<Vec<_>>();
        let mine = of(&end.call);
        let [entered, connect, start, _, complete] = &mine[..] else {
            bail!("the queue has {mine:?}");
        };
        let names: Vec<&str> = mine.iter().map(|l| l.event.as_str()).collect();
        ensure!(
            names
                == [
                    "ENTERQUEUE",
                    "CONNECT",
                    "IVRPAYSTART",
                    "IVRPAYEND",
                    "COMPLETEAGENT"
                ],
            "the queue has {mine:?}"
        );
        let person = format!("person-{operator}");
        for line in [connect, start, &end, complete] {
            ensure!(line.agent == person, "{line:?} is not {person}'s");
        }
        ensure!(end.data(0) == "success", "{end:?}");
        // To the second.
        let talked: u64 = complete.data(1).parse()?;
        ensure!(
            end.at > start.at
                && complete.at >= end.at + 6
                && talked + 1 >= complete.at - connect.at,
            "the payment ended at {}, the call at {} after {talked} s; it began at {} with {entered:?}",
            end.at,
            complete.at,
            connect.at
        );

        let his = all
            .iter()
            .rfind(|l| l.event == "ENTERQUEUE" && l.data(1) == waiting.from);
        let his = of(&his
            .context("the second customer is not in the record")?
            .call);
        // The end of his call may not be written yet.
        let [entered, connect, ..] = &his[..] else {
            bail!("of the second customer the queue has {his:?}");
        };
        ensure!(
            entered.at < end.at && connect.at + 1 >= complete.at + WRAP_UP,
            "the second customer came at {}, when the payment ended at {}, and was connected at {}; the first call ended at {}",
            entered.at,
            end.at,
            connect.at,
            complete.at
        );
        self.nothing_left(&seat, report.call_id.as_deref()).await
    }

    /// Behind the payment the operator's channel is the one that the queue connected, of the same linked id.
    async fn same_channel(&self, operator: usize) -> anyhow::Result<()> {
        let all = record(self.lab, &format!("seat-{operator}")).await?;
        let connect = all.iter().rfind(|l| l.event == "CONNECT");
        let connect = connect.context("the queue has connected nobody")?;
        let (id, customer) = (connect.data(1), connect.call.as_str());
        let channel = self.lab.ari("GET", &format!("/channels/{id}")).await?;
        ensure!(
            channel["name"]
                .as_str()
                .is_some_and(|name| name.starts_with(&format!("PJSIP/{operator}-"))),
            "behind the payment channel {id} is {channel}"
        );
        for id in [id, customer] {
            let linked = format!("/channels/{id}/variable?variable=CHANNEL(linkedid)");
            let linked = self.lab.ari("GET", &linked).await?;
            ensure!(
                linked["value"] == customer,
                "the linked id of {id} is {linked}"
            );
        }
        Ok(())
    }
}
