//! Places for calls, by pool: what a pool is guaranteed, the rest that all share, and how many it may have at most over all services on one journal.
//!
//! A place is given here, in memory, by [`rule::may`], and is back when it is dropped, however its call ended. Where services share the journal, a
//! pool with a limit is counted there too, before its caller is led: each service writes how many it has given, the others' are read behind the
//! same lock, and those of one that is gone stop counting with its lease. Whoever can't be counted gets no place: the journal is away then, and
//! without it nobody could pay. The end of a call is written behind it, and waits for nobody.

mod rule;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ivrpay_api as api;
use ivrpay_journal::Journal;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, Tenant};
use crate::events;
pub(crate) use rule::Full;
use rule::{Count, may};

/// The pool of those who have none.
pub(crate) const REST: &str = "rest";

/// Longest that a caller waits to be counted: he hears nothing meanwhile.
const COUNTED_MAX: Duration = Duration::from_secs(3);

/// How long a place is kept for a customer whom an operator is about to transfer.
const KEPT: Duration = Duration::from_secs(30);

/// How often the journal is asked what others have, and whether it still has what we wrote.
const LOOK: Duration = Duration::from_secs(5);

/// A pool, as it was sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Name in `[pools.NAME]`.
    pub name: String,
    /// Places that no other pool gets, kept free at each service.
    pub guaranteed: u32,
    /// Most at once, over all services that share the journal.
    pub limit: Option<u32>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    Full,
    /// The journal does not say what other services have given.
    Away,
}

/// All pools of this service.
#[derive(Clone)]
pub(crate) struct Pools(Arc<Inner>);

struct Inner {
    whole: u32,
    /// As configured, and behind them that of everybody else.
    pools: Vec<Pool>,
    tenants: Vec<Tenant>,
    here: Mutex<Here>,
    /// What the journal has of ours. Whoever counts has it.
    told: tokio::sync::Mutex<Vec<Told>>,
    /// For customers whom an operator is about to send.
    kept: Mutex<Vec<Kept>>,
    /// What other services had when the journal was last asked.
    elsewhere: Mutex<Vec<u32>>,
    /// Where several services count; `None` where this is the only one.
    shared: Option<Journal>,
    /// A place is back.
    changed: Notify,
}

/// A place for a customer whom an operator sends.
struct Kept {
    place: Place,
    /// His channel's name, where it is known.
    whom: Option<String>,
}

#[derive(Default)]
struct Here {
    counts: Vec<Count>,
    /// Places that were given until now: the number of the last one.
    given: u64,
}

/// What the journal has of a pool.
#[derive(Clone, Copy, Default)]
struct Told {
    /// How many are ours there, where that is known.
    taken: Option<u32>,
    /// The places up to this number were there when others were asked last.
    up_to: u64,
}

/// A place that a call has. Dropped, it is free.
pub(crate) struct Place {
    pools: Pools,
    which: usize,
    number: u64,
    /// Other services know of it, or need not.
    is_counted: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.pools.change(self.which, |here| here.saturating_sub(1));
        if self.pools.counts(self.which) {
            self.pools.0.changed.notify_one();
        }
    }
}

#[cfg(test)]
impl Place {
    /// The only one that there is.
    pub(crate) fn one() -> Self {
        let pools = Pools::of(1, Vec::new(), Vec::new(), None);
        pools.take("").unwrap_or_else(|why| panic!("{why:?}"))
    }
}

impl Pools {
    pub(crate) fn new(config: &Config, journal: &Journal) -> Self {
        let shared = journal.is_shared().then(|| journal.clone());
        let whole = u32::try_from(config.limits.calls_max).unwrap_or(u32::MAX);
        Self::of(whole, config.pools.clone(), config.tenants.clone(), shared)
    }

    fn of(whole: u32, mut pools: Vec<Pool>, tenants: Vec<Tenant>, shared: Option<Journal>) -> Self {
        pools.push(Pool {
            name: REST.to_owned(),
            guaranteed: 0,
            limit: None,
        });
        let counts: Vec<Count> = pools
            .iter()
            .map(|pool| Count {
                guaranteed: pool.guaranteed,
                limit: pool.limit,
                here: 0,
            })
            .collect();
        Self(Arc::new(Inner {
            whole,
            told: tokio::sync::Mutex::new(vec![Told::default(); pools.len()]),
            elsewhere: Mutex::new(vec![0; pools.len()]),
            here: Mutex::new(Here { counts, given: 0 }),
            kept: Mutex::default(),
            pools,
            tenants,
            shared,
            changed: Notify::new(),
        }))
    }

