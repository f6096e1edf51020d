//! The pay key over AGI: the dialplan asks on the operator's channel, and moves both legs by the variables that it gets.

use std::sync::Arc;
use std::time::Duration;

use ivrpay_agi::{Error, Session};
use ivrpay_dialogue::Prompt;
use ivrpay_dialogue::operator::Refusal;
use ivrpay_prompts::Language;

use super::{Ear, PayKey, Press, spoken};
use crate::events;

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
        // Another daemon is asked, or the dialplan says that the service is away.
        if self.draining.is_cancelled() {
            events::pay_key_refused(session.request().channel(), Refusal::ServiceAway);
            return Ok(());
        }
        // By it the dialplan knows that somebody is here.
        session.set_variable("IVRPAY_KEY_ANSWERED", "1").await?;
        let request = session.request().clone();
        let mut language = spoken(request.language());
        let press = Press {
            operator: request.unique_id(),
            name: request.channel(),
            number: request.caller_id().unwrap_or_default(),
            arguments: request.arguments(),
            wanted: None,
        };
        match self.decide(session, press, &mut language).await {
            Ok(ready) => {
                for (variable, value) in [
                    ("__IVRPAY_KEY_CUSTOMER", &ready.customer.name),
                    ("__IVRPAY_PAIR", &ready.token),
                ] {
                    session.set_variable(variable, value).await?;
                }
                events::pay_key(request.channel());
                Ok(())
            }
            Err(no) => Self::tell(session, language, request.channel(), no).await,
        }
    }
}

impl Ear for Session {
    type Lost = Error;

    async fn say(
        &mut self,
        language: Language,
        prompt: &Prompt,
        choice: bool,
    ) -> Result<Option<u8>, Error> {
        if spoken(self.request().language()) != language {
            self.set_variable("CHANNEL(language)", language.code())
                .await?;
        }
        let keys = if choice { "123456789" } else { "" };
        for clip in ivrpay_prompts::clips(prompt, language) {
            let played = self.stream_file(&format!("ivrpay/{clip}"), keys).await?;
            if played.key.is_some() {
                return Ok(played.key.map(number));
            }
        }
        Ok(None)
    }

    async fn wait_for_key(&mut self, wait: Duration) -> Result<Option<u8>, Error> {
        // By its own name: the trait has the same.
        let key = Session::wait_for_key(self, wait).await?;
        Ok(key.map(number))
    }
}

/// 0 for what is no digit.
fn number(key: char) -> u8 {
    key.to_digit(10)
        .and_then(|digit| u8::try_from(digit).ok())
        .unwrap_or(0)
}
