//! An Asterisk at the edge (`docs/edge.md`): callers come by its own trunks, operators are behind an office PBX.
//!
//! Two things differ there. A card may be keyed on a trunk's channel alone: the keys of any other caller have passed the PBX that sends
//! him. And the name of a channel is no extension: all operators are behind the same endpoint, and the number that the office PBX names is.

use ivrpay_ari::Channel;
use serde::Deserialize;

use crate::config::ConfigError;
use crate::guard::Danger;
use crate::order;

/// Trunks that can be named.
const TRUNKS_MAX: usize = 32;

/// `[edge]`, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawEdge {
    trunks: Vec<String>,
}

/// `[edge]`, checked. Without it every channel is a caller's, and an operator's channel is named as his extension.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    /// Endpoints by which callers come, as `PJSIP/trunk`; none without `[edge]`.
    trunks: Vec<String>,
}

impl Edge {
    pub(crate) fn checked(raw: RawEdge) -> Result<Self, ConfigError> {
        let bad = |message: &str| Err(ConfigError::value("edge.trunks", message));
        if raw.trunks.is_empty() || raw.trunks.len() > TRUNKS_MAX {
            return bad("1 to 32 endpoints, or no [edge]: nobody could pay");
        }
        for trunk in &raw.trunks {
            let good = |part: &str| {
                !part.is_empty()
                    && part
                        .chars()
                        .all(|c| c.is_ascii_graphic() && !"/,;\"".contains(c))
            };
            match trunk.split_once('/') {
                Some((technology, name))
                    if good(technology) && good(name) && technology != "Local" => {}
                _ => return bad("each is an endpoint as Asterisk names it: \"PJSIP/trunk\""),
            }
        }
        Ok(Self { trunks: raw.trunks })
    }

    /// The trunks; none without `[edge]`.
    pub(crate) fn trunks(&self) -> &[String] {
        &self.trunks
    }

    pub(crate) fn is_set(&self) -> bool {
        !self.trunks.is_empty()
    }

    /// Whether a card may be keyed on that channel. Practice may come by a Local channel too: nobody's keys pass another PBX there, and
    /// the canary (`ivrpay audit --canary`) has no other.
    pub(crate) fn takes(&self, channel: &str, practice: bool) -> Result<(), Danger> {
        let endpoint = order::endpoint_of(channel);
        let local = practice && channel.starts_with("Local/");
        let trunk = |trunk: &String| trunk.eq_ignore_ascii_case(endpoint);
        if !self.is_set() || local || self.trunks.iter().any(trunk) {
            Ok(())
        } else {
            Err(Danger::NotATrunk)
        }
    }

    /// The extension of the operator whose channel has that name, and that number as its caller id.
    pub(crate) fn extension<'a>(&self, channel: &'a str, number: &'a str) -> Option<&'a str> {
        if self.is_set() {
            Some(number).filter(|number| !number.is_empty())
        } else {
            order::extension_of(channel)
        }
    }

    /// As [`Self::extension`], of a channel that Asterisk has told of.
    pub(crate) fn extension_of<'a>(&self, channel: &'a Channel) -> Option<&'a str> {
        self.extension(&channel.name, &channel.caller.number)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn edge(trunks: &[&str]) -> Result<Edge, ConfigError> {
        let trunks = trunks.iter().map(|t| (*t).to_owned()).collect();
        Edge::checked(RawEdge { trunks })
    }

    #[test]
    fn a_card_is_keyed_on_a_trunk_alone() {
        let edge = edge(&["PJSIP/trunk", "PJSIP/ntt-2"]).unwrap();
        for (channel, takes, practises) in [
            ("PJSIP/trunk-0000002a", true, true),
            ("pjsip/Trunk-0000002a", true, true),
            ("PJSIP/ntt-2-0000002a", true, true),
            ("PJSIP/office-0000002a", false, false),
            ("PJSIP/trunk2-0000002a", false, false),
            ("PJSIP/trunk-2-0000002a", false, false),
            ("PJSIP/ntt-0000002a", false, false),
            ("PJSIP/trunk", true, true),
            ("Local/8803@lab-0000002a;2", false, true),
            ("", false, false),
        ] {
            assert_eq!(edge.takes(channel, false).is_ok(), takes, "{channel}");
            assert_eq!(edge.takes(channel, true).is_ok(), practises, "{channel}");
            assert!(Edge::default().takes(channel, false).is_ok(), "{channel}");
        }
    }

    #[test]
    fn an_operator_behind_the_office_pbx_is_known_by_his_number() {
        let on = edge(&["PJSIP/trunk"]).unwrap();
        let off = Edge::default();
        assert_eq!(on.extension("PJSIP/office-0000002a", "201"), Some("201"));
        assert_eq!(on.extension("PJSIP/office-0000002a", ""), None);
        assert_eq!(
            off.extension("PJSIP/201-0000002a", "0312345678"),
            Some("201")
        );
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for bad in [
            &[][..],
            &["trunk"],
            &["PJSIP/"],
            &["/trunk"],
            &["PJSIP/a b"],
            &["PJSIP/trunk", "PJSIP/a/b"],
            &["Local/8800@lab"],
            &["x/y"; 33],
        ] {
            assert!(edge(bad).is_err(), "{bad:?}");
        }
    }
}
