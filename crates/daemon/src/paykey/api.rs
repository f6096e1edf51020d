//! A capture that the API begins: the talk of an operator is taken over as by his key, without one.
//!
//! No ARI request takes a channel out of a talk, and a redirect of one of two ends the other's call. So a Local channel of the dialplan
//! (`ivrpay-key,taken`) says first where the operator's channel goes when its bridge ends, and then redirects the customer, with whom the
//! bridge ends. That needs no user of AMI and no key of the operator's. Nobody can be told anything on this way: what the operator would
//! hear is the answer.

use std::sync::Arc;
use std::time::Duration;

use ivrpay_api::ErrorCode;
use ivrpay_ari::{Bridge, Channel, RequestError};
use ivrpay_dialogue::Prompt;
use ivrpay_dialogue::operator::Refusal;
use ivrpay_payment::{CallId, TenantId};
use ivrpay_prompts::Language;
use ivrpay_web::{CaptureMode, LiveCall, NotStarted, TalkLeg, ToStart};
use tokio::sync::oneshot;

use super::{Ear, No, PayKey, Press, Ready, other_half, partner, spoken};
use crate::edge::Edge;
use crate::pairs::{ARRIVAL_MAX, Wanted};
use crate::{events, twilio};

/// Context and extension of the dialplan that move both.
const CONTEXT: &str = "ivrpay-key";
const EXTENSION: &str = "taken";
/// How long the Local channel may take: it only sends two channels somewhere.
const MOVE_SECONDS: u32 = 5;
/// From the move until a card may be asked for: both have to come, recorders to pause, Asterisk to be looked at.
const BEGUN_MAX: Duration = Duration::from_secs(ARRIVAL_MAX.as_secs() + 15);
/// Legs of talks that are listed.
const CALLS_MAX: usize = 1_000;
/// Set by the dialplan on a talk, inherited: whose it is, and what the operator does meanwhile.
const TENANT: &str = "IVRPAY_TENANT";
const COMPANY: &str = "IVRPAY_COMPANY";

/// The operator is asked nothing: a payment is named.
struct Nobody;

impl Ear for Nobody {
    type Lost = std::convert::Infallible;

    async fn say(
        &mut self,
        _language: Language,
        _prompt: &Prompt,
        _choice: bool,
    ) -> Result<Option<u8>, Self::Lost> {
        Ok(None)
    }

    async fn wait_for_key(&mut self, _wait: Duration) -> Result<Option<u8>, Self::Lost> {
        Ok(None)
    }
}

impl PayKey {
    /// Takes over the talk that is meant, and waits until a card may be asked for in it.
    pub(crate) async fn start(self: Arc<Self>, start: ToStart) -> Result<CallId, NotStarted> {
        let client = &self.shared.client;
        let Ok((channels, bridges)) = tokio::try_join!(client.channels(), client.bridges()) else {
            return Err(NotStarted::away(
                "Asterisk did not say who is talking; nobody was moved",
            ));
        };
        let edge = &self.shared.edge;
        let operator = talking(&channels, &bridges, edge, &start.leg)?;
        self.is_of(&start.tenant, operator, &channels, &bridges)
            .await?;
        let call = CallId::new(uuid::Uuid::now_v7());
        let (begun, begins) = oneshot::channel();
        let (lead, reports) = match start.lead.clone() {
            Some(lead) => {
                let (led, reports) = twilio::led(lead, &self.twilio);
                (Some(led), Some(reports))
            }
            None => (None, None),
        };
        let arguments = self.said(&start, operator).await;
        let press = Press {
            operator: operator.id.as_str(),
            name: &operator.name,
            number: &operator.caller.number,
            arguments: &arguments,
            wanted: Some(Wanted { call, begun, lead }),
        };
        let mut language = spoken(&operator.language);
        let decided = self.decide(&mut Nobody, press, &mut language).await;
        let ready = decided.map_err(|no| {
            let why = match no {
                No::Refused(why) => why,
                No::Undecided => Refusal::NothingWaiting,
                No::Lost(never) => match never {},
            };
            events::capture_not_started(&operator.name, why);
            refused(why)
        })?;
        self.take(operator, &ready).await?;
        events::capture_started(&operator.name, call, &start.by);
        match tokio::time::timeout(BEGUN_MAX, begins).await {
            Ok(Ok(Ok(()))) => {
                if let (Some(lead), Some(reports)) = (start.lead.clone(), reports) {
                    let journal = self.shared.settle.journal().clone();
                    let session = twilio::Session::new(start, lead, call, journal);
                    tokio::spawn(twilio::tell(session, self.twilio.clone(), reports));
                }
                Ok(call)
            }
            Ok(Ok(Err(why))) => Err(refused(why)),
            // The pair is forgotten, or the call has ended before it had begun.
            Ok(Err(_)) => Err(NotStarted::new(
                ErrorCode::NoTalk,
                "the two did not come: one of them hung up, or the dialplan is older than the service (ivrpay-key of dialplan/ivrpay.conf)",
            )),
            Err(_) => Err(NotStarted::away(
                "Asterisk is slow, and the capture has not begun yet; look at the payment",
            )),
        }
    }

