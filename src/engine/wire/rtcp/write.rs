//! Packets appended to a compound. What does not fit its field is cut to what does.

use super::report::{ReportBlock, SenderInfo};
use super::xr::Extended;
use super::{APPLICATION, DESCRIPTION, EXTENDED, GOODBYE, RECEIVER_REPORT, SENDER_REPORT, VERSION};

/// Appends a sender report (§6.4.1) with at most 31 blocks.
pub fn write_sender_report(ssrc: u32, info: &SenderInfo, blocks: &[ReportBlock], out: &mut Vec<u8>) {
    let blocks = &blocks[..blocks.len().min(MOST)];
    packet(SENDER_REPORT, blocks.len(), out, |out| {
        out.extend_from_slice(&ssrc.to_be_bytes());
        info.write(out);
        for block in blocks {
            block.write(out);
        }
    });
}

/// Appends a receiver report (§6.4.2) with at most 31 blocks.
pub fn write_receiver_report(ssrc: u32, blocks: &[ReportBlock], out: &mut Vec<u8>) {
    let blocks = &blocks[..blocks.len().min(MOST)];
    packet(RECEIVER_REPORT, blocks.len(), out, |out| {
        out.extend_from_slice(&ssrc.to_be_bytes());
        for block in blocks {
            block.write(out);
        }
    });
}

/// Appends what one source says of itself (§6.5): kinds and texts, each of which is cut at 255 bytes.
pub fn write_description(ssrc: u32, items: &[(u8, &str)], out: &mut Vec<u8>) {
    packet(DESCRIPTION, 1, out, |out| {
        out.extend_from_slice(&ssrc.to_be_bytes());
        for (kind, text) in items {
            let text = cut(text);
            out.extend_from_slice(&[*kind, text.len() as u8]);
            out.extend_from_slice(text.as_bytes());
        }
        out.push(0);
    });
}

/// Appends a goodbye (§6.6) of at most 31 sources; a reason, where there is one, is cut at 255 bytes.
pub fn write_goodbye(sources: &[u32], reason: &str, out: &mut Vec<u8>) {
    let sources = &sources[..sources.len().min(MOST)];
    packet(GOODBYE, sources.len(), out, |out| {
        for ssrc in sources {
            out.extend_from_slice(&ssrc.to_be_bytes());
        }
        let reason = cut(reason);
        if !reason.is_empty() {
            out.push(reason.len() as u8);
            out.extend_from_slice(reason.as_bytes());
        }
    });
}

/// Appends a packet of a program's own (§6.7), its data cut at 1,024 bytes and filled up to a whole word.
pub fn write_application(ssrc: u32, name: [u8; 4], data: &[u8], out: &mut Vec<u8>) {
    packet(APPLICATION, 0, out, |out| {
        out.extend_from_slice(&ssrc.to_be_bytes());
        out.extend_from_slice(&name);
        out.extend_from_slice(&data[..data.len().min(1024)]);
    });
}

/// Appends an extended report (RFC 3611).
pub fn write_extended(ssrc: u32, blocks: &Extended, out: &mut Vec<u8>) {
    packet(EXTENDED, 0, out, |out| {
        out.extend_from_slice(&ssrc.to_be_bytes());
        blocks.write(out);
    });
}

/// Appends the common header, the body, and the length of both.
fn packet(packet_type: u8, count: usize, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[VERSION << 6 | count as u8, packet_type, 0, 0]);
    body(out);
    let length = (out.len() - start).next_multiple_of(4);
    out.resize(start + length, 0);
    out[start + 2..start + 4].copy_from_slice(&((length / 4 - 1) as u16).to_be_bytes());
}

/// As much of a text as a length byte can tell, characters left whole.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(255);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// As many sources and blocks as five bits count.
const MOST: usize = 31;
