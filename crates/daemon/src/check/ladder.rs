//! The ring `return`: whether the return ladders lead to somebody whom Asterisk knows.
//!
//! Endpoints are asked over ARI; queues and extensions over AMI, by the user of `ivrpay audit`: ARI shows none of them. Whether anybody
//! answers is not judged here.

use std::collections::BTreeSet;

use super::{Check, missing};
use crate::config::Config;
use crate::ladder::Rung;

const RING: &str = "return";
/// The dialplan that climbs the ladder.
const CONTEXT: &str = "ivrpay-return";

/// What a rung needs.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// Technology and name.
    Endpoint(String, String),
    Queue(String),
    /// Extension and context.
    Extension(String, String),
}

impl Need {
    fn of(rung: &Rung) -> Option<Self> {
        match rung {
            Rung::Dial(endpoint, _) => Self::dialled(endpoint),
            Rung::Queue(queue, _) => Some(Self::Queue(queue.clone())),
            Rung::Goto(context, extension) => {
                Some(Self::Extension(extension.clone(), context.clone()))
            }
            Rung::Operator(_) | Rung::Say(_) => None,
        }
    }

    /// `PJSIP/300`, `PJSIP/0312345678@trunk`, `Local/300@from-internal/n`.
    fn dialled(endpoint: &str) -> Option<Self> {
        let (technology, rest) = endpoint.split_once('/')?;
        let (first, second) = match rest.split_once('@') {
            Some((first, second)) => (first, Some(second)),
            None => (rest, None),
        };
        if technology.eq_ignore_ascii_case("Local") {
            let context = second?.split('/').next()?;
            return Some(Self::Extension(first.to_owned(), context.to_owned()));
        }
        // `PJSIP/trunk/sip:300@192.0.2.1` names its endpoint first.
        let name = match first.split_once('/') {
            Some((name, _)) => name,
            None => second.unwrap_or(first),
        };
        Some(Self::Endpoint(technology.to_owned(), name.to_owned()))
    }

    /// What is asked for over AMI; `None`: ARI knows it.
    fn command(&self) -> Option<String> {
        match self {
            Self::Endpoint(..) => None,
            Self::Queue(queue) => Some(format!("queue show {queue}")),
            Self::Extension(extension, context) => {
                Some(format!("dialplan show {extension}@{context}"))
            }
        }
    }

    /// What is missing, and the line that adds it.
    fn told(&self) -> (String, String) {
        match self {
            Self::Endpoint(technology, name) => (
                format!("{technology}/{name}, which Asterisk does not know"),
                format!(
                    "add an endpoint [{name}] to Asterisk (pjsip.conf), or another to [tenants.return]: \"dial {technology}/NAME 20s\""
                ),
            ),
            Self::Queue(queue) => (
                format!("the queue {queue}, which Asterisk does not have"),
                format!(
                    "add to queues.conf: [{queue}], then `queue reload all`; or name another in [tenants.return]: \"queue NAME 60s\""
                ),
            ),
            Self::Extension(extension, context) => (
                format!("{extension} in the context {context}, which the dialplan does not have"),
                format!(
                    "add to extensions.conf below [{context}]: exten => {extension},1,…, then `dialplan reload`; or name another in [tenants.return]"
                ),
            ),
        }
    }
}

