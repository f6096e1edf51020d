//! What a running Asterisk says of itself.
//!
//! Somebody else asks (ARI, and AMI where there is a user for it) and fills a [`Seen`]; what could not be asked carries its reason and
//! becomes a line of [`Report::not_looked_at`], never silence.

mod dialplan;
mod texts;

use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::catalogue as c;
use crate::conf::{is_false, is_true};
use crate::files::{
    DIALPLAN, KEYS, LOADED, Rights, WITHOUT_KEYS, is_loopback, judge_dialplan, sees,
};
use crate::finding::{Change, Check, Place, Report};
use crate::version::Version;
use texts::{field, number};

pub use texts::manager_users;

/// What was seen, or why it was not, in words that an admin can act on.
pub type Look<T> = Result<T, String>;

/// Commands of Asterisk's command line whose output is wanted. Besides, for each user `manager show user NAME`, for each
/// application `ari show app NAME`, for each channel in our hands `mixmonitor list CHANNEL`, and with PJSIP [`PJSIP_SETTINGS`]. The
/// longest output is the last.
pub const COMMANDS: [&str; 10] = [
    "ari show users",
    "features show",
    "core show settings",
    "manager show settings",
    "manager show users",
    "manager show connected",
    "cel show status",
    "logger show channels",
    "dialplan show globals",
    "dialplan show",
];

/// The command that shows PJSIP's global section, whatever its name.
pub const PJSIP_SETTINGS: &str = "pjsip show settings";

/// A value of a configuration file, as `AST_CONFIG()` gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AskedFile {
    /// File.
    pub file: &'static str,
    /// Section.
    pub section: &'static str,
    /// Key.
    pub key: &'static str,
}

const fn asked(file: &'static str, section: &'static str, key: &'static str) -> AskedFile {
    AskedFile { file, section, key }
}

/// Values that are worth asking for: what no other question answers.
pub const FILE_VALUES: [AskedFile; 12] = [
    asked("ari.conf", "general", "channelvars"),
    asked("asterisk.conf", "options", "debug"),
    asked("asterisk.conf", "options", "dumpcore"),
    asked("asterisk.conf", "options", "live_dangerously"),
    asked("cel.conf", "general", "enable"),
    asked("cel.conf", "general", "events"),
    asked("hep.conf", "general", "enabled"),
    asked("http.conf", "general", "bindaddr"),
    asked("manager.conf", "general", "channelvars"),
    asked("manager.conf", "general", "debug"),
    asked("manager.conf", "general", "disabledevents"),
    asked("manager.conf", "general", "enabled"),
];

/// A log channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenLog {
    /// File name; empty for the console.
    pub name: String,
    /// `File`, `Console`, `Syslog`.
    pub kind: String,
    /// Whether it is on.
    pub enabled: bool,
    /// Levels in capitals, blanks between them.
    pub levels: String,
}

/// A Stasis application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeenApp {
    /// Name.
    pub name: String,
    /// Ids of channels, or Asterisk's name for all of them.
    pub channel_ids: Vec<String>,
    /// Endpoints, as `PJSIP/trunk`.
    pub endpoint_ids: Vec<String>,
    /// Types of events that alone it gets; empty = all.
    pub allowed: Vec<String>,
    /// Types of events that it does not get.
    pub disallowed: Vec<String>,
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenChannel {
    /// Id.
    pub id: String,
    /// Name, as `PJSIP/trunk-00000001`.
    pub name: String,
    /// Application of the dialplan that it is in.
    pub app: String,
    /// Whether it is in our Stasis application.
    pub ours: bool,
}

/// Everything that was asked.
#[derive(Debug, Clone)]
pub struct Seen {
    /// For what is out of date.
    pub today: Date,
    /// Name of our own application.
    pub our_app: String,
    /// Name of our own user of ARI.
    pub our_user: String,
    /// Version.
    pub version: Look<String>,
    /// Options of the build, as `OPTIONAL_API, TEST_FRAMEWORK`.
    pub build_options: Look<String>,
    /// Log channels.
    pub logging: Look<Vec<SeenLog>>,
    /// Names of modules that run.
    pub modules: Look<Vec<String>>,
    /// Applications.
    pub applications: Look<Vec<SeenApp>>,
    /// Channels.
    pub channels: Look<Vec<SeenChannel>>,
    /// PJSIP endpoints by name, with their attributes.
    pub endpoints: Look<BTreeMap<String, Look<BTreeMap<String, String>>>>,
    /// Attributes of PJSIP's global section.
    pub pjsip_global: Look<BTreeMap<String, String>>,
    /// Values of files; `None` = it is absent there.
    pub file_values: Look<BTreeMap<AskedFile, Option<String>>>,
    /// Output of commands, by command; all of them are wanted, and so `Err` speaks for all.
    pub commands: Look<BTreeMap<String, Look<Vec<String>>>>,
}

