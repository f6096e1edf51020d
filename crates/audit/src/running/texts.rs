//! Texts of Asterisk's command line (16 to 23). Any lines give an answer.

use super::SeenLog;

/// Users of AMI that are read at most.
const USERS_MAX: usize = 256;

/// The value of a line `  Key:   value`.
pub(super) fn field<'a>(lines: &'a [String], key: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| {
        let rest = line.trim_start().strip_prefix(key)?;
        rest.trim_start().strip_prefix(':').map(str::trim)
    })
}

/// The same as a number.
pub(super) fn number(lines: &[String], key: &str) -> Option<i64> {
    field(lines, key)?.parse().ok()
}

/// Names of users in the output of `manager show users`: they stand between two lines of dashes.
#[must_use]
pub fn manager_users(lines: &[String]) -> Vec<String> {
    let is_rule = |line: &str| line.len() > 4 && line.bytes().all(|b| b == b'-');
    lines
        .iter()
        .map(|line| line.trim())
        .skip_while(|line| !is_rule(line))
        .skip(1)
        .take_while(|line| !is_rule(line))
        .filter(|line| !line.is_empty())
        .take(USERS_MAX)
        .map(str::to_owned)
        .collect()
}

/// Names of users in the output of `ari show users`: the last word of what stands below the line of dashes.
pub(super) fn ari_users(lines: &[String]) -> impl Iterator<Item = &str> {
    lines
        .iter()
        .skip_while(|line| !line.starts_with("----"))
        .skip(1)
        .filter_map(|line| line.split_whitespace().next_back())
        .take(USERS_MAX)
}

/// Built-in features that have a code now, in the output of `features show`: name, default and current code in columns of 25, 8
/// and 8 (main/features_config.c).
pub(super) fn features(lines: &[String]) -> impl Iterator<Item = (&str, &str)> {
    lines
        .iter()
        .skip_while(|line| !line.starts_with("---"))
        .skip(1)
        .take_while(|line| !line.trim().is_empty())
        .filter_map(|line| Some((line.get(..25)?.trim(), line.get(33..)?.trim())))
        .filter(|(_, code)| !code.is_empty())
}

/// `EVENT_FLAG_DTMF` (include/asterisk/manager.h).
const CLASS_DTMF: u64 = 1 << 8;

/// Users in the output of `manager show connected` whose session gets keys: user, address, start, elapsed, descriptor, uses by HTTP,
/// classes that it may read and write, as numbers.
pub(super) fn sessions_with_keys(lines: &[String]) -> Vec<String> {
    let mut users = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [user, .., read, write] = words.as_slice()
            && words.len() == 8
            && write.parse::<u64>().is_ok()
            && read.parse::<u64>().is_ok_and(|r| r & CLASS_DTMF != 0)
            && users.len() < USERS_MAX
        {
            users.push((*user).to_owned());
        }
    }
    users
}

/// Log channels in the output of `logger show channels`: name (none for the console), type, formatter (from 16 on), status, levels.
pub(super) fn logs(lines: &[String]) -> Vec<SeenLog> {
    let mut logs = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(kind) = words
            .iter()
            .position(|w| ["File", "Console", "Syslog"].contains(w))
        else {
            continue;
        };
        let status = words
            .iter()
            .position(|w| ["Enabled", "Disabled"].contains(w));
        let Some(status) = status.filter(|s| *s > kind) else {
            continue;
        };
        let join = |words: &[&str]| words.join(" ");
        logs.push(SeenLog {
            name: join(words.get(..kind).unwrap_or_default()),
            kind: words[kind].to_owned(),
            enabled: words[status] == "Enabled",
            levels: join(words.get(status + 1..).unwrap_or_default())
                .trim_start_matches('-')
                .trim()
                .to_owned(),
        });
    }
    logs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn real_outputs_are_read() {
        let users = lines(
            "\nusername\n--------\npanel\nall\n-------------------\n2 manager users configured.\n",
        );
        assert_eq!(manager_users(&users), ["panel", "all"]);
        assert!(manager_users(&lines("There are no manager users.\n")).is_empty());

        let sessions = lines(
            "  Username         IP Address      Start       Elapsed     FileDes   HttpCnt   ReadPerms   WritePerms\n  panel            127.0.0.1       1795661955  1           22        0         0000002307  0000000016\n  audit            127.0.0.1       1795661955  1           23        0         0000000000  0000000016\n2 users connected.\n",
        );
        assert_eq!(sessions_with_keys(&sessions), ["panel"]);

        let settings = lines(
            "Global Settings:\n  Manager (AMI):             Yes            \n  Channel vars:              \n  Debug:                     No             \n",
        );
        assert_eq!(field(&settings, "Manager (AMI)"), Some("Yes"));
        assert_eq!(field(&settings, "Channel vars"), Some(""));
        assert_eq!(field(&settings, "Disabled events"), None);
        assert_eq!(
            number(&lines("  Debug level:                 3"), "Debug level"),
            Some(3)
        );

        let shown = lines(
            "Channel                             Type     Formatter  Status    Configuration\n-------                             ----     ---------  ------    -------------\n/var/log/asterisk/full              File     default    Enabled    - DTMF NOTICE \n                                    Console  default    Enabled    - ERROR VERBOSE \n",
        );
        let logs = logs(&shown);
        assert_eq!(logs.len(), 2);
        assert_eq!(
            (logs[0].name.as_str(), logs[0].levels.as_str()),
            ("/var/log/asterisk/full", "DTMF NOTICE")
        );
        assert_eq!(
            (logs[1].name.as_str(), logs[1].kind.as_str()),
            ("", "Console")
        );
    }
}
