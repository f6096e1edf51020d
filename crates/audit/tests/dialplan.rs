//! Dialplans, each with what betrays a card in it, and with what looks like it and does not.

use std::time::{Duration, Instant};

use ivrpay_audit::{Report, Tree, files};

fn audited(text: &str, more: &[(&str, &str)]) -> Report {
    let mut tree = Tree::new("/etc/asterisk");
    tree.add("extensions.conf", text.as_bytes().to_vec())
        .expect("small");
    for (file, text) in more {
        tree.add(file, text.as_bytes().to_vec()).expect("small");
    }
    files(&tree).expect("a folder of Asterisk")
}

/// What is found in `extensions.conf`, as `id:line`.
fn found(text: &str, more: &[(&str, &str)]) -> Vec<String> {
    let report = audited(text, more);
    let of = |f: &&ivrpay_audit::Finding| f.place.to_string().starts_with("extensions.conf:");
    let mut found: Vec<String> = report
        .findings
        .iter()
        .filter(of)
        .map(|f| f.place.to_string().replace("extensions.conf", f.id))
        .collect();
    found.sort();
    found
}

#[track_caller]
fn check(what: &str, text: &str, expected: &[&str]) {
    assert_eq!(found(text, &[]), expected, "{what}");
}

#[test]
fn recorders_run_into_payments() {
    for (what, text, expected) in [
        (
            "over a Goto",
            "[a]\nexten => 1,1,MixMonitor(x.wav)\n same => n,Goto(b,s,1)\n[b]\nexten => s,1,Stasis(ivrpay)\n",
            &["dialplan-recorded-payment:5"][..],
        ),
        (
            "over a label and a condition",
            "[a]\nexten => 1,1,MixMonitor(x.wav)\n same => n,GotoIf($[\"${A}\" = \"?\"]?pay)\n same => n,Hangup()\n same => n(pay),Stasis(ivrpay)\n",
            &["dialplan-recorded-payment:5"],
        ),
        (
            "started by ExecIf",
            "[a]\nexten => 1,1,ExecIf($[1 = 1]?MixMonitor(x.wav))\n same => n,Stasis(ivrpay)\n",
            &["dialplan-recorded-payment:3"],
        ),
        (
            "started and ended under the same condition",
            "[a]\nexten => 1,1,ExecIf($[${R} = 1]?MixMonitor(x.wav))\n same => n,ExecIf($[${R} = 1]?StopMixMonitor())\n same => n,Stasis(ivrpay)\n",
            &["dialplan-recorder:2"],
        ),
        (
            "ended under another condition",
            "[a]\nexten => 1,1,MixMonitor(x.wav)\n same => n,ExecIf($[${R} = 1]?StopMixMonitor())\n same => n,Stasis(ivrpay)\n",
            &["dialplan-recorded-payment:4"],
        ),
        (
            "ended by TryExec",
            "[a]\nexten => 1,1,MixMonitor(x.wav)\n same => n,TryExec(StopMixMonitor())\n same => n,Stasis(ivrpay)\n",
            &["dialplan-recorder:2"],
        ),
        (
            "muted",
            "[a]\nexten => 1,1,MixMonitor(x.wav)\n same => n,Set(MUTEAUDIO(in)=on)\n same => n,Stasis(ivrpay)\n",
            &["dialplan-recorder:2"],
        ),
        (
            "started in a subroutine",
            "[a]\nexten => 1,1,Gosub(rec,s,1(x))\n same => n,Stasis(ivrpay)\n[rec]\nexten => s,1,MixMonitor(x.wav)\n same => n,Return()\n",
            &["dialplan-recorded-payment:3"],
        ),
        (
            "ended in a subroutine",
            "[a]\nexten => 1,1,MixMonitor(x.wav)\n same => n,Gosub(stop,s,1)\n same => n,Stasis(ivrpay)\n[stop]\nexten => s,1,StopMixMonitor()\n same => n,Return()\n",
            &["dialplan-recorder:2"],
        ),
        (
            "a subroutine that others use does not carry it over",
            "[a]\nexten => 1,1,MixMonitor(x.wav)\n same => n,Gosub(all,s,1)\n same => n,Hangup()\n[b]\nexten => 1,1,Gosub(all,s,1)\n same => n,Stasis(ivrpay)\n[all]\nexten => s,1,NoOp()\n same => n,Return()\n",
            &["dialplan-recorder:2"],
        ),
        (
            "the payment is in a subroutine",
            "[a]\nexten => 1,1,MixMonitor(x.wav)\n same => n,Gosub(pay,s,1)\n[pay]\nexten => s,1,Stasis(ivrpay)\n same => n,Return()\n",
            &["dialplan-recorded-payment:5"],
        ),
        (
            "a subroutine that calls itself",
            "[a]\nexten => 1,1,MixMonitor(x.wav)\n same => n,GosubIf($[${D} < 3]?1,1)\n same => n,Stasis(ivrpay)\n",
            &["dialplan-recorded-payment:4"],
        ),
        (
            "to an extension of a pattern, over an include",
            "[a]\nexten => 1,1,MixMonitor(x.wav)\n same => n,Goto(b,8800,1)\n[b]\ninclude => c\n[c]\nexten => _88XX,1,Stasis(ivrpay)\n",
            &["dialplan-recorded-payment:7"],
        ),
        (
            "where it came from: EXTEN",
            "[a]\nexten => 8800,1,MixMonitor(x.wav)\n same => n,Goto(b,${EXTEN},1)\n[b]\nexten => 8800,1,Stasis(ivrpay)\n",
            &["dialplan-recorded-payment:5"],
        ),
        (
            "to whatever is keyed",
            "[a]\nexten => 1,1,MixMonitor(x.wav)\n same => n,Goto(b,${CHOICE},1)\n[b]\nexten => 1,1,Hangup()\nexten => 2,1,Stasis(ivrpay)\n",
            &["dialplan-recorded-payment:6"],
        ),
        (
            "to the extension of one caller",
            "[a]\nexten => 1,1,MixMonitor(x.wav)\n same => n,Goto(b,1,1)\n[b]\nexten => 1/0312345678,1,Stasis(ivrpay)\n",
            &["dialplan-recorded-payment:5"],
        ),
        (
            "JACK_HOOK is one, too",
            "[a]\nexten => 1,1,Set(JACK_HOOK(manipulate)=on)\n same => n,Stasis(ivrpay)\n",
            &["dialplan-audio-out:2", "dialplan-recorded-payment:3"],
        ),
        (
            "our subroutine mutes",
            "[a]\nexten => 1,1,MixMonitor(x.wav)\n same => n,Goto(ivrpay-pay,s,1)\n[ivrpay-pay]\nexten => s,1,Stasis(ivrpay)\n",
            &["dialplan-recorder:2"],
        ),
        (
            "Originate records another channel",
            "[a]\nexten => 1,1,Originate(Local/1@x,app,MixMonitor,x.wav)\n same => n,Stasis(ivrpay)\n",
            &["dialplan-recorder:2"],
        ),
        (
            "another extension",
            "[a]\nexten => 1,1,MixMonitor(x.wav)\n same => n,Hangup()\nexten => 2,1,Stasis(ivrpay)\n",
            &["dialplan-recorder:2"],
        ),
    ] {
        check(what, text, expected);
    }
}

