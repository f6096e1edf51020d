//! Queues, conferences and music: what records, what hands keys on, what listens to them.

use super::{Cx, line};
use crate::catalogue as c;
use crate::conf::Entry;
use crate::finding::Change;

pub(super) fn check(cx: &mut Cx<'_>) {
    if let Some(conf) = cx.conf("queues.conf") {
        for queue in conf.sections() {
            if let Some(format) = queue.last("monitor-format").filter(|e| !e.value.is_empty()) {
                let found = format!("[{}] {}", queue.name, line(format));
                cx.find(c::QUEUE_RECORDING, &format.at, found, Change::Delete);
            }
            if let Some(context) = queue.last("context").filter(|e| !e.value.is_empty()) {
                let found = format!("[{}] {}", queue.name, line(context));
                let change = Change::Do("let a caller who keys a card wait in no queue".into());
                cx.find(c::QUEUE_EXIT_KEY, &context.at, found, change);
            }
        }
    }
    if let Some(conf) = cx.conf("confbridge.conf") {
        for bridge in conf.sections() {
            if let Some(record) = bridge
                .last("record_conference")
                .filter(|e| Entry::is_true(e))
            {
                cx.find_value(c::CONFBRIDGE_RECORDING, record, "no");
            }
            let passes = bridge.last("dtmf_passthrough");
            if let Some(passes) = passes.filter(|e| Entry::is_true(e)) {
                cx.find_value(c::CONFBRIDGE_PASSTHROUGH, passes, "no");
            }
        }
    }
    if let Some(conf) = cx.conf("musiconhold.conf") {
        for class in conf.sections() {
            if let Some(digit) = class.last("digit").filter(|e| !e.value.is_empty()) {
                cx.find(c::MOH_DIGIT, &digit.at, line(digit), Change::Delete);
            }
        }
    }
}
