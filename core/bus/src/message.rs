//! What both buses make of headers and sizes, so that a message that fits one fits the other.

/// Headers that the protocol can carry: a name that it cannot is left out, a line break in a value becomes a space.
pub(crate) fn fit(headers: &[(String, String)]) -> Vec<(String, String)> {
    let carried = |(name, _): &&(String, String)| fits_name(name);
    headers
        .iter()
        .filter(carried)
        .map(|(name, value)| (name.clone(), value.replace(['\r', '\n'], " ")))
        .collect()
}

fn fits_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':')
}

/// Bytes of a message as brokers count them: headers as they are written, and the body.
pub(crate) fn size(headers: &[(String, String)], payload: &[u8]) -> usize {
    const FRAME: usize = "NATS/1.0\r\n\r\n".len();
    const LINE: usize = ": \r\n".len();
    let lines: usize = headers.iter().map(|(name, value)| name.len() + value.len() + LINE).sum();
    payload.len() + if headers.is_empty() { 0 } else { FRAME + lines }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn line_breaks_cannot_pass() {
        let given = [header("Reason", "a\r\nX: b"), header("a:b", "x"), header("a b", "x"), header("", "x")];
        assert_eq!(fit(&given), [header("Reason", "a  X: b")]);
    }

    #[test]
    fn size_counts_headers() {
        assert_eq!(size(&[], b"abc"), 3);
        assert_eq!(size(&[header("A", "b")], b"abc"), "NATS/1.0\r\nA: b\r\n\r\nabc".len());
    }
}
