//! How playout does on bad networks: the engine's own player on simulated paths and a simulated sound card, in virtual
//! time, seeded, beside fixed delays and models of simpler buffers. Prints tables.
//!
//! `cargo bench --bench scenarios -- --csv FOLDER` writes what `benches/curves.py` draws, too.
//!
//! All delays are the buffer's own: from the arrival of the fastest packets until their sound is heard. Mouth to ear
//! adds the packet's length, the path and the devices.

mod clocks;
#[path = "../../src/engine/playout/fit.rs"]
mod fit;
mod paths;
mod play;
mod references;
mod table;

use std::path::PathBuf;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if !args.iter().any(|a| a == "--bench") {
        // `cargo test --benches` runs every harness: nothing to do there.
        return;
    }
    let csv = args.iter().position(|a| a == "--csv").and_then(|at| args.get(at + 1)).map(PathBuf::from);
    let csv = csv.as_deref();
    paths::presets();
    paths::one_lost_packet();
    paths::spike(csv);
    clocks::convergence(csv);
    clocks::day();
    clocks::tone();
    clocks::ten_percent();
    if let Some(folder) = csv {
        paths::trade(folder);
        println!("\nfigures for the curves: {}", folder.display());
    }
}
