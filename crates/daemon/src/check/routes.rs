//! The ring `routes`: whom each tenant's payments are asked of.

use super::Check;
use crate::config::Config;

impl Check<'_> {
    pub(super) fn routes(&mut self, config: &Config) {
        for tenant in &config.tenants {
            let lines: Vec<String> = tenant.routing.lines().collect();
            self.good("routes", format!("{}: {}", tenant.id, lines.join("; ")));
        }
    }
}