impl Check<'_> {
    pub(super) async fn ladders(&mut self, config: &Config) {
        let mut needs: BTreeSet<(&str, Need)> = BTreeSet::new();
        for tenant in &config.tenants {
            let ladder = &tenant.ladder;
            let rungs = ladder
                .by_ending
                .iter()
                .flat_map(|(_, rungs)| rungs)
                .chain(&ladder.default);
            needs.extend(
                rungs
                    .filter_map(Need::of)
                    .map(|need| (tenant.id.as_str(), need)),
            );
        }
        let before = self.facts.len();
        if needs
            .iter()
            .any(|(_, need)| matches!(need, Need::Endpoint(..)))
        {
            self.endpoints(config, &needs).await;
        }
        match &config.ami {
            Some(ami) => self.printed(ami, &needs).await,
            None if needs.iter().any(|(_, need)| need.command().is_some()) => self.warn(
                RING,
                "whether Asterisk has the queues and extensions of [tenants.return] was not looked at: there is no [ami]",
                "add [ami], with the user ivrpay-audit of asterisk-conf/ivrpay-manager.conf",
            ),
            None => {}
        }
        if self.facts.len() == before {
            self.good(
                RING,
                format!(
                    "the return ladders lead to nobody ({} place(s)) whom Asterisk does not know",
                    needs.len()
                ),
            );
        }
    }

    fn lacks(&mut self, tenant: &str, need: &Need) {
        let (what, hint) = need.told();
        self.bad(
            RING,
            format!("the ladder of {tenant} leads to {what}"),
            hint,
        );
    }

    async fn endpoints(&mut self, config: &Config, needs: &BTreeSet<(&str, Need)>) {
        let client = match ivrpay_ari::Client::new(&config.ari) {
            Ok(client) => client,
            Err(error) => return self.bad(RING, error.to_string(), error.hint()),
        };
        let Some(known) = self.known_endpoints(RING, &client).await else {
            return;
        };
        for (tenant, need) in needs {
            if let Need::Endpoint(technology, name) = need
                && !known.iter().any(|e| {
                    e.technology.eq_ignore_ascii_case(technology)
                        && e.resource.eq_ignore_ascii_case(name)
                })
            {
                self.lacks(tenant, need);
            }
        }
    }

    async fn printed(&mut self, ami: &ivrpay_ami::Config, needs: &BTreeSet<(&str, Need)>) {
        let asked = async {
            let (client, _events) = ivrpay_ami::connect(ami).await?;
            let mut lacking = Vec::new();
            for (tenant, need) in needs {
                if let Some(command) = need.command()
                    && missing(&client.command(&command).await?)
                {
                    lacking.push((tenant, need));
                }
            }
            let context = client.command(&format!("dialplan show {CONTEXT}")).await?;
            Ok::<_, ivrpay_ami::Error>((lacking, missing(&context)))
        };
        match asked.await {
            Ok((lacking, no_context)) => {
                for (tenant, need) in lacking {
                    self.lacks(tenant, need);
                }
                if no_context {
                    self.warn(
                        RING,
                        format!("the dialplan has no context {CONTEXT}: no caller comes back to anybody by [tenants.return]"),
                        "add to extensions.conf: #include ivrpay.conf (dialplan/ivrpay.conf, copied beside it), and behind the payment: same => n,Goto(ivrpay-return,s,1)",
                    );
                }
            }
            Err(error) => self.warn(
                RING,
                format!("whether Asterisk has the queues and extensions of [tenants.return] was not looked at: {error}"),
                error.hint(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rung_needs() {
        let endpoint = |t: &str, n: &str| Some(Need::Endpoint(t.into(), n.into()));
        let extension = |e: &str, c: &str| Some(Need::Extension(e.into(), c.into()));
        for (rung, need) in [
            ("operator 20s", None),
            ("dial PJSIP/300 20s", endpoint("PJSIP", "300")),
            (
                "dial PJSIP/0312345678@trunk 20s",
                endpoint("PJSIP", "trunk"),
            ),
            (
                "dial PJSIP/trunk/sip:300@192.0.2.1 20s",
                endpoint("PJSIP", "trunk"),
            ),
            (
                "dial Local/300@from-internal/n 20s",
                extension("300", "from-internal"),
            ),
            ("queue orders 60s", Some(Need::Queue("orders".into()))),
            ("goto office 300", extension("300", "office")),
            ("say 0312345678", None),
        ] {
            let parsed: Result<Rung, _> = rung.parse();
            assert_eq!(Need::of(&parsed.unwrap()), need, "{rung}");
        }
    }

    #[test]
    fn what_is_missing_is_told_by_asterisks_words() {
        // As Asterisk 16 and 22 print them.
        for (printed, expected) in [
            ("No such queue: orders.", true),
            ("There is no existence of 'office' context", true),
            ("There is no existence of '300@office' extension", true),
            (
                "orders has 0 calls (max unlimited) in 'linear' strategy (0s holdtime, 0s talktime), W:0, C:0, A:0, SL:0.0%, SL2:0.0% within 0s",
                false,
            ),
            ("[ Context 'office' created by 'pbx_config' ]", false),
        ] {
            assert_eq!(missing(&[printed.to_owned()]), expected, "{printed}");
        }
    }
}