#[test]
fn what_is_keyed_goes_on() {
    let with = |lines: &str| format!("[a]\nexten => 1,1,Read(CARD,beep)\n{lines}");
    for (what, lines, expected) in [
        (
            "the queue's log",
            " same => n,QueueLog(q,${UNIQUEID},NONE,INFO,${CARD})\n",
            &["dialplan-digits-out:3", "dialplan-read:2"][..],
        ),
        (
            "over a second variable",
            " same => n,Set(__X=a${CARD:0:6})\n same => n,MSet(Y=1,Z=${X})\n same => n,System(echo ${Z})\n",
            &["dialplan-digits-out:5", "dialplan-read:2"],
        ),
        (
            "over ARRAY and CUT",
            " same => n,Set(ARRAY(P,Q)=${CARD},1)\n same => n,Log(NOTICE,${CUT(P,-,1)})\n",
            &["dialplan-digits-out:4", "dialplan-read:2"],
        ),
        (
            "out of ExecIf",
            " same => n,ExecIf($[\"${A}\" = \"\"]?UserEvent(x,y: ${CARD}))\n",
            &["dialplan-digits-out:3", "dialplan-read:2"],
        ),
        (
            "into a subroutine",
            " same => n,Gosub(b,s,1(x,${CARD}))\n[b]\nexten => s,1,AGI(pay.agi,${ARG2})\n same => n,AGI(other.agi,${ARG1})\n",
            &["dialplan-digits-out:5", "dialplan-read:2"],
        ),
        (
            "into another context",
            " same => n,Goto(b,s,1)\n[b]\nexten => s,1,Goto(c,s,1)\n[c]\nexten => s,1,SayDigits(${CARD})\n",
            &["dialplan-digits-out:7", "dialplan-read:2"],
        ),
        (
            "a context that is not reached has its own",
            " same => n,Hangup()\n[b]\nexten => s,1,SayDigits(${CARD})\n",
            &["dialplan-read:2"],
        ),
        (
            "dialled",
            " same => n,Dial(PJSIP/${CARD},20)\n same => n,Dial(PJSIP/1,20,D(${CARD}))\n",
            &[
                "dialplan-digits-dialled:3",
                "dialplan-digits-out:4",
                "dialplan-read:2",
            ],
        ),
        (
            "compared, or counted, is not told",
            " same => n,NoOp(${LEN(${CARD})} $[\"${CARD}\" = \"\"])\n same => n,Set(E=$[\"${CARD}\" = \"\"])\n same => n,NoOp(${E})\n same => n,ExecIf($[\"${CARD}\" = \"\"]?NoOp(empty))\n",
            &["dialplan-read:2"],
        ),
        (
            "a choice hands it on",
            " same => n,Set(E=${IF($[${A} = 1]?${CARD}:0)})\n same => n,NoOp(${E})\n",
            &["dialplan-digits-out:4", "dialplan-read:2"],
        ),
        (
            "to ivrpay it may go: an order",
            " same => n,Gosub(ivrpay-pay,s,1(shop,${CARD},1200))\n",
            &["dialplan-read:2"],
        ),
    ] {
        check(what, &with(lines), expected);
    }
    // Everything else that reads keys.
    for (reader, expected) in [
        (
            "ReadExten(V)",
            &["dialplan-digits-out:3", "dialplan-read:2"][..],
        ),
        (
            "ReceiveMF(V,5)",
            &["dialplan-digits-out:3", "dialplan-read:2"],
        ),
        (
            "ReceiveSF(V)",
            &["dialplan-digits-out:3", "dialplan-read:2"],
        ),
        (
            "ExecIf(1?Read(V))",
            &["dialplan-digits-out:3", "dialplan-read:2"],
        ),
        (
            "StoreDTMF(RX,V,16)",
            &["dialplan-digits-out:3", "dialplan-storedtmf:2"],
        ),
        ("DISA(no-password,b)", &["dialplan-read:2"]),
    ] {
        let text = format!("[a]\nexten => 1,1,{reader}\n same => n,System(x ${{V}})\n");
        check(reader, &text, expected);
    }
}

