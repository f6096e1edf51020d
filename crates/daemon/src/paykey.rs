//! The pay key: an operator presses it while he talks, and both are brought into a payment.
//!
//! The dialplan (`ivrpay-key`) asks here over AGI, on the operator's channel, with the customer on hold: whether a payment can be taken
//! now, and of which customer. A refusal is spoken to the operator at once, and the two are talking again: nobody has been moved. Else a
//! token stands in a variable, with which the dialplan sends both into Stasis ([`crate::pairs`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ivrpay_agi::{Error, Session};
use ivrpay_ari::{Bridge, Channel, ChannelId, Client};
use ivrpay_dialogue::Prompt;
use ivrpay_dialogue::operator::{self, Refusal};
use ivrpay_journal::Payment;
use ivrpay_prompts::Language;
use tokio_util::sync::CancellationToken;

use crate::arguments::{Arguments, Mode};
use crate::call::{self, Shared};
use crate::config::Tenant;
use crate::events;
use crate::guard::{Danger, Legs};
use crate::order::{self, NotFound};
use crate::pairs::{ARRIVAL_MAX, Company, Pair};
use crate::spies::Policy;

/// How long an operator may think about which of several payments is meant.
const CHOICE_WAIT: Duration = Duration::from_secs(8);
/// How often he is asked.
const CHOICE_TRIES: u32 = 2;
/// Halves of Local channels between operator and customer (FreePBX puts one before each agent of a queue).
const LOCALS_MAX: usize = 4;

/// What the handler looks at.
pub(crate) struct PayKey {
    pub(crate) shared: Arc<Shared>,
    /// Calls that are on.
    pub(crate) on: Arc<AtomicUsize>,
    pub(crate) calls_max: usize,
    pub(crate) stopping: CancellationToken,
}

/// Why the two go on talking.
enum No {
    /// The operator is told.
    Refused(Refusal),
    /// He pressed nothing when he was asked.
    Undecided,
    /// He hung up, or Asterisk does not speak AGI.
    Agi(Error),
}

