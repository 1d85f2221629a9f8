//! How deep a JSON value is nested. Owns one scan without recursion, never a judgement.

/// Whether arrays and objects stand more than `depth_max` deep inside one another in `json`, which is valid JSON.
///
/// Touches nothing of the common cases: a string or number, and any text too short to be that deep.
pub(super) fn is_deeper(json: &str, depth_max: usize) -> bool {
    let bytes = json.as_bytes();
    // Each level costs an opening and a closing byte.
    if !matches!(bytes.first(), Some(b'{' | b'[')) || bytes.len() / 2 <= depth_max {
        return false;
    }
    let mut depth = 0_usize;
    let mut bytes = bytes.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > depth_max {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    false
}

/// Moves past the end of the string whose opening quote was just read.
fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth() {
        // (json, its depth)
        let table = [
            ("1", 0),
            ("\"[[[[[[\"", 0),
            ("[]", 1),
            ("{}", 1),
            ("[[],[],[[]]]", 3),
            (r#"{"a":{"b":[1,{"c":null}]}}"#, 4),
            (r#"["[[[[[[[["]"#, 1),
            (r#"["\"[[[[[[","\\",[]]"#, 2),
            (r#"{"{{{{\\\"{{{{":["]]]]",[0]]}"#, 3),
        ];
        for (json, depth) in table {
            assert!(!is_deeper(json, depth), "{json} is at most {depth} deep");
            if depth > 0 {
                assert!(is_deeper(json, depth - 1), "{json} is {depth} deep");
            }
        }
    }

    #[test]
    fn the_shortest_text_of_a_depth_is_seen() {
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(!is_deeper(&nested(64), 64));
        assert!(is_deeper(&nested(65), 64));
        assert!(is_deeper(&nested(100_000), 64));
    }
}
