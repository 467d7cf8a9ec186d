//! Recordings as a whole: threads, real files, killed processes, full disks.
//!
//! What must happen to a whole process happens to this test binary, started anew with a role (see `child`).

use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::park_timeout;
use std::time::Duration;
use std::{env, fs};

use super::reception::{Notes, ReceptionRecorder};
use super::tap::{TapRecorder, TapWriter};
use super::wav::WavWriter;
use crate::engine::error::ErrorKind;
use crate::engine::format::Format;
use crate::engine::stream::queue::{Head, Position, packet_queue};
use crate::engine::time::{Clock, Micros};

/// A folder that is gone with its value.
pub(super) struct TempDir(PathBuf);

impl TempDir {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("as-record-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn read(path: &Path) -> Vec<i16> {
    let mut reader = hound::WavReader::open(path).unwrap();
    // What the header says is all that is there.
    let data = fs::metadata(path).unwrap().len() - 80;
    assert_eq!(u64::from(reader.len()) * 2, data);
    reader.samples::<i16>().map(Result::unwrap).collect()
}

fn ramp(from: usize, count: usize) -> Vec<i16> {
    (from..from + count).map(|i| i as i16).collect()
}

pub(super) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let clock = Clock::new();
    let start = clock.now();
    while !done() {
        assert!(clock.now().since(start) < Duration::from_secs(20), "waited in vain: {what}");
        park_timeout(Duration::from_millis(5));
    }
}

/// Pushes a ramp in pieces of all sizes until `end`, never so fast that the queue overflows.
fn push_ramp(tap: &mut TapWriter, recorder: &TapRecorder, start: usize, end: usize) {
    let mut at = start;
    let mut size = 1;
    while at < end {
        size = size * 7 % 1_009 + 1;
        let count = size.min(end - at);
        tap.push(&ramp(at, count));
        at += count;
        if (at - start) / 200_000 != (at - start - count) / 200_000 {
            wait_until("the writer keeps up", || {
                let state = recorder.state();
                !state.recording || state.frames + 100_000 >= (at - start) as u64
            });
        }
    }
}

#[test]
fn what_is_appended_is_there_at_once() {
    let temp = TempDir::new();
    let path = temp.path().join("x.wav");
    let mut wav = WavWriter::create(&path, Format::DEFAULT).unwrap();
    assert_eq!(read(&path), [0i16; 0]);
    wav.append(&ramp(0, 441)).unwrap();
    assert_eq!(read(&path), ramp(0, 441));
    wav.append_silence(100_000).unwrap();
    wav.append(&ramp(0, 10_000)).unwrap();
    let got = read(&path);
    assert_eq!((got.len(), &got[100_441..]), (110_441, &ramp(0, 10_000)[..]));
    wav.append(&[1]).unwrap();
    wav.sync().unwrap();
    assert_eq!(read(&path).len(), 110_442);
    assert_eq!(wav.finish().unwrap(), 110_442);
}

#[test]
fn a_recording_past_4_gib_is_rf64_that_holds_its_end() {
    let temp = TempDir::new();
    let path = temp.path().join("long.wav");
    let mut wav = WavWriter::create(&path, Format::new(48_000, 2).unwrap()).unwrap();
    wav.append(&ramp(0, 960)).unwrap();
    wav.append_silence((1 << 30) - 1_000).unwrap();
    wav.append(&ramp(7, 4_000)).unwrap();
    let frames = wav.finish().unwrap();
    assert_eq!(frames, 480 + (1 << 30) - 1_000 + 2_000);
    check_rf64(&path, frames);
}

fn check_rf64(path: &Path, frames: u64) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::open(path).unwrap();
    let mut header = [0u8; 80];
    file.read_exact_at(&mut header, 0).unwrap();
    let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap());
    let length = file.metadata().unwrap().len();
    assert_eq!(&header[..4], b"RF64");
    assert_eq!(&header[12..16], b"ds64");
    assert_eq!((number(20), number(28), number(36)), (length - 8, length - 80, frames));
    assert_eq!(length, 80 + frames * 4);
    let mut end = [0u8; 8_000];
    file.read_exact_at(&mut end, length - 8_000).unwrap();
    let want: Vec<u8> = ramp(7, 4_000).iter().flat_map(|s| s.to_le_bytes()).collect();
    assert_eq!(end[..], want[..]);
}

#[test]
fn a_device_that_takes_nothing_is_an_error() {
    let error = WavWriter::create(Path::new("/dev/full"), Format::DEFAULT).err().unwrap();
    assert_eq!((error.kind(), error.errno()), (ErrorKind::Recording, Some(libc::ENOSPC)));
    let error = WavWriter::create(Path::new("/nowhere/x.wav"), Format::DEFAULT).err().unwrap();
    assert_eq!((error.kind(), error.errno()), (ErrorKind::Recording, Some(libc::ENOENT)));
}

