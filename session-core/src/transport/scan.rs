//! Finding our cookie in the request, without parsing the others.
//!
//! A Cookie header is pairs separated by `;`. The scan looks for the name, byte for byte, and takes it for
//! ours where nothing but space and tab lies between it and the semicolon before it, and the equals sign
//! behind it. Whatever else is in the header it passes over without looking at it, so that a neighbour's
//! broken cookie can't hide ours. It allocates nothing and looks at each byte a bounded number of times. How many
//! cookies it finds is the caller's to bound.

use memchr::{memchr, memmem};

/// Finds the cookies of one name.
#[derive(Clone, Debug)]
pub(crate) struct Scanner {
    name: memmem::Finder<'static>,
}

impl Scanner {
    /// For the cookie called `name`. A name is a token, without semicolons or white space. So an occurrence
    /// that isn't our cookie never overlaps one that is, and the search may go on behind it.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: memmem::Finder::new(name).into_owned(),
        }
    }

    /// The values of the cookies, in the order of the request, over all Cookie headers.
    pub(crate) fn values<'h>(
        &self,
        headers: impl IntoIterator<Item = &'h [u8]>,
    ) -> impl Iterator<Item = &'h [u8]> {
        headers.into_iter().flat_map(|header| {
            let found = self.name.find_iter(header);
            found.filter_map(|at| value_at(header, at, self.name.needle().len()))
        })
    }
}

/// The value of the pair whose name lies at `at`, if it is one.
fn value_at(header: &[u8], at: usize, name_len: usize) -> Option<&[u8]> {
    let (before, name_and_rest) = header.split_at(at);
    let begins_a_pair = trim_end(before).last().is_none_or(|byte| *byte == b';');
    let (separator, rest) = trim_start(&name_and_rest[name_len..]).split_first()?;
    if !begins_a_pair || *separator != b'=' {
        return None;
    }
    let end = memchr(b';', rest).unwrap_or(rest.len());
    Some(trim_start(trim_end(&rest[..end])))
}

fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'h>(headers: &[&'h [u8]]) -> Vec<&'h [u8]> {
        Scanner::new("id").values(headers.iter().copied()).collect()
    }

    fn found(header: &str) -> Vec<String> {
        find(&[header.as_bytes()])
            .iter()
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    /// RQ-1: the name matches byte for byte.
    #[test]
    fn names_match_byte_for_byte() {
        assert_eq!(found("id=1"), ["1"]);
        for other in [
            "ID=1", "Id=1", "%69d=1", "i%64=1", "idx=1", "xid=1", "i=1", "\"id\"=1", "id",
        ] {
            assert!(found(other).is_empty(), "{other}");
        }
    }

    /// RQ-2: space and tab are trimmed, nothing else is; quotes stay.
    #[test]
    fn only_space_and_tab_are_trimmed() {
        assert_eq!(found(" \tid \t= \t1\t "), ["1"]);
        assert_eq!(found("id=\"1\""), ["\"1\""]);
        assert_eq!(found("id=a b"), ["a b"]);
        for other in [
            "\u{a0}id=1",
            "\u{b}id=1",
            "\u{c}id=1",
            "\nid=1",
            "\0id=1",
            "id\u{b}=1",
            "id\n=1",
        ] {
            assert!(found(other).is_empty(), "{other:?}");
        }
        assert_eq!(found("id=\u{b}1"), ["\u{b}1"]);
    }

    /// RQ-3: a pair without a name has the empty name.
    #[test]
    fn a_nameless_pair_is_not_ours() {
        assert!(found("=id=1").is_empty());
        assert!(found("==id=1; =id").is_empty());
        assert_eq!(found("id==1"), ["=1"]);
    }

    /// RQ-4: whatever stands beside it, ours is found.
    #[test]
    fn broken_neighbours_hide_nothing() {
        let neighbours: [&[u8]; 6] = [
            b"\xff\xfe=\x80",
            b"novalue",
            b"",
            b"=",
            b"a=\"b",
            b"\0\x01=;;;",
        ];
        for neighbour in neighbours {
            let header = [neighbour, b"; id=1; ", neighbour].concat();
            assert_eq!(find(&[&header]), [b"1"], "{neighbour:?}");
        }
    }

    /// RQ-5: the scan gives every cookie of our name; what is junk is for others to say.
    #[test]
    fn every_cookie_of_our_name_is_found() {
        let values: Vec<_> = (0..100).map(|n| n.to_string()).collect();
        assert_eq!(found(&format!("id={}", values.join("; id="))), values);
    }

    /// RQ-7: the work is linear in the header. With quadratic work, these headers of four megabytes would take hours.
    #[test]
    fn the_work_is_linear_in_the_header() {
        const LEN: usize = 4 << 20;
        for (piece, expected) in [
            ("id=;", LEN / 4),
            ("id=", 1),
            ("id ", 0),
            ("id;", 0),
            ("; id", 0),
            (" =", 0),
            ("i", 0),
            (";", 0),
        ] {
            let header = piece.repeat(LEN / piece.len());
            assert_eq!(find(&[header.as_bytes()]).len(), expected, "{piece:?}");
        }
        let blank = " \t".repeat(LEN / 4);
        let header = [&blank, "id", &blank, "=", &blank, "1", &blank].concat();
        assert_eq!(found(&header), ["1"]);
        assert!(found(&[&blank, "x", &blank, "id=1"].concat()).is_empty());
    }

    /// RQ-6: several headers are read as one.
    #[test]
    fn headers_are_read_as_one() {
        assert_eq!(find(&[b"a=1; id=2", b"id=3", b"b=4"]), [b"2", b"3"]);
    }

    /// RQ-8: no input panics. Every string of up to five bytes over the bytes that mean something.
    #[test]
    fn no_input_panics() {
        let alphabet = *b"id=; \t\"\xff\0";
        let mut inputs = 0;
        for len in 0..=5_u32 {
            for n in 0..alphabet.len().pow(len) {
                let input: Vec<u8> = (0..len)
                    .map(|at| alphabet[n / alphabet.len().pow(at) % alphabet.len()])
                    .collect();
                let plain = find(&[&input]).len();
                assert!(plain <= input.iter().filter(|byte| **byte == b'=').count());
                inputs += 1;
            }
        }
        assert_eq!(inputs, 66_430);
    }
}
