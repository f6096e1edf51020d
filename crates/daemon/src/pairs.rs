//! Two people who were talking and whom the pay key sends here: which channel belongs to which, by a token.
//!
//! The handler of the key announces a pair, the dialplan redirects both channels with its token, and each enters Stasis on its own,
//! in either order. A pair of which nobody came is forgotten, one of which only the operator came gives him back.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ivrpay_ari::{ChannelId, Start};
use ivrpay_dialogue::operator::Refusal;
use ivrpay_payment::CallId;
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::arguments::{Arguments, values};
use crate::pools::Place;
use crate::twilio::Led;

/// Pairs that may be on their way at once; more come only from a mistake.
const PAIRS_MAX: usize = 250;
/// From the key to both legs in Stasis: milliseconds (measured), and time for a busy machine.
pub(crate) const ARRIVAL_MAX: Duration = Duration::from_secs(10);

/// What the operator does while the customer keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Company {
    /// He waits apart, with music, and hears how far the customer is.
    #[default]
    Hold,
    /// He stays and talks the customer through it; he hears nothing of him (案内モード).
    Stay,
    /// He keys the card that the customer says; both hear each other.
    Keys,
}

/// Who hears the prompts where the operator stays: `stay_prompts` of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hearers {
    /// The operator hears nothing from the key to the result.
    #[default]
    Customer,
    /// The operator hears what his customer is asked.
    Both,
}

/// Two legs, and what their payment is.
pub(crate) struct Pair {
    pub(crate) customer: ChannelId,
    pub(crate) operator: ChannelId,
    pub(crate) company: Company,
    pub(crate) arguments: Arguments,
    /// Kept for them from the key on.
    pub(crate) place: Place,
    /// Somebody else than the operator's key wanted it, and waits for what becomes of it.
    pub(crate) wanted: Option<Wanted>,
}

/// A capture that the API has asked for.
pub(crate) struct Wanted {
    /// The id that its call will have.
    pub(crate) call: CallId,
    /// Told when a card may be asked for, or why not. Dropped: neither came.
    pub(crate) begun: oneshot::Sender<Result<(), Refusal>>,
    /// A program leads it.
    pub(crate) lead: Option<Led>,
}

/// The operator's leg, when it comes.
pub(crate) type Arrival = oneshot::Receiver<Start>;

struct Waiting {
    /// Taken by the customer's call.
    pair: Option<(Pair, Arrival)>,
    /// Taken by the operator's leg.
    arrived: Option<(ChannelId, oneshot::Sender<Start>)>,
}

/// All pairs that are on their way, and the operators who have come.
#[derive(Clone, Default)]
pub(crate) struct Pairs {
    waiting: Arc<Mutex<HashMap<String, Waiting>>>,
    seated: Legs,
    /// Customers whose call is on.
    paying: Legs,
}

type Legs = Arc<Mutex<HashSet<ChannelId>>>;

fn legs(of: &Legs) -> MutexGuard<'_, HashSet<ChannelId>> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A leg belongs to a call until this is dropped.
pub(crate) struct Seated {
    channel: ChannelId,
    among: Legs,
}

impl Drop for Seated {
    fn drop(&mut self) {
        legs(&self.among).remove(&self.channel);
    }
}

fn seat(among: &Legs, channel: &ChannelId) -> Seated {
    legs(among).insert(channel.clone());
    Seated {
        channel: channel.clone(),
        among: Arc::clone(among),
    }
}

/// Arguments of `Stasis()` for a leg of a pair.
pub(crate) struct Leg<'a> {
    pub(crate) token: &'a str,
    pub(crate) is_operator: bool,
}

impl Leg<'_> {
    /// `None`: a channel that came by itself.
    pub(crate) fn of(args: &[String]) -> Option<Leg<'_>> {
        let value = |key| values(args, key).find(|value| !value.is_empty());
        Some(Leg {
            token: value("pair")?,
            is_operator: value("leg") == Some("operator"),
        })
    }
}

impl Pairs {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This operator's leg belongs to a call from now on.
    pub(crate) fn seat(&self, channel: &ChannelId) -> Seated {
        seat(&self.seated, channel)
    }

    /// Whether a channel is, or just was, an operator's leg of a call.
    pub(crate) fn is_seated(&self, channel: &ChannelId) -> bool {
        legs(&self.seated).contains(channel)
    }

    /// Whether this customer is on his way already, or in his call.
    pub(crate) fn has(&self, customer: &ChannelId) -> bool {
        self.is_among(&self.lock(), customer)
    }

    fn is_among(&self, waiting: &HashMap<String, Waiting>, customer: &ChannelId) -> bool {
        let mut pairs = waiting.values().filter_map(|w| w.pair.as_ref());
        pairs.any(|(pair, _)| pair.customer == *customer) || legs(&self.paying).contains(customer)
    }

    /// The id that the call of this token is to have, where that is settled.
    pub(crate) fn call(&self, token: &str) -> Option<CallId> {
        let waiting = self.lock();
        let (pair, _) = waiting.get(token)?.pair.as_ref()?;
        pair.wanted.as_ref().map(|wanted| wanted.call)
    }

    /// Legs that were sent here and have not come yet.
    pub(crate) fn on_their_way(&self) -> usize {
        self.lock().len()
    }

    /// The token under which both legs come, which nobody can guess.
    ///
    /// # Errors
    /// Too many are on their way, or this customer is: by a key and by the API at once, a second pair would take him out of the first.
    pub(crate) fn announce(&self, pair: Pair) -> Result<String, Refusal> {
        let token = uuid::Uuid::new_v4().simple().to_string();
        let mut waiting = self.lock();
        if self.is_among(&waiting, &pair.customer) {
            return Err(Refusal::Running);
        }
        if waiting.len() >= PAIRS_MAX {
            return Err(Refusal::NoPlace);
        }
        let (sender, arrival) = oneshot::channel();
        let operator = pair.operator.clone();
        let entry = Waiting {
            pair: Some((pair, arrival)),
            arrived: Some((operator, sender)),
        };
        waiting.insert(token.clone(), entry);
        Ok(token)
    }