    /// What a key's dialplan would have said.
    async fn said(&self, start: &ToStart, operator: &Channel) -> Vec<String> {
        let mode = match start.mode {
            Some(CaptureMode::Hold) => "hold",
            Some(CaptureMode::Stay | CaptureMode::Led) => "stay",
            // As the operator's key has it.
            None => {
                let client = &self.shared.client;
                let said = client.get_variable(&operator.id, COMPANY).await;
                match said.ok().flatten().as_deref() {
                    Some("stay") => "stay",
                    _ => "hold",
                }
            }
        };
        let mut arguments = vec![
            format!("tenant={}", start.tenant),
            format!("payment={}", start.payment),
            format!("company={mode}"),
        ];
        if let TalkLeg::Extension(extension) = &start.leg {
            arguments.push(format!("extension={extension}"));
        }
        arguments
    }

    /// Whether the talk is one of that merchant's. Where there are several merchants, the dialplan has to say whose it is.
    async fn is_of(
        &self,
        tenant: &TenantId,
        operator: &Channel,
        channels: &[Channel],
        bridges: &[Bridge],
    ) -> Result<(), NotStarted> {
        let client = &self.shared.client;
        let customer = partner(channels, bridges, operator.id.as_str()).ok();
        let legs = [Some(operator), customer];
        for leg in legs.into_iter().flatten() {
            match client.get_variable(&leg.id, TENANT).await {
                Ok(Some(of)) if of == tenant.as_str() => return Ok(()),
                Ok(Some(of)) if !of.is_empty() => return Err(no_talk()),
                _ => {}
            }
        }
        if self.shared.tenants.len() == 1 {
            return Ok(());
        }
        Err(no_talk())
    }

    /// The talks of a merchant: each leg of each, or the one of that `CallSid`.
    pub(crate) async fn calls(
        self: Arc<Self>,
        tenant: TenantId,
        sid: Option<String>,
    ) -> Result<Vec<LiveCall>, NotStarted> {
        let client = &self.shared.client;
        let Ok((channels, bridges)) = tokio::try_join!(client.channels(), client.bridges()) else {
            return Err(NotStarted::away("Asterisk did not say who is talking"));
        };
        let mut calls = Vec::new();
        for channel in &channels {
            if calls.len() == CALLS_MAX || other_half(&channel.name).is_some() {
                continue;
            }
            // Before anybody is asked about it.
            if sid
                .as_ref()
                .is_some_and(|sid| twilio::call_sid(channel.id.as_str()) != *sid)
            {
                continue;
            }
            let Ok(other) = partner(&channels, &bridges, channel.id.as_str()) else {
                continue;
            };
            let of = self.is_of(&tenant, channel, &channels, &bridges).await;
            if of.is_ok() {
                calls.push(twilio::live_call(channel, other));
            }
        }
        Ok(calls)
    }

    async fn take(&self, operator: &Channel, ready: &Ready) -> Result<(), NotStarted> {
        let variables = [
            ("IVRPAY_PAIR", ready.token.as_str()),
            ("IVRPAY_KEY_CUSTOMER", &ready.customer.name),
            ("IVRPAY_KEY_OPERATOR", &operator.name),
        ];
        let client = &self.shared.client;
        let moved = client.run_dialplan(CONTEXT, EXTENSION, variables.into(), MOVE_SECONDS);
        match moved.await {
            // Not answered, it may run all the same: then both find their pair.
            Ok(()) | Err(RequestError::OutcomeUnknown) => Ok(()),
            Err(error) => {
                self.shared.pairs.forget(&ready.token);
                events::ari_channel_request_failed(&operator.id, "taken", &error);
                Err(NotStarted::away(
                    "Asterisk did not run the dialplan that moves the two (ivrpay-key,taken); nobody was moved",
                ))
            }
        }
    }
}