#[test]
fn what_a_line_shows() {
    for (line, expected) in [
        ("TryExec(StoreDTMF(RX,X,16))", &["dialplan-storedtmf:2"][..]),
        (
            "ExecIf(${A}?NoOp():StoreDTMF(RX,X,16))",
            &["dialplan-storedtmf:2"],
        ),
        ("Record(x.wav)", &["dialplan-recorder:2"]),
        ("EAGI(x.agi)", &["dialplan-audio-out:2"]),
        (
            "AudioSocket(${UUID},192.0.2.1:9092)",
            &["dialplan-audio-out:2"],
        ),
        (
            "Dial(AudioSocket/192.0.2.1:9092/${UUID})",
            &["dialplan-audio-out:2"],
        ),
        (
            "Dial(PJSIP/1&WebSocket/media/c(ulaw))",
            &["dialplan-audio-out:2"],
        ),
        ("Dial(PJSIP/audiosocket)", &[]),
        ("AGI(agi:async)", &["dialplan-async-agi:2"]),
        ("AGI(agi://127.0.0.1/x)", &[]),
        (
            "Set(CONFBRIDGE(bridge,record_conference)=yes)",
            &["confbridge-recording:2"],
        ),
        ("Set(CONFBRIDGE(bridge,record_conference)=no)", &[]),
        ("MeetMe(100,r)", &["confbridge-recording:2"]),
        ("Set(__BRIDGE_FEATURES=tT)", &["dialplan-feature-rights:2"]),
        ("Set(BRIDGE_FEATURES=)", &[]),
        (
            "Set(DYNAMIC_FEATURES=ivrpay-pay#automixmon)",
            &["features-record:2"],
        ),
        ("Set(__DYNAMIC_FEATURES=note)", &["features-record:2"]),
        ("Set(__DYNAMIC_FEATURES=group)", &["features-record:2"]),
        ("Set(__DYNAMIC_FEATURES=ivrpay-pay)", &[]),
        ("Set(FEATUREMAP(automixmon)=*1)", &["features-record:2"]),
        (
            "ExecIf(1?Set(FRAME_TRACE(white)=DTMF_END))",
            &["dialplan-frame-trace:2"],
        ),
        (
            "ExecIf(1?Dial(PJSIP/1,20,tT):Hangup())",
            &["dialplan-feature-rights:2"],
        ),
    ] {
        let features = "[applicationmap]\nnote = *5,self,MixMonitor(x.wav)\nlight = *6,self,Playback(beep)\n[group]\nnote = *7\n";
        let text = format!("[a]\nexten => 1,1,{line}\n");
        assert_eq!(
            found(&text, &[("features.conf", features)]),
            expected,
            "{line}"
        );
    }
}

