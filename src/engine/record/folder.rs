//! The folder that recordings go to: what is put into it never overwrites anything and never leaves it.
//!
//! Guaranteed: a name that is absolute, climbs, passes through a symbolic link or holds control characters is refused;
//! the file is created anew in one step of the file system (`O_EXCL`, which follows no link). The folder itself may be a link:
//! it is the user's choice. Not guaranteed: protection from another process that swaps folders for links in between.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::local_time::LocalTime;
use crate::engine::error::{Error, ErrorKind, Result};

/// Creates an empty file in `folder` and returns its path: `name`, with `.wav` where it has no extension, or
/// `recording_YYYYmmdd_HHMMSS.wav`; `_1`, `_2`, … is appended to the stem where that is taken. Folders are made as needed.
pub fn place(folder: &Path, name: Option<&str>, now: LocalTime) -> Result<PathBuf> {
    place_open(folder, name, now).map(|(path, _)| path)
}

/// As [`place`], and the file itself, open for writing.
pub fn place_open(folder: &Path, name: Option<&str>, now: LocalTime) -> Result<(PathBuf, File)> {
    let relative = match name {
        Some(name) => inner_path(name)?,
        None => format!("recording_{}.wav", now.stamp()).into(),
    };
    fs::create_dir_all(folder).map_err(|e| refused(folder, &e))?;
    let parent = make_inner(folder, relative.parent().unwrap_or(Path::new("")))?;
    let stem = text(relative.file_stem());
    let extension = text(relative.extension());
    for count in 0..MOST_ALIKE {
        let counter = if count == 0 { String::new() } else { format!("_{count}") };
        let path = parent.join(format!("{stem}{counter}.{extension}"));
        // The notes beside a recording bear its name; those of another must not be taken over, either.
        if path.with_extension("json").symlink_metadata().is_ok() {
            continue;
        }
        match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(refused(&path, &e)),
        }
    }
    Err(Error::new(
        ErrorKind::Recording,
        format!("{} holds {MOST_ALIKE} files named {stem}…: choose another name", parent.display()),
    ))
}

/// Gives the file at `current` its final name in `folder`, by the rules of [`place`]; returns its new path. Where that
/// fails, it keeps the old one.
pub fn rename_into(current: &Path, folder: &Path, name: &str) -> Result<PathBuf> {
    // The old name is no rival to itself.
    if folder.join(inner_path(name)?) == current {
        return Ok(current.into());
    }
    // Reserve the name with an empty file, then replace that: nothing else can be overwritten.
    let path = place(folder, Some(name), LocalTime::from_unix(0))?;
    fs::rename(current, &path).map_err(|e| {
        let _ = fs::remove_file(&path);
        let what = format!("cannot rename {} to {}", current.display(), path.display());
        Error::io(ErrorKind::Recording, what, &e)
    })?;
    Ok(path)
}

/// Whether `name` may be given to a recording; the error says why not.
pub fn check_name(name: &str) -> Result<()> {
    inner_path(name).map(drop)
}

/// `name` as a path that stays inside the folder, with an extension.
fn inner_path(name: &str) -> Result<PathBuf> {
    let bad = |why: &str| Err(Error::config(format!("a recording's name {why}: {name:?}")));
    if name.chars().any(char::is_control) {
        return bad("must not hold control characters");
    }
    if name.contains('\\') {
        return bad("must not hold a backslash (folders inside the folder are written with /)");
    }
    let mut path = PathBuf::new();
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => return bad("must not leave the recordings' folder ('..')"),
            Component::RootDir | Component::Prefix(_) => {
                return bad("must not be an absolute path: it is a name inside the recordings' folder");
            }
        }
    }
    if path.as_os_str().is_empty() || name.ends_with('/') || name.ends_with("/.") {
        return bad("must name a file");
    }
    if path.extension().is_none_or(std::ffi::OsStr::is_empty) {
        let mut file = path.file_name().unwrap_or_default().to_owned();
        file.push(if name.ends_with('.') { "wav" } else { ".wav" });
        path.set_file_name(file);
    }
    Ok(path)
}

/// Makes the folders of `inner` below `folder`, refusing links on the way.
fn make_inner(folder: &Path, inner: &Path) -> Result<PathBuf> {
    let mut path = folder.to_path_buf();
    for part in inner {
        path.push(part);
        match fs::create_dir(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                let kind = path.symlink_metadata().map_err(|e| refused(&path, &e))?.file_type();
                if !kind.is_dir() {
                    let is = if kind.is_symlink() { "a symbolic link" } else { "not a folder" };
                    let text = format!("a recording cannot go into {}: it is {is}", path.display());
                    return Err(Error::config(text));
                }
            }
            Err(e) => return Err(refused(&path, &e)),
        }
    }
    Ok(path)
}