impl Seen {
    /// Whether every question that always has an answer got one; `ami`: whether there is a way to ask over AMI. Values of files
    /// need a channel, and single endpoints, users and channels may go in between: these don't count.
    #[must_use]
    pub fn is_whole(&self, ami: bool) -> bool {
        let commands = || {
            self.commands.as_ref().is_ok_and(|commands| {
                let answered = |name: &str| commands.get(name).is_some_and(Result::is_ok);
                COMMANDS.iter().all(|name| answered(name))
            })
        };
        self.version.is_ok()
            && self.logging.is_ok()
            && self.modules.is_ok()
            && self.applications.is_ok()
            && self.channels.is_ok()
            && self.endpoints.is_ok()
            && (self.pjsip_global.is_ok() || sip_debug(self).is_some())
            && (!ami || commands())
    }
}

/// Asterisk's name for all channels, in an application that subscribed to them (res/stasis/app.c).
const ALL_CHANNELS: &str = "__AST_CHANNEL_ALL_TOPIC";
/// The event with the key.
const KEY_EVENT: &str = "ChannelDtmfReceived";
/// The verbosity at which arguments and digits are printed.
const VERBOSE_MIN: i64 = 3;

/// Switches of the command line that print or keep keys, and that nothing shows.
const SWITCHES: &str = "the switches rtp set debug, pjsip set logger, pjsip set history, agi set debug, ari set debug all, core set debug N MODULE, core set debug channel, logger set level DTMF, iax2 set debug, sip set debug";

/// Audits a running Asterisk.
#[must_use]
pub fn running(seen: &Seen) -> Report {
    let mut cx = Cx {
        report: Report::default(),
        version: seen.version.as_deref().ok().and_then(Version::read),
    };
    cx.version(seen);
    cx.logging(seen);
    cx.modules(seen);
    cx.applications(seen);
    cx.channels(seen);
    cx.endpoints(seen);
    cx.commands(seen);
    cx.dialplan(seen);
    cx.file_values(seen);
    cx.report.not_looked(
        SWITCHES,
        "Asterisk shows their state to nobody; the same command with `off` (`core set debug 0 MODULE`) switches each off, a restart all",
    );
    cx.report.not_looked(
        "allow_transfer and media_encryption of PJSIP trunks, [applicationmap] of features.conf, queues.conf, confbridge.conf, musiconhold.conf, stasis.conf, websocket_client.conf, cli.conf",
        "a running Asterisk does not show what of them matters; `ivrpay audit --files /etc/asterisk` looks",
    );
    cx.report.sort();
    cx.report
}

struct Cx {
    report: Report,
    version: Option<Version>,
}

impl Cx {
    fn find(&mut self, check: &'static Check, asked: &str, found: impl AsRef<str>, change: Change) {
        let place = Place::Running {
            running: crate::finding::shown(asked),
        };
        self.report.find(check, place, found, change);
    }