impl From<Error> for No {
    fn from(error: Error) -> Self {
        Self::Agi(error)
    }
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl PayKey {
    /// Leads one session of AGI.
    pub(crate) async fn handle(self: Arc<Self>, mut session: Session) {
        let done = match session.request().script() {
            "pay" => self.pay(&mut session).await,
            "joined" => {
                self.joined(&session);
                Ok(())
            }
            _ => {
                events::agi_refused("the script is not known; the dialplan asks for pay or joined");
                Ok(())
            }
        };
        if let Err(error) = done {
            events::agi_failed(&error);
        }
    }

    /// The customer whom an operator had called has answered.
    fn joined(&self, session: &Session) {
        if let Some(Ok(call)) = session.request().parameter("call").map(str::parse) {
            self.shared.outbound.joined(call);
        }
    }

    async fn pay(&self, session: &mut Session) -> Result<(), Error> {
        // By it the dialplan knows that somebody is here.
        session.set_variable("IVRPAY_KEY_ANSWERED", "1").await?;
        let mut language = spoken(session.request().language());
        match self.decide(session, &mut language).await {
            Ok(()) => Ok(()),
            Err(No::Refused(why)) => {
                events::pay_key_refused(session.request().channel(), why);
                say(session, language, &operator::reason(why), "").await?;
                Ok(())
            }
            Err(No::Undecided) => {
                events::pay_key_undecided(session.request().channel());
                Ok(())
            }
            Err(No::Agi(error)) => Err(error),
        }
    }

    async fn decide(&self, session: &mut Session, language: &mut Language) -> Result<(), No> {
        if self.stopping.is_cancelled() {
            return Err(Refusal::ServiceAway.into());
        }
        if self.on.load(Ordering::Relaxed) >= self.calls_max {
            return Err(Refusal::NoPlace.into());
        }
        let request = session.request();
        let operator_name = request.channel().to_owned();
        let operator = ChannelId::new(request.unique_id()).map_err(|_| Refusal::NoCustomer)?;
        let (company, mut args) = arguments(request.arguments()).map_err(|why| {
            events::agi_refused(why);
            Refusal::ServiceAway
        })?;
        let shared = &self.shared;
        let tenant = order::tenant(&shared.tenants, &args).ok_or_else(|| {
            events::agi_refused("tenant is not one of the configuration");
            Refusal::ServiceAway
        })?;
        if company == Company::Keys && !tenant.operator_keyed {
            return Err(Refusal::Keyed.into());
        }
        let number = request.caller_id().unwrap_or_default();
        args.or_extension(shared.edge.extension(&operator_name, number));
        *language = args.language.unwrap_or(*language);
        let customer = customer(&shared.client, &operator).await?;
        if shared.pairs.has(&customer.id) {
            return Err(Refusal::Running.into());
        }
        self.payment(session, *language, tenant, &mut args, &customer)
            .await?;
        let legs = Legs {
            customer: (&customer.id, &customer.name),
            operator: Some((&operator, &operator_name)),
            taken_off: tenant.spy == Policy::Detach,
        };
        // One look at Asterisk for both legs.
        let (practice, pressed) = (args.mode == Mode::Training, Instant::now());
        self.safe(legs, practice, pressed).await?;
        // Then his keys are a card too: by what leg they come is asked as of a customer's.
        if company == Company::Keys {
            let (customer, operator) = ((&operator, operator_name.as_str()), None);
            let keyer = Legs {
                customer,
                operator,
                ..legs
            };
            self.safe(keyer, practice, pressed).await?;
        }
        let pair = Pair {
            customer: customer.id.clone(),
            operator,
            company,
            arguments: args,
        };
        let token = shared.pairs.announce(pair).ok_or(Refusal::NoPlace)?;
        self.forget_later(token.clone());
        session
            .set_variable("__IVRPAY_KEY_CUSTOMER", &customer.name)
            .await?;
        session.set_variable("__IVRPAY_PAIR", &token).await?;
        events::pay_key(&operator_name);
        Ok(())
    }

    /// That there is a payment to be taken; the operator chooses where several wait.
    async fn payment(
        &self,
        session: &mut Session,
        language: Language,
        tenant: &Tenant,
        args: &mut Arguments,
        customer: &Channel,
    ) -> Result<(), No> {
        let amount = args.money(tenant.currency).map_err(|why| {
            events::agi_refused(why);
            Refusal::NothingWaiting
        })?;
        if args.mode == Mode::Training {
            return amount
                .map(drop)
                .ok_or_else(|| Refusal::NothingWaiting.into());
        }
        let journal = self.shared.settle.journal();
        let (extension, caller) = (args.operator_extension.as_deref(), &customer.caller.number);
        match order::find(journal, tenant, args, extension, caller).await {
            Ok(Some(payment)) => {
                // What was found and spoken of is what is taken, whatever is announced in the next second.
                args.payment = Some(payment.id);
                Ok(())
            }
            Ok(None) if amount.is_some() => Ok(()),
            Ok(None) | Err(NotFound::Foreign) => Err(Refusal::NothingWaiting.into()),
            Err(NotFound::Taken { state, .. }) => Err(order::refusal(state).into()),
            Err(NotFound::Journal(error)) => {
                events::journal_failed(None, "find", &error);
                Err(Refusal::ServiceAway.into())
            }
            Err(NotFound::Several(waiting)) => {
                let chosen = choose(session, language, &waiting).await?;
                args.payment = Some(chosen.id);
                Ok(())
            }
        }
    }

    /// Whether Asterisk may be trusted with keys, as far as can be known before the customer moves.
    async fn safe(&self, legs: Legs<'_>, practice: bool, pressed: Instant) -> Result<(), Refusal> {
        let Shared {
            guard,
            client,
            edge,
            ..
        } = &*self.shared;
        let (_, name) = legs.customer;
        edge.takes(name, practice).map_err(Danger::refusal)?;
        let checked = guard.before_the_move(client, legs, pressed).await;
        checked.map_err(Danger::refusal)
    }

    fn forget_later(&self, token: String) {
        let (pairs, client) = (self.shared.pairs.clone(), self.shared.client.clone());
        tokio::spawn(async move {
            tokio::time::sleep(ARRIVAL_MAX).await;
            if let Some(alone) = pairs.forget(&token) {
                call::go_on(&client, &alone.channel.id).await;
            }
        });
    }
}

/// Of the arguments of `AGI()`: what the operator does meanwhile, and those that `Stasis()` would have.
fn arguments(args: &[String]) -> Result<(Company, Arguments), &'static str> {
    let (mut company, mut entered_by) = ("", "");
    let mut rest = Vec::new();
    for arg in args {
        match arg.split_once('=') {
            Some(("company", value)) => company = value,
            Some(("entered_by", value)) => entered_by = value,
            _ => rest.push(arg.clone()),
        }
    }
    let company = match (entered_by, company) {
        ("operator", _) => Company::Keys,
        ("" | "caller", "" | "hold") => Company::Hold,
        ("" | "caller", "stay") => Company::Stay,
        ("" | "caller", _) => return Err("company is hold or stay"),
        _ => return Err("entered_by is caller or operator"),
    };
    Ok((company, Arguments::parse(&rest)?))
}

