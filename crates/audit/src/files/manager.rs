//! `manager.conf`, and the users of `users.conf` that may use AMI.

use super::{Cx, is_loopback, line, words};
use crate::catalogue as c;
use crate::conf::{At, Conf, Entry, Section};
use crate::finding::Change;

/// The events that hold keys. Names are compared with case.
pub(crate) const KEYS: [&str; 2] = ["DTMFBegin", "DTMFEnd"];
/// The events that hold variables and arguments of the dialplan.
pub(crate) const DIALPLAN: [&str; 2] = ["VarSet", "Newexten"];

/// Our user that needs to run commands; that of the pay key does not.
const OURS: &str = "ivrpay-audit";

/// Whether AMI is enabled.
pub(super) fn check(cx: &mut Cx<'_>) -> bool {
    // Without the file AMI is off.
    let Some(conf) = cx.conf("manager.conf") else {
        return false;
    };
    let Some(general) = cx.only(&conf, "general") else {
        return false;
    };
    let on = |key| general.last(key).is_some_and(Entry::is_true);
    if !on("enabled") && !on("webenabled") {
        return false;
    }
    let disabled = general.last("disabledevents");
    let disabled_events: Vec<&str> = disabled
        .map(|e| e.value.split(',').collect())
        .unwrap_or_default();
    let is_disabled = |event: &str| disabled_events.contains(&event);
    let keys_disabled = KEYS.iter().all(|e| is_disabled(e));
    for user in conf.sections().filter(|s| &*s.name != "general") {
        let Some(read) = user.last("read") else {
            continue;
        };
        let may = |class| sees(&read.value, class);
        if may("dtmf") && !keys_disabled && !excludes_keys(user) {
            let change = disable(cx, &conf, disabled, &[]);
            cx.find(c::AMI_DTMF, &read.at, shown(user, read), change);
        } else if may("dtmf") && keys_disabled && !excludes_keys(user) {
            let change = Change::Do(
                "Asterisk before these releases: take dtmf and all out of this line".into(),
            );
            cx.find(c::AMI_OLD, &read.at, shown(user, read), change);
        }
        if let Some(write) = user.last("write")
            && sees(&write.value, "command")
            && !user.name.starts_with(OURS)
        {
            let change = Change::Do(
                "take command and all out of this line where they are not needed".into(),
            );
            cx.find(c::AMI_COMMAND, &write.at, shown(user, write), change);
        }
        if may("dialplan") && !DIALPLAN.iter().all(|e| is_disabled(e)) {
            let change = disable(cx, &conf, disabled, &DIALPLAN);
            cx.find(c::AMI_DIALPLAN, &read.at, shown(user, read), change);
        }
    }
    if !keys_disabled {
        users(cx, &conf, disabled);
    }
    if let Some(debug) = general.last("debug")
        && debug.is_true()
    {
        cx.find_value(c::AMI_DEBUG, debug, "no");
    }
    if let Some(variables) = general.last("channelvars")
        && !variables.value.is_empty()
    {
        cx.find_value(c::AMI_CHANNELVARS, variables, "");
    }
    network(cx, general);
    true
}

/// `users.conf` with `hasmanager`: what Asterisk reads there is `read` (its own sample says managerread, which it does not know), and a user
/// without it gets every class (main/manager.c; seen on 16.28 and 22.10).
fn users(cx: &mut Cx<'_>, manager: &Conf, disabled: Option<&Entry>) {
    if !cx.tree.has("users.conf") {
        return;
    }
    let Some(conf) = cx.conf("users.conf") else {
        return;
    };
    let general = conf.section("general");
    let of = |user: &Section, key: &str| {
        let entry = user.last(key).or_else(|| general.and_then(|g| g.last(key)));
        entry.cloned()
    };
    for user in conf.sections().filter(|s| &*s.name != "general") {
        let Some(has) = of(user, "hasmanager").filter(Entry::is_true) else {
            continue;
        };
        // What manager.conf says of the same name holds.
        let there = manager.section(&user.name).and_then(|s| s.last("read"));
        if there.is_some() {
            continue;
        }
        let (at, found) = match of(user, "read") {
            Some(read) if sees(&read.value, "dtmf") => (read.at.clone(), shown(user, &read)),
            Some(_) => continue,
            None => (
                has.at.clone(),
                format!("[{}] {}, read is absent: all", user.name, line(&has)),
            ),
        };
        let change = disable(cx, manager, disabled, &[]);
        cx.find(c::AMI_DTMF, &at, found, change);
    }
}

fn network(cx: &mut Cx<'_>, general: &Section) {
    let everywhere = |at: &At| (at.clone(), "bindaddr is absent: 0.0.0.0".to_owned());
    let (at, found) = match general.last("bindaddr") {
        Some(bind) if is_loopback(&bind.value) => return,
        Some(bind) => (bind.at.clone(), line(bind)),
        None => everywhere(&general.at),
    };
    let change = if general.last("bindaddr").is_some() {
        Change::Replace("bindaddr = 127.0.0.1".into())
    } else {
        Change::Below("bindaddr = 127.0.0.1".into())
    };
    cx.find(c::AMI_NETWORK, &at, found, change);
}

fn shown(user: &Section, read: &Entry) -> String {
    format!("[{}] {}", user.name, line(read))
}

