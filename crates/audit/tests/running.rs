//! What a running Asterisk says, and what is found in it.

use std::collections::{BTreeMap, BTreeSet};

use ivrpay_audit::{
    AskedFile, FILE_VALUES, Report, Seen, SeenApp, SeenChannel, SeenLog, Severity, running,
};
use jiff::civil::date;

fn lines(text: &str) -> Result<Vec<String>, String> {
    Ok(text.lines().map(str::to_owned).collect())
}

fn log(kind: &str, levels: &str) -> SeenLog {
    SeenLog {
        name: "/var/log/asterisk/full".into(),
        kind: kind.into(),
        enabled: true,
        levels: levels.into(),
    }
}

fn channel(name: &str, app: &str, ours: bool) -> SeenChannel {
    SeenChannel {
        id: name.into(),
        name: name.into(),
        app: app.into(),
        ours,
    }
}

fn attributes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

/// Asterisk 22 as the lab has it: hardened.
fn hardened() -> Seen {
    let endpoint = attributes(&[
        ("direct_media", "false"),
        ("dtmf_mode", "auto"),
        ("one_touch_recording", "false"),
    ]);
    Seen {
        today: date(2026, 11, 26),
        our_app: "ivrpay".into(),
        our_user: "ivrpay".into(),
        version: Ok("22.10.1".into()),
        build_options: Ok("OPTIONAL_API, TEST_FRAMEWORK".into()),
        logging: Ok(vec![
            log("File", "NOTICE WARNING ERROR "),
            log("Console", "ERROR VERBOSE "),
        ]),
        modules: Ok(vec!["res_pjsip.so".into(), "func_frame_drop.so".into()]),
        applications: Ok(vec![SeenApp {
            name: "ivrpay".into(),
            ..SeenApp::default()
        }]),
        channels: Ok(vec![channel("PJSIP/trunk-1", "Stasis", true)]),
        endpoints: Ok(BTreeMap::from([("trunk".to_owned(), Ok(endpoint))])),
        pjsip_global: Ok(attributes(&[("debug", "no")])),
        file_values: Ok(BTreeMap::new()),
        commands: Ok(BTreeMap::from([
            (
                "core show settings".to_owned(),
                lines(
                    "  Root console verbosity:      0\n  Debug level:                 0\n  Dump core on crash:          No\n",
                ),
            ),
            (
                "manager show settings".to_owned(),
                lines(
                    "  Manager (AMI):             Yes            \n  TCP Bindaddress:           127.0.0.1:5038\n  Channel vars:              \n  Disabled events:           DTMFBegin,DTMFEnd\n  Debug:                     No             \n",
                ),
            ),
            (
                "manager show user audit".to_owned(),
                lines("         read perm: <none>\n        write perm: command,reporting\n"),
            ),
            (
                "cel show status".to_owned(),
                lines("CEL Logging: Disabled\n"),
            ),
            (
                "ari show users".to_owned(),
                lines("r/o?  ACL?  Username\n----  ----  --------\nNo    No    ivrpay\n"),
            ),
            (
                "features show".to_owned(),
                lines(
                    "Builtin Feature           Default Current\n---------------           ------- -------\nBlind Transfer            #       #      \nAttended Transfer                        \n\nDynamic Feature           Default Current\n---------------           ------- -------\nivrpay-pay                no def  *9     \n",
                ),
            ),
            (
                "dialplan show globals".to_owned(),
                lines("    -- 0 variable(s)\n"),
            ),
            (
                "dialplan show".to_owned(),
                lines(
                    "[ Context 'ivrpay-pay' created by 'pbx_config' ]\n  's' =>            1. Stasis(ivrpay)                             [ivrpay.conf:9]\n\n-= 1 extension (1 priority) in 1 context. =-\n",
                ),
            ),
            (
                "ari show app ivrpay".to_owned(),
                lines("Name: ivrpay\n  Debug: No\n"),
            ),
            (
                "mixmonitor list PJSIP/trunk-1".to_owned(),
                lines("MixMonitor ID        File    Receive File    Transmit File\n=====\n"),
            ),
        ])),
    }
}

fn ids(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|f| f.id).collect()
}

#[test]
fn the_hardened_asterisk_has_no_finding() {
    let report = running(&hardened());
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    assert!(report.looked_at.len() >= 14, "{:?}", report.looked_at);
    // What nobody can see is said all the same.
    let unseen: Vec<&str> = report
        .not_looked_at
        .iter()
        .map(|n| n.place.as_str())
        .collect();
    assert_eq!(unseen.len(), 2, "{unseen:?}");
    for switch in [
        "core set debug N MODULE",
        "ari set debug all",
        "logger set level DTMF",
        "iax2 set debug",
        "pjsip set history",
        "queues.conf",
    ] {
        assert!(unseen.iter().any(|u| u.contains(switch)), "{switch}");
    }
}

