//! The pay key: an operator presses it while he talks, and both are brought into a payment.
//!
//! The dialplan (`ivrpay-key`) asks here, with the customer on hold, whether a payment can be taken now, and of which customer: over AGI on
//! the operator's own channel ([`agi`]), or, where AGI can't be used, over ARI on a Local channel that he hears ([`ami`]). What can be taken is
//! decided here, once for both, and for the API, which takes a talk over without a key ([`api`]). A refusal is spoken to the operator at once, and the two are talking again: nobody has been moved. Else a
//! token is announced with which both come into Stasis ([`crate::pairs`]).

mod agi;
mod ami;
mod api;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ivrpay_ari::{Bridge, Channel, ChannelId, Client};
use ivrpay_dialogue::operator::{self, Refusal};
use ivrpay_dialogue::{Prompt, Waits};
use ivrpay_journal::Payment;
use ivrpay_payment::Transaction;
use ivrpay_prompts::Language;
use tokio_util::sync::CancellationToken;

use crate::arguments::{Arguments, Mode};
use crate::call::{self, Shared};
use crate::config::Tenant;
use crate::events;
use crate::guard::{Danger, Legs};
use crate::order::{self, NotFound};
use crate::pairs::{ARRIVAL_MAX, Company, Pair, Wanted};
use crate::pools::{NoPlace, Pools};
use crate::spies::Policy;
use crate::twilio::Account;

pub(crate) use ami::asks;

/// How long an operator may think about which of several payments is meant.
const CHOICE_WAIT: Duration = Duration::from_secs(8);
/// How often he is asked.
const CHOICE_TRIES: u32 = 2;
/// Halves of Local channels between operator and customer (FreePBX puts one before each agent of a queue).
const LOCALS_MAX: usize = 4;

/// What the handler looks at.
pub(crate) struct PayKey {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pools: Pools,
    /// No new call is taken.
    pub(crate) draining: CancellationToken,
    /// Who may lead captures in Twilio's form.
    pub(crate) twilio: Vec<Account>,
    /// Who moves both legs, where the dialplan can't.
    pub(crate) ami: Option<ivrpay_ami::Config>,
}

/// Who pressed, and what the dialplan says.
struct Press<'a> {
    /// Unique id of the operator's channel.
    operator: &'a str,
    /// Its name.
    name: &'a str,
    /// The number of its caller id.
    number: &'a str,
    arguments: &'a [String],
    /// Where it was no key that was pressed.
    wanted: Option<Wanted>,
}

/// The way on which the operator hears us, and we his keys.
trait Ear {
    /// He is gone, or the way is.
    type Lost;

    /// Says something to its end; where he is to choose, a key stops it. The digit, if it was one (0 for any other key).
    async fn say(
        &mut self,
        language: Language,
        prompt: &Prompt,
        choice: bool,
    ) -> Result<Option<u8>, Self::Lost>;

    /// The next key, as above.
    async fn wait_for_key(&mut self, wait: Duration) -> Result<Option<u8>, Self::Lost>;
}

/// A payment can be taken, and the pair is announced.
struct Ready {
    token: String,
    customer: Channel,
    company: Company,
}

/// Why the two go on talking.
enum No<Lost> {
    /// The operator is told.
    Refused(Refusal),
    /// He pressed nothing when he was asked.
    Undecided,
    /// He hung up, or the way to him is gone.
    Lost(Lost),
}

impl<Lost> From<Refusal> for No<Lost> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<Lost> From<NoPlace> for No<Lost> {
    fn from(why: NoPlace) -> Self {
        Self::Refused(match why {
            NoPlace::Full => Refusal::NoPlace,
            NoPlace::Away => Refusal::ServiceAway,
        })
    }
}

/// Whether whoever is to be asked has room for the payment: else nobody is moved for it.
fn has_room(refused: Option<String>) -> Result<(), Refusal> {
    refused.map_or(Ok(()), |why| {
        events::pay_key_unusable(&why);
        Err(Refusal::NothingWaiting)
    })
}

impl PayKey {
    /// Tells the operator why the two go on talking, as far as he is still there.
    async fn tell<E: Ear>(
        ear: &mut E,
        language: Language,
        operator: &str,
        no: No<E::Lost>,
    ) -> Result<(), E::Lost> {
        match no {
            No::Refused(why) => {
                events::pay_key_refused(operator, why);
                ear.say(language, &operator::reason(why), false).await?;
            }
            No::Undecided => events::pay_key_undecided(operator),
            No::Lost(lost) => return Err(lost),
        }
        Ok(())
    }

