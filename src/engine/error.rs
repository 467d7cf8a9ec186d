//! The engine's one error: what kind it is, so that a caller can act on it, and a sentence that says what to do.

use std::fmt;

/// What went wrong, by what the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// An argument is wrong: correct it. Python's `ConfigError(ValueError)`.
    Config,
    /// A sound device is missing, busy or gone: choose another. Python's `DeviceError(OSError)`.
    Device,
    /// The network refused: check host, port, peer. Python's `TransportError(OSError)`.
    Transport,
    /// A recording could not be made or read: check folder, disk, file. Python's `RecordingError(OSError)`.
    Recording,
    /// The object is closed, or was used in another process than it was made in. Python's `StateError(RuntimeError)`.
    State,
}

/// An error: its kind, what happened, and the operating system's error number where there was one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    errno: Option<i32>,
}

/// The engine's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), errno: None }
    }

    /// A wrong argument.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// A sound device that does not do as asked.
    pub fn device(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Device, message)
    }

    /// `message: error`, keeping the operating system's number.
    pub fn io(kind: ErrorKind, message: impl fmt::Display, error: &std::io::Error) -> Self {
        Self { kind, message: format!("{message}: {error}"), errno: error.raw_os_error() }
    }

    /// The same, keeping `error`'s number where the sentence already says all of it.
    #[must_use]
    pub fn with_errno(mut self, error: &std::io::Error) -> Self {
        self.errno = error.raw_os_error();
        self
    }

    /// What the caller can do about it.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The operating system's error number, where it was one of its errors.
    pub const fn errno(&self) -> Option<i32> {
        self.errno
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
