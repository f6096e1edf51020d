//! How often a card was tried, so that the schemes' rules hold: not again after a decline for good, and not without end.
//!
//! Of a card it remembers the first 64 bits of an HMAC-SHA-256 of tenant and number, under a key that is made at start and is never
//! written anywhere. Key and table are one slot of secret memory, wiped when the process ends; a restart forgets all of it. Nothing
//! here can be printed. Who has a copy of that memory, key and table, can find numbers by trying all of them, as with any digest of so
//! few possibilities: that is why both are where no debugger and no core file reads.
//!
//! It knows no acquirer and no clock of its own. What a call may try is [`Tries::begin`]; what became of it [`Tries::end`].

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use ivrpay_card::Pan;
use ivrpay_payment::{Decline, Outcome, Reason, TenantId};
use ivrpay_secret::{Buffer, Layout, leaving_nothing};
use sha2::Sha256;

/// How long a try, or a decline for good, counts.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Most tries that a setting may allow: Mastercard charges for more than 10 of a card within 24 h.
pub(crate) const TRIES_MAX: u32 = 10;
/// As the setting is by default: a card entered wrongly through all of one call may be entered again in another, and it stays under what
/// Mastercard charges for (10 within 24 h; 7 in Brazil). Visa's count is longer and not kept here: 20 in 30 days, formerly 15. Sources:
/// support.checkout.com "When can I retry a declined transaction", developers.tabapay.com/docs/excessive-retry-rules, docs.payzu.com.br.
pub(crate) const TRIES_DEFAULT: u32 = 5;

/// Cards that are remembered. When a new one comes and all places are taken, the card goes that has the fewest tries, and of those the
/// one tried longest ago; one that was declined for good goes last of all. So a flood of other cards pushes out nobody but other
/// cards of one try, and each costs a call and a decline.
const CARDS_MAX: usize = 4_096;

const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 8;
/// Tag, time of a decline for good, times of tries: seconds since the start and one more, 0 for none.
const CARD_BYTES: usize = TAG_BYTES + 4 + 4 * TRIES_MAX as usize;
const _: () = assert!(KEY_BYTES + CARDS_MAX * CARD_BYTES <= Layout::LARGE_BYTES);

/// What was tried, by tenant: the schemes count by merchant.
pub struct Tries {
    /// The key, then [`CARDS_MAX`] places.
    memory: Mutex<Buffer>,
    begun: Instant,
    limit: usize,
}

/// A try that has begun. Says nothing of the card to who has not the key.
pub(crate) struct Try {
    tag: Tag,
    at: u32,
}

type Tag = [u8; TAG_BYTES];