    /// Whether a payment can be taken, and which; `language` is that of the operator's channel, and becomes that of the payment.
    async fn decide<E: Ear>(
        &self,
        ear: &mut E,
        press: Press<'_>,
        language: &mut Language,
    ) -> Result<Ready, No<E::Lost>> {
        if self.draining.is_cancelled() {
            return Err(Refusal::ServiceAway.into());
        }
        let operator = ChannelId::new(press.operator).map_err(|_| Refusal::NoCustomer)?;
        let (company, mut args) = arguments(press.arguments).map_err(|why| {
            events::pay_key_unusable(why);
            Refusal::ServiceAway
        })?;
        let shared = &self.shared;
        let tenant = order::tenant(&shared.tenants, &args).ok_or_else(|| {
            events::pay_key_unusable("tenant is not one of the configuration");
            Refusal::ServiceAway
        })?;
        if company == Company::Keys && !tenant.operator_keyed {
            return Err(Refusal::Keyed.into());
        }
        args.or_extension(shared.edge.extension(press.name, press.number));
        *language = args.language.unwrap_or(*language);
        if args.mode != Mode::Training {
            let amount = args.money(tenant.currency).ok().flatten();
            let may = tenant.routing.candidates(amount);
            shared.settle.can_be_asked(&may)?;
        }
        let customer = customer(&shared.client, &operator).await?;
        if shared.pairs.has(&customer.id) {
            return Err(Refusal::Running.into());
        }
        self.payment(ear, *language, tenant, &mut args, &customer)
            .await?;
        // Kept for the customer from here on.
        let place = self.pools.place(tenant.id.as_str()).await?;
        let legs = Legs {
            customer: (&customer.id, &customer.name),
            operator: Some((&operator, press.name)),
            taken_off: tenant.spy == Policy::Detach,
        };
        // One look at Asterisk for both legs.
        let (practice, pressed) = (args.mode == Mode::Training, Instant::now());
        self.safe(legs, practice, pressed).await?;
        // Then his keys are a card too: by what leg they come is asked as of a customer's.
        if company == Company::Keys {
            let (customer, operator) = ((&operator, press.name), None);
            let keyer = Legs {
                customer,
                operator,
                ..legs
            };
            self.safe(keyer, practice, pressed).await?;
        }
        // He may have thought about it for a while, and the two may talk no more.
        if self.draining.is_cancelled() {
            return Err(Refusal::ServiceAway.into());
        }
        let still = self::customer(&shared.client, &operator).await?;
        if still.id != customer.id {
            return Err(Refusal::NoCustomer.into());
        }
        let pair = Pair {
            customer: customer.id.clone(),
            operator,
            company,
            arguments: args,
            place,
            wanted: press.wanted,
        };
        let token = shared.pairs.announce(pair)?;
        self.forget_later(token.clone());
        Ok(Ready {
            token,
            customer,
            company,
        })
    }

