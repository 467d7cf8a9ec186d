use super::*;
use crate::engine::record::tests::{TempDir, wait_until};
use crate::engine::stats::Reception;
use crate::engine::stream::queue::Position;
use crate::engine::stream::reports::{Ntp, WallClock};

const PATIENCE: Duration = Duration::from_millis(200);

fn about(number: u32, name: Option<&str>) -> About {
    About {
        number,
        ssrc: 7,
        address: format!("192.0.2.{number}:5004"),
        transport: "udp",
        wire: "rtp",
        codec: "L16/44100/1".into(),
        cname: None,
        name: name.map(Into::into),
        reception: Reception::default(),
        dropped: 0,
        sender_clock: None,
        wall: WallClock::new(Micros(0), Duration::from_secs(1_700_000_000)),
    }
}

fn packet(k: u64) -> (Head, Vec<i16>) {
    let head = Head {
        position: Position((1 << 32) + 1_000 + k * 441),
        arrival: Micros(5_000_000 + k * 10_000),
        frames: 441,
        ..Head::default()
    };
    (head, sound(k))
}

fn sound(k: u64) -> Vec<i16> {
    (0..441).map(|n| ((k * 441 + n) * 7 + 1) as i16).collect()
}

fn push(writer: &mut TrackWriter, take: u32, order: &[u64]) {
    for &k in order {
        let (head, samples) = packet(k);
        assert!(writer.push(take, head, &samples));
    }
}

fn read(path: &Path) -> Vec<i16> {
    hound::WavReader::open(path).unwrap().samples().map(Result::unwrap).collect()
}

fn wavs(folder: &Path) -> Vec<String> {
    let all = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut all: Vec<String> = all.filter(|name| !name.ends_with("json")).collect();
    all.sort();
    all
}

#[test]
fn each_source_is_a_file_of_its_own_with_silence_for_what_was_lost() {
    let temp = TempDir::new();
    let (mut writer, recorder) = TrackRecorder::start(PATIENCE).unwrap();
    let place = || Place::Folder(temp.path().into());
    let (one, first) = writer.begin(Format::DEFAULT, about(1, Some("Ada")), place()).unwrap();
    let (two, second) = writer.begin(Format::DEFAULT, about(2, Some("Ada")), place()).unwrap();
    for k in 0..50 {
        push(&mut writer, one, &[k]);
        if k % 10 != 3 {
            push(&mut writer, two, &[k ^ 1]);
        }
    }
    lock(&first.about).sender_clock = Some((Ntp::from_unix(Duration::from_secs(1_600_000_000)), 45_100));
    lock(&first.about).reception = Reception { expected: 50, received: 50, ..Reception::default() };
    recorder.stop().unwrap();
    let (first, second) = (first.wait().unwrap().unwrap(), second.wait().unwrap().unwrap());
    assert_ne!(first.path, second.path, "two of one name");
    assert!(first.path.file_name().unwrap().to_str().unwrap().starts_with("Ada_2"), "{:?}", first.path);
    assert_eq!(read(&first.path), (0..50).flat_map(sound).collect::<Vec<_>>());
    let lost = |k: u64| (k ^ 1) % 10 == 3;
    let expected = (0..50).flat_map(|k| if lost(k) { vec![0; 441] } else { sound(k) });
    assert_eq!(read(&second.path), expected.collect::<Vec<_>>());
    let json = fs::read_to_string(first.path.with_extension("json")).unwrap();
    for part in [
        r#""source": {"number": 1, "ssrc": 7, "address": "192.0.2.1:5004", "protocol": "udp", "wire": "rtp""#,
        // A second before the moment that the sender told.
        r#""first_frame": {"timestamp": 1000, "arrived": 1700000005.000000, "sent": 1599999999.000000}"#,
        r#""packets": {"expected": 50, "received": 50, "lost": 0"#,
        r#""source": 1, "label": "Ada", "first_frame": 0, "frames": 22050, "packets": 50"#,
    ] {
        assert!(json.contains(part), "{part}\n{json}");
    }
}

