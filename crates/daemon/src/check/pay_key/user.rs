//! The AMI user of the second way: lets Asterisk him in, may he redirect, and may he more than that.

use ivrpay_ami::{Error, Refusal};

use super::RING;
use crate::check::Check;

pub(super) const ADD: &str = "add to manager.conf, behind #include ivrpay-manager.conf of asterisk-conf: [ivrpay-key](ivrpay-key-user), and below it secret = what stands in [pay_key] password_file; then `manager reload`";
const ONE_CLASS: &str = "write below the user's section in manager.conf: write = call (and nothing else); then `manager reload`";

/// Nobody's channel has this name: who may redirect is told that it is not there.
const NOBODY: [(&str, &str); 4] = [
    ("Channel", "ivrpay-check"),
    ("Context", super::CONTEXT),
    ("Exten", "go"),
    ("Priority", "1"),
];

/// Actions by their class. Asked for without what they need, they do nothing: who may is told what is missing.
const OTHERS: [(&str, &str); 4] = [
    ("Command", "command"),
    ("Originate", "originate"),
    ("GetConfig", "config"),
    ("ModuleLoad", "system"),
];

impl Check<'_> {
    pub(super) async fn pay_key_user(&mut self, ami: &ivrpay_ami::Config) {
        let user = &ami.user;
        let client = match ivrpay_ami::connect(ami).await {
            Ok((client, _events)) => client,
            Err(error) => {
                let hint = match error {
                    Error::LoginRefused => ADD,
                    _ => error.hint(),
                };
                return self.bad(RING, format!("the AMI user {user}: {error}"), hint);
            }
        };
        match client.action("Redirect", &NOBODY).await {
            Err(Error::Refused(Refusal::NoSuchChannel)) => {}
            Err(error) => {
                let hint = match error {
                    Error::Refused(Refusal::Permission) => ONE_CLASS,
                    _ => error.hint(),
                };
                let fact = format!("the AMI user {user} may not redirect: {error}");
                return self.bad(RING, fact, hint);
            }
            Ok(_) => {
                let fact = "a channel that is not there was redirected";
                return self.bad(RING, fact, super::super::SEE_LOG);
            }
        }
        let mut more = Vec::new();
        for (action, class) in OTHERS {
            match client.action(action, &[]).await {
                Err(Error::Refused(Refusal::Permission | Refusal::NoSuchAction)) => {}
                Err(error @ (Error::Closed | Error::TimedOut)) => {
                    let fact = format!("the AMI user {user}: {error}");
                    return self.warn(RING, fact, error.hint());
                }
                Ok(_) | Err(_) => more.push(class),
            }
        }
        if more.is_empty() {
            self.good(
                RING,
                format!("the AMI user {user} may redirect calls, and has no class beside it that was tried"),
            );
        } else {
            self.warn(
                RING,
                format!(
                    "the AMI user {user} may redirect calls, and more than it needs: {}",
                    more.join(", ")
                ),
                ONE_CLASS,
            );
        }
    }
}
