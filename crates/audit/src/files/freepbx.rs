//! FreePBX writes most files anew at every "Apply Config": where a change has to be made so that it stays.

use crate::tree::Tree;

/// Whether FreePBX writes this folder.
pub(super) fn is(tree: &Tree) -> bool {
    tree.has("extensions_additional.conf")
        && (tree.has("manager_additional.conf") || tree.has("freepbx_module_admin.conf"))
}

/// Where a file of FreePBX is changed; `None` for a file that is the admin's own.
pub(super) fn twin(file: &str) -> Option<&'static str> {
    let name = file.rsplit('/').next().unwrap_or(file);
    let by_prefix = [
        (
            "logger",
            "Settings > Asterisk Logfile Settings > Log Files (a line of your own: logger_logfiles_custom.conf)",
        ),
        (
            "manager_additional",
            "Settings > Asterisk Manager Users, or manager_custom.conf",
        ),
        (
            "manager.conf",
            "manager_custom.conf, below [general](+) or [USER](+)",
        ),
        (
            "ari",
            "Settings > Asterisk REST Interface Users, or ari_general_custom.conf",
        ),
        (
            "http",
            "Settings > Advanced Settings > Asterisk Builtin mini-HTTP server, or http_custom.conf",
        ),
        ("cel", "cel_general_custom.conf"),
        (
            "pjsip.endpoint",
            "the Advanced tab of the extension or trunk, or pjsip.endpoint_custom_post.conf, below [NAME](+)",
        ),
        (
            "pjsip.identify",
            "the trunk's page, or pjsip.identify_custom_post.conf",
        ),
        (
            "pjsip",
            "Settings > Asterisk SIP Settings, or pjsip_custom_post.conf",
        ),
        (
            "sip_general",
            "Settings > Asterisk SIP Settings > Chan SIP Settings, or sip_general_custom.conf",
        ),
        (
            "sip",
            "the extension's or trunk's page, or sip_custom_post.conf, below [NAME](+)",
        ),
        (
            "extensions",
            "the page of the module that wrote it (dial options: Settings > Advanced Settings > Asterisk Dial Options), or the context anew in extensions_override_freepbx.conf",
        ),
        (
            "globals",
            "Settings > Advanced Settings > Asterisk Dial Options, or globals_custom.conf",
        ),
        (
            "features_applicationmap",
            "Admin > Feature Codes, or features_applicationmap_custom.conf",
        ),
        (
            "features",
            "Admin > Feature Codes, or features_featuremap_custom.conf",
        ),
        (
            "queues",
            "Applications > Queues > Call Recording, or queues_post_custom.conf",
        ),
        ("confbridge", "Applications > Conferences"),
        ("musiconhold", "Settings > Music on Hold"),
    ];
    // The admin's own: FreePBX makes them once and then leaves them alone.
    if name.contains("_custom") || name == "extensions_override_freepbx.conf" {
        return None;
    }
    by_prefix
        .iter()
        .find(|(prefix, _)| name.starts_with(prefix))
        .map(|(_, twin)| *twin)
}
