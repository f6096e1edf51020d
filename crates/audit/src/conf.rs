//! Asterisk's configuration format, read as Asterisk reads it (main/config.c of 16 to 23).
//!
//! Sections, templates, inheritance, additions, `#include`, `#tryinclude`, comments, with Asterisk's own surprises: a section
//! that is added to must exist and be no template; a file that breaks a rule is refused whole, but an included one is only cut
//! off at that line; behind an `#include` the includer goes on in the section that it was in, while the next `#include`
//! begins in the last one that was opened. Every entry knows its file and line.
//!
//! Any bytes give a [`Conf`]; every limit has a name.

use std::collections::HashMap;
use std::sync::Arc;

use crate::tree::Tree;

/// Longest line, in bytes with its end: Asterisk's buffer. It skips longer ones.
const LINE_BYTES_MAX: usize = 8_191;
/// How deep files include one another, as in Asterisk (`MAX_INCLUDE_LEVEL`).
const INCLUDE_DEPTH_MAX: usize = 10;
/// Files that one configuration reads, each time counted.
const INCLUDES_MAX: usize = 2_048;
/// Bytes that one configuration reads.
const READ_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Entries of one configuration, inherited ones too.
const ENTRIES_MAX: usize = 1_000_000;
/// Sections of one configuration.
const SECTIONS_MAX: usize = 200_000;
/// Bytes of one value: `+=` lengthens it.
const VALUE_BYTES_MAX: usize = 64 * 1024;
/// Of UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// Blocks `;--` within one another (`MAX_NESTED_COMMENTS`).
const COMMENT_DEPTH_MAX: i32 = 128;
/// What could not be understood; more of it is not kept.
const TROUBLES_MAX: usize = 256;

/// A place in a file; lines begin at 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// Path below the folder.
    pub file: Arc<str>,
    /// Line.
    pub line: u32,
}

impl At {
    /// As it is told in a finding at `other`: without the file where that is the same.
    pub(crate) fn beside(&self, other: &Self) -> String {
        if self.file == other.file {
            format!("line {}", self.line)
        } else {
            format!("{}:{}", self.file, self.line)
        }
    }
}

/// A configuration: one file with all that it includes.
#[derive(Debug, Clone)]
pub struct Conf {
    /// The file that was asked for.
    pub file: Arc<str>,
    /// Sections, templates among them, in the order in which they are opened.
    pub sections: Vec<Section>,
    /// What can't be followed, or what Asterisk itself does not take.
    pub troubles: Vec<Trouble>,
    /// Every `#include` that was followed, with the section that it stands in.
    pub includes: Vec<Include>,
    entries: usize,
}

/// An `#include` that was followed.
#[derive(Debug, Clone)]
pub struct Include {
    /// Where it stands.
    pub at: At,
    /// The file.
    pub file: Arc<str>,
    /// Name of the section that goes on in it.
    pub section: Option<Arc<str>>,
}

/// `[name]`.
#[derive(Debug, Clone)]
pub struct Section {
    /// Name.
    pub name: Arc<str>,
    /// Its head.
    pub at: At,
    /// `(!)`: only there to be inherited from.
    pub template: bool,
    /// In order, inherited ones first.
    pub entries: Vec<Entry>,
}

/// `key = value`.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Key as it is written.
    pub key: Arc<str>,
    /// Value.
    pub value: Arc<str>,
    /// Where it stands; for an inherited one, in the template.
    pub at: At,
    /// It was `=>`.
    pub arrow: bool,
}

/// Something that is not as it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Where.
    pub at: At,
    /// What.
    pub what: What,
}