    fn here(&self) -> MutexGuard<'_, Here> {
        self.0.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn elsewhere(&self) -> MutexGuard<'_, Vec<u32>> {
        let elsewhere = self.0.elsewhere.lock();
        elsewhere.unwrap_or_else(PoisonError::into_inner)
    }

    /// Pools that there are to be told of; without any, `calls` and `calls_max` say it all.
    fn shown(&self) -> impl Iterator<Item = (usize, &Pool)> {
        let none = self.0.pools.len() == 1;
        self.0.pools.iter().enumerate().skip(usize::from(none))
    }

    fn change(&self, which: usize, change: impl FnOnce(u32) -> u32) {
        let mut here = self.here();
        if let Some(count) = here.counts.get_mut(which) {
            count.here = change(count.here);
            self.tell_used(which, count.here);
        }
    }

    fn tell_used(&self, which: usize, used: u32) {
        if let Some((_, pool)) = self.shown().find(|(number, _)| *number == which) {
            events::pool_used(&pool.name, used);
        }
    }

    /// The pool of the merchant whom the dialplan names; an unknown one has none of his own.
    fn pool_of(&self, tenant: &str) -> usize {
        let rest = self.0.pools.len().saturating_sub(1);
        let tenant = crate::order::named(&self.0.tenants, tenant);
        let Some(name) = tenant.and_then(|tenant| tenant.pool.as_deref()) else {
            return rest;
        };
        let found = self.0.pools.iter().position(|pool| pool.name == name);
        found.unwrap_or(rest)
    }

    /// Whether the journal counts this pool too.
    fn counts(&self, which: usize) -> bool {
        self.0.shared.is_some() && self.0.pools.get(which).is_some_and(|p| p.limit.is_some())
    }

    /// A place of this service for a call of that merchant, which others are not asked about yet: [`Self::counted`].
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn take(&self, tenant: &str) -> Result<Place, Full> {
        let which = self.pool_of(tenant);
        self.free(which)
            .inspect_err(|why| self.refused(which, *why))
    }

    /// The same for a channel of that name: the place that is kept for it; where nothing is free, one that is kept for a caller whom an
    /// operator sends, since others come by where something is.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn take_or_kept(&self, tenant: &str, channel: &str) -> Result<Place, Full> {
        let which = self.pool_of(tenant);
        let own = |kept: &Kept| kept.place.which == which && kept.whom.as_deref() == Some(channel);
        if let Some(place) = self.take_kept(own) {
            return Ok(place);
        }
        let free = self.free(which);
        // One that is somebody's is his until it is kept no more.
        let nobodys = |kept: &Kept| kept.place.which == which && kept.whom.is_none();
        free.or_else(|why| self.take_kept(nobodys).ok_or(why))
            .inspect_err(|why| self.refused(which, *why))
    }

    fn free(&self, which: usize) -> Result<Place, Full> {
        let mut here = self.here();
        may(self.0.whole, &here.counts, which, 0)?;
        here.given += 1;
        let number = here.given;
        if let Some(count) = here.counts.get_mut(which) {
            count.here += 1;
            self.tell_used(which, count.here);
        }
        drop(here);
        Ok(Place {
            pools: self.clone(),
            which,
            number,
            is_counted: !self.counts(which),
        })
    }

    /// Keeps a place for a while, for the next caller of its pool: an operator is about to send him, `whom` where that is known.
    pub(crate) fn keep(&self, place: Place, whom: Option<String>) {
        let number = place.number;
        self.kept().push(Kept { place, whom });
        let this = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(KEPT).await;
            let over = this.take_kept(|kept| kept.place.number == number);
            drop(over);
        });
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_kept(&self, is: impl Fn(&Kept) -> bool) -> Option<Place> {
        let mut kept = self.kept();
        let found = kept.iter().position(is)?;
        Some(kept.remove(found).place)
    }

    fn refused(&self, which: usize, why: Full) {
        if let Some((_, pool)) = self.shown().find(|(number, _)| *number == which) {
            events::no_place(&pool.name, why);
        }
    }

    /// The same place, when the other services have been asked.
    ///
    /// # Errors
    /// [`NoPlace`]; the place is given back.
    pub(crate) async fn counted(&self, place: Place) -> Result<Place, NoPlace> {
        if place.is_counted {
            return Ok(place);
        }
        // Whoever waits may go away; the transaction that counts may have others' in it, and goes on to its end.
        let this = self.clone();
        let counting = tokio::spawn(async move { this.count(place).await });
        match timeout(COUNTED_MAX, counting).await {
            Ok(Ok(counted)) => counted,
            Ok(Err(_)) | Err(_) => {
                events::not_counted("no answer in time");
                Err(NoPlace::Away)
            }
        }
    }

    /// A place, counted everywhere.
    ///
    /// # Errors
    /// [`NoPlace`].
    pub(crate) async fn place(&self, tenant: &str) -> Result<Place, NoPlace> {
        let place = self.take(tenant).map_err(|_| NoPlace::Full)?;
        self.counted(place).await
    }

    async fn count(&self, mut place: Place) -> Result<Place, NoPlace> {
        let which = place.which;
        let (Some(journal), Some(pool)) = (&self.0.shared, self.0.pools.get(which)) else {
            return Ok(place);
        };
        let mut told = self.0.told.lock().await;
        let Some(told) = told.get_mut(which) else {
            return Ok(place);
        };
        // Whoever was counted while this one waited for his turn was counted with it.
        if place.number <= told.up_to {
            place.is_counted = true;
            return Ok(place);
        }
        // Whoever goes away in the middle leaves it unknown.
        told.taken = None;
        let (mut before, up_to) = {
            let here = self.here();
            (here.counts.clone(), here.given)
        };
        let mut taken = 0;
        if let Some(count) = before.get_mut(which) {
            taken = count.here;
            count.here = count.here.saturating_sub(1);
        }
        let whole = self.0.whole;
        let allowed = |elsewhere| may(whole, &before, which, elsewhere).is_ok();
        match journal.take_place(&pool.name, taken, allowed).await {
            Ok(true) => {
                *told = Told {
                    taken: Some(taken),
                    up_to,
                };
                place.is_counted = true;
                Ok(place)
            }
            Ok(false) => {
                // Before the next one is counted, who else would be refused with it.
                drop(place);
                self.refused(which, Full::Limit);
                Err(NoPlace::Full)
            }
            Err(error) => {
                events::not_counted(&error.to_string());
                Err(NoPlace::Away)
            }
        }
    }

    /// Writes what has changed.
    async fn write(&self) -> Result<(), ivrpay_journal::Error> {
        let Some(journal) = &self.0.shared else {
            return Ok(());
        };
        let mut told = self.0.told.lock().await;
        let now: Vec<u32> = self.here().counts.iter().map(|count| count.here).collect();
        let mut changed = Vec::new();
        for (which, ((pool, now), told)) in self.0.pools.iter().zip(now).zip(&mut *told).enumerate()
        {
            if self.counts(which) && told.taken != Some(now) {
                told.taken = None;
                changed.push((which, &*pool.name, now));
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        let counts: Vec<_> = changed.iter().map(|(_, name, now)| (*name, *now)).collect();
        journal.count_places(&counts).await?;
        for (which, _, now) in changed {
            if let Some(told) = told.get_mut(which) {
                told.taken = Some(now);
            }
        }
        Ok(())
    }

    /// Reads what all have, and notices where the journal has lost what we wrote.
    async fn look(&self) -> Result<(), ivrpay_journal::Error> {
        let Some(journal) = &self.0.shared else {
            return Ok(());
        };
        // Lists of the API use the same connections: nobody who counts waits for them.
        let found = journal.places().await?;
        let mut told = self.0.told.lock().await;
        let of = |pool: &Pool, here| {
            let mut found = found.iter();
            let one = found.find(|places| places.pool == pool.name && places.here == here);
            one.map_or(0, |places| places.taken)
        };
        for ((pool, told), elsewhere) in self
            .0
            .pools
            .iter()
            .zip(&mut *told)
            .zip(&mut *self.elsewhere())
        {
            told.taken = Some(of(pool, true));
            *elsewhere = of(pool, false);
        }
        drop(told);
        self.tell_elsewhere();
        Ok(())
    }

    fn tell_elsewhere(&self) {
        let elsewhere = self.elsewhere();
        for (which, pool) in self.shown() {
            events::pool_elsewhere(
                &pool.name,
                elsewhere.get(which).copied().unwrap_or_default(),
            );
        }
    }

    /// Tells what there is, and keeps the journal's count until the service closes.
    pub(crate) fn watch(&self, closing: &CancellationToken, servers: &TaskTracker) {
        for (which, pool) in self.shown() {
            events::pool(&pool.name, pool.guaranteed, pool.limit);
            self.tell_used(which, 0);
        }
        self.tell_elsewhere();
        if self.0.shared.is_none() || !self.0.pools.iter().any(|pool| pool.limit.is_some()) {
            return;
        }
        let (this, closing) = (self.clone(), closing.clone());
        servers.spawn(async move {
            let mut tick = tokio::time::interval(LOOK);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let looks = tokio::select! {
                    _ = tick.tick() => true,
                    () = this.0.changed.notified() => false,
                    () = closing.cancelled() => return,
                };
                let done = async {
                    if looks {
                        this.look().await?;
                    }
                    this.write().await
                };
                // What was not written is different still at the next look.
                if let Err(error) = done.await {
                    events::journal_failed(None, "places", &error);
                }
            }
        });
    }

    /// How they are now.
    pub(crate) fn now(&self) -> Vec<api::Pool> {
        let (here, elsewhere) = (self.here().counts.clone(), self.elsewhere().clone());
        let shown = self.shown().map(|(which, pool)| api::Pool {
            name: pool.name.clone(),
            used: here.get(which).map_or(0, |count| count.here),
            elsewhere: elsewhere.get(which).copied().unwrap_or_default(),
            guaranteed: pool.guaranteed,
            limit: pool.limit,
            tenants: {
                let of = |tenant: &&Tenant| self.pool_of(tenant.id.as_str()) == which;
                let tenants = self.0.tenants.iter().filter(of);
                tenants.map(|tenant| tenant.id.to_string()).collect()
            },
        });
        shown.collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use ivrpay_journal::OpenOptions;

    use super::*;
    use crate::config::tests::{Folder, SAMPLE};

    /// Ten places: gold has 4 and at most 6, silver 2; two merchants share gold.
    fn pools(shared: Option<Journal>) -> Pools {
        let (head, shop) = SAMPLE.split_once("[[tenants]]").unwrap();
        let (shop, tail) = shop.split_once("\n[connectors.generic]").unwrap();
        let tenant = |name: &str, pool: &str| {
            let named = shop.replace("name = \"shop\"", &format!("name = \"{name}\"\n{pool}"));
            format!("[[tenants]]{named}\n")
        };
        let text = [
            head.replace("tenant = \"shop\"", "tenant = \"one\"").as_str(),
            &tenant("one", "pool = \"gold\""),
            &tenant("two", "pool = \"gold\""),
            &tenant("three", "pool = \"silver\""),
            &tenant("four", ""),
            "[pools.gold]\nguaranteed = 4\nlimit = 6\n[pools.silver]\nguaranteed = 2\n[connectors.generic]",
            tail,
        ]
        .concat();
        let config = Folder::new().load(&text).unwrap();
        Pools::of(10, config.pools, config.tenants, shared)
    }

    fn used(pools: &Pools) -> Vec<(String, u32)> {
        let now = pools.now().into_iter();
        now.map(|pool| (pool.name, pool.used)).collect()
    }

    #[test]
    fn a_merchant_has_the_places_of_his_pool() {
        let pools = pools(None);
        let tenants: Vec<_> = pools.now().into_iter().map(|pool| pool.tenants).collect();
        assert_eq!(tenants, [vec!["one", "two"], vec!["three"], vec!["four"]]);
        let take = |tenant: &str, n: usize| -> Vec<Place> {
            (0..n).map(|_| pools.take(tenant).ok().unwrap()).collect()
        };
        // Four are shared: of ten, six are kept.
        let four = take("four", 4);
        assert_eq!(pools.take("four").err(), Some(Full::Rest));
        // Nobody's is what nobody knows.
        assert_eq!(pools.take("nobody").err(), Some(Full::Rest));
        let gold = [take("one", 2), take("two", 2)];
        assert_eq!(pools.take("one").err(), Some(Full::Rest));
        let silver = take("three", 2);
        drop(four);
        let more = take("two", 2);
        assert_eq!(pools.take("one").err(), Some(Full::Limit));
        let count = |name: &str, n| (name.to_owned(), n);
        assert_eq!(
            used(&pools),
            [count("gold", 6), count("silver", 2), count("rest", 0)]
        );
        drop((gold, silver, more));
        assert_eq!(
            used(&pools),
            [count("gold", 0), count("silver", 0), count("rest", 0)]
        );
    }

    /// An operator has heard that a payment can be taken, and transfers: nobody else's caller gets that place meanwhile.
    #[tokio::test]
    async fn a_place_is_kept_for_who_is_on_his_way() {
        let pools = pools(None);
        let mut shared: Vec<_> = (0..3).map(|_| pools.take("four").ok().unwrap()).collect();
        pools.keep(pools.take("four").ok().unwrap(), None);
        assert_eq!(pools.take("four").err(), Some(Full::Rest));
        let other = pools.take_or_kept("one", "PJSIP/a-1").ok().unwrap();
        assert_eq!(used(&pools)[0].1, 1, "of its own pool");
        // Who comes by where something is free leaves it.
        shared.pop();
        shared.push(pools.take_or_kept("four", "PJSIP/a-2").ok().unwrap());
        let transferred = pools.take_or_kept("four", "PJSIP/a-3").ok().unwrap();
        assert_eq!(
            pools.take_or_kept("four", "PJSIP/a-4").err(),
            Some(Full::Rest)
        );
        // One that is kept for somebody is his, though another is free: both would be taken else.
        let whom = "PJSIP/a-5";
        pools.keep(transferred, Some(whom.to_owned()));
        shared.pop();
        shared.push(pools.take_or_kept("four", whom).ok().unwrap());
        assert_eq!(used(&pools)[2].1, 3);
        drop((other, shared));
        assert_eq!(used(&pools)[2].1, 0);
    }

    /// However a call ends.
    #[tokio::test]
    async fn a_place_is_back_when_its_call_ended_by_a_bug_or_went_away() {
        let pools = pools(None);
        let place = pools.place("one").await.unwrap();
        let bug = tokio::spawn(async move {
            let _place = place;
            panic!("a bug");
        });
        assert!(bug.await.is_err());
        let place = pools.place("one").await.unwrap();
        let waits = tokio::spawn(async move {
            let _place = place;
            std::future::pending::<()>().await;
        });
        tokio::task::yield_now().await;
        assert_eq!(used(&pools)[0].1, 1);
        waits.abort();
        assert!(waits.await.is_err());
        assert_eq!(used(&pools)[0].1, 0);
    }

    async fn journal(folder: &tempfile::TempDir) -> Journal {
        let at = folder.path().join("journal.sqlite");
        Journal::open(at, OpenOptions::new("test")).await.unwrap()
    }

    async fn counted(journal: &Journal) -> Option<u32> {
        let places = journal.places().await.unwrap().into_iter();
        places.map(|places| places.taken).next()
    }

    /// The journal's count follows, and none of calls that come at once is lost.
    #[tokio::test]
    async fn what_is_shared_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let journal = journal(&folder).await;
        let pools = pools(Some(journal.clone()));
        let tasks: Vec<_> = (0..12)
            .map(|_| {
                let pools = pools.clone();
                tokio::spawn(async move { pools.place("two").await })
            })
            .collect();
        let mut got = Vec::new();
        for task in tasks {
            got.extend(task.await.unwrap().ok());
        }
        assert_eq!((got.len(), counted(&journal).await), (6, Some(6)));
        let (writes, _) = journal.commits();
        assert!(writes < 6, "{writes} writes for callers who came at once");
        got.truncate(1);
        pools.write().await.unwrap();
        assert_eq!(counted(&journal).await, Some(1));
        // Lost with the database's last moment: noticed, and written again.
        journal.count_places(&[("gold", 0)]).await.unwrap();
        pools.write().await.unwrap();
        assert_eq!(counted(&journal).await, Some(0));
        pools.look().await.unwrap();
        pools.write().await.unwrap();
        assert_eq!(counted(&journal).await, Some(1));
        // A pool without a limit is nobody else's business.
        drop(pools.place("three").await.unwrap());
        assert_eq!(journal.places().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn without_the_journal_nobody_gets_what_has_to_be_counted() {
        let folder = tempfile::tempdir().unwrap();
        let journal = journal(&folder).await;
        let pools = pools(Some(journal.clone()));
        journal.stop().await.unwrap();
        assert_eq!(pools.place("one").await.err(), Some(NoPlace::Away));
        assert_eq!(used(&pools)[0].1, 0);
        assert!(pools.place("four").await.is_ok());
    }
}
