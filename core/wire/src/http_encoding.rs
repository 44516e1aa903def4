//! Compressed HTTP bodies: what a client accepts (RFC 9110, 12.5.3), and the body in that form.

use std::io::Write;

use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};

/// A form of a body that clients may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `gzip`.
    Gzip,
    /// `deflate`: the zlib format.
    Deflate,
}

impl Encoding {
    /// The best of what the values of `Accept-Encoding` allow; `None` when the body should be sent as it is. `*` is
    /// not enough: clients that mean gzip say so.
    pub fn accepted<'h>(headers: impl IntoIterator<Item = &'h str>) -> Option<Self> {
        let (mut gzip, mut deflate) = (0, 0);
        for coding in headers.into_iter().flat_map(|header| header.split(',')) {
            let (name, rest) = coding.split_once(';').unwrap_or((coding, ""));
            let weight = weight(rest);
            match name.trim().to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => gzip = weight,
                "deflate" => deflate = weight,
                _ => {}
            }
        }
        match (gzip, deflate) {
            (0, 0) => None,
            (gzip, deflate) if gzip >= deflate => Some(Self::Gzip),
            _ => Some(Self::Deflate),
        }
    }

    /// The name for `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// The body in this form; `None` when it would not become smaller.
    pub fn encode(self, body: &[u8]) -> Option<Vec<u8>> {
        let out = Vec::with_capacity(body.len() / 2);
        let level = Compression::new(4);
        let encoded = match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(out, level);
                encoder.write_all(body).ok()?;
                encoder.finish().ok()?
            }
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(out, level);
                encoder.write_all(body).ok()?;
                encoder.finish().ok()?
            }
        };
        (encoded.len() < body.len()).then_some(encoded)
    }
}

/// The weight of a coding in thousandths; one that cannot be read counts as a refusal.
fn weight(parameters: &str) -> u16 {
    let Some((name, value)) = parameters.split_once('=') else {
        return if parameters.trim().is_empty() { 1000 } else { 0 };
    };
    match value.trim().parse::<f32>() {
        Ok(weight) if name.trim().eq_ignore_ascii_case("q") && (0.0..=1.0).contains(&weight) => {
            (weight * 1000.0) as u16
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    fn decoded(encoding: Encoding, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match encoding {
            Encoding::Gzip => flate2::read::GzDecoder::new(body).read_to_end(&mut out),
            Encoding::Deflate => flate2::read::ZlibDecoder::new(body).read_to_end(&mut out),
        }
        .unwrap();
        out
    }

    proptest! {
        #[test]
        fn bodies_survive_the_round_trip(seed: Vec<u8>, times in 1usize..100) {
            let body = seed.repeat(times);
            for encoding in [Encoding::Gzip, Encoding::Deflate] {
                if let Some(encoded) = encoding.encode(&body) {
                    prop_assert_eq!(decoded(encoding, &encoded), body.clone());
                }
            }
        }

        #[test]
        fn hostile_headers_never_panic(header: String) {
            let _ = Encoding::accepted([header.as_str()]);
        }
    }

    #[test]
    fn best_accepted_form_is_chosen() {
        let of = |header| Encoding::accepted([header]);
        assert_eq!(of("gzip, deflate, br, zstd"), Some(Encoding::Gzip));
        assert_eq!(of("deflate"), Some(Encoding::Deflate));
        assert_eq!(of("gzip;q=0.5, deflate;q=0.8"), Some(Encoding::Deflate));
        assert_eq!(of("GZIP ; Q=1.0"), Some(Encoding::Gzip));
        assert_eq!(Encoding::accepted(["br", "gzip"]), Some(Encoding::Gzip));
        for refused in
            ["", "identity", "br", "*", "gzip;q=0", "gzip;q=0, deflate;q=0.0", "gzip;q=x", "gzip;x=1"]
        {
            assert_eq!(of(refused), None, "{refused}");
        }
    }
}