/// Whoever the operator is, in a talk now; never one of several.
fn talking<'c>(
    channels: &'c [Channel],
    bridges: &[Bridge],
    edge: &Edge,
    leg: &TalkLeg,
) -> Result<&'c Channel, NotStarted> {
    let is_in_a_talk = |channel: &&Channel| {
        let mut bridges = bridges.iter();
        bridges.any(|b| b.channels.iter().any(|id| id == channel.id.as_str()))
    };
    let own = |channel: &&Channel| other_half(&channel.name).is_none();
    // Whose call of ours is on talks in no other, whatever bridge he is in.
    let running = |channel: &Channel| channel.dialplan.app_name.eq_ignore_ascii_case("Stasis");
    let found: Vec<&Channel> = match leg {
        TalkLeg::Extension(extension) => {
            let is_his = |channel: &&Channel| edge.extension_of(channel) == Some(extension);
            let his = channels.iter().filter(own).filter(is_his);
            his.filter(|c| is_in_a_talk(c) || running(c)).collect()
        }
        TalkLeg::Customer(sid) => {
            let is_his = |channel: &&Channel| twilio::call_sid(channel.id.as_str()) == *sid;
            let customer = channels.iter().filter(own).find(is_his).ok_or_else(|| {
                NotStarted::new(ErrorCode::NotFound, "no call of this sid is on now")
            })?;
            if running(customer) {
                return Err(refused(Refusal::Running));
            }
            let operator = partner(channels, bridges, customer.id.as_str()).map_err(refused)?;
            if is_swapped(edge, customer, operator) {
                return Err(NotStarted::new(
                    ErrorCode::NoTalk,
                    format!(
                        "this CallSid is the operator's own leg, on which no card is keyed; send the customer's: {} (parent_call_sid in Calls.json)",
                        twilio::call_sid(operator.id.as_str())
                    ),
                ));
            }
            vec![operator]
        }
        TalkLeg::Channel(name) => {
            let named = |channel: &&Channel| channel.name == *name || channel.id.as_str() == name;
            channels.iter().filter(named).collect()
        }
    };
    match found[..] {
        [one] if running(one) => Err(refused(Refusal::Running)),
        [one] => Ok(one),
        [] => Err(no_talk()),
        ref several => {
            let names: Vec<_> = several.iter().map(|channel| &*channel.name).collect();
            Err(NotStarted::new(
                ErrorCode::NoTalk,
                format!(
                    "this extension is in several talks; name one as channel: {}",
                    names.join(", ")
                ),
            ))
        }
    }
}

/// Whether the leg that is to key is an operator's, and the other one a customer's: by the trunks of `[edge]`, else by the endpoint, which
/// of an operator is his extension. Of two extensions, or none, nobody can say.
fn is_swapped(edge: &Edge, customer: &Channel, operator: &Channel) -> bool {
    let is_operators = |channel: &Channel| {
        if edge.is_set() {
            return edge.takes(&channel.name, false).is_err();
        }
        let extension = edge.extension_of(channel);
        extension.is_some_and(|extension| extension.bytes().all(|b| b.is_ascii_digit()))
    };
    is_operators(customer) && !is_operators(operator)
}

fn no_talk() -> NotStarted {
    NotStarted::new(
        ErrorCode::NoTalk,
        "the operator is in no talk of this merchant now; where there are several merchants, the dialplan says whose a talk is (IVRPAY_TENANT)",
    )
}