#[test]
fn a_timed_recording_has_exactly_its_frames_and_ends_by_itself() {
    let temp = TempDir::new();
    let (mut tap, recorder) = TapRecorder::new(Format::DEFAULT).unwrap();
    tap.push(&[9; 441]);
    let path = recorder.start(temp.path(), Some(441_000)).unwrap();
    assert!(recorder.state().recording);
    push_ramp(&mut tap, &recorder, 0, 500_000);
    wait_until("it ends", || !recorder.state().recording);
    assert_eq!(recorder.stop(None).unwrap(), None);
    let last = recorder.state().last.unwrap();
    assert_eq!((last.frames, last.bytes, &last.path, &last.error), (441_000, 882_080, &path, &None));
    assert_eq!(read(&path), ramp(0, 441_000));
}

#[test]
fn a_recording_that_is_stopped_has_all_that_was_pushed_under_its_final_name() {
    let temp = TempDir::new();
    let (mut tap, mut recorder) = TapRecorder::new(Format::new(44_100, 2).unwrap()).unwrap();
    recorder.start(temp.path(), Some(1_000_000)).unwrap();
    tap.push(&ramp(0, 8_820));
    assert_eq!(recorder.start(temp.path(), None).unwrap_err().kind(), ErrorKind::State);
    assert_eq!(recorder.stop(Some("../x.wav")).unwrap_err().kind(), ErrorKind::Config);
    tap.push(&ramp(8_820, 882));
    let done = recorder.stop(Some("take one")).unwrap().unwrap();
    tap.push(&[7; 441]);
    assert_eq!((done.path.clone(), done.frames), (temp.path().join("take one.wav"), 4_851));
    assert_eq!(recorder.state().path, Some(done.path.clone()));
    assert_eq!(read(&done.path), ramp(0, 9_702));
    assert_eq!(recorder.stop(None).unwrap(), None);
    recorder.start(temp.path(), None).unwrap();
    tap.push(&ramp(5, 100));
    let closed = recorder.close().unwrap().unwrap();
    assert_eq!(read(&closed.path), ramp(5, 100));
    assert_eq!(recorder.close().unwrap(), None);
    assert_eq!(recorder.start(temp.path(), None).unwrap_err().kind(), ErrorKind::State);
}

#[test]
fn what_the_queue_cannot_hold_is_counted_and_silence_stands_for_it() {
    let temp = TempDir::new();
    let (mut tap, recorder) = TapRecorder::new(Format::new(8_000, 1).unwrap()).unwrap();
    recorder.start(temp.path(), None).unwrap();
    let mut pushed = 0;
    for _ in 0..1_000 {
        tap.push(&[1; 1_000]);
        pushed += 1_000;
    }
    // Until there is room again.
    wait_until("a frame fits", || {
        let before = recorder.state().dropped_frames;
        tap.push(&[2]);
        pushed += 1;
        recorder.state().dropped_frames == before
    });
    let done = recorder.stop(None).unwrap().unwrap();
    let dropped = recorder.state().dropped_frames;
    let got = read(&done.path);
    assert!(dropped > 0);
    assert_eq!(got.len(), pushed);
    assert_eq!(got.iter().filter(|&&s| s == 0).count() as u64, dropped);
    assert_eq!(got.last(), Some(&2));
}

#[test]
fn two_hundred_recordings_leave_no_file_open() {
    let temp = TempDir::new();
    let (mut tap, recorder) = TapRecorder::new(Format::DEFAULT).unwrap();
    let own = |folder: &Path| {
        let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
        links.filter_map(|e| fs::read_link(e.path()).ok()).filter(|t| t.starts_with(folder)).count()
    };
    for round in 0..200 {
        recorder.start(temp.path(), if round % 2 == 0 { None } else { Some(500) }).unwrap();
        tap.push(&ramp(round, 1_000));
        if round % 2 == 0 {
            assert_eq!(recorder.stop(None).unwrap().unwrap().frames, 1_000);
        } else {
            wait_until("it ends", || !recorder.state().recording);
            assert_eq!(recorder.state().last.unwrap().frames, 500);
        }
        assert_eq!(read(&recorder.state().path.unwrap())[0], round as i16);
    }
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 200);
    wait_until("no file is open", || own(temp.path()) == 0);
}

#[test]
fn what_arrives_is_recorded_with_notes_beside_it() {
    let temp = TempDir::new();
    let path = temp.path().join("heard.wav");
    let (mut queue, packets) = packet_queue(1_000, 500_001, 2);
    let notes = Notes { started: "2024-01-01T00:00:00+01:00".into(), ..Notes::default() };
    let format = Format::new(48_000, 2).unwrap();
    let recorder =
        ReceptionRecorder::start(path.clone(), format, packets, Duration::from_secs(2), notes.clone())
            .unwrap();
    notes.labels.lock().unwrap().push((3, "10.0.0.1:5004 \"x\"".into()));
    for k in [1u64, 0, 2, 4, 4, 3, 6] {
        let head = Head {
            source: 3,
            position: Position((1 << 32) + k * 480),
            arrival: Micros(5_000_000 + k * 10_000),
            frames: 480,
            ..Head::default()
        };
        assert!(queue.push(head, &ramp(k as usize * 960, 960)));
    }
    let done = recorder.stop().unwrap();
    assert_eq!((done.frames, &done.error), (7 * 480, &None));
    let mut want = ramp(0, 7 * 960);
    want[5 * 960..6 * 960].fill(0);
    assert_eq!(read(&path), want);
    let json = fs::read_to_string(temp.path().join("heard.json")).unwrap();
    for part in [
        r#""frames": 3360,"#,
        r#""finished": true"#,
        r#""source": 3, "label": "10.0.0.1:5004 \"x\"", "first_frame": 0, "frames": 2880, "packets": 7"#,
        r#""gaps": [{"frame": 2400, "frames": 480}]"#,
    ] {
        assert!(json.contains(part), "{part}\n{json}");
    }
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 2);
}

