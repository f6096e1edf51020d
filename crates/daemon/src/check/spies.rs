//! The ring `spy`: whether the dialplan can take a supervisor off, where a tenant says `spy = "detach"`.
//!
//! The dialplan is asked over AMI, by the user of `ivrpay audit`.

use super::{Check, missing};
use crate::config::Config;
use crate::spies::{CONTEXT, Policy};

const RING: &str = "spy";
/// What the service runs, where the supervisor waits, and how he goes back to listen (`dialplan/ivrpay.conf`).
const EXTENSIONS: [&str; 3] = ["off", "_off-.", "back"];

const ADD: &str = "add to extensions.conf: #include ivrpay.conf (dialplan/ivrpay.conf, copied beside it), then `dialplan reload`; or say spy = \"refuse\"";

impl Check<'_> {
    pub(super) async fn spies(&mut self, config: &Config) {
        if !config.tenants.iter().any(|t| t.spy == Policy::Detach) {
            return self.good(
                RING,
                "no tenant says spy = \"detach\": while a supervisor listens nobody pays",
            );
        }
        let Some(ami) = &config.ami else {
            return self.warn(
                RING,
                format!("whether the dialplan has the context {CONTEXT} was not looked at: there is no [ami]"),
                "add [ami], with the user ivrpay-audit of asterisk-conf/ivrpay-manager.conf",
            );
        };
        let asked = async {
            let (client, _events) = ivrpay_ami::connect(ami).await?;
            client.command(&format!("dialplan show {CONTEXT}")).await
        };
        match asked.await.map(|lines| lacks(&lines)) {
            Ok(None) => self.good(
                RING,
                format!("a tenant says spy = \"detach\", and the dialplan has the context {CONTEXT}"),
            ),
            Ok(Some(what)) => self.bad(
                RING,
                format!("a tenant says spy = \"detach\", and {what}: while a supervisor listens nobody pays"),
                ADD,
            ),
            Err(error) => self.warn(
                RING,
                format!("whether the dialplan has the context {CONTEXT} was not looked at: {error}"),
                error.hint(),
            ),
        }
    }
}

/// What is missing in the output of `dialplan show`.
fn lacks(lines: &[String]) -> Option<String> {
    if missing(lines) {
        return Some(format!("the dialplan has no context {CONTEXT}"));
    }
    let extension = super::lacks(lines, EXTENSIONS.into_iter())?;
    Some(format!(
        "the context {CONTEXT} of the dialplan has no extension {extension}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    // As Asterisk 22 prints it.
    const SHOWN: &str = "\
[ Context 'ivrpay-spy' created by 'pbx_config' ]
  'back' =>         1. Goto(${IVRPAY_SPY_AT})                     [ivrpay.conf:279]
  'off' =>          1. Hangup()                                   [ivrpay.conf:270]
  '_off-.' =>       1. Stasis(ivrpay,spy=${EXTEN:4})              [ivrpay.conf:274]

-= 3 extensions (3 priorities) in 1 context. =-";

    #[test]
    fn what_takes_a_supervisor_off_is_looked_for() {
        let found = |change: (&str, &str)| {
            let text = SHOWN.replace(change.0, change.1);
            lacks(&text.lines().map(str::to_owned).collect::<Vec<_>>())
        };
        assert_eq!(found(("", "")), None);
        for (change, what) in [
            (
                (SHOWN, "There is no existence of 'ivrpay-spy' context"),
                "no context ivrpay-spy",
            ),
            (("'off' =>", "'of' =>"), "no extension off"),
            (("'_off-.' =>", "'_of-.' =>"), "no extension _off-."),
            (("'back' =>", "'bakc' =>"), "no extension back"),
        ] {
            let found = found(change);
            assert!(found.is_some_and(|f| f.ends_with(what)), "{what}");
        }
    }
}