/// The line that takes keys and other events away from everybody, with those that it takes away already.
fn disable(cx: &Cx<'_>, conf: &Conf, disabled: Option<&Entry>, events: &[&'static str]) -> Change {
    let mut all: Vec<&str> = disabled
        .map(|e| words(&e.value).collect())
        .unwrap_or_default();
    // The last such line is the one that holds: each takes the keys away as well.
    for event in KEYS.iter().chain(events) {
        if !all.contains(event) {
            all.push(event);
        }
    }
    let wanted = format!("disabledevents = {}", all.join(","));
    cx.add(conf, "general", vec![wanted])
}

/// Whether `read =` gives a class.
pub(crate) fn sees(read: &str, class: &str) -> bool {
    words(read).any(|w| w.eq_ignore_ascii_case(class) || w.eq_ignore_ascii_case("all"))
}

/// Whether the filters of a user keep both events with keys from it.
pub(crate) fn excludes_keys(user: &Section) -> bool {
    let filters: Vec<&Entry> = user
        .entries
        .iter()
        .filter(|e| e.key.to_ascii_lowercase().starts_with("eventfilter"))
        .collect();
    let excludes = |event: &str| {
        filters.iter().any(|f| {
            let key = f.key.to_ascii_lowercase();
            if key.contains('(') {
                // eventfilter(action(exclude),name(DTMFEnd)) =
                return key.contains("action(exclude)")
                    && f.key.contains(&format!("name({event})"))
                    && f.value.is_empty();
            }
            f.value
                .strip_prefix('!')
                .and_then(|v| v.trim().strip_prefix("Event:"))
                .map(str::trim)
                .is_some_and(|name| {
                    let prefix = name.trim_end_matches('$').trim_end_matches(".*");
                    !prefix.is_empty()
                        && event.starts_with(prefix)
                        && prefix.chars().all(char::is_alphanumeric)
                })
        })
    };
    if KEYS.iter().all(|e| excludes(e)) {
        return true;
    }
    // With filters that include, nothing else is sent.
    let includes: Vec<&&Entry> = filters
        .iter()
        .filter(|f| {
            let key = f.key.to_ascii_lowercase();
            if key.contains('(') {
                !key.contains("action(exclude)")
            } else {
                !f.value.starts_with('!')
            }
        })
        .collect();
    !includes.is_empty()
        && includes.iter().all(|f| {
            let named = f
                .key
                .split_once("name(")
                .and_then(|(_, rest)| rest.split_once(')'))
                .map(|(name, _)| name)
                .or_else(|| f.value.strip_prefix("Event:").map(str::trim));
            named.is_some_and(|n| {
                !n.is_empty()
                    && n.chars().all(char::is_alphanumeric)
                    && !"DTMF".starts_with(n)
                    && !n.starts_with("DTMF")
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    #[test]
    fn filters_that_keep_keys_away() {
        for (filters, expected) in [
            ("", false),
            ("eventfilter = !Event: DTMF.*", true),
            ("eventfilter = !Event: DTMF", true),
            ("eventfilter = !Event: DTMFEnd", false),
            (
                "eventfilter = !Event: DTMFEnd\neventfilter = !Event: DTMFBegin",
                true,
            ),
            ("eventfilter = !Channel: PJSIP", false),
            (
                "eventfilter(action(exclude),name(DTMFEnd)) =\neventfilter(action(exclude),name(DTMFBegin)) =",
                true,
            ),
            ("eventfilter(action(exclude),name(DTMFEnd)) =", false),
            (
                "eventfilter(action(exclude),name(DTMFEnd),header(Channel)) = x\neventfilter(action(exclude),name(DTMFBegin)) =",
                false,
            ),
            ("eventfilter = Event: Newchannel", true),
            ("eventfilter = Event: D", false),
            (
                "eventfilter = Event: Newchannel\neventfilter = Channel: PJSIP",
                false,
            ),
            ("eventfilter(name(Hangup)) =", true),
            ("eventfilter(name(DTMFEnd)) =", false),
        ] {
            let mut tree = Tree::new("/etc/asterisk");
            let text = format!("[user]\nread = all\n{filters}\n");
            tree.add("manager.conf", text.into_bytes()).expect("small");
            let conf = Conf::read(&tree, "manager.conf").expect("there");
            let user = conf.section("user").expect("there");
            assert_eq!(excludes_keys(user), expected, "{filters}");
        }
    }

    #[test]
    fn our_users_are_known_by_their_purpose() {
        for (user, write, expected) in [
            ("ivrpay-audit", "command,reporting", false),
            ("ivrpay-key", "call", false),
            ("ivrpay-key", "call,command", true),
            ("ivrpay-key", "all", true),
            ("crm", "command", true),
        ] {
            let mut tree = Tree::new("/etc/asterisk");
            let text = format!(
                "[general]\nenabled = yes\nbindaddr = 127.0.0.1\n[{user}]\nread =\nwrite = {write}\n"
            );
            tree.add("manager.conf", text.into_bytes()).expect("small");
            let report = crate::files(&tree).expect("an Asterisk");
            let found = report.findings.iter().any(|f| f.id == "ami-command");
            assert_eq!(found, expected, "{user} {write}");
        }
    }
}
