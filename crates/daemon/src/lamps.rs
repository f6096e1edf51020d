//! Lamps: `Stasis:ivrpay-201` is in use while the call of extension 201 is with us, and a queue with it as its state does not ring him.
//!
//! A lamp is put out when it is dropped, whatever became of the call that had it. A lamp that nobody dropped (the process was killed) is put
//! out by the next one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ivrpay_ari::{ChannelId, Client, DeviceState, RequestError};
use tokio::sync::Mutex;

use crate::events;
use crate::ladder::Kept;

/// Beginning of our devices' names.
const LAMP: &str = "Stasis:ivrpay-";
/// Longest extension that has a lamp.
const EXTENSION_MAX: usize = 40;
/// How often the dialplan's ladder is looked at, and a call whose end is waited for.
const LOOK: Duration = Duration::from_millis(500);
const LOOK_TALKING: Duration = Duration::from_secs(3);
/// Longest that a call behind the payment may keep an operator.
const TALK_MAX: Duration = Duration::from_secs(4 * 3600);
/// Where the dialplan says how far the return is: the number of the rung, or [`JOINED`].
const RETURN: &str = "SHARED(IVRPAY_RETURN)";
const JOINED: &str = "joined";

/// All lamps that are lit. One request at a time: two about one lamp may not pass each other.
#[derive(Clone)]
pub(crate) struct Lamps {
    client: Client,
    /// Calls that keep each.
    lit: Arc<Mutex<BTreeMap<String, usize>>>,
}

/// One that is lit.
pub(crate) struct Lamp {
    lamps: Lamps,
    name: String,
}

/// What becomes of the lamp behind our part of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Until {
    /// The rung that rings this operator; `None` where he has the customer already.
    pub(crate) kept: Option<Kept>,
    /// How long the operator is kept behind the end of the call.
    pub(crate) wrap_up: Duration,
}

impl Lamps {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            lit: Arc::default(),
        }
    }

    /// Lights the lamp of an extension. `None` where the extension can have none.
    pub(crate) async fn light(&self, extension: &str) -> Option<Lamp> {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if extension.is_empty() || extension.len() > EXTENSION_MAX || !extension.chars().all(good) {
            return None;
        }
        let name = format!("{LAMP}{extension}");
        let mut lit = self.lit.lock().await;
        *lit.entry(name.clone()).or_default() += 1;
        // Each time: one that was put out by hand is lit again.
        if let Err(error) = self
            .client
            .set_device_state(&name, DeviceState::Inuse)
            .await
        {
            events::lamp_failed(&name, &error);
        }
        drop(lit);
        let lamps = self.clone();
        Some(Lamp { lamps, name })
    }

    async fn put_out(&self, name: &str) {
        let mut lit = self.lit.lock().await;
        match lit.get_mut(name) {
            Some(calls) if *calls > 1 => *calls -= 1,
            _ => {
                lit.remove(name);
                if let Err(error) = self.client.forget_device(name).await {
                    events::lamp_failed(name, &error);
                }
            }
        }
    }

    /// Puts out the lamps of a service that is no more. Asterisk keeps them over a restart of its own and of ours.
    ///
    /// # Errors
    /// Asterisk did not say which there are.
    pub(crate) async fn tidy(&self) -> Result<(), RequestError> {
        let lit = self.lit.lock().await;
        for name in self.client.devices().await? {
            if name.starts_with(LAMP)
                && !lit.contains_key(&name)
                && let Err(error) = self.client.forget_device(&name).await
            {
                events::lamp_failed(&name, &error);
            }
        }
        Ok(())
    }

    /// Puts out all: this service ends.
    pub(crate) async fn end(&self) {
        let mut lit = self.lit.lock().await;
        for name in std::mem::take(&mut *lit).into_keys() {
            if let Err(error) = self.client.forget_device(&name).await {
                events::lamp_failed(&name, &error);
            }
        }
    }
}

impl Lamp {
    /// Keeps it lit until the operator's telephone has the customer again: a queue that rings him in between would take him away from the
    /// customer who waits for him. With a wrap-up it stays lit until that is over.
    pub(crate) fn keep(self, channel: ChannelId, until: Until) {
        tokio::spawn(async move {
            let began = Instant::now();
            let mut joined = until.kept.is_none();
            while !joined || !until.wrap_up.is_zero() {
                let limit = match until.kept {
                    Some(kept) if !joined => kept.until,
                    _ => TALK_MAX,
                };
                if began.elapsed() > limit {
                    break;
                }
                tokio::time::sleep(if joined { LOOK_TALKING } else { LOOK }).await;
                match self.lamps.client.get_variable(&channel, RETURN).await {
                    Err(RequestError::Gone) => {
                        if joined {
                            tokio::time::sleep(until.wrap_up).await;
                        }
                        break;
                    }
                    Ok(Some(place)) if place == JOINED => joined = true,
                    Ok(Some(place)) if !joined => {
                        let rung: u32 = place.parse().unwrap_or_default();
                        if until.kept.is_none_or(|kept| rung > kept.rung) {
                            break;
                        }
                    }
                    Ok(_) | Err(_) => {}
                }
            }
            drop(self);
        });
    }
}

impl Drop for Lamp {
    fn drop(&mut self) {
        let (lamps, name) = (self.lamps.clone(), std::mem::take(&mut self.name));
        // Without a runtime the process ends, and the next one puts it out.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { lamps.put_out(&name).await });
        }
    }
}