/// What a [`Trouble`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// `#exec`: what the program writes is not known.
    Exec,
    /// The file of `#include` is not there: Asterisk refuses the file that includes it.
    Missing(String),
    /// The file of `#include` lies outside of the folder, or its name is a pattern that is not followed.
    Outside(String),
    /// Asterisk refuses the file from this line on.
    Refused(&'static str),
    /// A limit of ours, by its name.
    Limit(&'static str),
    /// Asterisk passes over the line.
    Skipped(&'static str),
}

impl Section {
    /// The last entry with this key: what most of Asterisk goes by. Keys are compared without case.
    #[must_use]
    pub fn last(&self, key: &str) -> Option<&Entry> {
        self.entries
            .iter()
            .rev()
            .find(|e| e.key.eq_ignore_ascii_case(key))
    }

    /// All entries with this key.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries
            .iter()
            .filter(move |e| e.key.eq_ignore_ascii_case(key))
    }
}

impl Entry {
    /// As `ast_true()` has it.
    #[must_use]
    pub fn is_true(&self) -> bool {
        is_true(&self.value)
    }

    /// As `ast_false()` has it.
    #[must_use]
    pub fn is_false(&self) -> bool {
        is_false(&self.value)
    }
}

/// `ast_true()` of main/utils.c.
#[must_use]
pub fn is_true(value: &str) -> bool {
    ["yes", "true", "y", "t", "1", "on"]
        .iter()
        .any(|w| value.eq_ignore_ascii_case(w))
}

/// `ast_false()` of main/utils.c.
#[must_use]
pub fn is_false(value: &str) -> bool {
    ["no", "false", "n", "f", "0", "off"]
        .iter()
        .any(|w| value.eq_ignore_ascii_case(w))
}

impl Conf {
    /// Reads a file of the tree with all that it includes; `None` where it is not there.
    #[must_use]
    pub fn read(tree: &Tree, file: &str) -> Option<Self> {
        if !tree.has(file) {
            return None;
        }
        let mut reader = Reader {
            tree,
            conf: Self {
                file: file.into(),
                sections: Vec::new(),
                troubles: Vec::new(),
                includes: Vec::new(),
                entries: 0,
            },
            by_name: HashMap::new(),
            last_opened: None,
            bytes: 0,
            files: 0,
        };
        // Why it ended early stands among the troubles.
        reader.files(&[file.to_owned()], 1).ok();
        Some(reader.conf)
    }

    /// One that was read from elsewhere.
    pub(crate) fn of(file: &str, sections: Vec<Section>) -> Self {
        let entries = sections.iter().map(|s| s.entries.len()).sum();
        Self {
            file: file.into(),
            sections,
            troubles: Vec::new(),
            includes: Vec::new(),
            entries,
        }
    }

    /// Sections that are no templates.
    pub fn sections(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(|s| !s.template)
    }

    /// The first section of this name: what `ast_variable_browse()` gives.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections().find(|s| s.name.eq_ignore_ascii_case(name))
    }

    /// Whether Asterisk refuses the whole file (an included one is only cut off), and where.
    #[must_use]
    pub fn refused(&self) -> Option<&Trouble> {
        self.troubles.iter().find(|t| {
            t.at.file == self.file && matches!(t.what, What::Refused(_) | What::Missing(_))
        })
    }

    fn trouble(&mut self, at: At, what: What) {
        if self.troubles.len() < TROUBLES_MAX {
            self.troubles.push(Trouble { at, what });
        }
    }
}

/// Why reading ends before the file does.
enum Stop {
    /// Asterisk refuses the rest of this file.
    File,
    /// A limit of ours.
    All,
}

struct Reader<'a> {
    tree: &'a Tree,
    conf: Conf,
    /// Sections by their name in lower case, in order: a template may be asked for by thousands.
    by_name: HashMap<String, Vec<usize>>,
    /// `config->current`: where the next included file begins.
    last_opened: Option<usize>,
    bytes: usize,
    files: usize,
}