    /// What was seen, noted as a place that was looked at, or as one that was not.
    fn take<'a, T>(&mut self, place: &str, look: &'a Look<T>) -> Option<&'a T> {
        match look {
            Ok(seen) => {
                self.report.looked(place);
                Some(seen)
            }
            Err(because) => {
                self.report.not_looked(place, because.clone());
                None
            }
        }
    }

    fn version(&mut self, seen: &Seen) {
        let Some(text) = self.take("version", &seen.version) else {
            return;
        };
        let end = self.version.and_then(Version::ends);
        match (self.version, end) {
            (Some(version), Some(end)) if end < seen.today => self.find(
                c::BUILD_END_OF_LIFE,
                "version",
                format!("Asterisk {version}: its security fixes ended on {end}"),
                Change::Do("upgrade to a release with long-term support: 22".into()),
            ),
            (Some(_), Some(_)) => {}
            _ => self.report.not_looked(
                format!("end of life of Asterisk {text}"),
                "the version has no date in the calendar of releases that is built in",
            ),
        }
    }

    fn logging(&mut self, seen: &Seen) {
        // The command line says the same as ARI.
        let by_command = command(seen, "logger show channels").map(texts::logs);
        let logs = match (&seen.logging, by_command) {
            (Err(_), Some(logs)) => {
                self.report.looked("log channels");
                logs
            }
            _ => match self.take("log channels", &seen.logging) {
                Some(logs) => logs.clone(),
                None => return,
            },
        };
        if logs.is_empty() {
            let change = Change::Do(
                "write console => notice,warning,error into [logfiles] of logger.conf, then `logger reload`".into(),
            );
            self.find(c::LOG_EMPTY, "log channels", "none", change);
        }
        for log in logs.iter().filter(|l| l.enabled) {
            let has = |level: &str| {
                log.levels
                    .split_whitespace()
                    .any(|l| l.eq_ignore_ascii_case(level))
            };
            let console = log.kind.eq_ignore_ascii_case("console");
            let name = if console {
                "console"
            } else {
                log.name.as_str()
            };
            let found = format!("{name}: {}", log.levels.trim());
            let out = |level: &str| {
                Change::Do(format!(
                    "take {level} out of the line of {name} in logger.conf, then `logger reload`; if it was added at the command line, `logger remove channel {name}`"
                ))
            };
            if has("DTMF") {
                self.find(c::LOG_DTMF, "log channels", &found, out("dtmf (or *)"));
            }
            if has("DEBUG") {
                self.find(c::LOG_DEBUG, "log channels", &found, out("debug"));
            }
            // The console has it always.
            if has("VERBOSE") && !console {
                self.find(c::LOG_VERBOSE, "log channels", &found, out("verbose"));
            }
            if log.kind.eq_ignore_ascii_case("syslog") {
                let change = Change::Do("know where syslog sends it; or write to a file".into());
                self.find(c::LOG_SYSLOG, "log channels", &found, change);
            }
        }
    }

    fn modules(&mut self, seen: &Seen) {
        let Some(modules) = self.take("modules", &seen.modules) else {
            return;
        };
        let hep = value(seen, "hep.conf", "enabled");
        let hep = if hep.is_some_and(is_false) {
            None
        } else {
            Some(("res_hep_pjsip.so", c::MODULE_HEP))
        };
        let all = LOADED
            .into_iter()
            .chain(hep)
            .chain([("res_snmp.so", c::MODULE_SNMP)]);
        for (module, check) in all {
            if modules.iter().any(|m| m == module) {
                let change = Change::Add {
                    file: "modules.conf".into(),
                    lines: vec!["[modules](+)".into(), format!("noload = {module}")],
                };
                self.find(check, "modules", format!("{module} runs"), change);
            }
        }
    }

    fn applications(&mut self, seen: &Seen) {
        let Some(apps) = self.take("Stasis applications", &seen.applications) else {
            return;
        };
        let ours: Vec<&str> = seen
            .channels
            .iter()
            .flatten()
            .filter(|ch| ch.ours)
            .map(|ch| ch.id.as_str())
            .collect();
        for app in apps.iter().filter(|a| a.name != seen.our_app) {
            let named = |list: &[String]| list.iter().any(|t| t == KEY_EVENT);
            if named(&app.disallowed) || (!app.allowed.is_empty() && !named(&app.allowed)) {
                continue;
            }
            // Of one endpoint, or of a whole technology (`PJSIP`); that of all endpoints carries no events of channels.
            let endpoint = app
                .endpoint_ids
                .iter()
                .find(|e| !e.is_empty() && !e.starts_with("__"));
            let what = if app.channel_ids.iter().any(|id| id == ALL_CHANNELS) {
                "all channels".to_owned()
            } else if app.channel_ids.iter().any(|id| ours.contains(&id.as_str())) {
                "a channel of ours".to_owned()
            } else if let Some(endpoint) = endpoint {
                format!("the endpoint {endpoint}")
            } else {
                continue;
            };
            let change = Change::Do(format!(
                "let {} open without subscribeAll and subscribe to nothing; or, each time that it has connected: PUT /ari/applications/{}/eventFilter {{\"disallowed\":[{{\"type\":\"{KEY_EVENT}\"}}]}}; one whose program is gone for good stays until Asterisk restarts",
                app.name, app.name
            ));
            self.find(
                c::ARI_OTHER_APP,
                "Stasis applications",
                format!("{} is subscribed to {what}", app.name),
                change,
            );
        }
    }

    fn channels(&mut self, seen: &Seen) {
        let Some(channels) = self.take("channels", &seen.channels) else {
            return;
        };
        for channel in channels {
            let begins = |kinds: &[&str]| kinds.iter().any(|k| channel.name.starts_with(k));
            let listens = ["ChanSpy", "ExtenSpy", "Record", "JACK"].contains(&channel.app.as_str());
            let found = format!(
                "{} ({})",
                channel.name,
                if channel.app.is_empty() {
                    "no application"
                } else {
                    &channel.app
                }
            );
            let change = || Change::Run(format!("channel request hangup {}", channel.name));
            if begins(&["Snoop/", "Recorder/"]) || listens {
                self.find(c::LIVE_SPY, "channels", &found, change());
            }
            if begins(&["UnicastRTP/", "AudioSocket/", "WebSocket/"]) {
                self.find(c::LIVE_MEDIA, "channels", &found, change());
            }
        }
    }

    fn endpoints(&mut self, seen: &Seen) {
        if let Some(endpoints) = self.take("PJSIP endpoints", &seen.endpoints) {
            for (name, attributes) in endpoints {
                let place = format!("PJSIP endpoint {name}");
                if let Some(attributes) = self.take(&place, attributes) {
                    self.endpoint(&place, name, attributes);
                }
            }
        }
        // ARI answers for a section by the name of `global` alone.
        let (place, debug) = match sip_debug(seen) {
            Some(debug) => (PJSIP_SETTINGS, Some(debug)),
            None => {
                let place = "PJSIP global settings";
                let global = self.take(place, &seen.pjsip_global);
                (place, global.and_then(|g| g.get("debug")).map(|d| &**d))
            }
        };
        if let Some(debug) = debug.filter(|d| !is_false(d) && !d.is_empty()) {
            let change = Change::Do("write debug = no into the section with type = global of pjsip.conf, then `pjsip set logger off` and `module reload res_pjsip.so`".into());
            self.find(c::PJSIP_DEBUG, place, format!("debug = {debug}"), change);
        }
    }

    /// The dialplan as it runs, and the features that it gives.
    fn dialplan(&mut self, seen: &Seen) {
        let place = "dialplan show";
        let globals = command(seen, "dialplan show globals").unwrap_or_default();
        let rights = match command(seen, place) {
            Some(lines) => {
                let running = dialplan::read(lines, globals);
                if running.cut > 0 {
                    self.report.not_looked(
                        format!("{} lines of the dialplan, to their end", running.cut),
                        "Asterisk prints 1,023 bytes of a line; `ivrpay audit --files /etc/asterisk` looks at all of it",
                    );
                }
                let (report, rights) = judge_dialplan(&running.conf);
                for mut finding in report.findings {
                    if let Place::File { file, line } = &finding.place {
                        let running = if file.is_empty() {
                            format!("{place}, line {line} of its output")
                        } else {
                            format!("{place}, {file}:{line}")
                        };
                        finding.place = Place::Running {
                            running: crate::finding::shown(&running),
                        };
                    }
                    self.report.findings.push(finding);
                }
                self.report.not_looked_at.extend(report.not_looked_at);
                for switch in &running.switches {
                    self.report.not_looked(
                        format!("dialplan of another source ({switch})"),
                        "a switch names it; `dialplan show` does not show it",
                    );
                }
                rights
            }
            None => Rights::Unknown,
        };
        if let Some(lines) = command(seen, "features show") {
            self.features(lines, rights);
        }
    }

    fn features(&mut self, lines: &[String], rights: Rights) {
        let place = "features show";
        for (feature, code) in texts::features(lines) {
            let (check, change) = if feature.starts_with("One Touch") {
                (c::FEATURES_RECORD, "take automon and automixmon out,")
            } else if code.chars().count() == 1 && rights != Rights::Nobody {
                (c::FEATURES_KEYS, "write its key twice (##, **)")
            } else {
                continue;
            };
            let change = Change::Do(format!(
                "{change} in [featuremap] of features.conf, then `module reload features`"
            ));
            self.find(check, place, format!("{feature}: {code}"), change);
        }
    }

    /// Whoever may log in to ARI besides us.
    fn ari_users(&mut self, seen: &Seen, place: &str, lines: &[String]) {
        for user in texts::ari_users(lines).filter(|user| *user != seen.our_user) {
            let change = Change::Do("keep it where it is needed, give its password to nobody else, and bind it to addresses (permit, deny)".into());
            self.find(c::ARI_USERS, place, user, change);
        }
    }

    fn endpoint(&mut self, place: &str, name: &str, attributes: &BTreeMap<String, String>) {
        let of = |key: &str| attributes.get(key).map(String::as_str);
        let mut find = |check, key: &str, wanted: &str| {
            let found = format!("{key} = {}", of(key).unwrap_or_default());
            let change = Change::Do(format!(
                "write {key} = {wanted} into [{name}] of pjsip.conf, then `module reload res_pjsip.so`"
            ));
            self.find(check, place, found, change);
        };
        if of("direct_media").is_some_and(|v| !is_false(v)) {
            find(c::PJSIP_DIRECT_MEDIA, "direct_media", "no");
        }
        match of("dtmf_mode") {
            Some("rfc4733") => find(c::PJSIP_DTMF_RFC4733, "dtmf_mode", "auto"),
            Some("info" | "auto_info") => find(c::PJSIP_DTMF_INFO, "dtmf_mode", "auto"),
            _ => {}
        }
        if of("one_touch_recording").is_some_and(is_true) {
            find(c::PJSIP_ONE_TOUCH, "one_touch_recording", "no");
        }
    }

    fn commands(&mut self, seen: &Seen) {
        let commands = match &seen.commands {
            Ok(commands) => commands,
            Err(because) => {
                self.report.not_looked(
                    format!("{}, recorders of channels", COMMANDS.join(", ")),
                    because.clone(),
                );
                return;
            }
        };
        for (command, output) in commands {
            let Some(lines) = self.take(command, output) else {
                continue;
            };
            let last = |from: &str| command.strip_prefix(from).map(str::trim);
            match command.as_str() {
                "core show settings" => self.core_settings(lines),
                "manager show settings" => self.manager_settings(lines),
                "manager show connected" => {
                    self.connected(lines, settings(commands));
                }
                "cel show status" => self.cel_status(lines),
                "ari show users" => self.ari_users(seen, command, lines),
                _ => {
                    if let Some(user) = last("manager show user ") {
                        self.manager_user(seen, user, lines, settings(commands));
                    } else if last("ari show app ").is_some()
                        && field(lines, "Debug").is_some_and(is_true)
                    {
                        let change = Change::Run("ari set debug all off".into());
                        self.find(c::ARI_DEBUG, command, "Debug: Yes", change);
                    } else if let Some(channel) = last("mixmonitor list ")
                        && lines.iter().any(|l| l.trim_start().starts_with("0x"))
                    {
                        let change = Change::Do("nothing, where the payment is entered by ivrpay-pay, which mutes the caller from its first line; else use it".into());
                        self.find(
                            c::LIVE_RECORDER,
                            command,
                            format!("a MixMonitor runs on {channel}"),
                            change,
                        );
                    }
                }
            }
        }
    }

    fn core_settings(&mut self, lines: &[String]) {
        let place = "core show settings";
        if let Some(level) = number(lines, "Debug level").filter(|n| *n > 0) {
            self.find(
                c::ASTERISK_DEBUG,
                place,
                format!("Debug level: {level}"),
                Change::Run("core set debug 0".into()),
            );
        }
        for key in ["Root console verbosity", "Current console verbosity"] {
            if let Some(level) = number(lines, key).filter(|n| *n >= VERBOSE_MIN) {
                self.find(
                    c::ASTERISK_VERBOSE,
                    place,
                    format!("{key}: {level}"),
                    Change::Run("core set verbose 0".into()),
                );
            }
        }
        if field(lines, "Dump core on crash").is_some_and(is_true) {
            let change = Change::Do("write dumpcore = no into [options] of asterisk.conf, start Asterisk without -g, and restart it".into());
            self.find(c::ASTERISK_CORE, place, "Dump core on crash: Yes", change);
        }
    }

    fn manager_settings(&mut self, lines: &[String]) {
        let place = "manager show settings";
        if !field(lines, "Manager (AMI)").is_some_and(is_true) {
            return;
        }
        if field(lines, "Debug").is_some_and(is_true) {
            let change = Change::Do(
                "write debug = no into [general] of manager.conf, then `manager set debug off`"
                    .into(),
            );
            self.find(c::AMI_DEBUG, place, "Debug: Yes", change);
        }
        if let Some(variables) = field(lines, "Channel vars").filter(|v| !v.is_empty()) {
            let change = Change::Do(
                "write channelvars = into [general] of manager.conf, then `manager reload`".into(),
            );
            self.find(
                c::AMI_CHANNELVARS,
                place,
                format!("Channel vars: {variables}"),
                change,
            );
        }
        if let Some(address) = field(lines, "TCP Bindaddress").filter(|a| a.contains(':'))
            && !is_loopback(address)
        {
            let change = Change::Do(
                "write bindaddr = 127.0.0.1 into [general] of manager.conf, then restart Asterisk"
                    .into(),
            );
            self.find(
                c::AMI_NETWORK,
                place,
                format!("TCP Bindaddress: {address}"),
                change,
            );
        }
    }

    fn manager_user(
        &mut self,
        seen: &Seen,
        user: &str,
        lines: &[String],
        settings: Option<&Vec<String>>,
    ) {
        let Some(read) = field(lines, "read perm") else {
            return;
        };
        let disabled = settings
            .and_then(|s| field(s, "Disabled events"))
            .unwrap_or_default();
        let enabled = settings.is_none_or(|s| field(s, "Manager (AMI)").is_some_and(is_true));
        let gets = |class: &str, events: &[&str]| {
            enabled
                && sees(read, class)
                && !events.iter().all(|e| disabled.split(',').any(|d| d == *e))
        };
        let place = format!("manager show user {user}");
        let mut find = |check, events: &[&'static str]| {
            let mut all: Vec<&str> = disabled.split(',').filter(|d| !d.is_empty()).collect();
            // The last such line is the one that holds: each takes the keys away as well.
            for event in KEYS.iter().chain(events) {
                if !all.contains(event) {
                    all.push(event);
                }
            }
            let change = Change::Add {
                file: "manager.conf".into(),
                lines: vec![
                    "[general](+)".into(),
                    format!("disabledevents = {}", all.join(",")),
                ],
            };
            let found =
                format!("read perm: {read} (an eventfilter of its own would not show here)");
            self.find(check, &place, found, change);
        };
        if gets("dtmf", &KEYS) {
            find(c::AMI_DTMF, &[]);
        }
        if gets("dialplan", &DIALPLAN) {
            find(c::AMI_DIALPLAN, &DIALPLAN);
        }
        let test = seen
            .build_options
            .as_ref()
            .is_ok_and(|o| o.contains("TEST_FRAMEWORK"));
        if test && (gets("test", &["TestEvent"]) || gets("reporting", &["TestEvent"])) {
            find(c::AMI_TEST, &["TestEvent"]);
        }
    }

    /// Who is connected now, perhaps as a user that manager.conf no longer has.
    fn connected(&mut self, lines: &[String], settings: Option<&Vec<String>>) {
        let disabled = settings
            .and_then(|s| field(s, "Disabled events"))
            .unwrap_or_default();
        if KEYS.iter().all(|e| disabled.split(',').any(|d| d == *e)) {
            return;
        }
        for user in texts::sessions_with_keys(lines) {
            let change = Change::Run(format!(
                "manager kick session NUMBER, as `manager show connected` has it for {user}; then reload manager.conf"
            ));
            let found = format!("{user} is connected with the class dtmf");
            self.find(c::AMI_DTMF, "manager show connected", found, change);
        }
    }

    fn cel_status(&mut self, lines: &[String]) {
        if !field(lines, "CEL Logging").is_some_and(|v| v.eq_ignore_ascii_case("enabled")) {
            return;
        }
        let events: Vec<&str> = lines
            .iter()
            .filter_map(|l| l.strip_prefix("CEL Tracking Event:"))
            .map(str::trim)
            .collect();
        self.cel("cel show status", &events);
    }

    fn cel(&mut self, place: &str, events: &[&str]) {
        let has = |event: &str| events.iter().any(|e| e.eq_ignore_ascii_case(event));
        let stores = Version::cel_knows_keys(self.version);
        let change = || {
            Change::Do(format!(
                "write events = {WITHOUT_KEYS} into [general] of cel.conf, then `module reload cel`"
            ))
        };
        let found = format!("events: {}", events.join(","));
        if has("DTMF") || (has("ALL") && stores) {
            self.find(c::CEL_DTMF, place, found, change());
        } else if has("ALL") {
            self.find(c::CEL_LATER, place, found, change());
        } else if has("STREAM_BEGIN") {
            self.find(c::CEL_STREAM, place, found, change());
        }
    }

    /// Values on disk, where no command said how it is while it runs.
    fn file_values(&mut self, seen: &Seen) {
        if self
            .take(crate::finding::FILE_VALUES_PLACE, &seen.file_values)
            .is_none()
        {
            return;
        }
        let by_command = |name: &str| command(seen, name).is_some();
        let of = |file: &str, key: &str| value(seen, file, key);
        if !by_command("cel show status") && of("cel.conf", "enable").is_some_and(is_true) {
            let events: Vec<&str> = of("cel.conf", "events")
                .unwrap_or_default()
                .split(',')
                .map(str::trim)
                .collect();
            self.cel("cel.conf", &events);
        }
        if !by_command("core show settings") {
            if let Some(level) =
                of("asterisk.conf", "debug").filter(|v| !v.is_empty() && !is_false(v))
            {
                self.find(
                    c::ASTERISK_DEBUG,
                    "asterisk.conf",
                    format!("debug = {level}"),
                    Change::Replace("debug = 0".into()),
                );
            }
            if of("asterisk.conf", "dumpcore").is_some_and(is_true) {
                self.find(
                    c::ASTERISK_CORE,
                    "asterisk.conf",
                    "dumpcore = yes",
                    Change::Replace("dumpcore = no".into()),
                );
            }
        }
        if of("asterisk.conf", "live_dangerously").is_some_and(is_true) {
            self.find(
                c::ASTERISK_DANGEROUS,
                "asterisk.conf",
                "live_dangerously = yes",
                Change::Replace("live_dangerously = no".into()),
            );
        }
        if let Some(variables) = of("ari.conf", "channelvars").filter(|v| !v.is_empty()) {
            self.find(
                c::ARI_CHANNELVARS,
                "ari.conf",
                format!("channelvars = {variables}"),
                Change::Replace("channelvars =".into()),
            );
        }
        if let Some(address) =
            of("http.conf", "bindaddr").filter(|a| !a.is_empty() && !is_loopback(a))
        {
            self.find(
                c::HTTP_CLEAR,
                "http.conf",
                format!("bindaddr = {address}"),
                Change::Replace("bindaddr = 127.0.0.1".into()),
            );
        }
        if !by_command("manager show settings")
            && of("manager.conf", "enabled").is_some_and(is_true)
        {
            if of("manager.conf", "debug").is_some_and(is_true) {
                self.find(
                    c::AMI_DEBUG,
                    "manager.conf",
                    "debug = yes",
                    Change::Replace("debug = no".into()),
                );
            }
            if let Some(variables) = of("manager.conf", "channelvars").filter(|v| !v.is_empty()) {
                self.find(
                    c::AMI_CHANNELVARS,
                    "manager.conf",
                    format!("channelvars = {variables}"),
                    Change::Replace("channelvars =".into()),
                );
            }
        }
    }
}

/// What `manager show settings` said.
fn settings(commands: &BTreeMap<String, Look<Vec<String>>>) -> Option<&Vec<String>> {
    commands.get("manager show settings")?.as_ref().ok()
}

fn command<'a>(seen: &'a Seen, name: &str) -> Option<&'a [String]> {
    let output = seen.commands.as_ref().ok()?.get(name)?;
    output.as_deref().ok()
}

/// What PJSIP's global section has for `debug`, whatever that section's name.
fn sip_debug(seen: &Seen) -> Option<&str> {
    field(command(seen, PJSIP_SETTINGS)?, "debug")
}

fn value<'a>(seen: &'a Seen, file: &str, key: &str) -> Option<&'a str> {
    let values = seen.file_values.as_ref().ok()?;
    let (_, value) = values
        .iter()
        .find(|(a, _)| a.file == file && a.key == key)?;
    value.as_deref()
}
