//! One channel, led for a moment: one command at a time, each with a time limit.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncBufRead as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::protocol::{self, Answer, Request, command};
use crate::{
    Argument, ENVIRONMENT_MAX, EXEC_MAX, Error, KEY_WAIT_MAX, PLAY_MAX, QUICK_MAX, Waited,
};

/// The keys of a telephone.
const KEYS: &str = "0123456789*#ABCD";

/// A channel in `AGI()`. Dropped, it ends the connection, and the dialplan goes on.
///
/// After an error of the connection or of the protocol, and after a command that was given up before its answer, every other
/// command is [`Error::Closed`] (or [`Error::HungUp`], where that was said).
pub struct Session {
    /// Taken out while a command is under way: what is given up in the middle is closed.
    connection: Option<BufReader<TcpStream>>,
    request: Request,
    hung_up: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("open", &self.connection.is_some())
            .field("hung_up", &self.hung_up)
            .finish_non_exhaustive()
    }
}

/// How a sound file ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Played {
    /// The key that ended it; `None` = it was played to its end.
    pub key: Option<char>,
    /// Where it ended, in samples (8000 a second for a telephone's).
    pub samples: u64,
}

impl fmt::Debug for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Played")
            .field("by_key", &self.key.is_some())
            .field("samples", &self.samples)
            .finish()
    }
}

/// State of a channel (`include/asterisk/channelstate.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelState {
    /// 0
    Down,
    /// 1
    Reserved,
    /// 2
    OffHook,
    /// 3
    Dialing,
    /// 4
    Ring,
    /// 5
    Ringing,
    /// 6: two can talk.
    Up,
    /// 7
    Busy,
    /// 8
    DialingOffHook,
    /// 9
    Prering,
}

impl ChannelState {
    const ALL: [Self; 10] = [
        Self::Down,
        Self::Reserved,
        Self::OffHook,
        Self::Dialing,
        Self::Ring,
        Self::Ringing,
        Self::Up,
        Self::Busy,
        Self::DialingOffHook,
        Self::Prering,
    ];
}

impl Session {
    /// Reads the environment block of a new connection.
    pub(crate) async fn open(stream: TcpStream) -> Result<Self, Error> {
        // Commands are short, and each waits for its answer.
        stream.set_nodelay(true).map_err(|_| Error::Closed)?;
        let mut connection = BufReader::new(stream);
        let request = timeout(ENVIRONMENT_MAX, protocol::request(&mut connection))
            .await
            .map_err(|_| Error::TimedOut(Waited::Environment))??;
        Ok(Self {
            connection: Some(connection),
            request,
            hung_up: false,
        })
    }

    /// What Asterisk said of the channel, and what the dialplan asks for.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Whether Asterisk has said, before the last answer, that the channel was hung up.
    #[must_use]
    pub fn is_hung_up(&self) -> bool {
        self.hung_up
    }

    /// Value of a variable, or of a function as `CHANNEL(language)`; `None` where it is not set. Works on a channel that was hung up.
    ///
    /// # Errors
    /// [`Error`]; the name is one of the dialplan's.
    pub async fn get_variable(&mut self, name: &str) -> Result<Option<String>, Error> {
        let line = command("GET VARIABLE", &[variable(name)?])?;
        match self.done(line, QUICK_MAX).await? {
            (0, None, None) => Ok(None),
            (1, Some(value), None) => Ok(Some(value)),
            _ => Err(self.not_an_answer()),
        }
    }

