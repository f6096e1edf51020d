//! Everything that is looked for. The places in Asterisk's source are those of release 22.

use crate::finding::{Check, Severity};

const EVERY: &str = "every version";
const WITH_CEL_DTMF: &str = "20.16, 21.11, 22.6, 23.0 and later";

/// Makes a constant of each row, and the table of all.
macro_rules! checks {
    ($($name:ident $id:literal $severity:ident $versions:expr, $why:literal;)*) => {
        $(pub(crate) const $name: &Check = &Check { id: $id, severity: Severity::$severity, versions: $versions, why: $why };)*
        /// Every check, by its id.
        pub const CATALOGUE: &[&Check] = &[$($name),*];
    };
}

checks! {
    // Logs.
    LOG_DTMF "log-dtmf" Critical EVERY,
        "The level DTMF (and *, which holds it) writes every key of every caller into the log (main/channel.c, __ast_read).";
    LOG_EMPTY "log-empty" High EVERY,
        "With logger.conf there and no line in its [logfiles], Asterisk prints every message to standard output, the level DTMF among them (main/logger.c): the journal or container log keeps it.";
    LOG_DEBUG "log-debug" Warning EVERY,
        "As soon as somebody raises `core set debug`, this log gets RTP events with their digit (level 1) and whole ARI events (level 4).";
    LOG_VERBOSE "log-verbose" Warning EVERY,
        "At verbose 3, which one `asterisk -rvvv` switches on for every file, the log gets what Read() collected, all arguments of the dialplan, and names of sound files.";
    LOG_SYSLOG "log-syslog" Note EVERY,
        "Lines go to syslog, and from there wherever it sends them; a WARNING holds keys that match no extension (main/pbx.c).";
    // AMI.
    AMI_DTMF "ami-dtmf" Critical EVERY,
        "A client with the class dtmf (or all) gets DTMFBegin and DTMFEnd with every key of every call (main/manager_channels.c).";
    AMI_TEST "ami-test" Note "builds with TEST_FRAMEWORK (Debian's are)",
        "This Asterisk is a test build: clients with the class reporting get TestEvent, which holds digits of a transfer and of keys that are sent on (seen on 22.10: none of keys pressed in Stasis).";
    AMI_OLD "ami-disabledevents-old" Note "before 16.25, 18.11 and 20.0",
        "disabledevents is what keeps the keys from users with the class dtmf; Asterisk before 16.25, 18.11 and 20.0 does not know it and sends them.";
    AMI_COMMAND "ami-command" Note EVERY,
        "A client that may write the class command types whatever it likes at Asterisk's command line: a log with DTMF, debug, `core show channel` with every variable. Getvar and Status read variables, too.";
    AMI_RECORDS "ami-records" Note EVERY,
        "AMI gets every CEL or CDR record: arguments of applications, extensions that were keyed, and each key where CEL stores it (cel_manager, cdr_manager).";
    AMI_DIALPLAN "ami-dialplan" Note EVERY,
        "A client with the class dialplan gets VarSet and Newexten: every variable, what Read() collected among them. ivrpay puts no card into a variable; other dialplan may.";
    AMI_DEBUG "ami-debug" High EVERY,
        "AMI's debug prints every event into the log, DTMFEnd with its digit among them (main/manager.c, should_send_event).";
    AMI_CHANNELVARS "ami-channelvars" Note EVERY,
        "These variables of a channel stand in every AMI event of it.";
    AMI_NETWORK "ami-network" Warning EVERY,
        "AMI is spoken in clear beyond this machine: who can listen has its events, and its passwords or their hashes.";
    // ARI and HTTP.
    HTTP_CLEAR "http-clear" High EVERY,
        "ARI is spoken in clear beyond this machine: every key of a call in Stasis travels in it (ChannelDtmfReceived).";
    ARI_USERS "ari-users" Note EVERY,
        "Each ARI user, read_only ones too, may open an application for all channels and get every key of them; it may also read the configuration folder.";
    ARI_CHANNELVARS "ari-channelvars" Note EVERY,
        "These variables of a channel stand in every ARI event of it, for every application.";
    ARI_OUTBOUND "ari-outbound" High "20.15, 21.10, 22.5, 23.0 and later",
        "Asterisk itself opens an event socket in clear to another machine; keys of calls in that application travel in it, and wait in memory while it is away.";
    ARI_OTHER_APP "ari-other-app" Critical EVERY,
        "Another Stasis application is subscribed to channels that are not its own: it gets every key of them.";
    ARI_DEBUG "ari-debug" High EVERY,
        "ARI's debug prints every event of the application into the log, keys and passwords of requests among them (res/ari).";
    // CEL.
    CEL_DTMF "cel-dtmf" Critical WITH_CEL_DTMF,
        "CEL stores one record a key, with its digit, in every backend (main/channel.c, send_dtmf_end_event).";
    CEL_LATER "cel-all-later" Note "before 20.16, 21.11, 22.6 and 23.0",
        "events=ALL stores no key in this version, and does from the next upgrade on.";
    CEL_APPS "cel-apps" Note EVERY,
        "CEL records the arguments of these applications when they start; a variable with keys that is handed to one stands there.";
    RECORD_KEYED "record-keyed" High EVERY,
        "This record or event holds a variable into which the dialplan reads what callers key.";
    CEL_STREAM "cel-stream" Note WITH_CEL_DTMF,
        "STREAM_BEGIN records the name of every sound that is played: where digits are read back, these are the digits.";
    // Channel drivers.
    PJSIP_DIRECT_MEDIA "pjsip-direct-media" High EVERY,
        "With direct media (the default is yes) the telephones may exchange audio and keys past Asterisk: what is keyed before they are brought back goes to the other telephone.";
    PJSIP_DTMF_RFC4733 "pjsip-dtmf-rfc4733" Note EVERY,
        "With rfc4733 (the default), a peer that sends keys as tones is not understood, and its tones are heard and recorded.";
    PJSIP_DTMF_INFO "pjsip-dtmf-info" Note EVERY,
        "Keys travel in SIP messages (INFO): everything that shows or keeps SIP shows them (pjsip logger, history, HEP, an SBC).";
    PJSIP_ONE_TOUCH "pjsip-one-touch" High EVERY,
        "A key of the telephone starts a recording, in the middle of a payment too.";
    PJSIP_RECORD_FEATURE "pjsip-record-feature" Note EVERY,
        "With one_touch_recording this feature records when a key of the telephone is pressed; it waits for that one line.";
    PJSIP_TRANSFER "pjsip-transfer" Note EVERY,
        "The other end of a trunk may transfer the call (REFER) out of a payment.";
    PJSIP_CLEAR "pjsip-clear" Note EVERY,
        "Audio and keys of this peer cross a public network in clear (RFC 4733 events are plain RTP; PCI DSS v4.0.1, 4.2.1).";
    PJSIP_DEBUG "pjsip-debug" High EVERY,
        "SIP messages are printed into the log, INFO with its digit among them (res/res_pjsip_logger.c).";
    SIP_DIRECT_MEDIA "sip-direct-media" High "20 and earlier (chan_sip)",
        "With direct media (the default is yes) the telephones exchange audio and keys past Asterisk.";
    SIP_DEBUG "sip-debug" High "20 and earlier (chan_sip)",
        "SIP messages are printed into the log or kept, INFO with its digit among them.";
    // Dialplan and recorders.
    DIALPLAN_READ "dialplan-read" Warning EVERY,
        "Digits that are read here land in a variable, in the verbose log, and in AMI's VarSet. Never ask for a card with it.";
    DIALPLAN_DIGITS_OUT "dialplan-digits-out" High EVERY,
        "What a caller keyed goes on from here: to a program, a database, a log, a record or a loudspeaker.";
    DIALPLAN_DIGITS_DIALLED "dialplan-digits-dialled" Note EVERY,
        "What a caller keyed is dialled, or is an argument here: CDR keeps it (dst, lastdata), CEL and the queue's log may, AMI's events have it.";
    DIALPLAN_AUDIO_OUT "dialplan-audio-out" Warning EVERY,
        "Another program gets what the caller says and his tones; with AudioSocket, WebSocket and ExternalIVR it gets his keys, too.";
    DIALPLAN_ASYNC_AGI "dialplan-async-agi" Warning EVERY,
        "With agi:async the answers of AGI commands, GET DATA with its keys among them, travel in AMI's AsyncAGIExec (res/res_agi.c).";
    DIALPLAN_STORE "dialplan-storedtmf" Critical "16.20, 18.6 and later",
        "StoreDTMF() gathers every key of the channel in a variable (apps/app_dtmfstore.c).";
    DIALPLAN_TRACE "dialplan-frame-trace" Critical EVERY,
        "FRAME_TRACE() prints every key of the channel into the log (funcs/func_frame_trace.c).";
    DIALPLAN_DROP_TX "dialplan-frame-drop-tx" Warning "16.21, 18.7 and later",
        "FRAME_DROP(TX) with keys frees a frame twice: the first key that is to be sent on leaves a thread of Asterisk turning for ever (funcs/func_frame_drop.c).";
    DIALPLAN_RECORDED "dialplan-recorded-payment" Critical EVERY,
        "A recorder that is started on the channel goes on in Stasis, and records the whole payment with its tones.";
    DIALPLAN_RECORDER "dialplan-recorder" Note EVERY,
        "A recorder is started here. ivrpay-pay mutes the caller for one that runs on his channel; one on another leg hears what that leg says.";
    DIALPLAN_SPY "dialplan-spy" Note EVERY,
        "Who dials this listens to calls, payments among them.";
    DIALPLAN_RIGHTS "dialplan-feature-rights" Warning EVERY,
        "The parties of this call may transfer, hang up, park or record it by keys: a # or * of a card is taken for the code, and the digits behind it are dialled, logged, and in AMI's BlindTransfer and the queue's log.";
    DIALPLAN_LATE "dialplan-late-digits" Warning EVERY,
        "Right behind the payment the dialplan waits for digits: a key pressed late is taken for an extension and stands in a WARNING of the log.";
    FEATURES_KEYS "features-keys" Warning EVERY,
        "A single # (the default of blindxfer) or * (of disconnect) ends fields of a card; with the right to it, it transfers or hangs up.";
    FEATURES_RECORD "features-record" Warning EVERY,
        "A code of keys starts a recording in the middle of a call.";
    QUEUE_RECORDING "queue-recording" Warning EVERY,
        "The queue records on the caller's channel, and goes on when the caller is sent to a payment: with silence in his place, where ivrpay-pay mutes him.";
    QUEUE_EXIT_KEY "queue-exit-key" Note EVERY,
        "A caller may leave this queue by a key: it stands in the queue's log (EXITWITHKEY), and at verbose 3 in others.";
    CONFBRIDGE_PASSTHROUGH "confbridge-passthrough" Warning EVERY,
        "Keys of one member of the conference are sent to all others.";
    CONFBRIDGE_RECORDING "confbridge-recording" Note EVERY,
        "The conference is recorded; a payment keyed into it is in the file.";
    MOH_DIGIT "moh-digit" Note EVERY,
        "Keys that are pressed while this music plays are taken to switch it.";
    // Debug and cores.
    ASTERISK_DEBUG "core-debug" High EVERY,
        "Debug output holds keys: RTP events at level 1, whole ARI events at level 4 (even into logs without the level debug).";
    ASTERISK_VERBOSE "core-verbose" Warning EVERY,
        "At verbose 3 and more, logs with the level verbose get what Read() collected and all arguments of the dialplan.";
    ASTERISK_CORE "core-dump" High EVERY,
        "A core file holds whatever was keyed last: frames and events are freed, not wiped.";
    ASTERISK_DANGEROUS "core-dangerous" High EVERY,
        "SHELL(), FILE() and their like can be called through ARI and AMI.";
    CLI_STARTUP "cli-startup" High EVERY,
        "This command is given at every start, and shows keys in the log or on the console.";
    BUILD_END_OF_LIFE "asterisk-end-of-life" High "16 and earlier, 17, 18, 19, 21 (docs.asterisk.org, Asterisk Versions)",
        "This release gets no security fixes any more (PCI DSS v4.0.1, 6.3.3).";
    // Modules.
    MODULE_HEP "module-hep" High EVERY,
        "Every SIP message, INFO with its digit among them, is sent to a capture server (res_hep_pjsip; enabled by default where hep.conf is there).";
    MODULE_HISTORY "module-pjsip-history" Note EVERY,
        "One command (`pjsip set history on`) keeps every SIP message in memory, INFO with its digit among them.";
    MODULE_TRACE "module-frame-trace" Note EVERY,
        "Any dialplan, ARI or AMI client may have every key of a channel printed (FRAME_TRACE).";
    MODULE_STORE "module-dtmfstore" Note EVERY,
        "Any dialplan may gather every key of a channel in a variable (StoreDTMF).";
    MODULE_JACK "module-jack" Note EVERY,
        "Lends a channel's audio to other programs.";
    MODULE_UNISTIM "module-unistim" Warning EVERY,
        "Prints each key of its telephones into the log, at every verbosity (channels/chan_unistim.c).";
    MODULE_CONSOLE "module-console" Note EVERY,
        "Prints each key of its call into the log at verbose 1 (channels/chan_console.c).";
    MODULE_SNMP "module-snmp" Warning EVERY,
        "Shows channel variables to the network (res_snmp).";
    STASIS_END_DECLINED "stasis-keys-declined" High EVERY,
        "With ast_channel_dtmf_end_type declined no key reaches ivrpay: nobody can pay.";
    STASIS_AMI "stasis-ami" High EVERY,
        "AMI subscribes to this message type: with AMI enabled and the type declined, Asterisk does not start (\"Failed to load module manager\"; seen on 16.28 and 22.10).";
    // Running.
    LIVE_RECORDER "live-recorder" Note EVERY,
        "A recorder runs on a channel that is in ivrpay's hands. ivrpay has muted the caller for it: it records silence in his place (docs/recordings.md).";
    LIVE_SPY "live-spy" Warning EVERY,
        "Something listens to channels at this moment.";
    LIVE_MEDIA "live-media" Warning EVERY,
        "Audio, and keys with AudioSocket and WebSocket, go to another program at this moment.";
    // What an audit can't see through.
    CONF_REFUSED "conf-refused" High EVERY,
        "Asterisk does not take the file from here on: what protects in it does not hold.";
    CONF_TWICE "conf-section-twice" Warning EVERY,
        "Asterisk reads the first section of this name alone; write [name](+) to add to it.";
    CONF_EXEC "conf-exec" Note EVERY,
        "A program writes this part of the configuration when Asterisk reads it: it can't be looked at.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_names_and_stand_once() {
        let ids: BTreeSet<_> = CATALOGUE.iter().map(|c| c.id).collect();
        assert_eq!(ids.len(), CATALOGUE.len());
        for check in CATALOGUE {
            assert!(
                check
                    .id
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{}",
                check.id
            );
            assert!(check.why.ends_with(['.', ')']), "{}", check.id);
        }
    }
}
