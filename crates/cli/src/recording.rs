//! `ivrpay recording quarantine|list|resolve`: for a recording in which a card was spoken or keyed (PCI DSS v4.0.1, 12.10.7).
//!
//! This program moves files, since whoever runs it may; the service keeps the journal. The file is moved first: what others may
//! read is the danger, and a file that lies in quarantine is put into the journal by the same command, given its new name.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use ivrpay_api::{MarkRecording, Recording, Recordings, ResolveRecording};

use crate::payment::{From, ask, encode};
use crate::{Exit, fail, load, runtime};

/// A file that was written to so recently may still be: a copy of it would lack its end.
const WRITTEN_TO: Duration = Duration::from_secs(5);
/// Longest ending of a file's name that is kept.
const ENDING_MAX: usize = 8;

const STEPS: &str = "\
What PCI DSS v4.0.1, 12.10.7 wants now:
  1. contain: find every other copy (files of one side, voicemail, exports, transcripts, backups) and quarantine or delete it
  2. decide: delete the recording, or redact it; keep it only inside the cardholder data environment
  3. look whether a security code was recorded with the number: it may not be kept, not even encrypted (3.3.1)
  4. find out how the card came into the recording, and mend that: who asked for it, why was the pay key not used
  5. write it down: ivrpay recording resolve ID --by PERSON --action deleted|redacted";

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Move a recording in which a card was spoken or keyed out of everybody's reach, and put it into the journal with a task.
    Quarantine {
        #[command(flatten)]
        from: From,
        /// The recording; one that lies in quarantine already is only put into the journal.
        file: PathBuf,
        /// Who does this.
        #[arg(long)]
        by: String,
        /// Why, at most 200 characters.
        #[arg(long, default_value = "")]
        reason: String,
        /// Its call or channel; one that is marked with it in `ivrpay recording list` is this one.
        #[arg(long)]
        call: Option<String>,
    },
    /// Recordings that were marked or quarantined, the newest first.
    List {
        #[command(flatten)]
        from: From,
    },
    /// Say what became of a recording; `deleted` deletes it.
    Resolve {
        #[command(flatten)]
        from: From,
        /// Its id.
        id: String,
        /// Who did it.
        #[arg(long)]
        by: String,
        /// deleted: the file is removed here and now; redacted: you have taken the card out of it.
        #[arg(long, value_parser = ["deleted", "redacted"])]
        action: String,
    },
}

pub(crate) fn run(command: Command) -> ExitCode {
    let from = match &command {
        Command::Quarantine { from, .. }
        | Command::List { from }
        | Command::Resolve { from, .. } => from,
    };
    // Always: it names the folder, and the service's socket.
    let config = match load(from.config()) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let socket = from.socket().unwrap_or(&config.admin_socket);
    let done = match &command {
        Command::Quarantine {
            file,
            by,
            reason,
            call,
            ..
        } => quarantine(&config.quarantine_folder, file, by).and_then(|(origin, file)| {
            let body = MarkRecording {
                origin: text(&origin)?,
                file: Some(text(&file)?),
                call: call.clone(),
                by: by.clone(),
                reason: reason.clone(),
            };
            let kept = post(socket, "/v1/recordings", &body);
            let answer = kept.with_context(|| {
                format!(
                    "the recording lies in quarantine as {}, but it is not in the journal\nhint: start `ivrpay serve`, then run `ivrpay recording quarantine {} --by …`",
                    file.display(),
                    file.display()
                )
            })?;
            shown(from, &answer, |recording: Recording| {
                say!("{} is in quarantine as {}", recording.origin, file.display());
                say!("recording {}, to be deleted or redacted until {}", recording.id, recording.due_at);
                say!("{STEPS}");
                Ok(())
            })
        }),
        Command::List { .. } => get(socket).and_then(|answer| shown(from, &answer, list)),
        Command::Resolve {
            id, by, action, ..
        } => resolve(socket, from, id, by, action),
    };
    match done {
        Ok(()) => Exit::Done.into(),
        Err(error) => fail(&error),
    }
}