impl Reader<'_> {
    /// One `#include`: its files one after the other. Whether any was read, or a limit was met.
    fn files(&mut self, files: &[String], depth: usize) -> Result<bool, Stop> {
        let mut read = false;
        let mut section = self.last_opened;
        // Asterisk keeps both over the files of one pattern.
        let mut comment = 0;
        for file in files {
            let Some(bytes) = self.tree.bytes(file) else {
                continue;
            };
            let file: Arc<str> = file.as_str().into();
            let start = At {
                file: file.clone(),
                line: 1,
            };
            self.files += 1;
            self.bytes += bytes.len();
            if self.files > INCLUDES_MAX || self.bytes > READ_BYTES_MAX {
                self.conf.trouble(start, What::Limit("includes"));
                return Err(Stop::All);
            }
            // Asterisk passes over a byte order mark in the first file of a pattern alone.
            let mark = bytes.strip_prefix(BYTE_ORDER_MARK).filter(|_| !read);
            let bytes = mark.unwrap_or(bytes);
            read = true;
            match self.lines(&file, bytes, &mut section, &mut comment, depth) {
                Ok(()) => {}
                Err(Stop::File) => break,
                Err(Stop::All) => return Err(Stop::All),
            }
            if comment != 0 {
                self.conf
                    .trouble(start, What::Skipped("a comment that is never closed"));
            }
        }
        Ok(read)
    }

    fn lines(
        &mut self,
        file: &Arc<str>,
        bytes: &[u8],
        section: &mut Option<usize>,
        comment: &mut i32,
        depth: usize,
    ) -> Result<(), Stop> {
        for (number, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
            let at = At {
                file: file.clone(),
                line: u32::try_from(number + 1).unwrap_or(u32::MAX),
            };
            if line.len() >= LINE_BYTES_MAX {
                self.conf
                    .trouble(at, What::Skipped("a line of more than 8,190 bytes"));
                continue;
            }
            // A C string ends at its first zero.
            let line = line.split(|b| *b == 0).next().unwrap_or_default();
            let Some(text) = uncommented(line, comment) else {
                continue;
            };
            let text = stripped(&text);
            if !text.is_empty() {
                self.statement(&String::from_utf8_lossy(text), at, section, depth)?;
            }
        }
        Ok(())
    }

    /// `process_text_line()`.
    fn statement(
        &mut self,
        text: &str,
        at: At,
        section: &mut Option<usize>,
        depth: usize,
    ) -> Result<(), Stop> {
        if let Some(head) = text.strip_prefix('[') {
            return self.head(head, at, section);
        }
        if let Some(directive) = text.strip_prefix('#') {
            return self.directive(directive, at, depth);
        }
        let Some(section) = *section else {
            return Err(self.refuse(at, "a line before the first [section]"));
        };
        let (escaped, text) = match text.strip_prefix('\\') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if escaped && text.bytes().next().is_none_or(|b| b < 33) {
            return Err(self.refuse(at, "a backslash with nothing behind it"));
        }
        let from = if escaped {
            text.chars().next().map_or(0, char::len_utf8)
        } else {
            0
        };
        let equals = text
            .get(from..)
            .and_then(|t| t.find('='))
            .map(|found| found + from);
        let Some((key, value)) = equals.and_then(|e| Some((text.get(..e)?, text.get(e + 1..)?)))
        else {
            self.conf.trouble(at, What::Skipped("a line without ="));
            return Ok(());
        };
        if let Some(key) = key.strip_suffix('+')
            && equals.is_some_and(|e| e > from)
        {
            return self.lengthen(section, key.trim(), value, at);
        }
        let (value, arrow) = match value.strip_prefix('>') {
            Some(value) => (value, true),
            None => (value, false),
        };
        self.append(section, strip(key), strip(value), at, arrow)
    }

    fn append(
        &mut self,
        section: usize,
        key: &str,
        value: &str,
        at: At,
        arrow: bool,
    ) -> Result<(), Stop> {
        if key.is_empty() {
            self.conf.trouble(at, What::Skipped("a line without a key"));
            return Ok(());
        }
        self.count(1, &at)?;
        self.conf.sections[section].entries.push(Entry {
            key: key.into(),
            value: value.into(),
            at,
            arrow,
        });
        Ok(())
    }

    /// `key += value`.
    fn lengthen(&mut self, section: usize, key: &str, value: &str, at: At) -> Result<(), Stop> {
        let entries = &mut self.conf.sections[section].entries;
        let Some(entry) = entries.iter_mut().rev().find(|e| *e.key == *key) else {
            return self.append(section, key, strip(value), at, false);
        };
        let longer = strip(&format!("{}{value}", entry.value)).to_owned();
        if longer.len() > VALUE_BYTES_MAX {
            self.conf.trouble(at, What::Limit("value"));
            return Ok(());
        }
        entry.value = longer.into();
        // What stands there now is this line's doing.
        entry.at = at;
        Ok(())
    }

    /// `name](options)`.
    fn head(&mut self, head: &str, at: At, section: &mut Option<usize>) -> Result<(), Stop> {
        let Some((name, rest)) = head.split_once(']') else {
            return Err(self.refuse(at, "a [section] that is not closed"));
        };
        let options = match rest.strip_prefix('(') {
            Some(rest) => match rest.split_once(')') {
                Some((options, _)) => options,
                None => return Err(self.refuse(at, "a ( that is not closed")),
            },
            None => "",
        };
        if self.conf.sections.len() >= SECTIONS_MAX {
            self.conf.trouble(at, What::Limit("sections"));
            return Err(Stop::All);
        }
        let mut new = Section {
            name: name.into(),
            at: at.clone(),
            template: false,
            entries: Vec::new(),
        };
        // Where the entries go: the new section, or one that is there.
        let mut target: Option<usize> = None;
        for option in options.split(',').filter(|_| !options.is_empty()) {
            if option == "!" {
                match target {
                    Some(old) => self.conf.sections[old].template = true,
                    None => new.template = true,
                }
            } else if let Some(filter) = option.strip_prefix('+') {
                let Some(old) = self.find(name, filter) else {
                    return Err(self.refuse(
                        at,
                        "an addition to a section that is not there (or is a template)",
                    ));
                };
                let entries = std::mem::take(&mut new.entries);
                self.conf.sections[old].template |= new.template;
                self.conf.sections[old].entries.extend(entries);
                target = Some(old);
            } else {
                let base = self.named(option).first().copied();
                let Some(base) = base else {
                    return Err(self.refuse(at, "a template that is not there"));
                };
                self.count(self.conf.sections[base].entries.len(), &at)?;
                let entries = self.conf.sections[base].entries.clone();
                match target {
                    Some(old) => self.conf.sections[old].entries.extend(entries),
                    None => new.entries.extend(entries),
                }
            }
        }
        let index = target.unwrap_or_else(|| {
            self.conf.sections.push(new);
            let index = self.conf.sections.len() - 1;
            let same = self.by_name.entry(name.to_ascii_lowercase());
            same.or_default().push(index);
            index
        });
        *section = Some(index);
        self.last_opened = Some(index);
        Ok(())
    }

    /// `ast_category_get()`: the first of this name that is no template; `filter` is `key=value`, or asks for templates.
    fn find(&self, name: &str, filter: &str) -> Option<usize> {
        let (key, wanted) = filter.split_once('=').unwrap_or_default();
        let templates = key == "TEMPLATES";
        self.named(name).iter().copied().find(|index| {
            let s = &self.conf.sections[*index];
            if templates {
                return wanted == "include" || s.template;
            }
            let fits = |e: &Entry| *e.key == *key && *e.value == *wanted;
            !s.template && (filter.is_empty() || s.entries.iter().any(fits))
        })
    }

    /// Sections of a name, without case.
    fn named(&self, name: &str) -> &[usize] {
        self.by_name
            .get(&name.to_ascii_lowercase())
            .map_or(&[], Vec::as_slice)
    }

    /// `#include`, `#tryinclude`, `#exec`.
    fn directive(&mut self, directive: &str, at: At, depth: usize) -> Result<(), Stop> {
        let end = directive
            .find(|c: char| c <= ' ')
            .unwrap_or(directive.len());
        let (word, argument) = directive.split_at(end);
        let argument = unquoted(strip(argument));
        let must = match word.to_ascii_lowercase().as_str() {
            "include" => true,
            "tryinclude" => false,
            "exec" => {
                self.conf.trouble(at, What::Exec);
                return Ok(());
            }
            _ => {
                self.conf.trouble(
                    at,
                    What::Skipped("a # directive that Asterisk does not know"),
                );
                return Ok(());
            }
        };
        if argument.is_empty() {
            self.conf
                .trouble(at, What::Skipped("a # directive without a file"));
            return Ok(());
        }
        let Some(files) = self.matching(argument) else {
            self.conf.trouble(at, What::Outside(argument.to_owned()));
            return Ok(());
        };
        if depth >= INCLUDE_DEPTH_MAX {
            return Err(self.refuse(at, "files that include one another more than 10 deep"));
        }
        let section = self
            .last_opened
            .map(|index| self.conf.sections[index].name.clone());
        for file in files.iter().filter(|f| self.tree.has(f)) {
            let include = Include {
                at: at.clone(),
                file: file.as_str().into(),
                section: section.clone(),
            };
            if self.conf.includes.len() < INCLUDES_MAX {
                self.conf.includes.push(include);
            }
        }
        let read = self.files(&files, depth + 1)?;
        if !read && must {
            self.conf.trouble(at, What::Missing(argument.to_owned()));
            return Err(Stop::File);
        }
        Ok(())
    }

    /// The files that a name or pattern stands for (glob(3)); `None` where they lie outside of the tree.
    fn matching(&self, name: &str) -> Option<Vec<String>> {
        let path = self.tree.below(name)?;
        if path.contains(['{', '}']) {
            return None;
        }
        if !path.contains(['*', '?', '[']) {
            return Some(vec![path]);
        }
        let pattern = glob::Pattern::new(&path).ok()?;
        let as_glob = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let matching = self
            .tree
            .paths()
            .filter(|p| pattern.matches_with(p, as_glob));
        Some(matching.map(str::to_owned).collect())
    }

    fn count(&mut self, entries: usize, at: &At) -> Result<(), Stop> {
        self.conf.entries += entries;
        if self.conf.entries > ENTRIES_MAX {
            self.conf.trouble(at.clone(), What::Limit("entries"));
            return Err(Stop::All);
        }
        Ok(())
    }

    fn refuse(&mut self, at: At, why: &'static str) -> Stop {
        self.conf.trouble(at, What::Refused(why));
        Stop::File
    }
}

