//! Traces of networks in files: where the text of `network=` names one, it is read here.
//!
//! A trace that was read stays for the program's life, so that a path's settings can be copied; one that is named again is
//! not read into a second place unless it has changed. All together they are bounded.

use std::fs::File;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use crate::engine::error::{Error, Result};
use crate::engine::sim::config::LinkConfig;
use crate::engine::sim::mahimahi::{self, Trace};

/// A path from its text, as [`LinkConfig::parse`] has it, with `trace=FILE`.
pub fn network(text: &str) -> Result<LinkConfig> {
    LinkConfig::parse_with(text, &load)
}

fn load(name: &str) -> Result<Trace> {
    let failed = |what: &dyn std::fmt::Display| {
        Error::config(format!("network: cannot read the trace {name:?}: {what}"))
    };
    let mut text = String::new();
    let file = File::open(name).map_err(|e| failed(&e))?;
    let length = file.take(LONGEST + 1).read_to_string(&mut text).map_err(|e| failed(&e))?;
    if length as u64 > LONGEST {
        return Err(failed(&"it is longer than 16 MiB"));
    }
    let moments = mahimahi::moments(name, &text)?;
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(trace) = kept.iter().find(|trace| trace.name == name && trace.is(&moments)) {
        return Ok(*trace);
    }
    if kept.iter().map(Trace::len).sum::<usize>() + moments.len() > MOST {
        return Err(failed(&"this program has read too many traces already"));
    }
    let trace =
        Trace::new(name.to_owned().leak(), moments.leak()).ok_or_else(|| failed(&"it is no trace"))?;
    kept.push(trace);
    Ok(trace)
}

static KEPT: Mutex<Vec<Trace>> = Mutex::new(Vec::new());
/// Hours of a fast link, bytes.
const LONGEST: u64 = 16 << 20;
/// Lines of all traces together: 128 MiB.
const MOST: usize = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_once_and_again_when_it_has_changed() {
        let path = std::env::temp_dir().join(format!("audiostream-trace-{}", std::process::id()));
        let text = format!("delay=5,trace={}", path.display());
        std::fs::write(&path, "1\n2\n").unwrap();
        let first = network(&text).unwrap().trace.unwrap();
        let again = network(&text).unwrap().trace.unwrap();
        assert!(std::ptr::eq(first.name, again.name));
        std::fs::write(&path, "1\n3\n").unwrap();
        let changed = network(&text).unwrap().trace.unwrap();
        assert_ne!(changed, first);
        std::fs::remove_file(&path).unwrap();
        let error = network(&text).unwrap_err();
        assert!(error.message().contains("cannot read the trace"), "{error}");
    }
}