#[test]
fn a_file_is_there_at_once_and_takes_its_sources_name_when_that_is_known() {
    let temp = TempDir::new();
    let (mut writer, recorder) = TrackRecorder::start(PATIENCE).unwrap();
    let place = || Place::Folder(temp.path().into());
    let (one, named) = writer.begin(Format::DEFAULT, about(1, None), place()).unwrap();
    let (two, nameless) = writer.begin(Format::DEFAULT, about(2, None), place()).unwrap();
    push(&mut writer, one, &[1, 0, 2]);
    push(&mut writer, two, &[0, 1]);
    wait_until("both files", || wavs(temp.path()).len() == 2);
    lock(&named.about).name = Some("../Ada".into());
    writer.end(|_| false);
    let (named, nameless) = (named.wait().unwrap().unwrap(), nameless.wait().unwrap().unwrap());
    assert_eq!((named.frames, nameless.frames), (3 * 441, 2 * 441));
    assert_eq!(named.path.parent(), Some(temp.path()));
    let files = wavs(temp.path());
    assert!(files[0].starts_with("192.0.2.2_5004_2") && files[1].starts_with("Ada_2"), "{files:?}");
    recorder.stop().unwrap();
}

#[test]
fn a_source_that_is_recorded_again_gets_another_file() {
    let temp = TempDir::new();
    let (mut writer, recorder) = TrackRecorder::start(PATIENCE).unwrap();
    let mut takes = Vec::new();
    for round in 0..3 {
        let place = Place::Folder(temp.path().into());
        let (number, take) = writer.begin(Format::DEFAULT, about(1, Some("Ada")), place).unwrap();
        push(&mut writer, number, &[round, round + 1]);
        writer.end(|_| false);
        takes.push(take);
    }
    for (round, take) in (0..).zip(takes) {
        let path = take.wait().unwrap().unwrap().path;
        assert_eq!(read(&path), [sound(round), sound(round + 1)].concat());
    }
    assert_eq!(wavs(temp.path()).len(), 3);
    recorder.stop().unwrap();
}

#[test]
fn so_many_at_once_by_two_threads_and_room_again_when_they_are_over() {
    let temp = TempDir::new();
    let files = || {
        let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
        links.filter_map(|e| fs::read_link(e.path()).ok()).filter(|to| to.starts_with(temp.path())).count()
    };
    let (mut writer, recorder) = TrackRecorder::start(PATIENCE).unwrap();
    for round in 0..2 {
        let mut takes = Vec::new();
        for number in 0..MOST_TAKES as u32 {
            let place = Place::Folder(temp.path().into());
            takes.push(writer.begin(Format::DEFAULT, about(number, Some("x")), place).unwrap());
        }
        let more = writer.begin(Format::DEFAULT, about(999, None), Place::Folder(temp.path().into()));
        let error = more.err().unwrap();
        assert!(error.kind() == ErrorKind::State && error.message().contains("128"), "{error}");
        for (number, _) in &takes {
            push(&mut writer, *number, &[0]);
        }
        wait_until("all files", || takes.iter().all(|(_, take)| take.progress().path.is_some()));
        assert_eq!(files(), MOST_TAKES, "one file each");
        writer.end(|_| false);
        for (_, take) in takes {
            assert_eq!(take.wait().unwrap().unwrap().frames, 441);
        }
        wait_until("no file is open", || files() == 0);
        assert_eq!(wavs(temp.path()).len(), (round + 1) * MOST_TAKES);
    }
    assert_eq!(writer.failed(), 0);
    recorder.stop().unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_is_told_and_counted_and_the_others_go_on() {
    let temp = TempDir::new();
    let (mut writer, recorder) = TrackRecorder::start(PATIENCE).unwrap();
    let nowhere = Place::Folder("/proc/self/recordings".into());
    let (bad, refused) = writer.begin(Format::DEFAULT, about(1, Some("x")), nowhere).unwrap();
    let (good, kept) =
        writer.begin(Format::DEFAULT, about(2, Some("y")), Place::Folder(temp.path().into())).unwrap();
    push(&mut writer, bad, &[0, 1]);
    push(&mut writer, good, &[0, 1]);
    recorder.stop().unwrap();
    assert_eq!(refused.wait().unwrap(), None);
    assert_eq!(refused.progress().error.unwrap().kind(), ErrorKind::Recording);
    assert_eq!(kept.wait().unwrap().unwrap().frames, 882);
    assert_eq!(writer.failed(), 1);
}
