//! `http.conf`, `ari.conf`, `websocket_client.conf`.

use super::{Cx, is_loopback, line};
use crate::catalogue as c;
use crate::conf::{Entry, Section};
use crate::finding::Change;

/// The name that our documents give the user of ivrpay.
const OURS: &str = "ivrpay";

pub(super) fn check(cx: &mut Cx<'_>) {
    let http = cx.conf("http.conf");
    let ari = cx.conf("ari.conf");
    let clients = cx.conf("websocket_client.conf");
    let general = ari.as_ref().and_then(|conf| conf.section("general"));
    // On by default.
    if general
        .and_then(|g| g.last("enabled"))
        .is_some_and(Entry::is_false)
    {
        return;
    }
    if let Some(conf) = &http
        && let Some(general) = cx.only(conf, "general")
        && general.last("enabled").is_some_and(Entry::is_true)
        // There is no default: without it the server is not bound.
        && let Some(bind) = general.last("bindaddr")
        && !is_loopback(&bind.value)
    {
        cx.find_value(c::HTTP_CLEAR, bind, "127.0.0.1");
    }
    let Some(ari) = &ari else {
        return;
    };
    if let Some(variables) = general.and_then(|g| g.last("channelvars"))
        && !variables.value.is_empty()
    {
        cx.find_value(c::ARI_CHANNELVARS, variables, "");
    }
    let is = |section: &&Section, kind: &str| {
        section
            .last("type")
            .is_some_and(|t| t.value.eq_ignore_ascii_case(kind))
    };
    let users: Vec<&Section> = ari.sections().filter(|s| is(s, "user")).collect();
    let others: Vec<&&Section> = users.iter().filter(|s| &*s.name != OURS).collect();
    // A single one is whoever ivrpay logs in as.
    if users.len() > 1 {
        for user in others {
            cx.find(
                c::ARI_USERS,
                &user.at,
                format!("[{}]", user.name),
                Change::Do("keep it where it is needed, give its password to nobody else, and bind it to addresses (permit, deny)".into()),
            );
        }
    }
    let Some(clients) = &clients else {
        return;
    };
    for outbound in ari.sections().filter(|s| is(s, "outbound_websocket")) {
        let client = outbound
            .last("websocket_client_id")
            .and_then(|id| clients.section(&id.value));
        if let Some(uri) = client.and_then(|client| client.last("uri"))
            && let Some(host) = uri.value.strip_prefix("ws://")
            && !is_loopback(host.split('/').next().unwrap_or_default())
        {
            // A password may stand in it.
            let found = line(uri);
            let found = if found.contains('@') {
                "uri = ws://…"
            } else {
                &found
            };
            cx.find(
                c::ARI_OUTBOUND,
                &uri.at,
                found,
                Change::Do("use wss:// with verify_server_cert and verify_server_hostname, or let the application connect on this machine".into()),
            );
        }
    }
}
