//! Calls in which there is no payment yet: the caller of the line without an operator is asked for his order, and the customer whom we
//! called for a key.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ivrpay_ari::Channel;
use ivrpay_dialogue::desk::{Desk, End, GaveUp, Keyed, Progress, Setup, Who};
use ivrpay_dialogue::{CallResult, Command, Input, Line, Prompt, Say, Settings};
use ivrpay_payment::{Offers, OrderId};
use ivrpay_prompts::Language;
use ivrpay_secret::Key;
use ivrpay_wire::Lookup;
use serde_json::json;

use super::{Call, Refused, caller_number, sleep_until};
use crate::arguments::{Arguments, Mode};
use crate::config::Tenant;
use crate::events;
use crate::keypad::{self, Happens, Leg as _};
use crate::line::{self, Answer, ENTRY_MAX};
use crate::order;

/// How long a key is waited for behind "press 1", and how often that is said, until it is taken for a machine that answered.
const HUMAN_WAIT: Duration = Duration::from_secs(6);
const HUMAN_TRIES: u32 = 3;
/// Longest that the prompt may take.
const HUMAN_PROMPT_MAX: Duration = Duration::from_secs(15);

impl Call {
    /// Asks the caller for his language and his order, and the merchant for the amount: what an operator's dialplan brings.
    pub(super) async fn line(
        &mut self,
        channel: &Channel,
        mut args: Arguments,
    ) -> Result<Arguments, Refused> {
        let shared = Arc::clone(&self.shared);
        let tenant = self.tenant(&shared, &args)?;
        let until = Instant::now() + ENTRY_MAX;
        let mut language = args
            .language
            .or(tenant.line.language)
            .unwrap_or(tenant.language);
        let mut ask_language = tenant.line.ask_language && args.language.is_none();
        self.language = language;
        self.started();
        let mut dialled = args.dialled.take();
        let mut before = Vec::new();
        // What was answered holds for this call.
        let mut unknown = Vec::new();
        for _ in 0..shared.settings.max_attempts {
            let order = match dialled.take() {
                Some(order) if !ask_language => order,
                known => {
                    let setup = Setup {
                        who: Who::Customer {
                            operator: tenant.line.operator,
                        },
                        language,
                        ask_language,
                        amount_max: None,
                        order: known.is_none().then_some(tenant.line.digits),
                        offers: Offers::NONE,
                    };
                    let before = std::mem::take(&mut before);
                    let keyed = self.keyed(setup, before, until).await?;
                    (language, ask_language) = (keyed.language, false);
                    self.language = language;
                    known
                        .or(keyed.order)
                        .ok_or_else(|| Refused::internal(language))?
                }
            };
            let answer = if unknown.contains(&order) {
                Answer::Unknown
            } else {
                self.price(channel, tenant, &order, &args).await?
            };
            match answer {
                Answer::Payable(amount) => {
                    return Ok(Arguments {
                        tenant: Some(tenant.id.to_string()),
                        order: Some(order),
                        part: args.part,
                        amount: Some(amount.minor().to_string()),
                        currency: Some(amount.currency()),
                        language: Some(language),
                        mode: Mode::SelfService,
                        ..Arguments::default()
                    });
                }
                Answer::Paid => {
                    return Err(Refused {
                        result: CallResult::OrderAlreadyPaid,
                        say: &[Line::OrderAlreadyPaid],
                        ..Refused::internal(language)
                    });
                }
                Answer::Unknown => {
                    events::order_not_found(&self.about);
                    before = vec![Say::Line(Line::OrderNumberNotFound)];
                    unknown.push(order);
                }
            }
        }
        Err(Refused {
            result: CallResult::OrderNotFound,
            say: if tenant.line.operator {
                &[Line::OrderNumberNotFound, Line::AgentReturn]
            } else {
                &[Line::OrderNumberNotFound, Line::SelfServiceEnd]
            },
            ..Refused::internal(language)
        })
    }

    /// One round on the keypad.
    async fn keyed(
        &mut self,
        setup: Setup,
        before: Vec<Say>,
        until: Instant,
    ) -> Result<Keyed, Refused> {
        let spoken = setup.language;
        let settings = &self.shared.settings;
        let left = until.saturating_duration_since(Instant::now());
        let settings = Settings {
            session: settings.session.min(left),
            ..(**settings).clone()
        };
        let Ok(desk) = Desk::new(Arc::new(settings), setup) else {
            events::capacity(&self.about.channel_id);
            return Err(silent(CallResult::CapacityExceeded, spoken));
        };
        let result = match Box::pin(keypad::lead(self, desk, before)).await? {
            End::Keyed(keyed) => return Ok(keyed),
            End::WantsOperator => CallResult::OperatorWanted,
            End::GivenUp(GaveUp::Cancelled) => CallResult::CallerInterruptedWithStar,
            End::GivenUp(GaveUp::TimeOver) => CallResult::SessionTimeout,
            End::GivenUp(GaveUp::TooManyFailedAttempts) => CallResult::TooManyFailedAttempts,
            End::GivenUp(_) => CallResult::InternalError,
        };
        Err(silent(result, spoken))
    }

