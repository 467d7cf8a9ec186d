//! The rooms know only those below them. Reads the `use` lines and fails on an arrow that points back.

use std::fs;
use std::path::Path;

/// Each room with its floor; a room may use those on floors below, and the neighbours named here.
const FLOORS: [(&str, u8); 26] = [
    ("ahead", 0),
    ("error", 0),
    ("exact", 0),
    ("time", 0),
    ("format", 1),
    ("url", 1),
    ("key", 1),
    ("networks", 1),
    ("printable", 0),
    ("coding", 2),
    ("rate", 2),
    ("sim", 1),
    ("config", 3),
    ("stats", 4),
    ("codec", 5),
    ("wire", 5),
    ("stream", 6),
    ("playout", 7),
    ("net", 8),
    ("record", 8),
    ("audio", 9),
    ("session", 10),
    ("lab", 10),
    // Value types that the wire's sequence numbers become.
    ("stream::queue", 0),
    ("mod", 10),
    ("bindings", 11),
];

/// Neighbours on one floor, and the simulator's tools for tests of what it simulates.
const ALSO: [(&str, &str); 2] = [("wire", "codec"), ("format", "error")];

#[test]
fn no_arrow_between_rooms_points_back() {
    let mut wrong = Vec::new();
    let mut files = Vec::new();
    collect(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/engine")), &mut files);
    assert!(files.len() > 50, "the rooms are where they were");
    for file in files {
        let path = file.replace('\\', "/");
        let inside = path.split("/src/engine/").nth(1).unwrap_or_default();
        let room = inside.split('/').next().unwrap_or_default().trim_end_matches(".rs");
        let text = fs::read_to_string(&file).unwrap_or_default();
        // Tests may use whatever shows that the room works.
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        if inside.ends_with("tests.rs") || inside.contains("/tests/") {
            continue;
        }
        for line in code.lines().map(str::trim_start).filter(|line| line.starts_with("use crate::")) {
            let Some(target) = line.strip_prefix("use crate::engine::") else {
                wrong.push(format!("{inside}: {line}"));
                continue;
            };
            let name = target.split([':', ';', ' ']).next().unwrap_or_default();
            let name = if target.starts_with("stream::queue") { "stream::queue" } else { name };
            let allowed = name == room
                || floor(name) < floor(room)
                || ALSO.contains(&(room, name))
                || name.starts_with('{');
            if !allowed {
                wrong.push(format!("{inside}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point back:\n{}", wrong.join("\n"));
}

/// The C library's functions differ in their last bit from machine to machine: where that could decide a count, the lab's
/// figures would differ, too.
#[test]
fn nothing_that_counts_depends_on_the_c_library() {
    let mut files = Vec::new();
    for room in ["lab", "sim", "stream", "playout", "audio/voice.rs"] {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine").join(room);
        if place.is_dir() {
            collect(&place, &mut files);
        } else {
            files.push(place.display().to_string());
        }
    }
    assert!(files.len() > 50, "the rooms are where they were");
    let mut wrong = Vec::new();
    // `fit.rs` is part of tests alone.
    for file in files.iter().filter(|file| !file.contains("tests") && !file.ends_with("/fit.rs")) {
        let text = fs::read_to_string(file).expect("a file can be read");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            if INEXACT.iter().any(|name| line.contains(&format!(".{name}("))) {
                wrong.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "engine::exact has these:\n{}", wrong.join("\n"));
}

const INEXACT: [&str; 20] = [
    "sin", "cos", "tan", "sin_cos", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "exp", "exp2",
    "exp_m1", "ln", "ln_1p", "log2", "log10", "powf", "powi",
];

fn floor(room: &str) -> u8 {
    FLOORS.iter().find(|(name, _)| *name == room).map_or(0, |(_, floor)| *floor)
}

fn collect(folder: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("the folder can be read").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path.display().to_string());
        }
    }
}