/// No secret memory, or no randomness.
#[derive(Debug, thiserror::Error)]
#[error("no key to count tries of cards by: {0}")]
pub struct NoKey(&'static str);

impl Tries {
    /// At most `limit` tries a card and day, 1 to 10.
    ///
    /// # Errors
    /// [`NoKey`].
    pub fn new(limit: u32, now: Instant) -> Result<Self, NoKey> {
        let mut memory =
            Buffer::take(KEY_BYTES + CARDS_MAX * CARD_BYTES).map_err(|_| NoKey("no memory"))?;
        let random = rustls::crypto::ring::default_provider().secure_random;
        memory.fill(|room| {
            let key = room.get_mut(..KEY_BYTES).unwrap_or_default();
            let made = random.fill(key).map_err(|_| NoKey("no randomness"));
            (room.len(), made)
        })?;
        Ok(Self {
            memory: Mutex::new(memory),
            begun: now,
            limit: limit.clamp(1, TRIES_MAX) as usize,
        })
    }

    /// Counts a try that is about to be sent; or says why it may not be. It counts until [`Self::end`] says otherwise: what is never
    /// answered was a try.
    ///
    /// # Errors
    /// [`Reason::HardDeclinedBefore`], [`Reason::TriesExceeded`].
    pub(crate) fn begin(&self, tenant: &TenantId, pan: &Pan, now: Instant) -> Result<Try, Reason> {
        let at = self.seconds(now);
        let mut memory = self.lock();
        let tag = tag(&memory, tenant, pan);
        memory.expose_mut(|bytes| {
            let mut card = Card::place(bytes, tag, at);
            if card.is_hard() {
                return Err(Reason::HardDeclinedBefore);
            }
            if card.tries() >= self.limit {
                return Err(Reason::TriesExceeded);
            }
            card.change_try(0, at);
            Ok(Try { tag, at })
        })
    }

    /// What became of a try. An approval was none of those that the schemes count, and what did not reach the issuer neither.
    pub(crate) fn end(&self, tried: &Try, outcome: &Outcome, now: Instant) {
        let at = self.seconds(now);
        self.lock().expose_mut(|bytes| match outcome {
            Outcome::Declined(Decline { hard: true, .. }) => {
                // In a new place where its own was given to another meanwhile.
                Card::place(bytes, tried.tag, at).set(0, at);
            }
            Outcome::Declined(_) | Outcome::Unknown(_) => {}
            Outcome::Approved(_) | Outcome::NotCharged(_) => {
                if let Some(mut card) = Card::find(bytes, tried.tag, at) {
                    card.change_try(tried.at, 0);
                }
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since the start, and one more: 0 is no time. 136 years are enough.
    fn seconds(&self, now: Instant) -> u32 {
        let since = now.saturating_duration_since(self.begun).as_secs();
        u32::try_from(since.saturating_add(1)).unwrap_or(u32::MAX)
    }
}

/// The number runs through the digest's state: nothing of it is left there, nor on the stack.
fn tag(memory: &Buffer, tenant: &TenantId, pan: &Pan) -> Tag {
    memory.expose(|bytes| {
        let key = bytes.get(..KEY_BYTES).unwrap_or_default();
        pan.expose(|digits| {
            leaving_nothing(|| {
                let mut mac =
                    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
                mac.update(tenant.as_str().as_bytes());
                mac.update(&[0]);
                mac.update(digits);
                let whole = mac.finalize().into_bytes();
                whole.first_chunk().copied().unwrap_or_default()
            })
        })
    })
}

/// One place of the table.
struct Card<'a>(&'a mut [u8]);

impl<'a> Card<'a> {
    /// All places, once what is older than a day is forgotten.
    fn all(bytes: &'a mut [u8], now: u32) -> impl Iterator<Item = Self> {
        let places = bytes.get_mut(KEY_BYTES..).unwrap_or_default();
        places.chunks_exact_mut(CARD_BYTES).map(move |place| {
            let mut card = Card(place);
            card.forget(now);
            card
        })
    }

    /// The place of this card, if it has one.
    fn find(bytes: &'a mut [u8], tag: Tag, now: u32) -> Option<Self> {
        Self::all(bytes, now).find(|card| card.0.starts_with(&tag))
    }

    /// The same; where it has none a new one, instead of the least that is remembered.
    fn place(bytes: &'a mut [u8], tag: Tag, now: u32) -> Self {
        let is_own = |card: &Card<'_>| card.0.starts_with(&tag);
        // Its own before all others.
        let by_weight = |card: &Card<'_>| (!is_own(card), card.weight());
        let card = Self::all(bytes, now).min_by_key(by_weight);
        let card = card.unwrap_or(Card(&mut []));
        if !is_own(&card) {
            card.0.fill(0);
            if let Some(own) = card.0.first_chunk_mut() {
                *own = tag;
            }
        }
        card
    }

    /// When it was declined for good, then when it was tried.
    fn times(&self) -> impl Iterator<Item = u32> + '_ {
        let times = self.0.get(TAG_BYTES..).unwrap_or_default();
        let (times, _) = times.as_chunks();
        times.iter().map(|time| u32::from_ne_bytes(*time))
    }

    fn set(&mut self, at: usize, to: u32) {
        let times = self.0.get_mut(TAG_BYTES..).unwrap_or_default();
        let (times, _) = times.as_chunks_mut();
        if let Some(time) = times.get_mut(at) {
            *time = to.to_ne_bytes();
        }
    }

    /// Puts another time in the place of the first try that has this one.
    fn change_try(&mut self, from: u32, to: u32) {
        let at = self.times().skip(1).position(|time| time == from);
        if let Some(at) = at {
            self.set(at + 1, to);
        }
    }

    fn is_hard(&self) -> bool {
        self.times().next().is_some_and(|time| time != 0)
    }

    fn tries(&self) -> usize {
        self.times().skip(1).filter(|time| *time != 0).count()
    }

    fn forget(&mut self, now: u32) {
        let over = |time: u32| time != 0 && u64::from(now.saturating_sub(time)) >= DAY.as_secs();
        let times = self.0.get_mut(TAG_BYTES..).unwrap_or_default();
        let (times, _) = times.as_chunks_mut();
        for time in times.iter_mut() {
            if over(u32::from_ne_bytes(*time)) {
                *time = [0; 4];
            }
        }
        if self.times().all(|time| time == 0) {
            self.0.fill(0);
        }
    }

    /// The least goes first: free, then fewest tries, then longest ago; for good last of all.
    fn weight(&self) -> (bool, usize, u32) {
        let latest = self.times().max().unwrap_or_default();
        (self.is_hard(), self.tries(), latest)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use ivrpay_card::{Digits, Rules};
    use ivrpay_payment::{AcquirerRef, Approval, Brand, Doubt, Why};
    use static_assertions::assert_not_impl_any;

    use super::*;

    assert_not_impl_any!(Tries: Clone, std::fmt::Debug, serde::Serialize);
    assert_not_impl_any!(Try: Clone, std::fmt::Debug, serde::Serialize);

    const HOUR: Duration = Duration::from_secs(3600);

    fn shop() -> TenantId {
        TenantId::new("shop").unwrap()
    }

    /// The `n`th number of a test range.
    fn pan(n: u64) -> Pan {
        let rules = Rules {
            brands: Brand::ALL.to_vec(),
            luhn: false,
        };
        let mut digits = Digits::take().unwrap();
        for digit in format!("411111{n:010}").bytes() {
            digits.push(digit - b'0').unwrap();
        }
        Pan::parse(digits, &rules).unwrap()
    }

    fn declined(hard: bool) -> Outcome {
        Outcome::Declined(Decline {
            reason: Reason::CardUnusable,
            code: "05".into(),
            hard,
            action: None,
        })
    }

    fn approved() -> Outcome {
        Outcome::Approved(Approval {
            acquirer_ref: AcquirerRef::new("ch_1").unwrap(),
            code: None,
            card: None,
        })
    }

    const UNKNOWN: Outcome = Outcome::Unknown(Doubt::NoReply);
    const NOT_SENT: Outcome = Outcome::NotCharged(Why::NotSent);

    /// A table, and when it was made.
    fn table(limit: u32) -> (Tries, Instant) {
        let begun = Instant::now();
        (Tries::new(limit, begun).unwrap(), begun)
    }

    #[track_caller]
    fn ends(tries: &Tries, n: u64, now: Instant, outcome: &Outcome) {
        let tried = tries.begin(&shop(), &pan(n), now);
        let Ok(tried) = tried.map_err(|why| panic!("{why:?}"));
        tries.end(&tried, outcome, now);
    }

    #[track_caller]
    fn refused(tries: &Tries, n: u64, now: Instant, why: Reason) {
        assert_eq!(tries.begin(&shop(), &pan(n), now).err(), Some(why));
    }

    #[test]
    fn a_day_after_a_decline_for_good() {
        let (tries, begun) = table(5);
        ends(&tries, 1, begun, &declined(true));
        for later in [Duration::ZERO, HOUR, DAY - Duration::from_secs(1)] {
            refused(&tries, 1, begun + later, Reason::HardDeclinedBefore);
        }
        // Another card is not meant, nor the same one at another merchant.
        ends(&tries, 2, begun, &approved());
        let other = TenantId::new("bakery").unwrap();
        assert!(tries.begin(&other, &pan(1), begun).is_ok());
        ends(&tries, 1, begun + DAY, &approved());
    }

    #[test]
    fn what_counts_and_for_how_long() {
        let (tries, begun) = table(3);
        for outcome in [
            &declined(false),
            &UNKNOWN,
            &NOT_SENT,
            &approved(),
            &NOT_SENT,
        ] {
            ends(&tries, 1, begun + HOUR, outcome);
        }
        ends(&tries, 1, begun + 2 * HOUR, &declined(false));
        refused(&tries, 1, begun + 3 * HOUR, Reason::TriesExceeded);
        // What was refused did not count, and each try is over after a day of its own.
        refused(&tries, 1, begun + DAY, Reason::TriesExceeded);
        ends(&tries, 1, begun + DAY + HOUR, &declined(false));
        ends(&tries, 1, begun + DAY + HOUR, &declined(false));
        refused(&tries, 1, begun + DAY + HOUR, Reason::TriesExceeded);
        ends(&tries, 1, begun + DAY + 2 * HOUR, &approved());
    }

    /// Two calls with one card at the same moment are two tries; one whose answer is never told stays one.
    #[test]
    fn a_try_counts_while_it_is_on() {
        let (tries, begun) = table(2);
        let first = tries.begin(&shop(), &pan(1), begun).ok().unwrap();
        let _lost = tries.begin(&shop(), &pan(1), begun).ok().unwrap();
        refused(&tries, 1, begun, Reason::TriesExceeded);
        tries.end(&first, &approved(), begun);
        ends(&tries, 1, begun, &declined(false));
        refused(&tries, 1, begun, Reason::TriesExceeded);
    }

    #[test]
    fn the_largest_limit_has_its_places() {
        let (tries, begun) = table(TRIES_MAX);
        for _ in 0..TRIES_MAX {
            ends(&tries, 1, begun, &declined(false));
        }
        refused(&tries, 1, begun, Reason::TriesExceeded);
    }

    /// More cards of one try than there is room for push out none that was declined for good, and none that has more tries.
    #[test]
    fn a_flood_of_other_cards_pushes_out_its_own() {
        let (tries, begun) = table(2);
        ends(&tries, 1, begun, &declined(true));
        ends(&tries, 2, begun, &declined(false));
        ends(&tries, 2, begun, &declined(false));
        ends(&tries, 3, begun, &declined(false));
        let on = tries.begin(&shop(), &pan(4), begun).ok().unwrap();
        let now = begun + HOUR;
        for n in 10..10 + CARDS_MAX as u64 {
            ends(&tries, n, now, &declined(false));
        }
        refused(&tries, 1, now, Reason::HardDeclinedBefore);
        refused(&tries, 2, now, Reason::TriesExceeded);
        ends(&tries, 3, now, &declined(false));
        ends(&tries, 3, now, &declined(false));
        // What was pushed out while it was on is remembered again, if it was for good.
        tries.end(&on, &declined(true), now);
        refused(&tries, 4, now, Reason::HardDeclinedBefore);
    }

    /// Nobody who reads the table finds the number, or can make the same mark without the key.
    #[test]
    fn the_table_holds_no_number() {
        let (tries, begun) = table(5);
        let (others, _) = table(5);
        ends(&tries, 1, begun, &declined(false));
        ends(&others, 1, begun, &declined(false));
        let held = |tries: &Tries| {
            tries
                .lock()
                .expose(|bytes| bytes[KEY_BYTES..][..TAG_BYTES].to_vec())
        };
        assert!(held(&tries) != held(&others) && held(&tries) != [0; TAG_BYTES]);
        pan(1).expose(|digits| {
            tries.lock().expose(|bytes| {
                assert!(!bytes.windows(8).any(|window| window == &digits[..8]));
            });
        });
    }
}