    /// What the order costs: as it was announced, or as the merchant says.
    async fn price(
        &mut self,
        channel: &Channel,
        tenant: &Tenant,
        order: &OrderId,
        args: &Arguments,
    ) -> Result<Answer, Refused> {
        let wanted = Arguments {
            order: Some(order.clone()),
            part: args.part,
            mode: Mode::SelfService,
            ..Arguments::default()
        };
        // Paid here, or nobody knows: the merchant may not have heard of it yet.
        let announced = self.find(channel, &wanted, tenant).await?;
        let Some(lookup) = &tenant.lookup else {
            return Ok(announced.map_or(Answer::Unknown, |payment| Answer::Payable(payment.amount)));
        };
        self.ask(channel, lookup, order).await?.ok_or(Refused {
            result: CallResult::LookupFailed,
            say: if tenant.line.operator {
                &[Line::InternalError]
            } else {
                &[Line::EntryFailed, Line::SelfServiceEnd]
            },
            ..Refused::internal(self.language)
        })
    }

    /// The merchant's answer, `None` where there is none that can be used. The caller hears nothing meanwhile, and his keys are dropped.
    async fn ask(
        &mut self,
        channel: &Channel,
        lookup: &Lookup,
        order: &OrderId,
    ) -> Result<Option<Answer>, Refused> {
        let question = json!({
            "order_id": order,
            "caller": caller_number(channel),
            "language": self.language.code(),
        });
        let id = format!("msg_{}", uuid::Uuid::now_v7().simple());
        let began = Instant::now();
        let mut asked =
            Box::pin(lookup.ask(&id, SystemTime::now(), question.to_string().into_bytes()));
        let asked = loop {
            tokio::select! {
                asked = &mut asked => break asked,
                happens = self.next(None) => if matches!(happens?, Happens::Shutdown) {
                    return Err(Refused::internal(self.language));
                },
            }
        };
        let waited = began.elapsed();
        Ok(match asked.map(|body| line::answer(&body)) {
            Ok(Ok(answer)) => {
                events::looked_up(waited);
                Some(answer)
            }
            Ok(Err(why)) => {
                events::lookup_unread(&self.about, why);
                None
            }
            Err(error) => {
                events::lookup_failed(&self.about, &error, waited);
                None
            }
        })
    }

    /// Whoever answered our call has to press 1 before anything is said of a payment: a machine does not.
    pub(super) async fn human(&mut self, args: Arguments) -> Result<Arguments, Refused> {
        let shared = Arc::clone(&self.shared);
        if let Some(tenant) = order::tenant(&shared.tenants, &args) {
            self.about.tenant = Some(tenant.id.clone());
        }
        self.about.payment_id = args.payment;
        self.language = args.language.unwrap_or(Language::Ja);
        self.started();
        for _ in 0..HUMAN_TRIES {
            self.play(&Prompt::from(Line::CallContinue)).await;
            let speaks = self.playback.is_some();
            let mut until = Instant::now() + if speaks { HUMAN_PROMPT_MAX } else { HUMAN_WAIT };
            loop {
                match self.next(Some(until)).await? {
                    Happens::Key(Key::Digit(1), ..) => {
                        self.stop_play().await;
                        self.set("IVRPAY_CALL_HUMAN", "1").await;
                        return Ok(args);
                    }
                    Happens::PromptEnded => until = Instant::now() + HUMAN_WAIT,
                    // Its end was lost.
                    Happens::Due if self.playback.is_some() => {
                        self.stop_play().await;
                        until = Instant::now() + HUMAN_WAIT;
                    }
                    Happens::Due => break,
                    Happens::Shutdown => {
                        return Err(silent(CallResult::InternalError, self.language));
                    }
                    Happens::Key(..) | Happens::KeysLost => {}
                }
            }
        }
        Err(silent(CallResult::NoKey, self.language))
    }
}

impl keypad::Leg for Call {
    type Left = Refused;

    fn began(&self) -> Instant {
        self.began
    }

    async fn play(&mut self, prompt: &Prompt, language: Language) -> bool {
        self.language = language;
        self.play(prompt).await
    }

    async fn stop_play(&mut self) {
        self.stop_play().await;
    }

    fn tell(&self, progress: &Progress) {
        self.shared.events.entry(&self.about, progress);
    }

    async fn next(&mut self, due: Option<Instant>) -> Result<Happens, Refused> {
        loop {
            if self.gone {
                return Err(silent(CallResult::CallerHungUp, self.language));
            }
            if self.overflowed {
                return Err(silent(CallResult::InternalError, self.language));
            }
            if self.wants_silence() {
                Box::pin(self.send_silence()).await;
            }
            let input = tokio::select! {
                biased;
                event = self.inbox.recv() => self.input(event),
                Some(command) = self.commands.recv() => {
                    if command == Command::Shutdown {
                        return Ok(Happens::Shutdown);
                    }
                    // There is no payment yet to which another could apply.
                    continue;
                }
                () = sleep_until(due.map(tokio::time::Instant::from_std)) => return Ok(Happens::Due),
            };
            // How long a request takes after a key is measured of those of a card.
            match (input, self.key_arrived.take()) {
                (Some(Input::Key(key, lasted)), Some(arrived)) => {
                    return Ok(Happens::Key(key, lasted, arrived));
                }
                (Some(Input::KeysLost), _) => return Ok(Happens::KeysLost),
                (Some(Input::PromptEnded), _) => return Ok(Happens::PromptEnded),
                _ => {}
            }
        }
    }
}

/// Spoken by the keypad already, or by nobody: the caller is gone, or the dialplan speaks.
const fn silent(result: CallResult, language: Language) -> Refused {
    Refused {
        result,
        say: &[],
        ..Refused::internal(language)
    }
}
