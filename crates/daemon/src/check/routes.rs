//! The rings `routes`, whom each tenant's payments are asked of, and `connectors`, whether a live one is another than it was.

use ivrpay_journal::Journal;

use super::Check;
use crate::config::Config;
use crate::live;

impl Check<'_> {
    pub(super) fn routes(&mut self, config: &Config) {
        for tenant in &config.tenants {
            let lines: Vec<String> = tenant.routing.lines().collect();
            self.good("routes", format!("{}: {}", tenant.id, lines.join("; ")));
        }
    }

    /// Says nothing where there is no journal that can be read: the ring `journal` has said so.
    pub(super) async fn live_connectors(&mut self, config: &Config) {
        let Ok(journal) = Journal::open_read_only(&config.journal_at).await else {
            return;
        };
        match live::changed(config, &journal).await {
            Ok(changed) if changed.is_empty() => {
                self.good("connectors", "no live connector is another than it was");
            }
            Ok(changed) => {
                for changed in changed {
                    self.bad("connectors", changed.to_string(), changed.hint());
                }
            }
            Err(error) => self.bad("connectors", error.to_string(), error.hint()),
        }
    }
}