/// Prints an answer as it is, or as people read it.
fn shown<T: serde::de::DeserializeOwned>(
    from: &From,
    answer: &str,
    show: impl FnOnce(T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if from.json() {
        say!("{}", answer.trim_end());
        return Ok(());
    }
    show(serde_json::from_str(answer)?)
}

fn text(path: &Path) -> anyhow::Result<String> {
    path.to_str()
        .map(str::to_owned)
        .with_context(|| format!("{} is no UTF-8; rename it first", path.display()))
}

/// Moves the file; where it was, and where it is.
fn quarantine(folder: &Path, file: &Path, by: &str) -> anyhow::Result<(PathBuf, PathBuf)> {
    ensure!(
        !by.trim().is_empty(),
        "--by is empty; name the person who does this"
    );
    let found = fs::symlink_metadata(file)
        .with_context(|| format!("{} can't be looked at; name the recording", file.display()))?;
    ensure!(
        found.is_file(),
        "{} is no file (a link or a folder); name the recording itself",
        file.display()
    );
    let file = file.canonicalize()?;
    // Before anything is moved: the journal keeps names as text.
    let name = text(&file)?;
    let digits = |run: &str| run.bytes().map(|b| b - b'0').collect::<Vec<u8>>();
    ensure!(
        !name
            .split(|c: char| !c.is_ascii_digit())
            .any(|run| ivrpay_payment::is_card_like(&digits(run))),
        "its name or folder looks like a card number; rename it first, since names are kept and shown"
    );
    let folder = private(folder)?;
    if file.parent() == Some(&folder) {
        return Ok((file.clone(), file));
    }
    let ending = file
        .extension()
        .and_then(|e| e.to_str())
        .filter(|e| e.len() <= ENDING_MAX && e.bytes().all(|b| b.is_ascii_alphanumeric()))
        .map(|e| format!(".{e}"))
        .unwrap_or_default();
    let target = folder.join(format!("{}{ending}", uuid::Uuid::now_v7()));
    match fs::rename(&file, &target) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let recent = found
                .modified()?
                .elapsed()
                .is_ok_and(|since| since < WRITTEN_TO);
            ensure!(
                !recent,
                "{} was written to within the last {} s; try again when its call is over, or let [quarantine] path lie on the same file system",
                file.display(),
                WRITTEN_TO.as_secs()
            );
            eprintln!(
                "copying {} MiB to another file system",
                found.len().div_ceil(1024 * 1024)
            );
            copy(&file, &target).inspect_err(|_| {
                // Half a copy is one more place where a card is.
                fs::remove_file(&target).ok();
            })?;
            fs::remove_file(&file).with_context(|| {
                format!(
                    "{} was copied to {} and can't be removed: remove it",
                    file.display(),
                    target.display()
                )
            })?;
        }
        Err(error) => {
            return Err(error).with_context(|| {
                format!(
                    "{} can't be moved to {}; run this as a user who may, often root",
                    file.display(),
                    folder.display()
                )
            });
        }
    }
    fs::set_permissions(&target, Permissions::from_mode(0o600))?;
    for changed in [Some(folder.as_path()), file.parent()]
        .into_iter()
        .flatten()
    {
        File::open(changed)?.sync_all()?;
    }
    Ok((file, target))
}

/// The folder, made where it is not, for its owner alone.
fn private(folder: &Path) -> anyhow::Result<PathBuf> {
    let made = DirBuilder::new().mode(0o700).create(folder);
    match made {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => {
            return Err(error).with_context(|| {
                format!(
                    "the folder {} can't be made; set [quarantine] path",
                    folder.display()
                )
            });
        }
    }
    let mode = fs::metadata(folder)?.permissions().mode();
    ensure!(
        mode & 0o077 == 0,
        "{} may be read by others (mode {:03o}); chmod 700 it",
        folder.display(),
        mode & 0o777
    );
    Ok(folder.canonicalize()?)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let mut source = File::open(from)?;
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    io::copy(&mut source, &mut target)
        .and_then(|_| target.sync_all())
        .with_context(|| format!("{} can't be copied; it stays where it is", from.display()))
}

fn list(all: Recordings) -> anyhow::Result<()> {
    if all.recordings.is_empty() {
        say!("no recordings");
    }
    for r in &all.recordings {
        let end = match (&r.resolved_by, &r.resolved_at) {
            (Some(by), Some(at)) => format!("by {by}, {at}"),
            _ => format!("due {}", r.due_at),
        };
        say!("{}  {:<11}  {end}", r.id, r.state);
        say!("  {}", r.file.as_deref().unwrap_or(&r.origin));
        say!(
            "  marked {} by {}{}",
            r.marked_at,
            r.marked_by,
            if r.reason.is_empty() {
                String::new()
            } else {
                format!(": {}", r.reason)
            }
        );
    }
    Ok(())
}

