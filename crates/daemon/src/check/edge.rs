//! The ring `edge`: who may pay, where operators are behind an office PBX, and whether that PBX's endpoint says who they are.
//!
//! Asked over ARI. Which trunk leads to whom is not judged: that is the admin's to know.

use ivrpay_ari::{Endpoint, RequestError, Setting};

use super::{Check, SEE_LOG, Verdict};
use crate::config::Config;

const RING: &str = "edge";
/// Names that are told; of more, how many.
const TOLD_MAX: usize = 5;

type Found = (Verdict, String, Option<String>);

impl Check<'_> {
    pub(super) async fn edge(&mut self, config: &Config) {
        if !config.edge.is_set() {
            return self.good(
                RING,
                "there is no [edge]: a caller may pay whatever endpoint he comes by",
            );
        }
        let client = match ivrpay_ari::Client::new(&config.ari) {
            Ok(client) => client,
            Err(error) => return self.bad(RING, error.to_string(), error.hint()),
        };
        let Some(known) = self.known_endpoints(RING, &client).await else {
            return;
        };
        for (verdict, fact, hint) in trunks(config.edge.trunks(), &known) {
            self.say(RING, verdict, fact, hint);
        }
        let ladders = config.tenants.iter().map(|t| &t.ladder);
        let mut ways: Vec<&str> = ladders.map(|ladder| ladder.operator.as_str()).collect();
        ways.sort_unstable();
        ways.dedup();
        for way in ways {
            let Some(office) = office(way) else {
                self.warn(
                    RING,
                    format!("[tenants.return] operator = \"{way}\" rings a telephone of this Asterisk, and operators are behind the office PBX"),
                    "write operator = \"PJSIP/{extension}@NAME\", NAME for the office PBX's endpoint",
                );
                continue;
            };
            match client.pjsip_settings("endpoint", office).await {
                Ok(settings) => {
                    for (verdict, fact, hint) in office_endpoint(office, &settings) {
                        self.say(RING, verdict, fact, hint);
                    }
                }
                Err(RequestError::Gone) => self.bad(
                    RING,
                    format!("[tenants.return] operator = \"{way}\": Asterisk has no endpoint {office}"),
                    format!("add the endpoint [{office}] to pjsip.conf, or name the office PBX's in [tenants.return] operator"),
                ),
                Err(error) => self.bad(
                    RING,
                    format!("Asterisk does not tell the settings of {office}: {error}"),
                    error.hint().unwrap_or(SEE_LOG),
                ),
            }
        }
    }
}

fn trunks(trunks: &[String], known: &[Endpoint]) -> Vec<Found> {
    let mut names: Vec<String> = known
        .iter()
        .map(|e| format!("{}/{}", e.technology, e.resource))
        .collect();
    names.sort_unstable();
    let (ours, others): (Vec<String>, Vec<String>) = names
        .into_iter()
        .partition(|name| trunks.iter().any(|t| t.eq_ignore_ascii_case(name)));
    let missing = trunks.iter().filter(|trunk| {
        let is = |name: &String| name.eq_ignore_ascii_case(trunk);
        !ours.iter().any(is)
    });
    let mut found: Vec<Found> = missing
        .map(|trunk| {
            (
                Verdict::Bad,
                format!(
                    "[edge] trunks names {trunk}, which Asterisk does not know: nobody pays by it"
                ),
                Some(format!(
                    "write it as `pjsip show endpoints` does; Asterisk has {}",
                    told(&others)
                )),
            )
        })
        .collect();
    let refused = if others.is_empty() {
        String::new()
    } else {
        format!("; a payment call from {} is refused", told(&others))
    };
    if !ours.is_empty() {
        let fact = format!("callers who come by {} may pay{refused}", told(&ours));
        found.push((Verdict::Good, fact, None));
    }
    found
}

fn told(names: &[String]) -> String {
    let some: Vec<&str> = names.iter().take(TOLD_MAX).map(String::as_str).collect();
    let more = names.len().saturating_sub(TOLD_MAX);
    match (some.join(", "), more) {
        (none, _) if none.is_empty() => "none other".into(),
        (some, 0) => some,
        (some, more) => format!("{some} and {more} more"),
    }
}

/// `PJSIP/{extension}@office` rings by the endpoint office.
fn office(way: &str) -> Option<&str> {
    let (technology, rest) = way.split_once('/')?;
    let (_, name) = rest.split_once('@')?;
    technology.eq_ignore_ascii_case("PJSIP").then_some(name)
}

fn office_endpoint(office: &str, settings: &[Setting]) -> Vec<Found> {
    let on = |name: &str| {
        settings
            .iter()
            .any(|s| s.attribute == name && ivrpay_audit::is_true(&s.value))
    };
    let mut found = Vec::new();
    for (option, lacks) in [
        (
            "trust_id_inbound",
            "which operator answers is not known: no payment is found by his extension, and his lamp stays dark",
        ),
        (
            "allow_transfer",
            "the office PBX can't hand a customer back by a transfer",
        ),
    ] {
        if !on(option) {
            found.push((
                Verdict::Warning,
                format!("the endpoint {office} has {option} = no: {lacks}"),
                Some(format!(
                    "pjsip.conf, [{office}]: {option} = yes, then `pjsip reload`"
                )),
            ));
        }
    }
    if found.is_empty() {
        let fact =
            format!("operators are behind {office}, which may transfer and says who answers");
        found.push((Verdict::Good, fact, None));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(name: &str) -> Endpoint {
        Endpoint {
            technology: "PJSIP".into(),
            resource: name.into(),
        }
    }

    #[test]
    fn who_may_pay_is_told_and_a_trunk_that_is_none() {
        let known = [endpoint("trunk"), endpoint("office")];
        let found = trunks(&["PJSIP/Trunk".into()], &known);
        let [(Verdict::Good, fact, None)] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(
            fact,
            "callers who come by PJSIP/trunk may pay; a payment call from PJSIP/office is refused"
        );
        let found = trunks(&["PJSIP/trunc".into()], &known);
        let [(Verdict::Bad, fact, Some(hint))] = &found[..] else {
            panic!("{found:?}");
        };
        assert!(fact.contains("PJSIP/trunc,") && hint.contains("PJSIP/office, PJSIP/trunk"));
        let many: Vec<_> = (201..=250).map(|n| n.to_string()).collect();
        let many: Vec<_> = many.iter().map(|n| endpoint(n)).collect();
        assert!(
            trunks(&["PJSIP/201".into()], &many)[0]
                .1
                .contains("and 44 more")
        );
    }

    #[test]
    fn an_office_pbx_that_says_too_little() {
        let setting = |attribute: &str, value: &str| Setting {
            attribute: attribute.into(),
            value: value.into(),
        };
        for (trust, transfer, verdicts) in [
            ("yes", "true", &[Verdict::Good][..]),
            ("no", "true", &[Verdict::Warning]),
            ("yes", "false", &[Verdict::Warning]),
            ("false", "no", &[Verdict::Warning, Verdict::Warning]),
        ] {
            let settings = [
                setting("trust_id_inbound", trust),
                setting("allow_transfer", transfer),
            ];
            let found = office_endpoint("office", &settings);
            let found: Vec<_> = found.iter().map(|f| f.0).collect();
            assert_eq!(found, verdicts, "{trust} {transfer}");
        }
        assert_eq!(office("PJSIP/{extension}@office"), Some("office"));
        assert_eq!(office("PJSIP/{extension}"), None);
        assert_eq!(office("Local/{extension}@from-internal"), None);
    }
}