    /// That there is a payment to be taken; the operator chooses where several wait.
    async fn payment<E: Ear>(
        &self,
        ear: &mut E,
        language: Language,
        tenant: &Tenant,
        args: &mut Arguments,
        customer: &Channel,
    ) -> Result<(), No<E::Lost>> {
        let begins = args.begins(tenant.currency, tenant.transaction);
        let begins = begins.map_err(|why| {
            events::pay_key_unusable(why);
            Refusal::NothingWaiting
        })?;
        if args.mode == Mode::Training {
            return begins
                .map(drop)
                .ok_or_else(|| Refusal::NothingWaiting.into());
        }
        let journal = self.shared.settle.journal();
        let (extension, caller) = (args.operator_extension.as_deref(), &customer.caller.number);
        match order::find(journal, tenant, args, extension, caller).await {
            Ok(Some(payment)) => {
                has_room(order::refused(tenant, &payment))?;
                // What was found and spoken of is what is taken, whatever is announced in the next second.
                args.payment = Some(payment.id);
                Ok(())
            }
            Ok(None) => {
                let (transaction, amount) = begins.ok_or(Refusal::NothingWaiting)?;
                let usual = (!transaction.moves_money()).then_some(&*tenant.connector);
                has_room(order::refused_new(tenant, transaction, usual, amount))?;
                Ok(())
            }
            Err(NotFound::Foreign) => Err(Refusal::NothingWaiting.into()),
            Err(NotFound::Taken { state, .. }) => Err(order::refusal(state).into()),
            Err(NotFound::Journal(error)) => {
                events::journal_failed(None, "find", &error);
                Err(Refusal::ServiceAway.into())
            }
            Err(NotFound::Several(waiting)) => {
                let waits: Vec<_> = waiting.iter().map(waits).collect();
                let chosen = choose(ear, language, &waits).await?;
                if let Some(payment) = waiting.get(chosen) {
                    has_room(order::refused(tenant, payment))?;
                    args.payment = Some(payment.id);
                }
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

/// Of the arguments of the key: what the operator does meanwhile, and those that `Stasis()` would have.
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

/// What is said of it. Where nothing is charged, its amount is none.
const fn waits(payment: &Payment) -> Waits {
    match payment.transaction {
        Transaction::Tokenise => Waits::ToRegister,
        Transaction::Verify => Waits::ToCheck,
        _ => Waits::For(payment.amount),
    }
}

/// Reads to the operator what waits, who presses the number of one; its index.
async fn choose<E: Ear>(
    ear: &mut E,
    language: Language,
    waits: &[Waits],
) -> Result<usize, No<E::Lost>> {
    // Too many to be read to anybody: the order system says which.
    let prompt = operator::choice(waits).ok_or(Refusal::NothingWaiting)?;
    for _ in 0..CHOICE_TRIES {
        let mut key = ear.say(language, &prompt, true).await.map_err(No::Lost)?;
        if key.is_none() {
            key = ear.wait_for_key(CHOICE_WAIT).await.map_err(No::Lost)?;
        }
        let index = key.and_then(|number| usize::from(number).checked_sub(1));
        if let Some(index) = index.filter(|index| *index < waits.len()) {
            return Ok(index);
        }
    }
    Err(No::Undecided)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use ivrpay_payment::{Currency, Money};

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

    /// Presses these keys, one each time that he is asked or waited for.
    struct Presses(std::vec::IntoIter<Option<u8>>);

    impl Ear for Presses {
        type Lost = ();

        async fn say(&mut self, _: Language, _: &Prompt, choice: bool) -> Result<Option<u8>, ()> {
            assert!(choice);
            self.0.next().ok_or(())
        }

        async fn wait_for_key(&mut self, wait: Duration) -> Result<Option<u8>, ()> {
            assert_eq!(wait, CHOICE_WAIT);
            self.0.next().ok_or(())
        }
    }

    #[tokio::test]
    async fn the_operator_chooses_by_number_and_has_two_tries() {
        let yen = |amount| Waits::For(Money::new(amount, Currency::Jpy).unwrap());
        let waiting = [yen(3300), yen(4400)];
        for (keys, chosen) in [
            // In the middle of what is said, and behind it.
            (vec![Some(2)], Some(1)),
            (vec![None, Some(1)], Some(0)),
            // No number of one, no digit; then a good one.
            (vec![Some(9), Some(2)], Some(1)),
            (vec![None, Some(0), None, Some(2)], Some(1)),
            (vec![None, None, None, None], None),
            (vec![Some(3), Some(0), Some(1)], None),
        ] {
            let mut ear = Presses(keys.clone().into_iter());
            let got = match choose(&mut ear, Language::Ja, &waiting).await {
                Ok(index) => Some(index),
                Err(No::Undecided) => None,
                Err(_) => panic!("{keys:?}: not undecided"),
            };
            assert_eq!(got, chosen, "{keys:?}");
        }
        let mut gone = Presses(vec![None].into_iter());
        let lost = choose(&mut gone, Language::Ja, &waiting).await;
        assert!(matches!(lost, Err(No::Lost(()))));
        // More than there are keys: nobody is asked.
        let many: Vec<_> = (1..=10).map(yen).collect();
        let refused = choose(&mut gone, Language::Ja, &many).await;
        assert!(matches!(refused, Err(No::Refused(Refusal::NothingWaiting))));
    }

    #[test]
    fn who_asks_without_agi_is_told_from_a_call() {
        let of = |args: &[&str]| asks(&args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>());
        assert!(of(&["key=1795661748.2", "tenant=demo", "company=stay"]));
        assert!(!of(&["tenant=demo", "order=key=1"]));
        assert!(!of(&["pair=0a1b", "leg=operator"]));
    }
}
