//! `generic::read` is total: whatever an endpoint sends, there is an outcome, and an approval only where the contract has one.
//! The fuzz target `acquirer_reply_generic` drives the same function.

#![allow(clippy::unwrap_used, reason = "a test")]

use ivrpay_acquirer::{Reply, generic};
use ivrpay_payment::{
    AcquirerOrder, Brand, Currency, IdempotencyKey, Intent, Money, OperationId, OperationKind,
    Outcome, PaymentId, Plan, Truncated,
};
use proptest::prelude::*;

fn intent() -> Intent {
    let id = "0193a1b2-0000-7000-8000-000000000001";
    Intent {
        payment_id: id.parse::<PaymentId>().unwrap(),
        operation_id: id.parse::<OperationId>().unwrap(),
        kind: OperationKind::Charge,
        amount: Money::new(1500, Currency::Jpy).unwrap(),
        card: Truncated::new(Brand::Visa, [1, 1, 1, 1]).unwrap(),
        idempotency_key: id.parse::<IdempotencyKey>().unwrap(),
        acquirer_order: AcquirerOrder::new(1).unwrap(),
        order: None,
        operator: None,
        plan: Plan::LumpSum,
        token: None,
        parent: None,
    }
}

/// Values as an endpoint might put them where an id or a code belongs.
fn value() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "[ -~]{0,20}".prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        Just(serde_json::json!({"a": [1]})),
    ]
}

proptest! {
    #[test]
    fn any_bytes_give_an_outcome(status in any::<u16>(), body in prop::collection::vec(any::<u8>(), 0..300)) {
        let outcome = generic::read(&intent(), &Reply::new(status, body));
        prop_assert!(!matches!(outcome, Outcome::Approved(_)));
    }

    #[test]
    fn approved_only_by_200_with_a_charge_and_no_error(
        status in prop_oneof![Just(200_u16), 100..600_u16],
        charge_id in value(),
        error_code in value(),
        amount in prop_oneof![Just(serde_json::Value::from(1500)), value()],
    ) {
        let body = serde_json::json!({"charge_id": charge_id, "error_code": error_code, "parameters": {"amount": amount}});
        let outcome = generic::read(&intent(), &Reply::new(status, serde_json::to_vec(&body).unwrap()));
        if let Outcome::Approved(approval) = &outcome {
            prop_assert_eq!(status, 200);
            prop_assert!(error_code.is_null());
            prop_assert_eq!(
                approval.acquirer_ref.as_str(),
                charge_id.as_str().map_or_else(|| charge_id.to_string(), String::from)
            );
        }
        if !charge_id.is_null() {
            prop_assert!(!matches!(outcome, Outcome::Declined(_) | Outcome::NotCharged(_)), "a charge is there");
        }
    }
}
