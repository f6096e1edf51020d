//! `pjsip.conf` and `pjsip_wizard.conf`: endpoints after their templates.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::{Cx, dialplan, line, replace};
use crate::catalogue as c;
use crate::conf::{At, Conf, Entry, Section};
use crate::finding::{Change, Check};

/// Whether an endpoint gives its calls feature rights.
pub(super) fn check(cx: &mut Cx<'_>, recording: &BTreeSet<String>) -> bool {
    let mut rights = false;
    elsewhere(cx);
    if let Some(conf) = cx.conf("pjsip.conf") {
        let trunks = trunks(&conf);
        for section in conf.sections() {
            match section
                .last("type")
                .map(|t| t.value.to_ascii_lowercase())
                .as_deref()
            {
                Some("endpoint") => {
                    let endpoint = Endpoint {
                        section,
                        prefix: "",
                    };
                    endpoint.check(cx, trunks.get(&section.name).copied());
                    rights |= endpoint.variables(cx, recording);
                }
                Some("global") => {
                    if let Some(debug) = section.last("debug")
                        && !debug.is_false()
                        && !debug.value.is_empty()
                    {
                        cx.find_value(c::PJSIP_DEBUG, debug, "no");
                    }
                }
                _ => {}
            }
        }
    }
    if cx.tree.has("pjsip_wizard.conf")
        && let Some(conf) = cx.conf("pjsip_wizard.conf")
    {
        for section in conf.sections() {
            if section
                .last("type")
                .is_some_and(|t| t.value.eq_ignore_ascii_case("wizard"))
            {
                let endpoint = Endpoint {
                    section,
                    prefix: "endpoint/",
                };
                endpoint.check(cx, None);
                rights |= endpoint.variables(cx, recording);
            }
        }
    }
    rights
}

/// Endpoints that a database or another program keeps.
fn elsewhere(cx: &mut Cx<'_>) {
    for (file, sections) in [
        ("sorcery.conf", &["res_pjsip"][..]),
        ("extconfig.conf", &["settings"][..]),
    ] {
        let Some(conf) = cx.conf(file) else {
            continue;
        };
        let entries = conf
            .sections()
            .filter(|s| sections.iter().any(|n| s.name.eq_ignore_ascii_case(n)))
            .flat_map(|s| &s.entries);
        for entry in entries {
            let key = entry.key.to_ascii_lowercase();
            let endpoints = key == "ps_endpoints"
                || ((key == "endpoint" || key.starts_with("endpoint/"))
                    && !entry.value.to_ascii_lowercase().starts_with("config,"));
            if endpoints {
                cx.report.not_looked(
                    format!("endpoints in a database ({}:{})", entry.at.file, entry.at.line),
                    "files do not show them; `ivrpay audit` without --files asks the running Asterisk",
                );
            }
        }
    }
}

/// Endpoints that are recognised by address, which is how trunks are, and whether an address of theirs is public.
fn trunks(conf: &Conf) -> BTreeMap<Arc<str>, bool> {
    let mut trunks = BTreeMap::new();
    for identify in conf.sections() {
        let is = identify
            .last("type")
            .is_some_and(|t| t.value.eq_ignore_ascii_case("identify"));
        if let Some(endpoint) = identify.last("endpoint").filter(|_| is) {
            let public = identify
                .all("match")
                .any(|m| m.value.split(',').any(is_public));
            *trunks.entry(endpoint.value.clone()).or_insert(false) |= public;
        }
    }
    trunks
}

/// Whether an address lies on the public internet; a name is taken for one that does.
fn is_public(address: &str) -> bool {
    let bare = address.split('/').next().unwrap_or_default().trim();
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => !(ip.is_private() || ip.is_loopback() || ip.is_link_local()),
        Ok(IpAddr::V6(ip)) => {
            !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local())
        }
        Err(_) => true,
    }
}

struct Endpoint<'a> {
    section: &'a Section,
    /// Of its keys.
    prefix: &'static str,
}

impl Endpoint<'_> {
    fn last(&self, key: &str) -> Option<&Entry> {
        self.section.last(&format!("{}{key}", self.prefix))
    }

    /// A finding at the entry, or at the section's head where the default is what is found.
    fn find(&self, cx: &mut Cx<'_>, check: &'static Check, key: &str, value: &str, default: &str) {
        match self.last(key) {
            Some(entry) => {
                let found = format!("[{}] {}", self.section.name, line(entry));
                cx.find(check, &entry.at, found, replace(entry, value));
            }
            None => {
                let found = format!("[{}] {key} is absent: {default}", self.section.name);
                let change = Change::Below(format!("{}{key} = {value}", self.prefix));
                let at: &At = &self.section.at;
                cx.find(check, at, found, change);
            }
        }
    }

    /// What each call of it has set. Whether that gives feature rights.
    fn variables(&self, cx: &mut Cx<'_>, recording: &BTreeSet<String>) -> bool {
        let key = format!("{}set_var", self.prefix);
        let mut rights = false;
        for entry in self.section.all(&key) {
            rights |= dialplan::set(cx, entry, &entry.value, recording);
        }
        rights
    }

    /// `trunk`: it is one, and whether it is reached over a public network.
    fn check(&self, cx: &mut Cx<'_>, trunk: Option<bool>) {
        if !self.last("direct_media").is_some_and(Entry::is_false) {
            self.find(cx, c::PJSIP_DIRECT_MEDIA, "direct_media", "no", "yes");
        }
        let mode = self.last("dtmf_mode").map(|m| m.value.to_ascii_lowercase());
        match mode.as_deref() {
            None | Some("rfc4733") => {
                self.find(cx, c::PJSIP_DTMF_RFC4733, "dtmf_mode", "auto", "rfc4733")
            }
            Some("info" | "auto_info") => {
                self.find(cx, c::PJSIP_DTMF_INFO, "dtmf_mode", "auto", "")
            }
            Some(_) => {}
        }
        if self.last("one_touch_recording").is_some_and(Entry::is_true) {
            self.find(cx, c::PJSIP_ONE_TOUCH, "one_touch_recording", "no", "");
        } else if let Some(feature) = self
            .last("record_on_feature")
            .filter(|f| !f.value.is_empty())
        {
            // Of no effect until then (res/res_pjsip_one_touch_record_info.c).
            let found = format!("[{}] {}", self.section.name, line(feature));
            cx.find(c::PJSIP_RECORD_FEATURE, &feature.at, found, Change::Delete);
        }
        let Some(public) = trunk else {
            return;
        };
        if !self.last("allow_transfer").is_some_and(Entry::is_false) {
            self.find(cx, c::PJSIP_TRANSFER, "allow_transfer", "no", "yes");
        }
        let clear = self
            .last("media_encryption")
            .is_none_or(|m| m.value.eq_ignore_ascii_case("no"));
        if public && clear {
            self.find(cx, c::PJSIP_CLEAR, "media_encryption", "sdes", "no");
        }
    }
}