/// Changes one thing, and names what has to be found.
type Case = (&'static str, &'static [&'static str], fn(&mut Seen));

fn command(seen: &mut Seen, name: &str, text: &str) {
    let commands = seen.commands.as_mut().expect("asked");
    commands.insert(name.to_owned(), lines(text));
}

const CEL_ALL: &str =
    "CEL Logging: Enabled\nCEL Tracking Event: ALL\nCEL Tracking Event: CHAN_START\n";

/// A dialplan of one extension, as `dialplan show` prints it.
fn dialplan(seen: &mut Seen, steps: &[&str]) {
    let mut text = "[ Context 'shop' created by 'pbx_config' ]\n".to_owned();
    for (number, step) in (1..).zip(steps) {
        let exten = if number == 1 {
            "  's' =>  "
        } else {
            "          "
        };
        text += &format!("{exten}{number}. {step}    [shop.conf:{}]\n", number + 7);
    }
    command(seen, "dialplan show", &text);
}

const CASES: &[Case] = &[
    ("no log channel at all", &["log-empty"], |s| {
        s.logging = Ok(Vec::new())
    }),
    (
        "a dialplan that betrays everything",
        &[
            "dialplan-read",
            "dialplan-digits-out",
            "dialplan-frame-trace",
            "dialplan-storedtmf",
            "dialplan-recorded-payment",
            "dialplan-feature-rights",
            "features-keys",
        ],
        |s| {
            dialplan(
                s,
                &[
                    "Read(CARD,,16)",
                    "Set(CDR(userfield)=${CARD})",
                    "Set(FRAME_TRACE(white)=DTMF_BEGIN)",
                    "StoreDTMF(KEYS)",
                    "Dial(PJSIP/201,20,t)",
                    "MixMonitor(x.wav)",
                    "Stasis(ivrpay)",
                ],
            );
        },
    ),
    (
        "rights that FreePBX gives",
        &["dialplan-feature-rights", "features-keys"],
        |s| {
            command(
                s,
                "dialplan show globals",
                "   DIAL_OPTIONS=tr\n   X=t\n    -- 2 variable(s)\n",
            );
        },
    ),
    ("a key that records", &["features-record"], |s| {
        command(
            s,
            "features show",
            "Builtin Feature           Default Current\n---------------           ------- -------\nOne Touch MixMonitor              *3     \n",
        );
    }),
    ("another user of ARI", &["ari-users"], |s| {
        command(
            s,
            "ari show users",
            "r/o?  ACL?  Username\n----  ----  --------\nNo    No    ivrpay\nYes   No    wallboard\n",
        );
    }),
    (
        "a SIP log under another name, which ARI does not see",
        &["pjsip-debug"],
        |s| {
            s.pjsip_global = Err("this Asterisk does not know the question".into());
            command(
                s,
                "pjsip show settings",
                "Global Settings:\n\n debug        : yes\n user_agent   : x\n",
            );
        },
    ),
    ("keys in a log", &["log-dtmf"], |s| {
        s.logging = Ok(vec![log("File", "DTMF NOTICE ")])
    }),
    (
        "keys in a log, by the command line alone",
        &["log-dtmf"],
        |s| {
            s.logging = Err("ARI does not answer".into());
            command(
                s,
                "logger show channels",
                "/x  File  default  Enabled  - DTMF NOTICE \n",
            );
        },
    ),
    (
        "debug and verbose in a log",
        &["log-debug", "log-verbose"],
        |s| s.logging = Ok(vec![log("File", "DEBUG VERBOSE ")]),
    ),
    ("a log that is off", &[], |s| {
        s.logging = Ok(vec![SeenLog {
            enabled: false,
            ..log("File", "DTMF ")
        }]);
    }),
    ("syslog", &["log-syslog"], |s| {
        s.logging = Ok(vec![log("Syslog", "ERROR ")])
    }),
    (
        "modules",
        &["module-hep", "module-snmp", "module-frame-trace"],
        |s| {
            s.modules = Ok(vec![
                "res_hep_pjsip.so".into(),
                "res_snmp.so".into(),
                "func_frame_trace.so".into(),
            ]);
        },
    ),
    ("HEP that hep.conf switches off", &[], |s| {
        s.modules = Ok(vec!["res_hep_pjsip.so".into()]);
        s.file_values = Ok(BTreeMap::from([(
            asked("hep.conf", "enabled"),
            Some("no".into()),
        )]));
    }),
    ("an application for all channels", &["ari-other-app"], |s| {
        s.applications = Ok(vec![SeenApp {
            name: "bot".into(),
            channel_ids: vec!["__AST_CHANNEL_ALL_TOPIC".into()],
            ..SeenApp::default()
        }]);
    }),
    (
        "an application for a channel of ours",
        &["ari-other-app"],
        |s| {
            s.applications = Ok(vec![SeenApp {
                name: "bot".into(),
                channel_ids: vec!["PJSIP/trunk-1".into()],
                ..SeenApp::default()
            }]);
        },
    ),
    ("an application for an endpoint", &["ari-other-app"], |s| {
        s.applications = Ok(vec![SeenApp {
            name: "bot".into(),
            endpoint_ids: vec!["PJSIP/trunk".into()],
            ..SeenApp::default()
        }]);
    }),
    ("an application that gets no keys", &[], |s| {
        let all = vec!["__AST_CHANNEL_ALL_TOPIC".to_owned()];
        s.applications = Ok(vec![
            SeenApp {
                name: "a".into(),
                channel_ids: all.clone(),
                disallowed: vec!["ChannelDtmfReceived".into()],
                ..SeenApp::default()
            },
            SeenApp {
                name: "b".into(),
                channel_ids: all,
                allowed: vec!["StasisStart".into()],
                ..SeenApp::default()
            },
            SeenApp {
                name: "c".into(),
                channel_ids: vec!["PJSIP/own-1".into()],
                ..SeenApp::default()
            },
        ]);
    }),
    (
        "a spy, and audio that goes elsewhere",
        &["live-spy", "live-spy", "live-media"],
        |s| {
            s.channels = Ok(vec![
                channel("Snoop/1-2", "", false),
                channel("PJSIP/chief-1", "ChanSpy", false),
                channel("UnicastRTP/x", "", false),
            ]);
        },
    ),
    ("a recorder on a payment", &["live-recorder"], |s| {
        command(
            s,
            "mixmonitor list PJSIP/trunk-1",
            "MixMonitor ID  File\n====\n0x7f00aa  /var/spool/x.wav\n",
        );
    }),
    (
        "an endpoint as by default",
        &[
            "pjsip-direct-media",
            "pjsip-one-touch",
            "pjsip-dtmf-rfc4733",
        ],
        |s| {
            let bad = attributes(&[
                ("direct_media", "true"),
                ("dtmf_mode", "rfc4733"),
                ("one_touch_recording", "yes"),
            ]);
            s.endpoints = Ok(BTreeMap::from([("phone".to_owned(), Ok(bad))]));
        },
    ),
    (
        "INFO, and its debug",
        &["pjsip-debug", "pjsip-dtmf-info"],
        |s| {
            s.endpoints = Ok(BTreeMap::from([(
                "phone".to_owned(),
                Ok(attributes(&[("dtmf_mode", "info")])),
            )]));
            s.pjsip_global = Ok(attributes(&[("debug", "192.0.2.1")]));
        },
    ),
    (
        "debug, verbose, cores",
        &["core-debug", "core-dump", "core-verbose"],
        |s| {
            command(
                s,
                "core show settings",
                "  Root console verbosity:      3\n  Debug level:                 4\n  Dump core on crash:          Yes\n",
            );
        },
    ),
    (
        "AMI as FreePBX has it",
        &["ami-dtmf", "ami-dialplan"],
        |s| {
            command(
                s,
                "manager show settings",
                "  Manager (AMI):             Yes\n  TCP Bindaddress:           127.0.0.1:5038\n  Disabled events:           \n  Debug: No\n",
            );
            command(
                s,
                "manager show user admin",
                "         read perm: system,call,dtmf,dialplan\n",
            );
        },
    ),
    ("a session of a user that is gone", &["ami-dtmf"], |s| {
        command(
            s,
            "manager show settings",
            "  Manager (AMI):             Yes\n  Disabled events:           \n",
        );
        command(
            s,
            "manager show connected",
            "  panel  127.0.0.1  1  1  22  0  00256  00000\n1 users connected.\n",
        );
    }),
    (
        "AMI of 16, which has no disabled events",
        &["ami-dtmf"],
        |s| {
            command(
                s,
                "manager show settings",
                "  Manager (AMI):             Yes\n",
            );
            command(s, "manager show user admin", "         read perm: dtmf\n");
        },
    ),
    ("AMI that is off", &[], |s| {
        command(
            s,
            "manager show settings",
            "  Manager (AMI):             No\n",
        );
        command(s, "manager show user admin", "         read perm: all\n");
    }),
    (
        "a test build and a user who reads all",
        &["ami-test", "ami-dialplan"],
        |s| {
            command(
                s,
                "manager show user spy",
                "         read perm: dtmf,dialplan,test,all\n",
            );
        },
    ),
    (
        "AMI's debug and network",
        &["ami-debug", "ami-network", "ami-channelvars"],
        |s| {
            command(
                s,
                "manager show settings",
                "  Manager (AMI):             Yes\n  TCP Bindaddress:           0.0.0.0:5038\n  Channel vars:              ORDER\n  Disabled events:           DTMFBegin,DTMFEnd\n  Debug:                     Yes\n",
            );
        },
    ),
    ("ARI's debug", &["ari-debug"], |s| {
        command(s, "ari show app ivrpay", "Name: ivrpay\n  Debug: Yes\n")
    }),
    ("CEL of 22 with ALL", &["cel-dtmf"], |s| {
        command(s, "cel show status", CEL_ALL)
    }),
    (
        "CEL of 16 with ALL",
        &["asterisk-end-of-life", "cel-all-later"],
        |s| {
            s.version = Ok("16.28.0~dfsg".into());
            command(s, "cel show status", CEL_ALL);
        },
    ),
    ("CEL with streams", &["cel-stream"], |s| {
        command(
            s,
            "cel show status",
            "CEL Logging: Enabled\nCEL Tracking Event: STREAM_BEGIN\n",
        );
    }),
    (
        "a release without security fixes",
        &["asterisk-end-of-life"],
        |s| s.version = Ok("18.26.4".into()),
    ),
    (
        "values of files, without AMI",
        &[
            "cel-dtmf",
            "core-dangerous",
            "core-debug",
            "core-dump",
            "http-clear",
            "ari-channelvars",
            "ami-debug",
            "ami-channelvars",
        ],
        |s| {
            s.commands = Err("there is no [ami]".into());
            let values = [
                (asked("asterisk.conf", "debug"), "3"),
                (asked("asterisk.conf", "dumpcore"), "yes"),
                (asked("asterisk.conf", "live_dangerously"), "yes"),
                (asked("cel.conf", "enable"), "yes"),
                (asked("cel.conf", "events"), "ALL"),
                (asked("http.conf", "bindaddr"), "0.0.0.0"),
                (asked("ari.conf", "channelvars"), "CARD"),
                (asked("manager.conf", "enabled"), "yes"),
                (asked("manager.conf", "debug"), "on"),
                (asked("manager.conf", "channelvars"), "X"),
            ];
            s.file_values = Ok(values
                .into_iter()
                .map(|(a, v)| (a, Some(v.to_owned())))
                .collect());
        },
    ),
];

fn asked(file: &str, key: &str) -> AskedFile {
    *FILE_VALUES
        .iter()
        .find(|a| a.file == file && a.key == key)
        .expect("one that is asked for")
}

#[test]
fn each_leak_is_found_and_nothing_else() {
    for (name, expected, change) in CASES {
        let mut seen = hardened();
        change(&mut seen);
        let report = running(&seen);
        let (mut found, mut wanted) = (ids(&report), expected.to_vec());
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{name}");
    }
    let found: BTreeSet<&str> = CASES
        .iter()
        .flat_map(|(_, ids, _)| ids.iter().copied())
        .collect();
    for live in [
        "ami-test",
        "ari-debug",
        "ari-other-app",
        "asterisk-end-of-life",
        "cel-all-later",
        "live-media",
        "live-recorder",
        "live-spy",
    ] {
        assert!(found.contains(live), "no case shows {live}");
    }
}

#[test]
fn the_running_dialplan_is_named_by_file_and_line() {
    let mut seen = hardened();
    dialplan(&mut seen, &["Answer()", "StoreDTMF(KEYS)"]);
    let report = running(&seen);
    let place = report.findings.first().map(|f| f.place.to_string());
    assert_eq!(place.as_deref(), Some("dialplan show, shop.conf:9"));
    assert!(report.covers(&report.findings[0].place));
}

#[test]
fn what_was_not_seen_is_said_with_its_reason() {
    let because = || "Asterisk gave no whole answer".to_owned();
    let mut seen = hardened();
    seen.version = Err(because());
    seen.logging = Err(because());
    seen.modules = Err(because());
    seen.applications = Err(because());
    seen.channels = Err(because());
    seen.endpoints = Err(because());
    seen.pjsip_global = Err(because());
    seen.file_values = Err(because());
    seen.commands = Err(because());
    let report = running(&seen);
    assert!(report.findings.is_empty());
    assert!(report.looked_at.is_empty(), "{:?}", report.looked_at);
    assert_eq!(report.not_looked_at.len(), 11);
    assert_eq!(report.count(Severity::Critical), 0);
    // One endpoint that did not answer does not hide the others.
    let mut seen = hardened();
    let endpoints = seen.endpoints.as_mut().expect("asked");
    endpoints.insert("lost".into(), Err(because()));
    let report = running(&seen);
    assert!(
        report
            .not_looked_at
            .iter()
            .any(|n| n.place == "PJSIP endpoint lost")
    );
    assert!(report.looked_at.iter().any(|l| l == "PJSIP endpoint trunk"));
}