/// A line without its comments; `None` where all of it is comment. `depth` is that of the blocks `;-- --;`, over lines.
fn uncommented(line: &[u8], depth: &mut i32) -> Option<Vec<u8>> {
    let mut text = line.to_vec();
    // Where the text begins, and where a block that was opened behind it cuts it off.
    let mut begin = (*depth == 0).then_some(0);
    let mut cut: Option<usize> = None;
    let mut from = 0;
    while let Some(found) = text
        .get(from..)
        .and_then(|rest| rest.iter().position(|b| *b == b';'))
    {
        let p = from + found;
        let behind = |n: usize| text.get(p + n).copied();
        if p > from && text.get(p - 1) == Some(&b'\\') {
            text.remove(p - 1);
            from = p;
        } else if behind(1) == Some(b'-') && behind(2) == Some(b'-') && behind(3) != Some(b'-') {
            if *depth < COMMENT_DEPTH_MAX {
                *depth += 1;
                if begin.is_some() {
                    cut.get_or_insert(p);
                }
            }
            from = p + 3;
        } else if p >= from + 2 && text.get(p - 2..p) == Some(b"--") {
            // Asterisk counts below zero here and then takes all that follows for a comment.
            *depth = depth.saturating_sub(1);
            from = p + 1;
            if *depth == 0 {
                match (begin, cut.take()) {
                    (Some(_), Some(at)) => {
                        text.drain(at..from);
                        from = at;
                    }
                    (Some(_), None) => {}
                    (None, _) => begin = Some(from),
                }
            }
        } else if *depth == 0 {
            text.truncate(p);
            from = p;
        } else {
            from = p + 1;
        }
    }
    let end = cut.unwrap_or(text.len());
    begin.and_then(|begin| text.get(begin..end).map(<[u8]>::to_vec))
}