/// Prompts are there in two languages; whoever has another hears English.
pub(crate) fn spoken(channel: &str) -> Language {
    if channel.starts_with("ja") {
        Language::Ja
    } else {
        Language::En
    }
}

/// Whoever talks with the operator, found by Asterisk's own list of bridges: behind Local channels too.
async fn customer(client: &Client, operator: &ChannelId) -> Result<Channel, Refusal> {
    let listed = tokio::try_join!(client.channels(), client.bridges());
    let Ok((channels, bridges)) = listed else {
        return Err(Refusal::ServiceAway);
    };
    partner(&channels, &bridges, operator.as_str()).cloned()
}

/// Whoever talks with the channel `of`, behind Local channels too.
pub(crate) fn partner<'a>(
    channels: &'a [Channel],
    bridges: &[Bridge],
    of: &str,
) -> Result<&'a Channel, Refusal> {
    let mut of = of.to_owned();
    for _ in 0..=LOCALS_MAX {
        let bridge = bridges.iter().find(|b| b.channels.contains(&of));
        let members = &bridge.ok_or(Refusal::NoCustomer)?.channels;
        let others: Vec<&String> = members.iter().filter(|id| **id != of).collect();
        let [other] = others[..] else {
            return Err(if others.is_empty() {
                Refusal::NoCustomer
            } else {
                Refusal::ThirdParty
            });
        };
        let channel = channels.iter().find(|c| c.id.as_str() == other);
        let channel = channel.ok_or(Refusal::NoCustomer)?;
        let Some(half) = other_half(&channel.name) else {
            return Ok(channel);
        };
        let half = channels.iter().find(|c| c.name == half);
        of = half.ok_or(Refusal::NoCustomer)?.id.as_str().to_owned();
    }
    Err(Refusal::ThirdParty)
}

/// `Local/201@from-queue-00000003;2` and `…;1` are two ends of one pipe.
pub(crate) fn other_half(name: &str) -> Option<String> {
    let pipe = name.strip_prefix("Local/")?;
    let (pipe, half) = pipe.rsplit_once(';')?;
    let other = match half {
        "1" => "2",
        "2" => "1",
        _ => return None,
    };
    Some(format!("Local/{pipe};{other}"))
}

/// Reads the amounts to the operator, who presses the number of one.
async fn choose<'a>(
    session: &mut Session,
    language: Language,
    waiting: &'a [Payment],
) -> Result<&'a Payment, No> {
    let amounts: Vec<_> = waiting.iter().map(|payment| payment.amount).collect();
    // Too many to be read to anybody: the order system says which.
    let prompt = operator::choice(&amounts).ok_or(Refusal::NothingWaiting)?;
    for _ in 0..CHOICE_TRIES {
        let mut key = say(session, language, &prompt, "123456789").await?;
        if key.is_none() {
            key = session.wait_for_key(CHOICE_WAIT).await?;
        }
        let number = key.and_then(|key| key.to_digit(10)).unwrap_or(0);
        let index = usize::try_from(number).unwrap_or(0).checked_sub(1);
        if let Some(payment) = index.and_then(|index| waiting.get(index)) {
            return Ok(payment);
        }
    }
    Err(No::Undecided)
}

