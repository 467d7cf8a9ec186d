//! A stranger's words made fit for a log, a terminal or a file name.
//!
//! Guaranteed: the result has no control character (so no escape sequence and no second line), and nothing that reorders or
//! hides text. What is escaped stays readable, as `\u{1b}`.

/// The text with everything escaped that is not to be seen, but to be obeyed.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// The same of bytes that should be UTF-8; what is not becomes U+FFFD.
pub fn printable_bytes(bytes: &[u8]) -> String {
    printable(&String::from_utf8_lossy(bytes))
}

/// Controls of terminals (C0, DEL, C1), of lines, of the direction of writing (Unicode TR 36 §2.5), and what has no shape.
/// The joiners U+200C and U+200D stay: words and signs are written with them.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_stay_as_they_are() {
        for word in ["", "Ada", "Łódź, 東京", "می‌خواهم", "👩‍💻", "a\\b /\"'"] {
            assert_eq!(printable(word), word);
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        assert_eq!(printable("\x1b]0;owned\x07"), "\\u{1b}]0;owned\\u{7}");
        assert_eq!(printable("one\r\ntwo\u{2028}three\u{85}"), "one\\u{d}\\u{a}two\\u{2028}three\\u{85}");
        assert_eq!(printable("\u{9b}2J"), "\\u{9b}2J");
        assert_eq!(printable("exe.\u{202e}vaw"), "exe.\\u{202e}vaw");
        assert_eq!(printable("\u{2066}a\u{2069}\u{200f}\u{61c}"), "\\u{2066}a\\u{2069}\\u{200f}\\u{61c}");
        assert_eq!(printable_bytes(b"so long\xff\0"), "so long\u{fffd}\\u{0}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_obeyed(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let text = printable_bytes(&bytes);
            prop_assert!(!text.chars().any(is_obeyed));
            prop_assert!(text.len() <= bytes.len() * 10);
            prop_assert_eq!(printable(&text), text);
        }
    }
}
