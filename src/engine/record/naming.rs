//! File names for what is called by somebody else. Pure.

use super::local_time::LocalTime;

/// The name of a recording that begins now of somebody of that name, whatever that holds: letters, digits, `-`, `_` and `.` are
/// kept, everything else becomes `_`; no dot at the beginning, at most 80 bytes of it, `source` where nothing is left.
pub fn file_name(called: &str, now: LocalTime) -> String {
    let mut name = String::new();
    for c in called.chars() {
        let c = if c.is_alphanumeric() || matches!(c, '-' | '.') { c } else { '_' };
        if c == '_' && (name.is_empty() || name.ends_with('_')) || c == '.' && name.is_empty() {
            continue;
        }
        if name.len() + c.len_utf8() > MOST_BYTES {
            break;
        }
        name.push(c);
    }
    let name = name.trim_end_matches(['_', '.']);
    format!("{}_{}.wav", if name.is_empty() { "source" } else { name }, now.stamp())
}

/// With the time, a counter and a sidecar's ending it stays below the 255 that file systems allow.
const MOST_BYTES: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::record::folder;
    use proptest::prelude::*;

    fn noon() -> LocalTime {
        LocalTime { year: 2024, month: 1, day: 2, hour: 12, minute: 0, second: 0, utc_offset_minutes: 0 }
    }

    #[test]
    fn a_name_says_who_it_is_and_leads_nowhere() {
        let long = "ä".repeat(300);
        for (called, name) in [
            ("Ada", "Ada"),
            ("Ada Lovelace", "Ada_Lovelace"),
            ("../../x", "x"),
            ("/etc/passwd", "etc_passwd"),
            ("", "source"),
            ("..", "source"),
            ("...hidden.", "hidden"),
            ("a\\b\0c\nd", "a_b_c_d"),
            ("ユニコード 7", "ユニコード_7"),
            ("\u{202e}gpj.exe", "gpj.exe"),
            ("[::1]:5004", "1_5004"),
            (long.as_str(), &long[..80]),
        ] {
            assert_eq!(file_name(called, noon()), format!("{name}_20240102_120000.wav"), "{called:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_name_the_folder_takes_it(called in any::<String>()) {
            let name = file_name(&called, noon());
            prop_assert!(folder::check_name(&name).is_ok(), "{}", name);
            prop_assert!(name.len() < 120 && !name.contains('/') && !name.starts_with('.'));
        }
    }
}