/// Plays a prompt on the operator's leg; the key that stopped it.
async fn say(
    session: &mut Session,
    language: Language,
    prompt: &Prompt,
    keys: &str,
) -> Result<Option<char>, Error> {
    if spoken(session.request().language()) != language {
        session
            .set_variable("CHANNEL(language)", language.code())
            .await?;
    }
    for clip in ivrpay_prompts::clips(prompt, language) {
        let played = session.stream_file(&format!("ivrpay/{clip}"), keys).await?;
        if played.key.is_some() {
            return Ok(played.key);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn channel(id: &str, name: &str) -> Channel {
        serde_json::from_value(serde_json::json!({"id": id, "name": name, "state": "Up"})).unwrap()
    }

    fn bridge(channels: &[&str]) -> Bridge {
        let json =
            serde_json::json!({"id": "b", "technology": "simple_bridge", "channels": channels});
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_customer_is_found_behind_local_channels_and_never_guessed() {
        let channels = [
            channel("1", "PJSIP/trunk-00000001"),
            channel("2", "Local/201@from-queue-00000003;1"),
            channel("3", "Local/201@from-queue-00000003;2"),
            channel("4", "PJSIP/201-00000002"),
            channel("5", "PJSIP/202-00000004"),
        ];
        let find = |bridges: &[&[&str]]| {
            let bridges: Vec<_> = bridges.iter().map(|members| bridge(members)).collect();
            partner(&channels, &bridges, "4").map(|c| c.id.as_str().to_owned())
        };
        assert_eq!(find(&[&["1", "4"]]), Ok("1".into()));
        assert_eq!(find(&[&["1", "2"], &["3", "4"]]), Ok("1".into()));
        assert_eq!(find(&[]), Err(Refusal::NoCustomer));
        assert_eq!(find(&[&["4"]]), Err(Refusal::NoCustomer));
        assert_eq!(find(&[&["1", "4", "5"]]), Err(Refusal::ThirdParty));
        assert_eq!(
            find(&[&["1", "2", "5"], &["3", "4"]]),
            Err(Refusal::ThirdParty)
        );
        // Not in Asterisk's list of channels (any more), and a pipe that ends nowhere.
        assert_eq!(find(&[&["9", "4"]]), Err(Refusal::NoCustomer));
        assert_eq!(find(&[&["3", "4"]]), Err(Refusal::NoCustomer));
    }

    #[test]
    fn a_pipe_that_leads_back_to_itself_ends() {
        let channels = [
            channel("2", "Local/x@y-00000003;1"),
            channel("3", "Local/x@y-00000003;2"),
        ];
        let bridges = [bridge(&["2", "3"])];
        assert_eq!(partner(&channels, &bridges, "2"), Err(Refusal::ThirdParty));
    }

    #[test]
    fn what_the_operator_does_meanwhile_is_read() {
        let read = |text: &str| arguments(&text.split(',').map(str::to_owned).collect::<Vec<_>>());
        let (company, args) = read("tenant=demo,company=stay,order=A-1,amount=").unwrap();
        assert_eq!((company, args.order.is_some()), (Company::Stay, true));
        assert_eq!(read("company=").unwrap().0, Company::Hold);
        assert!(read("company=listen").is_err());
        assert_eq!(read("company=stay,entered_by=").unwrap().0, Company::Stay);
        let keys = read("company=stay,entered_by=operator,order=A-1").unwrap();
        assert_eq!(keys.0, Company::Keys);
        assert!(read("entered_by=customer").is_err());
        assert!(read("colour=red").is_err());
    }
}