#[test]
fn a_killed_process_leaves_a_valid_file_short_by_little() {
    let temp = TempDir::new();
    let mut child = child_in("kill", temp.path(), None);
    let mut pushed = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if let Some(count) = line.unwrap().strip_prefix("pushed ") {
            pushed = count.parse().unwrap();
            if pushed >= 441 * 80 {
                break;
            }
        }
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    let path = fs::read_dir(temp.path()).unwrap().next().unwrap().unwrap().path();
    let mut reader = hound::WavReader::open(path).unwrap();
    let got: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    assert!(got.len() + 4_410 + 441 >= pushed, "{} of {pushed}", got.len());
    assert_eq!(got, ramp(0, got.len()));
}

#[test]
fn a_file_that_may_not_grow_ends_valid_and_the_sound_goes_on() {
    let temp = TempDir::new();
    let status = child_in("limit", temp.path(), None).wait().unwrap();
    assert!(status.success());
    check_cut_short(temp.path(), 80 + 101_234 / 2 * 2);
}

#[test]
fn a_full_disk_ends_the_recording_valid_and_the_sound_goes_on() {
    let temp = TempDir::new();
    // A file system of its own, seen by nobody else, gone with the child.
    let script = r#"mount -t tmpfs -o size=200k none "$RECORD_TEST_FOLDER" || exit 77; "$@" || exit 1; exec cp "$RECORD_TEST_FOLDER"/* "$RECORD_TEST_FOLDER"/../"${RECORD_TEST_FOLDER##*/}.out"/"#;
    let out = PathBuf::from(format!("{}.out", temp.path().display()));
    fs::create_dir(&out).unwrap();
    let status = child_in("full", temp.path(), Some(script)).wait().unwrap();
    if status.code() == Some(77) || status.code() == Some(1) && fs::read_dir(&out).unwrap().count() == 0 {
        // No right to mount here, not even in a namespace: the limit's test stands for this one.
        eprintln!("no small disk to be had here");
        assert!(!status.success());
    } else {
        assert!(status.success());
        check_cut_short(&out, 200 * 1024);
    }
    fs::remove_dir_all(out).unwrap();
}

/// One recording, about as long as there was room, and nothing in it but what it should be.
fn check_cut_short(folder: &Path, room: usize) {
    let path = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let got = read(&path);
    assert!(80 + got.len() * 2 <= room && 80 + got.len() * 2 + 4_096 > room, "{} of {room}", got.len() * 2);
    assert_eq!(got, ramp(0, got.len()));
}

fn child_in(role: &str, folder: &Path, script: Option<&str>) -> Child {
    let test = env::current_exe().unwrap();
    let mut command = match script {
        Some(script) => {
            let mut command = Command::new("unshare");
            command.args(["--mount", "--map-root-user", "sh", "-c", script, "sh"]).arg(test);
            command
        }
        None => Command::new(test),
    };
    command
        .args(["engine::record::tests::child", "--exact", "--nocapture", "--test-threads=1"])
        .env("RECORD_TEST_ROLE", role)
        .env("RECORD_TEST_FOLDER", folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Not a test but what the tests above start: does nothing without a role.
#[test]
fn child() {
    let (Ok(role), Ok(folder)) = (env::var("RECORD_TEST_ROLE"), env::var("RECORD_TEST_FOLDER")) else {
        return;
    };
    let folder = Path::new(&folder);
    let (mut tap, recorder) = TapRecorder::new(Format::DEFAULT).unwrap();
    if role == "limit" {
        limit_files(101_234);
    }
    recorder.start(folder, None).unwrap();
    if role == "kill" {
        for round in 0..2_000 {
            tap.push(&ramp(round * 441, 441));
            println!("pushed {}", (round + 1) * 441);
            std::io::stdout().flush().unwrap();
            park_timeout(Duration::from_millis(10));
        }
        return;
    }
    push_ramp(&mut tap, &recorder, 0, 200_000);
    wait_until("it ends", || !recorder.state().recording);
    let state = recorder.state();
    let error = state.error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Recording);
    assert_eq!(error.errno(), Some(if role == "limit" { libc::EFBIG } else { libc::ENOSPC }));
    assert_eq!(state.last.unwrap().error, Some(error));
    tap.push(&ramp(0, 441));
    assert_eq!(state.dropped_frames, 0);
}

/// Lets no file of this process grow past `bytes`; that is an error then, not a signal.
#[allow(unsafe_code, reason = "std knows neither limits nor signals")]
fn limit_files(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: plain values; the child process has no other thread that writes files.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
    }
}