/// As an error, what an operator who had pressed his key would hear.
fn refused(why: Refusal) -> NotStarted {
    use ErrorCode as Code;
    let (code, says) = match why {
        Refusal::AcquirerAway => (
            Code::AcquirerAway,
            "the acquirer can't be reached now; nobody was moved",
        ),
        Refusal::AcquirerMaintenance => (
            Code::AcquirerAway,
            "the acquirer is in maintenance now; nobody was moved",
        ),
        Refusal::InProgress => (
            Code::NotPossible,
            "the payment, or another one of its order, is in a call now",
        ),
        Refusal::Keyed | Refusal::WrongSide => (
            Code::NotPossible,
            "the card of this talk can't be taken in this way",
        ),
        Refusal::Monitored => (
            Code::NotSafe,
            "somebody listens to the talk, and can't be taken off for the capture",
        ),
        Refusal::NoCustomer => (
            Code::NoTalk,
            "nobody talks with the operator now, or the customer has just hung up",
        ),
        Refusal::NoPlace => (
            Code::CapacityExceeded,
            "no place is free for another call; the two go on talking",
        ),
        Refusal::NothingWaiting => (
            Code::NotPossible,
            "the payment is none that can be taken in this talk: it does not wait, or its acquirer has no room for it; the service's log says why",
        ),
        Refusal::OrderPaid => (Code::NotPossible, "the order is paid already"),
        Refusal::OrderUnknown => (
            Code::NotPossible,
            "it is not known whether the order was charged; do not charge again, and look at its task",
        ),
        Refusal::Recorded => (
            Code::NotSafe,
            "a recorder does not say that it has paused; no card is asked for",
        ),
        Refusal::Running => (
            Code::CaptureRunning,
            "this talk is in a capture already; follow that one, or cancel it",
        ),
        Refusal::ServiceAway => (
            Code::Unavailable,
            "the service takes no new call now: it is being stopped, or its journal can't be written",
        ),
        Refusal::ThirdParty => (
            Code::NoTalk,
            "there are more than two in the call; a card is asked for only between two",
        ),
        Refusal::Unsafe => (
            Code::NotSafe,
            "Asterisk is not safe for card data now; the service's log says what would betray a card, and `ivrpay check` too",
        ),
        _ => (
            Code::NotPossible,
            "a payment can't be taken in this talk now",
        ),
    };
    NotStarted::new(code, says)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn channel(id: &str, name: &str) -> Channel {
        serde_json::from_value(serde_json::json!({"id": id, "name": name, "state": "Up"})).unwrap()
    }

    #[test]
    fn an_operator_is_found_by_his_talk_and_never_guessed() {
        let channels = [
            channel("1", "PJSIP/trunk-00000001"),
            channel("2", "PJSIP/201-00000002"),
            channel("3", "PJSIP/202-00000003"),
            channel("4", "PJSIP/203-00000004"),
            channel("5", "PJSIP/203-00000005"),
            channel("6", "Local/203@x-00000006;1"),
        ];
        let bridge = |members: &[&str]| -> Bridge {
            serde_json::from_value(
                serde_json::json!({"id": "b", "technology": "simple_bridge", "channels": members}),
            )
            .unwrap()
        };
        let bridges = [bridge(&["1", "2"]), bridge(&["4", "6"]), bridge(&["5"])];
        let find = |leg: TalkLeg| {
            let found = talking(&channels, &bridges, &Edge::default(), &leg);
            found
                .map(|c| c.id.as_str().to_owned())
                .map_err(|no| no.says)
        };
        let by = |extension: &str| find(TalkLeg::Extension(extension.into()));
        let named = |name: &str| find(TalkLeg::Channel(name.into()));
        assert_eq!(by("201"), Ok("2".into()));
        // Rings, or waits in no bridge; nobody; two talks, which are named.
        assert!(by("202").is_err() && by("299").is_err());
        let several = by("203").unwrap_err();
        assert!(several.contains("PJSIP/203-00000004, PJSIP/203-00000005"));
        assert_eq!(named("PJSIP/203-00000005"), Ok("5".into()));
        assert_eq!(named("5"), Ok("5".into()));
        assert!(named("PJSIP/203").is_err());
        // By the leg that keys: never by the operator's own.
        let sid = |id: &str| find(TalkLeg::Customer(twilio::call_sid(id)));
        assert_eq!(sid("1"), Ok("2".into()));
        let swapped = sid("2").unwrap_err();
        assert!(swapped.contains(&twilio::call_sid("1")), "{swapped}");
        // In a capture, beside the customer or apart from him.
        let in_stasis = serde_json::json!({"id": "9", "name": "PJSIP/209-00000009", "state": "Up",
            "dialplan": {"context": "ivrpay-key", "exten": "operator-x", "priority": 3, "app_name": "Stasis", "app_data": "ivrpay,pair=x"}});
        let channels = [serde_json::from_value(in_stasis).unwrap()];
        let edge = Edge::default();
        let leg = TalkLeg::Extension("209".into());
        let code = |bridges: &[Bridge]| {
            talking(&channels, bridges, &edge, &leg)
                .err()
                .map(|no| no.code)
        };
        assert_eq!(code(&[]), Some(ErrorCode::CaptureRunning));
        assert_eq!(
            code(&[bridge(&["8", "9"])]),
            Some(ErrorCode::CaptureRunning)
        );
    }

    #[test]
    fn every_refusal_is_told_as_an_error_that_says_what_it_is() {
        for why in Refusal::ALL {
            let told = refused(why);
            assert!(told.says.len() > 20, "{why:?}");
        }
    }
}
