//! The dialplan as it runs: `dialplan show` read back into what `extensions.conf` says, and judged as such.

use std::sync::Arc;

use crate::conf::{At, Conf, Entry, Section};

/// The dialplan, and what Asterisk does not print of it.
pub(super) struct Running {
    pub(super) conf: Conf,
    /// Lines that are not printed to their end.
    pub(super) cut: usize,
    /// Other sources that it is taken from, as `Realtime/@`.
    pub(super) switches: Vec<String>,
}

/// Made by Asterisk for itself: PERIODIC_HOOK() spies on the channel that it is set on (funcs/func_periodic_hook.c).
const OWN: &str = "func_periodic_hook";

/// Reads the outputs of `dialplan show` and `dialplan show globals` (main/pbx.c, 16 to 23). An entry's place is the file and line that
/// Asterisk names; where it names none, no file, and the line of the output.
pub(super) fn read(shown: &[String], globals: &[String]) -> Running {
    let mut sections = vec![section("globals")];
    let (mut cut, mut switches) = (0, Vec::new());
    for (number, line) in (1..).zip(globals) {
        if let Some((name, value)) = line.trim().split_once('=') {
            let at = At {
                file: "globals".into(),
                line: number,
            };
            push(&mut sections, entry(name, value, at));
        }
    }
    let (mut exten, mut own) = (String::new(), false);
    for (number, line) in (1..).zip(shown) {
        if let Some((name, by)) = context(line) {
            own = by == OWN;
            exten.clear();
            sections.push(section(name));
            continue;
        }
        let Some((text, registrar)) = registrar(line).filter(|_| !own) else {
            continue;
        };
        let mut step = text.trim_start();
        if let Some(rest) = step.strip_prefix("Include =>") {
            let name = rest.trim().trim_matches('\'');
            push(&mut sections, entry("include", name, at(registrar, number)));
            continue;
        }
        if let Some(rest) = step.strip_prefix("Alt. Switch =>") {
            switches.push(rest.trim().trim_matches('\'').to_owned());
            continue;
        }
        let mut label = "";
        if step.starts_with('\'')
            && let Some((head, rest)) = step.split_once(" =>")
        {
            let name = head.trim_start_matches('\'');
            exten = name.split('\'').next().unwrap_or_default().to_owned();
            step = rest.trim_start();
        } else if let Some((name, rest)) = step.strip_prefix('[').and_then(|s| s.split_once(']')) {
            label = name;
            step = rest.trim_start();
        }
        let Some((priority, application)) = step.split_once(". ") else {
            continue;
        };
        if exten.is_empty() || priority.parse::<u32>().is_err() {
            continue;
        }
        // Its buffer of 1,024 bytes takes no more.
        cut += usize::from(!application.ends_with(')'));
        let label = Some(label).filter(|label| !label.is_empty());
        let label = label.map_or(String::new(), |label| format!("({label})"));
        let value = format!("{exten},{priority}{label},{application}");
        push(&mut sections, entry("exten", &value, at(registrar, number)));
    }
    Running {
        conf: Conf::of("dialplan show", sections),
        cut,
        switches,
    }
}

/// `[ Context 'NAME' created by 'WHO' ]`.
fn context(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line
        .strip_prefix("[ Context '")?
        .split_once("' created by '")?;
    Some((name, rest.split('\'').next()?))
}

/// What stands before the `[registrar]` at the end of a line, and that.
fn registrar(line: &str) -> Option<(&str, &str)> {
    let (text, registrar) = line.trim_end().strip_suffix(']')?.rsplit_once('[')?;
    Some((text.trim_end(), registrar))
}

/// `extensions.conf:31`, or the name of a module.
fn at(registrar: &str, number: u32) -> At {
    let named = registrar
        .rsplit_once(':')
        .and_then(|(file, line)| Some((file, line.parse().ok()?)));
    let (file, line) = named.unwrap_or(("", number));
    At {
        file: file.into(),
        line,
    }
}

fn section(name: &str) -> Section {
    Section {
        name: name.into(),
        at: At {
            file: "".into(),
            line: 0,
        },
        template: false,
        entries: Vec::new(),
    }
}

fn entry(key: &str, value: &str, at: At) -> Entry {
    Entry {
        key: Arc::from(key),
        value: Arc::from(value),
        at,
        arrow: key == "exten",
    }
}

fn push(sections: &mut [Section], entry: Entry) {
    if let Some(section) = sections.last_mut() {
        section.entries.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_was_written() {
        // As 22.10.1 prints it.
        let shown = "\
[ Context '__func_periodic_hook_context__' created by 'func_periodic_hook' ]
  'hook' (CID match '') =>  1. Set(EncodedChannel=${HOOK_CHANNEL})        [func_periodic_hook]
                    2. ChanSpy(${ChannelToSpy},qEB)               [func_periodic_hook]

[ Context 'shop' created by 'pbx_config' ]
  '201' =>          hint: PJSIP/201&Stasis:ivrpay-201             [extensions.conf:116]
  '_60[1-3]X' (CID match '0312') =>  1. Set(a=${IF($[\"${b}\" = \"1\"]?x:y)})    [extensions.conf:9]
     [again]        2. Dial(PJSIP/1,20,tT)                        [more.conf:3]
  's' =>            1. Read(X,,16)                                [pbx_ael]
  Include =>        'other'                                       [pbx_config]
  Alt. Switch =>    'Realtime/@'                                  [pbx_config]

-= 4 extensions (5 priorities) in 2 contexts. =-
";
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let read = read(
            &lines(shown),
            &lines("   DIAL_OPTIONS=Tt\n    -- 1 variable(s)\n"),
        );
        let entries: Vec<_> = read
            .conf
            .sections
            .iter()
            .flat_map(|s| s.entries.iter().map(move |e| (&*s.name, e)))
            .map(|(section, e)| {
                let at = format!("{}:{}", e.at.file, e.at.line);
                (section, &*e.key, e.value.to_string(), at)
            })
            .collect();
        let expected = [
            ("globals", "DIAL_OPTIONS", "Tt", "globals:1"),
            (
                "shop",
                "exten",
                "_60[1-3]X,1,Set(a=${IF($[\"${b}\" = \"1\"]?x:y)})",
                "extensions.conf:9",
            ),
            (
                "shop",
                "exten",
                "_60[1-3]X,2(again),Dial(PJSIP/1,20,tT)",
                "more.conf:3",
            ),
            ("shop", "exten", "s,1,Read(X,,16)", ":9"),
            ("shop", "include", "other", ":10"),
        ]
        .map(|(s, k, v, at)| (s, k, v.to_owned(), at.to_owned()));
        assert_eq!(entries, expected);
        assert_eq!(
            (read.cut, read.switches),
            (0, vec!["Realtime/@".to_owned()])
        );
        let long = format!("  's' =>  1. Set(a={}   [x.conf:1]", "y".repeat(1000));
        let shown = ["[ Context 'a' created by 'pbx_config' ]".to_owned(), long];
        assert_eq!(super::read(&shown, &[]).cut, 1);
    }
}
