//! Calls in which there is no payment yet: the caller of the line without an operator is asked for his order, and the customer whom we
//! called for a key.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ivrpay_ari::Channel;
use ivrpay_dialogue::desk::{Desk, End, GaveUp, Keyed, Setup, Who};
use ivrpay_dialogue::{CallResult, Command, Input, Line, Prompt, Say, Settings};
use ivrpay_payment::OrderId;
use ivrpay_prompts::Language;
use ivrpay_secret::Key;
use ivrpay_wire::Lookup;
use serde_json::json;

use super::{Call, Refused, caller_number, sleep_until};
use crate::arguments::{Arguments, Mode};
use crate::config::Tenant;
use crate::events;
use crate::line::{self, Answer, ENTRY_MAX, Leg};
use crate::order::{self, NotFound};

/// How long a key is waited for behind "press 1", and how often that is said, until it is taken for a machine that answered.
const HUMAN_WAIT: Duration = Duration::from_secs(10);
const HUMAN_TRIES: u32 = 2;
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
        let tenant = order::tenant(&shared.tenants, &args).ok_or_else(|| {
            events::arguments_refused(&self.about, "tenant is not one of the configuration");
            Refused::internal(args.language.unwrap_or(Language::Ja))
        })?;
        self.about.tenant = Some(tenant.id.clone());
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
        for entry in 1..=u32::from(shared.settings.max_attempts) {
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
                    };
                    let before = std::mem::take(&mut before);
                    let keyed = self.keyed(entry, setup, before, until).await?;
                    (language, ask_language) = (keyed.language, false);
                    self.language = language;
                    known
                        .or(keyed.order)
                        .ok_or_else(|| Refused::internal(language))?
                }
            };
            match self.price(channel, tenant, &order, &args).await? {
                Answer::Payable(amount) => {
                    return Ok(Arguments {
                        tenant: Some(tenant.id.to_string()),
                        order: Some(order),
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
        entry: u32,
        setup: Setup,
        before: Vec<Say>,
        until: Instant,
    ) -> Result<Keyed, Refused> {
        let shared = Arc::clone(&self.shared);
        let spoken = setup.language;
        let left = until.saturating_duration_since(Instant::now());
        let settings = Settings {
            session: shared.settings.session.min(left),
            ..(*shared.settings).clone()
        };
        let Ok(desk) = Desk::new(Arc::new(settings), setup) else {
            events::capacity(&self.about.channel_id);
            return Err(silent(CallResult::CapacityExceeded, spoken));
        };
        let leg = Leg {
            client: &shared.client,
            about: &self.about,
            inbox: &mut self.inbox,
            commands: &mut self.commands,
            began: self.began,
            entry,
        };
        let tell = |progress: &_| shared.events.entry(&self.about, progress);
        let entered = Box::pin(line::enter(leg, desk, before, tell)).await;
        self.gone |= entered.gone;
        self.overflowed |= entered.overflowed;
        self.last_key = entered.last_key.or(self.last_key);
        let result = match entered.end {
            End::Keyed(keyed) => return Ok(keyed),
            End::WantsOperator => CallResult::OperatorWanted,
            End::GivenUp(GaveUp::HungUp) if self.gone => CallResult::CallerHungUp,
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
        let language = self.language;
        let wanted = Arguments {
            order: Some(order.clone()),
            part: args.part,
            mode: Mode::SelfService,
            ..Arguments::default()
        };
        let journal = self.shared.settle.journal();
        let announced = match order::find(journal, tenant, &wanted, None, "").await {
            Ok(found) => found,
            // Paid here, or nobody knows: the merchant may not have heard of it yet.
            Err(NotFound::Taken { by, state }) => return Err(self.taken(by, state, language)),
            Err(NotFound::Journal(error)) => {
                events::journal_failed(None, "find", &error);
                return Err(Refused::internal(language));
            }
            Err(NotFound::Foreign | NotFound::Several(_)) => {
                return Err(Refused::internal(language));
            }
        };
        let Some(lookup) = &tenant.lookup else {
            return Ok(announced.map_or(Answer::Unknown, |payment| Answer::Payable(payment.amount)));
        };
        match self.ask(channel, lookup, order).await {
            Ok(answer) => Ok(answer),
            Err(CallResult::LookupFailed) => Err(Refused {
                result: CallResult::LookupFailed,
                say: if tenant.line.operator {
                    &[Line::InternalError]
                } else {
                    &[Line::EntryFailed, Line::SelfServiceEnd]
                },
                ..Refused::internal(language)
            }),
            Err(result) => Err(silent(result, language)),
        }
    }

    /// The merchant's answer, once. The caller hears nothing meanwhile; his keys are dropped.
    async fn ask(
        &mut self,
        channel: &Channel,
        lookup: &Lookup,
        order: &OrderId,
    ) -> Result<Answer, CallResult> {
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
                event = self.inbox.recv(), if !self.gone && !self.overflowed => drop(self.input(event)),
            }
            if self.gone {
                return Err(CallResult::CallerHungUp);
            }
            if self.overflowed {
                return Err(CallResult::InternalError);
            }
        };
        let waited = began.elapsed();
        let body = asked.map_err(|error| {
            events::lookup_failed(&self.about, &error, waited);
            CallResult::LookupFailed
        })?;
        line::answer(&body)
            .inspect(|_| events::looked_up(waited))
            .map_err(|why| {
                events::lookup_unread(&self.about, why);
                CallResult::LookupFailed
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
            let mut until = Instant::now() + HUMAN_PROMPT_MAX;
            let mut speaks = self.playback.is_some();
            loop {
                if speaks && self.playback.is_none() {
                    speaks = false;
                    until = Instant::now() + HUMAN_WAIT;
                }
                let limit = Some(tokio::time::Instant::from_std(until));
                if self.gone {
                    return Err(silent(CallResult::CallerHungUp, self.language));
                }
                if self.overflowed {
                    return Err(silent(CallResult::InternalError, self.language));
                }
                tokio::select! {
                    event = self.inbox.recv() => {
                        let input = self.input(event);
                        // The time from a key to a request is measured of those of a card.
                        self.key_arrived = None;
                        if matches!(input, Some(Input::Key(Key::Digit(1), _))) {
                            self.stop_play().await;
                            return Ok(args);
                        }
                    }
                    Some(command) = self.commands.recv() => {
                        if command == Command::Shutdown {
                            return Err(silent(CallResult::InternalError, self.language));
                        }
                    }
                    () = sleep_until(limit) => {
                        if !speaks {
                            break;
                        }
                        // Its end was lost.
                        self.stop_play().await;
                    }
                }
            }
        }
        Err(silent(CallResult::NoKey, self.language))
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