#[test]
fn the_line_to_write_instead_is_the_line_without_the_leak() {
    for (line, id, expected) in [
        (
            "ExecIf($[1 = 1]?Dial(PJSIP/1,20,tTr):Hangup())",
            "dialplan-feature-rights",
            "write instead: exten => 1,1,ExecIf($[1 = 1]?Dial(PJSIP/1,20,r):Hangup())",
        ),
        (
            "Set(__BRIDGE_FEATURES=tT)",
            "dialplan-feature-rights",
            "write instead: exten => 1,1,Set(__BRIDGE_FEATURES=)",
        ),
        (
            "MSet(A=1,DYNAMIC_FEATURES=a#automon#b)",
            "features-record",
            "write instead: exten => 1,1,MSet(A=1,DYNAMIC_FEATURES=a#b)",
        ),
        (
            "Set(FRAME_TRACE(white)=DTMF_END)",
            "dialplan-frame-trace",
            "take this line out",
        ),
        (
            "ExecIf(1?Set(FRAME_TRACE(white)=DTMF_END))",
            "dialplan-frame-trace",
            "take FRAME_TRACE(white) out of this line",
        ),
    ] {
        let report = audited(&format!("[a]\nexten => 1,1,{line}\n"), &[]);
        let of = report.findings.iter().find(|f| f.id == id);
        let of = of.unwrap_or_else(|| panic!("{line} has no {id}"));
        assert_eq!(of.change.to_string(), expected);
    }
}

/// Variables that endpoints set for every call, and events and records with what was keyed.
#[test]
fn keyed_variables_in_other_files() {
    let dialplan = "[a]\nexten => 1,1,Read(CARD,beep)\n same => n,Set(COPY=${CARD})\n";
    for (file, text, expected) in [
        (
            "cdr_custom.conf",
            "[mappings]\nm.csv => ${CDR(src)},${CARD}\n",
            Some("record-keyed cdr_custom.conf:2"),
        ),
        (
            "cel_custom.conf",
            "[mappings]\nm.csv => ${eventtype},${CSV_QUOTE(${COPY})}\n",
            Some("record-keyed cel_custom.conf:2"),
        ),
        (
            "cdr_custom.conf",
            "[mappings]\nm.csv => ${CDR(src)},${OTHER}\n",
            None,
        ),
        (
            "ari.conf",
            "[general]\nchannelvars = X,COPY\n",
            Some("record-keyed ari.conf:2"),
        ),
        (
            "manager.conf",
            "[general]\nenabled=yes\nbindaddr=127.0.0.1\nchannelvars = CARD\n",
            Some("record-keyed manager.conf:4"),
        ),
        (
            "cel_manager.conf",
            "[manager]\nenabled = yes\n",
            Some("ami-records cel_manager.conf:2"),
        ),
        ("cdr_manager.conf", "[general]\nenabled = no\n", None),
        (
            "pjsip.conf",
            "[p]\ntype=endpoint\nset_var=BRIDGE_FEATURES=tT\n",
            Some("dialplan-feature-rights pjsip.conf:3"),
        ),
        (
            "pjsip.conf",
            "[p]\ntype=endpoint\nset_var=FRAME_TRACE(white)=DTMF_END\n",
            Some("dialplan-frame-trace pjsip.conf:3"),
        ),
        ("pjsip.conf", "[p]\ntype=endpoint\nset_var=LANG=ja\n", None),
        (
            "pjsip.conf",
            "[p]\ntype=endpoint\nrecord_on_feature=automixmon\n",
            Some("pjsip-record-feature pjsip.conf:3"),
        ),
        (
            "sip.conf",
            "[p]\nsetvar=DYNAMIC_FEATURES=automon\n",
            Some("features-record sip.conf:2"),
        ),
        (
            "cel.conf",
            "[general]\nenable=yes\nevents=APP_START\napps=dial,agi\n",
            Some("cel-apps cel.conf:4"),
        ),
        (
            "cel.conf",
            "[general]\nenable=yes\nevents=APP_START\napps=dial,park\n",
            None,
        ),
        // Each line of events adds to the others.
        (
            "cel.conf",
            "[general]\nenable=yes\nevents=ALL\nevents=CHAN_START\n",
            Some("cel-dtmf cel.conf:3"),
        ),
        (
            "cel.conf",
            "[general]\nenable=yes\nevents=CHAN_START\n[general]\nevents=dtmf\n",
            Some("cel-dtmf cel.conf:5"),
        ),
        (
            "cel.conf",
            "\u{feff}[general]\nenable=yes\nevents=ALL\n",
            Some("cel-dtmf cel.conf:3"),
        ),
    ] {
        let report = audited(dialplan, &[(file, text)]);
        let ids = [
            "record-keyed",
            "ami-records",
            "cel-apps",
            "cel-dtmf",
            "pjsip-record-feature",
            "features-record",
            "dialplan-feature-rights",
            "dialplan-frame-trace",
        ];
        let of = report.findings.iter().find(|f| ids.contains(&f.id));
        assert_eq!(
            of.map(|f| format!("{} {}", f.id, f.place)).as_deref(),
            expected,
            "{file}: {text}"
        );
    }
}

