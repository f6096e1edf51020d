//! Customers who are called: a payment that waits has at most one call that is on, a merchant has a number of them, and the same
//! request calls once, over a restart too.

use ivrpay_payment::{CallId, State, TenantId};
use serde_json::json;

use crate::journal::{INTERRUPTED, Journal, check_fields, check_key, create, fresh_id, state_now};
use crate::store::{Durability, Tx};
use crate::types::{About, ApiRequest, CalledNow, Created, CustomerCall, NewCustomerCall, Payment};
use crate::{CallError, CreateError, Error, chain, scrub};

impl Journal {
    /// Keeps that a customer is about to be called, unless the same request did so before; with the payment, where that is new.
    ///
    /// # Errors
    /// [`CallError`]; nobody may be called then.
    pub async fn call_customer(&self, new: NewCustomerCall) -> Result<CalledNow, CallError> {
        check(&new)?;
        let mut tx = self.begin(Durability::Synced).await?;
        let called = call_customer(&mut tx, new).await;
        tx.end(called).await
    }

    /// Keeps what became of it; one that has ended stays as it is. Whether this was its end.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn end_customer_call(&self, id: CallId, result: &str) -> Result<bool, Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let ended = end(&mut tx, id, result).await;
        tx.end(ended).await
    }

    /// The call that the same request began before.
    ///
    /// # Errors
    /// [`CallError::IdempotencyReused`], and the journal's own.
    pub async fn customer_call_before(
        &self,
        tenant: &TenantId,
        request: &ApiRequest,
    ) -> Result<Option<CustomerCall>, CallError> {
        let mut tx = self.begin(Durability::Rides).await?;
        let before = before(&mut tx, tenant, request).await;
        tx.end(before.map(|(_, call)| call)).await
    }

    /// Calls that other services lead which share the journal and live: their channels and bridges are none that somebody has left.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn calls_elsewhere(&self) -> Result<Vec<CallId>, Error> {
        self.store().calls_elsewhere().await
    }

    /// One call.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn customer_call(&self, id: CallId) -> Result<Option<CustomerCall>, Error> {
        self.store().customer_call(id).await
    }
}

fn check(new: &NewCustomerCall) -> Result<(), CallError> {
    if let About::New(payment) = &new.about {
        check_fields(payment)?;
    }
    if new.number.is_empty() || new.number.len() > 24 || scrub::looks_like_card(&new.number) {
        return Err(CallError::Payment(CreateError::Field { field: "to" }));
    }
    Ok(check_key(new.request.as_ref())?)
}

/// Calls of a process that is gone are over.
pub(crate) async fn recover(tx: &mut Tx<'_>) -> Result<(), Error> {
    for id in tx.customer_calls_left().await? {
        end(tx, id, INTERRUPTED).await?;
    }
    Ok(())
}

async fn call_customer(tx: &mut Tx<'_>, new: NewCustomerCall) -> Result<CalledNow, CallError> {
    let mut request = None;
    if let Some(asked) = &new.request {
        let (key, call) = before(tx, &new.tenant, asked).await?;
        if let Some(call) = call {
            return Ok(CalledNow::Before(call));
        }
        request = Some((key, asked.hash));
    }
    let payment = match new.about {
        About::Payment(id) => {
            let payment = tx.payment(id).await?;
            let payment = payment
                .filter(|payment| payment.tenant == new.tenant)
                .ok_or(CallError::NotFound)?;
            waits(tx, &payment).await?;
            payment
        }
        About::New(payment) => match create(tx, *payment).await? {
            Created::New(payment) | Created::Existing(payment) => payment,
        },
    };
    if tx.customer_calls_on(&new.tenant).await? >= new.at_once_max {
        return Err(CallError::TooMany {
            at_once_max: new.at_once_max,
        });
    }
    let call = CustomerCall {
        id: CallId::new(fresh_id(tx.now_ms)),
        tenant: new.tenant,
        payment: payment.id,
        number: new.number,
        first: new.first,
        result: None,
        created_ms: tx.now_ms,
        ended_ms: None,
    };
    tx.insert_customer_call(&call, request.as_ref().map(|(key, hash)| (key, hash)))
        .await?;
    let body = json!({ "call": call.id, "first": call.first.name() });
    tx.append("called", &payment, None, body).await?;
    Ok(CalledNow::New(call, Box::new(payment)))
}

/// What a request is kept by, and the call that the same one began before.
async fn before(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    ApiRequest { key, hash }: &ApiRequest,
) -> Result<([u8; 32], Option<CustomerCall>), CallError> {
    let key = chain::digest(key.as_bytes());
    match tx.customer_call_of_request(tenant, &key).await? {
        Some((_, before)) if before != *hash => Err(CallError::IdempotencyReused),
        found => Ok((key, found.map(|(call, _)| call))),
    }
}

/// That nobody is called about a payment that can't be taken.
async fn waits(tx: &mut Tx<'_>, payment: &Payment) -> Result<(), CallError> {
    let payment_id = payment.id;
    if let Some(call) = tx.customer_call_on(payment_id).await? {
        return Err(CallError::OnAlready { call });
    }
    if payment.call.is_some() {
        return Err(CallError::InCall { payment_id });
    }
    let state = state_now(payment, tx.now_ms);
    if state == State::Waiting {
        Ok(())
    } else {
        Err(CallError::NotWaiting { payment_id, state })
    }
}

async fn end(tx: &mut Tx<'_>, id: CallId, result: &str) -> Result<bool, Error> {
    let Some(payment) = tx.end_customer_call(id, result).await? else {
        return Ok(false);
    };
    let payment = tx.payment(payment).await?.ok_or(Error::Corrupt {
        what: "a call without its payment",
    })?;
    let body = json!({ "call": id, "result": result });
    tx.append("call-ended", &payment, None, body).await?;
    Ok(true)
}

impl From<CreateError> for CallError {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Journal(error) => Self::Journal(error),
            error => Self::Payment(error),
        }
    }
}
