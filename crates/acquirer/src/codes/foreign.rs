//! The codes that an answer names, whoever gave it: for the log, where nobody knows what came of a request.

use crate::{Reply, text};

/// Names under which the acquirers that we speak to give codes: GMO, SB Payment Service, VeriTrans, Kuroneko, Stripe, Adyen, Hyperswitch,
/// ZEUS, merchants' own endpoints.
const NAMES: [&str; 13] = [
    "ErrInfo",
    "res_err_code",
    "vResultCode",
    "resCenterErrorCode",
    "errorCode",
    "creditErrorCode",
    "refusalReasonCode",
    "resultCode",
    "error_code",
    "decline_code",
    "network_decline_code",
    "code",
    "type",
];
/// Most codes of one answer, and most characters of all.
const CODES_MAX: usize = 6;

/// `name=value` for each, as they stand in a form, in JSON or in XML; empty for none. Values are letters, digits and few signs, of at most 40
/// characters, and no row of digits that could be a card's.
#[must_use]
pub fn codes_in(reply: &Reply) -> String {
    let body = String::from_utf8_lossy(reply.body().unwrap_or_default());
    let found = NAMES
        .iter()
        .filter_map(|name| Some((name, value(&body, name)?)));
    let found: Vec<String> = found
        .take(CODES_MAX)
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    found.join(" ")
}

/// What stands behind the first field of this name.
fn value(body: &str, name: &str) -> Option<String> {
    body.match_indices(name).find_map(|(at, _)| {
        let (before, behind) = (body.get(..at)?, body.get(at + name.len()..)?);
        let begins = before.is_empty() || before.ends_with(['"', '<', '&', '\n']);
        let behind = behind.trim_start_matches('"').trim_start();
        let behind = behind.strip_prefix(['=', ':', '>'])?;
        let behind = behind.trim_start().trim_start_matches('"');
        let is_code = |c: char| c.is_ascii_alphanumeric() || "_-|.".contains(c);
        let end = behind.find(|c| !is_code(c)).unwrap_or(behind.len());
        let value = text::code(behind.get(..end)?);
        (begins && !value.is_empty() && value != "null").then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn codes(body: &str) -> String {
        codes_in(&Reply::new(200, body.into()))
    }

    #[test]
    fn forms_json_and_xml() {
        for (body, expected) in [
            (
                "ErrCode=E91|E92&ErrInfo=E91099997|E92000001",
                "ErrInfo=E91099997|E92000001",
            ),
            ("ErrInfo=E01", "ErrInfo=E01"),
            (
                r#"{"error": {"type": "card_error", "code": "card_declined", "decline_code" : "never_heard_of", "message": "code: 7"}}"#,
                "decline_code=never_heard_of code=card_declined type=card_error",
            ),
            (
                "<a><res_result>NG</res_result><res_err_code>10196004</res_err_code></a>",
                "res_err_code=10196004",
            ),
            (
                r#"{"resultCode":"Error","refusalReasonCode":"4"}"#,
                "refusalReasonCode=4 resultCode=Error",
            ),
            (r#"{"error_code": null, "code": ""}"#, ""),
            // What is no code, and what could be a card.
            (
                r#"{"barcode":"1","code":"4111111111111111"}"#,
                "code=xxxxxxxxxxxxxxxx",
            ),
            (r#"{"code":"<script>"}"#, ""),
            ("", ""),
            ("code", ""),
            ("四code=四", ""),
        ] {
            assert_eq!(codes(body), expected, "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_read(body in any::<Vec<u8>>(), name in prop::sample::select(NAMES.to_vec()), value in any::<String>()) {
            let mut whole = body;
            whole.extend_from_slice(format!("&{name}={value}").as_bytes());
            let codes = codes_in(&Reply::new(200, whole));
            prop_assert!(codes.len() <= CODES_MAX * 64 && codes.bytes().all(|b| b.is_ascii_graphic() || b == b' '));
        }
    }
}