fn resolve(socket: &Path, from: &From, id: &str, by: &str, action: &str) -> anyhow::Result<()> {
    let all: Recordings = serde_json::from_str(&get(socket)?)?;
    let Some(recording) = all.recordings.iter().find(|r| r.id == id) else {
        bail!("there is no such recording; `ivrpay recording list` shows all");
    };
    ensure!(
        recording.resolved_at.is_none(),
        "it is {} already",
        recording.state
    );
    let path = format!("/v1/recordings/{}/resolve", encode(id));
    let write_down = |action: &str| {
        let body = ResolveRecording {
            action: action.to_owned(),
            by: by.to_owned(),
        };
        post(socket, &path, &body)
    };
    let file = recording.file.as_ref().unwrap_or(&recording.origin);
    let begun = recording.state == "deleting";
    let gone = fs::symlink_metadata(file).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
    let answer = if action == "deleted" {
        // Nobody may write down that it was deleted: it may lie on another machine, or below another root.
        ensure!(
            begun || !gone,
            "{file} is not there, as seen from here; nothing was written down. Where Asterisk has another root or machine, give the file itself: ivrpay recording quarantine FILE"
        );
        // The journal first: what it refuses is not deleted, and a deletion that ends half-way is known.
        write_down("deleting")?;
        if !gone {
            remove(file).with_context(|| {
                format!("{file} can't be deleted, and its task stays open; run this as a user who may, often root")
            })?;
        }
        write_down(action).with_context(|| {
            format!("{file} is deleted, and the journal has who began that, but not yet that it is done: run this once more")
        })?
    } else {
        ensure!(
            !(begun && gone),
            "{file} was deleted; close it with --action deleted"
        );
        write_down(action)?
    };
    shown(from, &answer, |recording: Recording| {
        say!(
            "recording {} is {}; backups of it are not reached from here",
            recording.id,
            recording.state
        );
        Ok(())
    })
}

/// Removes a file for good. It is gone, too, where its folder can't be read and so not be synced.
fn remove(file: &str) -> io::Result<()> {
    fs::remove_file(file)?;
    match Path::new(file).parent().map(File::open) {
        Some(Ok(folder)) => folder.sync_all(),
        _ => Ok(()),
    }
}

fn get(socket: &Path) -> anyhow::Result<String> {
    runtime()?.block_on(ask(socket, "/v1/recordings", None))
}

fn post(socket: &Path, path: &str, body: &impl serde::Serialize) -> anyhow::Result<String> {
    runtime()?.block_on(ask(socket, path, Some(serde_json::to_vec(body)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_moved_out_of_reach_once() {
        let place = tempfile::tempdir().expect("a folder");
        let (folder, file) = (place.path().join("q"), place.path().join("a.b.wav"));
        fs::write(&file, b"sound").expect("a file");
        let (origin, target) = quarantine(&folder, &file, "me").expect("moved");
        assert_eq!(
            origin,
            file.parent()
                .expect("one")
                .canonicalize()
                .expect("one")
                .join("a.b.wav")
        );
        assert!(!file.exists());
        assert_eq!(fs::read(&target).expect("there"), b"sound");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&target)), (0o700, 0o600));
        assert!(target.extension().is_some_and(|e| e == "wav"));
        // Told again by its new name: nothing is moved.
        assert_eq!(
            quarantine(&folder, &target, "me").expect("known"),
            (target.clone(), target)
        );
    }

    #[test]
    fn what_is_no_recording_stays() {
        let place = tempfile::tempdir().expect("a folder");
        let (file, link, open) = (
            place.path().join("a.wav"),
            place.path().join("b.wav"),
            place.path().join("open"),
        );
        fs::write(&file, b"").expect("a file");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        fs::create_dir(&open).expect("a folder");
        fs::set_permissions(&open, Permissions::from_mode(0o755)).expect("a mode");
        let folder = place.path().join("q");
        for (folder, file, by, says) in [
            (&folder, &link, "me", "no file"),
            (&folder, &open, "me", "no file"),
            (
                &folder,
                &place.path().join("c.wav"),
                "me",
                "can't be looked at",
            ),
            (&folder, &file, " ", "--by"),
            (&open, &file, "me", "chmod 700"),
        ] {
            let error = quarantine(folder, file, by).expect_err(says);
            assert!(format!("{error:#}").contains(says), "{error:#}");
        }
        assert!(file.exists());
    }
}