#[test]
fn users_with_no_read_have_every_class() {
    let manager = "[general]\nenabled = yes\nbindaddr = 127.0.0.1\n[both]\nread = call\n";
    for (users, expected) in [
        ("[u]\nhasmanager = yes\n", Some("users.conf:2")),
        // Asterisk does not know it.
        (
            "[u]\nhasmanager = yes\nmanagerread = system,call\n",
            Some("users.conf:2"),
        ),
        (
            "[general]\nhasmanager = yes\n[u]\nfullname = x\n",
            Some("users.conf:2"),
        ),
        (
            "[u]\nhasmanager = yes\nread = system,dtmf\n",
            Some("users.conf:3"),
        ),
        ("[u]\nhasmanager = yes\nread = system,call\n", None),
        ("[general]\nread = call\n[u]\nhasmanager = yes\n", None),
        ("[general]\nhasmanager = yes\n[u]\nhasmanager = no\n", None),
        ("[both]\nhasmanager = yes\n", None),
    ] {
        let report = audited(
            "[general]\n",
            &[("manager.conf", manager), ("users.conf", users)],
        );
        let of = report.findings.iter().find(|f| f.id == "ami-dtmf");
        assert_eq!(
            of.map(|f| f.place.to_string()).as_deref(),
            expected,
            "{users}"
        );
    }
}

#[test]
fn what_can_not_be_followed_is_no_whole_look() {
    for (text, incomplete) in [
        ("[general]\n", false),
        ("[general]\n#tryinclude nobody.conf\n", false),
        ("[general]\n#include /opt/elsewhere/logger.conf\n", true),
        ("[general]\n#exec /bin/date\n", true),
    ] {
        let report = audited(
            "[general]\n",
            &[(
                "logger.conf",
                &format!("{text}[logfiles]\nfull => notice\n"),
            )],
        );
        assert_eq!(report.incomplete, incomplete, "{text}");
    }
}

/// As many lines as a large FreePBX has; a quadratic look takes minutes.
#[test]
fn a_large_dialplan_is_judged_in_time() {
    let mut text = "[general]\n".to_owned();
    for i in 0..24_000 {
        if i % 8_000 == 0 {
            text.push_str(&format!("[c{i}]\n"));
        }
        text.push_str(&format!(
            "exten => {i},1,Read(V{i},x)\n same => n,Set(W{i}=${{V{i}}})\n same => n,Gosub(c0,{},1)\n same => n,NoOp(${{W{i}}})\n",
            i / 2
        ));
    }
    let begin = Instant::now();
    let report = audited(&text, &[]);
    let outs = report
        .findings
        .iter()
        .filter(|f| f.id == "dialplan-digits-out");
    assert_eq!(outs.count(), 24_000);
    assert!(
        begin.elapsed() < Duration::from_secs(60),
        "{:?}",
        begin.elapsed()
    );
}