    /// An expression, as `${IMPORT(${BRIDGEPEER},UNIQUEID)}`, evaluated on this channel. Everything in it is evaluated: never put text from
    /// outside into it. Works on a channel that was hung up.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn evaluate(&mut self, expression: &str) -> Result<String, Error> {
        let line = command("GET FULL VARIABLE", &[expression])?;
        match self.done(line, QUICK_MAX).await? {
            (1, Some(value), None) => Ok(value),
            _ => Err(self.not_an_answer()),
        }
    }

    /// Sets a variable, or a function as `CHANNEL(language)`. The value is not evaluated. Works on a channel that was hung up.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn set_variable(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let line = command("SET VARIABLE", &[variable(name)?, value])?;
        match self.done(line, QUICK_MAX).await? {
            (1, None, None) => Ok(()),
            _ => Err(self.not_an_answer()),
        }
    }

    /// Plays a sound file (without its ending, as `ivrpay/help`), until its end or one of the keys. Keys that are pressed between two
    /// commands are lost.
    ///
    /// # Errors
    /// [`Error::HungUp`]; [`Error::Failed`] where the file is not there; [`Error`].
    pub async fn stream_file(&mut self, file: &str, keys: &str) -> Result<Played, Error> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/' | '.');
        if file.is_empty() || !file.chars().all(good) {
            return Err(Error::Argument(Argument::Name));
        }
        if !keys.chars().all(|key| KEYS.contains(key)) {
            return Err(Error::Argument(Argument::Keys));
        }
        let line = command("STREAM FILE", &[file, keys])?;
        self.alive()?;
        let (result, _, samples) = self.done(line, PLAY_MAX).await?;
        let samples = samples.ok_or_else(|| self.not_an_answer())?;
        if result == -1 {
            return Err(self.why_failed().await);
        }
        if result == 0 {
            return Ok(Played { key: None, samples });
        }
        match key(result).filter(|key| keys.contains(*key)) {
            Some(key) => Ok(Played {
                key: Some(key),
                samples,
            }),
            None => Err(self.not_an_answer()),
        }
    }

    /// Waits for one key of a menu; `None` when none came in time (or a tone that is no key: a fax machine's). `wait` is 1 ms to
    /// [`KEY_WAIT_MAX`].
    ///
    /// # Errors
    /// [`Error::HungUp`]; [`Error`].
    pub async fn wait_for_key(&mut self, wait: Duration) -> Result<Option<char>, Error> {
        if wait.as_millis() == 0 || wait > KEY_WAIT_MAX {
            return Err(Error::Argument(Argument::Wait));
        }
        let line = command("WAIT FOR DIGIT", &[&wait.as_millis().to_string()])?;
        self.alive()?;
        match self.done(line, wait + QUICK_MAX).await?.0 {
            -1 => Err(self.why_failed().await),
            result => Ok(key(result)),
        }
    }

    /// Runs an application of the dialplan, as `ChannelRedirect`; what it returns (0 for most). Its arguments, with commas between, are
    /// not evaluated. Works on a channel that was hung up, as far as the application does.
    ///
    /// # Errors
    /// [`Error::NoSuchApplication`]; where it returned -1, [`Error::HungUp`] or [`Error::Failed`]; [`Error`].
    pub async fn exec(&mut self, application: &str, arguments: &str) -> Result<i32, Error> {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if application.is_empty() || !application.chars().all(good) {
            return Err(Error::Argument(Argument::Name));
        }
        let line = command("EXEC", &[application, arguments])?;
        match self.done(line, EXEC_MAX).await?.0 {
            -2 => Err(Error::NoSuchApplication),
            -1 => Err(self.why_failed().await),
            1 => {
                self.usage_behind().await?;
                Ok(1)
            }
            result => Ok(result),
        }
    }

    /// State of the channel.
    ///
    /// # Errors
    /// [`Error::HungUp`]; [`Error`].
    pub async fn channel_status(&mut self) -> Result<ChannelState, Error> {
        let line = command("CHANNEL STATUS", &[])?;
        self.alive()?;
        let (result, ..) = self.done(line, QUICK_MAX).await?;
        let state = usize::try_from(result).ok();
        state
            .and_then(|state| ChannelState::ALL.get(state).copied())
            .ok_or_else(|| self.not_an_answer())
    }

    /// Writes a line to Asterisk's log, at a level of verbosity from 1 to 4: our words, never a caller's.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn verbose(&mut self, words: &str, level: u8) -> Result<(), Error> {
        let line = command("VERBOSE", &[words, &level.to_string()])?;
        self.done(line, QUICK_MAX).await.map(drop)
    }

    /// Why there was a -1: Asterisk says it for a hang-up and for everything else, and tells of the hang-up before its next answer
    /// (`res/res_agi.c: run_agi`).
    async fn why_failed(&mut self) -> Error {
        match self.channel_status().await {
            Ok(_) if !self.hung_up => Error::Failed,
            Ok(_) => Error::HungUp,
            Err(error) => error,
        }
    }

    /// An application that returns 1 is answered twice: with 200, and with the usage of `EXEC` (`res/res_agi.c: handle_exec` returns it, and 1 is
    /// `RESULT_SHOWUSAGE`). Takes that off, if it comes: up to the answer of a command that does nothing.
    async fn usage_behind(&mut self) -> Result<(), Error> {
        let mut connection = self.take()?;
        let both = async {
            send(&mut connection, b"NOOP\n").await?;
            match protocol::answer(&mut connection, &mut self.hung_up).await? {
                Answer::Usage => protocol::answer(&mut connection, &mut self.hung_up).await,
                answer => Ok(answer),
            }
        };
        let answer = timeout(QUICK_MAX, both)
            .await
            .map_err(|_| Error::TimedOut(Waited::Answer))??;
        match answer {
            Answer::Done { result: 0, .. } => {
                self.connection = Some(connection);
                Ok(())
            }
            _ => Err(Error::NotAnAnswer),
        }
    }

    /// Sends a command; the parts of its 200.
    async fn done(
        &mut self,
        line: Vec<u8>,
        limit: Duration,
    ) -> Result<(i32, Option<String>, Option<u64>), Error> {
        let mut connection = self.take()?;
        let asked = async {
            quiet(&mut connection, &mut self.hung_up).await?;
            send(&mut connection, &line).await?;
            protocol::answer(&mut connection, &mut self.hung_up).await
        };
        let answer = timeout(limit, asked)
            .await
            .map_err(|_| Error::TimedOut(Waited::Answer))?;
        let answer = match answer {
            Err(Error::Closed) if self.hung_up => return Err(Error::HungUp),
            answer => answer?,
        };
        self.connection = Some(connection);
        match answer {
            Answer::Done {
                result,
                text,
                endpos,
            } => Ok((result, text, endpos)),
            Answer::NoSuchCommand => Err(Error::NoSuchCommand),
            Answer::Dead => {
                self.hung_up = true;
                Err(Error::HungUp)
            }
            Answer::Usage => Err(Error::Usage),
        }
    }

    fn take(&mut self) -> Result<BufReader<TcpStream>, Error> {
        self.connection.take().ok_or(if self.hung_up {
            Error::HungUp
        } else {
            Error::Closed
        })
    }

    /// An answer to another question: nothing that follows can be trusted.
    fn not_an_answer(&mut self) -> Error {
        self.connection = None;
        Error::NotAnAnswer
    }

    fn alive(&self) -> Result<(), Error> {
        if self.hung_up {
            return Err(Error::HungUp);
        }
        Ok(())
    }
}