fn refused(path: &Path, error: &io::Error) -> Error {
    let kind = match error.raw_os_error() {
        Some(libc::ENAMETOOLONG) => ErrorKind::Config,
        _ => ErrorKind::Recording,
    };
    Error::io(kind, format!("cannot record to {}", path.display()), error)
}

fn text(part: Option<&std::ffi::OsStr>) -> String {
    part.unwrap_or_default().to_string_lossy().into_owned()
}

/// How many recordings may share a name but for their counter.
const MOST_ALIKE: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::record::tests::TempDir;
    use std::os::unix::fs::symlink;

    fn noon() -> LocalTime {
        LocalTime { year: 2024, month: 1, day: 2, hour: 12, minute: 0, second: 0, utc_offset_minutes: 0 }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut all: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        all.sort();
        all
    }

    #[test]
    fn recordings_are_named_by_the_time_and_never_overwritten() {
        let temp = TempDir::new();
        let folder = temp.path().join("a/Recording");
        for _ in 0..3 {
            place(&folder, None, noon()).unwrap();
        }
        place(&folder, Some("take"), noon()).unwrap();
        place(&folder, Some("take.wav"), noon()).unwrap();
        place(&folder, Some("x.y.wav"), noon()).unwrap();
        assert_eq!(
            names(&folder),
            [
                "recording_20240102_120000.wav",
                "recording_20240102_120000_1.wav",
                "recording_20240102_120000_2.wav",
                "take.wav",
                "take_1.wav",
                "x.y.wav"
            ]
        );
    }

    #[test]
    fn a_name_that_leaves_the_folder_is_refused() {
        let temp = TempDir::new();
        let folder = temp.path().join("Recording");
        for name in [
            "../x.wav",
            "a/../../x.wav",
            "a/..",
            "..",
            "/etc/x.wav",
            "a\0b.wav",
            "a\nb.wav",
            "",
            ".",
            "a/",
            "a/.",
            "..\\x.wav",
            "/",
        ] {
            let error = place(&folder, Some(name), noon()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{name:?}: {error}");
        }
        let long = "x".repeat(300);
        assert_eq!(place(&folder, Some(&long), noon()).unwrap_err().kind(), ErrorKind::Config);
        assert_eq!(names(temp.path()), ["Recording"]);
        assert_eq!(names(&folder), [""; 0]);
    }

    #[test]
    fn links_lead_nowhere() {
        let temp = TempDir::new();
        let folder = temp.path().join("Recording");
        let outside = temp.path().join("outside");
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir(&outside).unwrap();
        symlink(&outside, folder.join("way")).unwrap();
        symlink(outside.join("made.wav"), folder.join("take.wav")).unwrap();
        let error = place(&folder, Some("way/x.wav"), noon()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let path = place(&folder, Some("take"), noon()).unwrap();
        assert_eq!(path, folder.join("take_1.wav"));
        assert_eq!(names(&outside), [""; 0]);
    }

    #[test]
    fn folders_inside_the_folder_are_made() {
        let temp = TempDir::new();
        let path = place(temp.path(), Some("./day/one"), noon()).unwrap();
        assert_eq!(path, temp.path().join("day/one.wav"));
        fs::write(temp.path().join("plain"), "").unwrap();
        assert_eq!(place(temp.path(), Some("plain/x"), noon()).unwrap_err().kind(), ErrorKind::Config);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_a_recording_error() {
        // A place where nobody may create files, root included.
        let error = place(Path::new("/proc/self/recordings"), None, noon()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Recording);
        assert!(error.errno().is_some());
    }

    #[test]
    fn a_rename_overwrites_nothing() {
        let temp = TempDir::new();
        fs::write(temp.path().join("take.wav"), "old").unwrap();
        let current = place(temp.path(), None, noon()).unwrap();
        fs::write(&current, "new").unwrap();
        let path = rename_into(&current, temp.path(), "take").unwrap();
        assert_eq!(path, temp.path().join("take_1.wav"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(names(temp.path()), ["take.wav", "take_1.wav"]);
        assert_eq!(rename_into(&path, temp.path(), "take_1.wav").unwrap(), path);
        assert_eq!(rename_into(&path, temp.path(), "../out").unwrap_err().kind(), ErrorKind::Config);
        let missing = rename_into(&temp.path().join("gone.wav"), temp.path(), "z").unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Recording);
        assert_eq!(names(temp.path()), ["take.wav", "take_1.wav"]);
    }
}