    /// The pair of a customer who came. Once, and only for the channel of which the key's handler spoke. His call is on until the last is
    /// dropped.
    pub(crate) fn customer(
        &self,
        token: &str,
        channel: &ChannelId,
    ) -> Option<(Pair, Arrival, Seated)> {
        let mut waiting = self.lock();
        let entry = waiting.get_mut(token)?;
        if entry.pair.as_ref()?.0.customer != *channel {
            return None;
        }
        let (pair, arrival) = entry.pair.take()?;
        if entry.arrived.is_none() {
            waiting.remove(token);
        }
        // Under the lock: there is no moment in which he is among neither.
        let pays = seat(&self.paying, channel);
        Some((pair, arrival, pays))
    }

    /// Hands the operator's leg to the customer's call, now or when that begins.
    ///
    /// # Errors
    /// Nobody waits for it: give it back.
    pub(crate) fn operator(&self, token: &str, start: Start) -> Result<(), Box<Start>> {
        let mut waiting = self.lock();
        let Some(entry) = waiting.get_mut(token) else {
            return Err(Box::new(start));
        };
        let meant = entry
            .arrived
            .take_if(|(operator, _)| *operator == start.channel.id);
        let Some((_, sender)) = meant else {
            return Err(Box::new(start));
        };
        if entry.pair.is_none() {
            waiting.remove(token);
        }
        sender.send(start).map_err(Box::new)
    }

    /// Forgets a pair that did not come; the operator's leg, if it came alone.
    pub(crate) fn forget(&self, token: &str) -> Option<Start> {
        let entry = self.lock().remove(token)?;
        let (_, mut arrival) = entry.pair?;
        arrival.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn id(text: &str) -> ChannelId {
        ChannelId::new(text).unwrap()
    }

    fn pair() -> Pair {
        Pair {
            customer: id("1.1"),
            operator: id("1.2"),
            company: Company::Hold,
            arguments: Arguments::default(),
            place: Place::one(),
            wanted: None,
        }
    }

    fn start(channel: &str) -> Start {
        let (_, inbox) = ivrpay_ari::pair(4, 4).unwrap();
        let channel =
            serde_json::json!({"id": channel, "name": "PJSIP/201-00000001", "state": "Up"});
        Start {
            channel: serde_json::from_value(channel).unwrap(),
            args: Vec::new(),
            replaced: None,
            inbox,
            arrived: std::time::Instant::now(),
        }
    }

    #[test]
    fn legs_come_in_either_order() {
        let pairs = Pairs::default();
        let token = pairs.announce(pair()).unwrap();
        assert!(pairs.operator(&token, start("1.2")).is_ok());
        let (_, mut arrival, _) = pairs.customer(&token, &id("1.1")).unwrap();
        assert_eq!(arrival.try_recv().unwrap().channel.id, id("1.2"));

        let token = pairs.announce(pair()).unwrap();
        let (_, mut arrival, _) = pairs.customer(&token, &id("1.1")).unwrap();
        assert!(pairs.operator(&token, start("1.2")).is_ok());
        assert_eq!(arrival.try_recv().unwrap().channel.id, id("1.2"));
        assert!(pairs.lock().is_empty());
    }

    #[test]
    fn another_channel_has_no_part_in_it() {
        let pairs = Pairs::default();
        let token = pairs.announce(pair()).unwrap();
        assert!(pairs.operator("no such token", start("1.2")).is_err());
        assert!(pairs.operator(&token, start("1.3")).is_err());
        assert!(pairs.customer(&token, &id("1.3")).is_none());
        // Neither kept the right ones from coming, and each comes once.
        assert!(pairs.operator(&token, start("1.2")).is_ok());
        assert!(pairs.operator(&token, start("1.2")).is_err());
        assert!(pairs.customer(&token, &id("1.1")).is_some());
        assert!(pairs.customer(&token, &id("1.1")).is_none());
    }

    #[test]
    fn a_customer_is_in_one_pair_at_a_time() {
        let pairs = Pairs::default();
        let again = || pairs.announce(pair()).err();
        let token = pairs.announce(pair()).unwrap();
        assert_eq!(again(), Some(Refusal::Running));
        let (.., pays) = pairs.customer(&token, &id("1.1")).unwrap();
        assert!(pairs.has(&id("1.1")) && again() == Some(Refusal::Running));
        drop(pays);
        assert!(!pairs.has(&id("1.1")) && again().is_none());
    }

    #[test]
    fn an_operator_is_known_as_long_as_his_call_has_him() {
        let pairs = Pairs::default();
        let seated = pairs.seat(&id("1.2"));
        assert!(pairs.clone().is_seated(&id("1.2")) && !pairs.is_seated(&id("1.1")));
        drop(seated);
        assert!(!pairs.is_seated(&id("1.2")));
    }

    #[test]
    fn an_operator_whose_customer_did_not_come_is_found_again() {
        let pairs = Pairs::default();
        let token = pairs.announce(pair()).unwrap();
        pairs.operator(&token, start("1.2")).ok().unwrap();
        assert_eq!(pairs.forget(&token).unwrap().channel.id, id("1.2"));
        assert!(pairs.forget(&token).is_none());
        let token = pairs.announce(pair()).unwrap();
        drop(pairs.customer(&token, &id("1.1")));
        assert!(
            pairs.operator(&token, start("1.2")).is_err(),
            "the call is over"
        );
    }
}
