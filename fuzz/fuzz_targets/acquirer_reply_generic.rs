//! Any status and any bytes of an endpoint give an outcome; an approval only from a 200 that is JSON with a `charge_id`. And as of the others, at
//! any stage of any operation.
#![no_main]

#[path = "../../crates/acquirer/tests/any/mod.rs"]
#[allow(dead_code, reason = "what is for a measurement")]
mod any;

use ivrpay_acquirer::{Reply, generic};
use ivrpay_payment::{
    AcquirerOrder, Brand, Currency, Intent, Money, OperationKind, Outcome, Plan, Truncated,
};
use libfuzzer_sys::fuzz_target;

const ID: &str = "0193a1b2-0000-7000-8000-000000000001";

fuzz_target!(|bytes: &[u8]| {
    let Some(answer) = any::Answer::read(bytes) else {
        return;
    };
    any::check("generic", &answer);
    let (status, body) = (answer.status, answer.body.as_slice());
    let intent = Intent {
        payment_id: ID.parse().unwrap(),
        operation_id: ID.parse().unwrap(),
        kind: OperationKind::Charge,
        amount: Money::new(1500, Currency::Jpy).unwrap(),
        card: Truncated::new(Brand::Visa, [1, 1, 1, 1]).unwrap(),
        idempotency_key: ID.parse().unwrap(),
        acquirer_order: AcquirerOrder::new(1).unwrap(),
        order: None,
        operator: None,
        plan: Plan::LumpSum,
        token: None,
        parent: None,
    };
    if let Outcome::Approved(_) = generic::read(&intent, &Reply::new(status, body.to_vec())) {
        let value: serde_json::Value = serde_json::from_slice(body).expect("an approval is JSON");
        assert!(status == 200 && !value["charge_id"].is_null());
    }
});