/// Looks at what has come by now: `HANGUP`, or something that is no answer to the command that follows.
async fn quiet(connection: &mut BufReader<TcpStream>, hung_up: &mut bool) -> Result<(), Error> {
    loop {
        let waits = poll_fn(|context| {
            Poll::Ready(Pin::new(&mut *connection).poll_fill_buf(context).is_ready())
        });
        if !waits.await {
            return Ok(());
        }
        protocol::unasked(connection).await?;
        *hung_up = true;
    }
}

async fn send(connection: &mut BufReader<TcpStream>, line: &[u8]) -> Result<(), Error> {
    let sent = connection.get_mut().write_all(line).await;
    // A connection that is over may still have its last words unread.
    drop(sent);
    Ok(())
}

/// A variable's name, or a function's with its arguments.
fn variable(name: &str) -> Result<&str, Error> {
    let plain = |text: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !text.is_empty() && text.chars().all(good)
    };
    let good = match name.split_once('(') {
        Some((function, arguments)) => plain(function) && arguments.ends_with(')'),
        None => plain(name),
    };
    if good {
        Ok(name)
    } else {
        Err(Error::Argument(Argument::Name))
    }
}

/// The key of an answer, which has its ASCII code.
fn key(result: i32) -> Option<char> {
    let key = char::from(u8::try_from(result).ok()?);
    KEYS.contains(key).then_some(key)
}
