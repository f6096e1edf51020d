//! Whether a pool may have one place more. Pure.

/// One pool at this service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count {
    /// Places that no other pool gets.
    pub(crate) guaranteed: u32,
    /// Most at once over all services; `None`: as many as there are.
    pub(crate) limit: Option<u32>,
    /// Places that it has here.
    pub(crate) here: u32,
}

impl Count {
    /// What it has of the shared rest.
    const fn of_the_rest(&self) -> u32 {
        self.here.saturating_sub(self.guaranteed)
    }
}

/// Why a pool gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// It has as many as it may have.
    Limit,
    /// It has what it is guaranteed, and all others of this service are taken, or guaranteed to other pools.
    Rest,
}

impl Full {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Rest => "shared",
        }
    }
}

/// Whether the pool `which` may have a place of the `whole` of this service, when it has so many at other services that share the journal.
///
/// What is guaranteed is kept free at each service, since nobody knows where a call comes: so it needs no word of the others. The sum of what is
/// guaranteed is at most the whole (`config`).
pub(crate) fn may(whole: u32, pools: &[Count], which: usize, elsewhere: u32) -> Result<(), Full> {
    let Some(pool) = pools.get(which) else {
        return Err(Full::Rest);
    };
    if pool
        .limit
        .is_some_and(|limit| pool.here.saturating_add(elsewhere) >= limit)
    {
        return Err(Full::Limit);
    }
    if pool.here < pool.guaranteed {
        return Ok(());
    }
    let sum = |of: fn(&Count) -> u32| pools.iter().map(of).fold(0, u32::saturating_add);
    let rest = whole.saturating_sub(sum(|pool| pool.guaranteed));
    if sum(Count::of_the_rest) < rest {
        Ok(())
    } else {
        Err(Full::Rest)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    const WHOLE: u32 = 20;
    const POOLS: usize = 4;
    const SERVICES: usize = 3;

    /// Services that share what a pool may have at most.
    struct World {
        at: [[Count; POOLS]; SERVICES],
    }

    impl World {
        fn new(pools: &[(u32, Option<u32>); POOLS]) -> Self {
            let pools = pools.map(|(guaranteed, limit)| Count {
                guaranteed,
                limit: limit.map(|more| (guaranteed + more).max(1)),
                here: 0,
            });
            Self {
                at: [pools; SERVICES],
            }
        }

        fn all(&self, pool: usize) -> u32 {
            self.at.iter().map(|pools| pools[pool].here).sum()
        }

        fn may(&self, service: usize, pool: usize) -> Result<(), Full> {
            let pools = &self.at[service];
            may(WHOLE, pools, pool, self.all(pool) - pools[pool].here)
        }

        /// What has to hold, whatever has happened.
        fn check(&self) {
            for (service, pools) in self.at.iter().enumerate() {
                let taken: u32 = pools.iter().map(|pool| pool.here).sum();
                assert!(taken <= WHOLE, "{taken} of {WHOLE} places");
                for (number, pool) in pools.iter().enumerate() {
                    let all = self.all(number);
                    let is_below = pool.limit.is_none_or(|limit| all < limit);
                    assert!(
                        pool.limit.is_none_or(|limit| all <= limit),
                        "{all} of {pool:?}"
                    );
                    match self.may(service, number) {
                        Ok(()) => assert!(is_below && taken < WHOLE),
                        Err(Full::Limit) => assert!(!is_below, "{all} of {pool:?}"),
                        Err(Full::Rest) => {
                            assert!(is_below);
                            assert!(pool.here >= pool.guaranteed, "a guarantee is not kept");
                            // No place is lost: each is taken, or kept for somebody who has fewer than he is guaranteed.
                            let kept: u32 = pools
                                .iter()
                                .map(|pool| pool.guaranteed.saturating_sub(pool.here))
                                .sum();
                            assert_eq!(taken + kept, WHOLE);
                        }
                    }
                }
            }
        }
    }

    proptest! {
        /// Calls that come and end in any order, at several services.
        #[test]
        fn a_guarantee_holds_and_no_place_is_lost(
            pools in prop::array::uniform4((0_u32..=5, prop::option::of(0_u32..30))),
            calls in prop::collection::vec((0..SERVICES, 0..POOLS, prop::bool::weighted(0.7)), 0..300),
        ) {
            let mut world = World::new(&pools);
            let begun = world.at;
            world.check();
            for (service, pool, comes) in calls {
                if comes && world.may(service, pool).is_ok() {
                    world.at[service][pool].here += 1;
                } else if !comes {
                    let here = &mut world.at[service][pool].here;
                    *here = here.saturating_sub(1);
                }
                world.check();
            }
            // When all have ended everything is as it was.
            for pool in world.at.iter_mut().flatten() {
                pool.here = 0;
            }
            prop_assert_eq!(world.at, begun);
            world.check();
        }

        /// A place that was given is asked for once more with what the others have: of itself it is in nobody's way.
        #[test]
        fn what_was_given_here_may_stay_here(
            pools in prop::array::uniform4((0_u32..=5, prop::option::of(0_u32..30))),
            calls in prop::collection::vec(0..POOLS, 0..60),
        ) {
            let mut world = World::new(&pools);
            for pool in calls {
                if world.may(0, pool).is_ok() {
                    world.at[0][pool].here += 1;
                    for given in 0..POOLS {
                        if world.at[0][given].here > 0 {
                            world.at[0][given].here -= 1;
                            prop_assert_eq!(world.may(0, given), Ok(()));
                            world.at[0][given].here += 1;
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn one_after_the_other() {
        let pool = |guaranteed, limit, here| Count {
            guaranteed,
            limit,
            here,
        };
        for (pools, which, elsewhere, expected) in [
            // Without pools, as many as there are.
            (vec![pool(0, None, 9)], 0, 0, Ok(())),
            (vec![pool(0, None, 10)], 0, 0, Err(Full::Rest)),
            // Six are kept for the one: the rest has four.
            (
                vec![pool(6, None, 0), pool(0, None, 4)],
                1,
                0,
                Err(Full::Rest),
            ),
            (vec![pool(6, None, 0), pool(0, None, 4)], 0, 0, Ok(())),
            (vec![pool(6, None, 6), pool(0, None, 3)], 0, 0, Ok(())),
            (
                vec![pool(6, None, 7), pool(0, None, 3)],
                1,
                0,
                Err(Full::Rest),
            ),
            // Its limit is over all services, and below what is guaranteed at this one too.
            (vec![pool(6, Some(6), 2), pool(0, None, 0)], 0, 3, Ok(())),
            (
                vec![pool(6, Some(6), 2), pool(0, None, 0)],
                0,
                4,
                Err(Full::Limit),
            ),
            (vec![pool(0, None, 0)], 1, 0, Err(Full::Rest)),
        ] {
            assert_eq!(
                may(10, &pools, which, elsewhere),
                expected,
                "{pools:?} {which} {elsewhere}"
            );
        }
    }
}