/// `ast_strip()`: everything up to the blank counts as one.
fn stripped(text: &[u8]) -> &[u8] {
    let begin = text.iter().position(|b| *b > b' ').unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(|b| *b > b' ')
        .map_or(begin, |e| e + 1);
    text.get(begin..end).unwrap_or_default()
}

fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

/// Takes away a pair of `"…"` or `<…>`.
fn unquoted(name: &str) -> &str {
    for (open, close) in [('"', '"'), ('<', '>')] {
        if let Some(inner) = name
            .strip_prefix(open)
            .and_then(|rest| rest.strip_suffix(close))
        {
            return inner;
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new("/etc/asterisk");
        for (path, text) in files {
            tree.add(path, text.as_bytes().to_vec()).expect("small");
        }
        tree
    }

    /// Sections and entries as `section/key=value@line`, templates with `!`.
    fn shown(conf: &Conf) -> Vec<String> {
        let mut shown = Vec::new();
        for section in &conf.sections {
            let mark = if section.template { "!" } else { "" };
            shown.push(format!("[{}]{mark}", section.name));
            for e in &section.entries {
                let arrow = if e.arrow { ">" } else { "" };
                shown.push(format!(
                    "{}={arrow}{}@{}:{}",
                    e.key, e.value, e.at.file, e.at.line
                ));
            }
        }
        shown
    }

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str]) -> Conf {
        let conf = Conf::read(&tree(files), "a.conf").expect("a.conf is there");
        assert_eq!(shown(&conf), expected);
        conf
    }

    #[test]
    fn sections_and_lines() {
        check(
            &[(
                "a.conf",
                "; head\r\n[general]\r\nkey = one two ; comment\r\n  other=>v\\;w;x\n=nothing\nno equals\n[B]\nc=",
            )],
            &[
                "[general]",
                "key=one two@a.conf:3",
                "other=>v;w@a.conf:4",
                "[B]",
                "c=@a.conf:8",
            ],
        );
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        check(
            &[
                (
                    "a.conf",
                    "\u{feff}[general]\na=1\n#include b.conf\n#include <d/*.conf>\n",
                ),
                ("b.conf", "\u{feff}b=2\n"),
                ("d/1.conf", "\u{feff}c=3\n"),
                ("d/2.conf", "\u{feff}d=4\n"),
            ],
            &[
                "[general]",
                "a=1@a.conf:2",
                "b=2@b.conf:1",
                "c=3@d/1.conf:1",
                "\u{feff}d=4@d/2.conf:1",
            ],
        );
    }

    #[test]
    fn templates_and_additions() {
        check(
            &[(
                "a.conf",
                "[t](!)\na=1\n[u](!)\nb=2\n[x](t,u)\na=3\n[y](T)\n[x](+)\nc=4\n[x](+type=no)\n[z]\nd=5\n",
            )],
            &[
                "[t]!",
                "a=1@a.conf:2",
                "[u]!",
                "b=2@a.conf:4",
                "[x]",
                "a=1@a.conf:2",
                "b=2@a.conf:4",
                "a=3@a.conf:6",
                "c=4@a.conf:9",
                "[y]",
                "a=1@a.conf:2",
            ],
        );
        // An addition to a template is refused, and so is one to nothing; what stood before it has been read.
        for head in ["[t](+)", "[nobody](+)", "[v](nobody)", "[w", "[w](t"] {
            let conf = check(
                &[("a.conf", &format!("[t](!)\na=1\n{head}\nb=2\n"))],
                &["[t]!", "a=1@a.conf:2"],
            );
            assert!(conf.refused().is_some(), "{head}");
        }
    }

    #[test]
    fn blocks_of_comments() {
        check(
            &[(
                "a.conf",
                "[g]\na=1 ;-- x\nb=2\n ; y --; c=3\nd=4;--in--;5\n;----- only a line\ne=6\n;--\n;-- nested\nf=7\n--;\ng=8\n--;h=9\n",
            )],
            &[
                "[g]",
                "a=1@a.conf:2",
                "c=3@a.conf:4",
                "d=45@a.conf:5",
                "e=6@a.conf:7",
                "h=9@a.conf:13",
            ],
        );
        // Asterisk takes everything behind a stray end for a comment.
        let conf = check(
            &[("a.conf", "[g]\na=1 --; b\nc=2\n")],
            &["[g]", "a=1 --; b@a.conf:2"],
        );
        assert_eq!(conf.troubles.len(), 1);
    }

    #[test]
    fn includes_go_on_in_the_last_section_and_come_back() {
        let conf = check(
            &[
                (
                    "a.conf",
                    "[general]\n#include b.conf\nafter=1\n#tryinclude \"nobody.conf\"\n#include <d/*.conf>\n#exec /bin/date\n#include /usr/x.conf\n",
                ),
                ("b.conf", "inside=2\n[other]\nx=3\n"),
                ("d/1.conf", "one=4\n"),
                ("d/2.conf", "[two]\ny=5\n"),
                ("d/.hidden.conf", "z=6\n"),
            ],
            &[
                "[general]",
                "inside=2@b.conf:1",
                "after=1@a.conf:3",
                "[other]",
                "x=3@b.conf:3",
                "one=4@d/1.conf:1",
                "[two]",
                "y=5@d/2.conf:2",
            ],
        );
        let kinds: Vec<_> = conf.troubles.iter().map(|t| &t.what).collect();
        assert_eq!(
            kinds,
            [&What::Exec, &What::Outside("/usr/x.conf".to_owned())]
        );
        assert!(conf.refused().is_none());
        assert_eq!(
            conf.includes[0].section.as_deref(),
            Some("general"),
            "the section that goes on"
        );
    }

    #[test]
    fn what_is_missing_or_broken() {
        // A missing file refuses its includer; a broken included file is only cut off.
        let conf = check(
            &[("a.conf", "[g]\na=1\n#include nobody.conf\nb=2\n")],
            &["[g]", "a=1@a.conf:2"],
        );
        assert!(conf.refused().is_some());
        let conf = check(
            &[
                ("a.conf", "[g]\n#include /etc/asterisk/b.conf\nb=2\n"),
                ("b.conf", "a=1\n[broken\nc=3\n"),
            ],
            &["[g]", "a=1@b.conf:1", "b=2@a.conf:3"],
        );
        assert!(conf.refused().is_none());
        assert!(matches!(conf.troubles[0].what, What::Refused(_)));
        // A loop ends.
        let conf = Conf::read(
            &tree(&[("a.conf", "[g]\na=1\n#include a.conf\n")]),
            "a.conf",
        );
        let conf = conf.expect("a.conf is there");
        assert!(
            conf.troubles
                .iter()
                .any(|t| matches!(t.what, What::Refused(_)))
        );
    }

    #[test]
    fn longer_values_and_escapes() {
        check(
            &[("a.conf", "[g]\na=1\na+=2\nb += 3\n\\#c=4\n\\=d=5\n")],
            &[
                "[g]",
                "a=12@a.conf:3",
                "b=3@a.conf:4",
                "#c=4@a.conf:5",
                "=d=5@a.conf:6",
            ],
        );
    }

    #[test]
    fn limits_hold() {
        // Each section doubles the last one.
        let mut text = "[s0](!)\na=1\nb=2\n".to_owned();
        for i in 1..40 {
            text.push_str(&format!("[s{i}](!,s{0},s{0})\n", i - 1));
        }
        let conf = Conf::read(&tree(&[("a.conf", &text)]), "a.conf").expect("there");
        assert!(
            conf.troubles
                .iter()
                .any(|t| t.what == What::Limit("entries"))
        );
        let long = format!("[g]\na={}\nb=1\n", "x".repeat(LINE_BYTES_MAX));
        check(&[("a.conf", &long)], &["[g]", "b=1@a.conf:3"]);
    }
}
