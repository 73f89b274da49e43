//! The ids of rules, such as `CK-2`.

/// The groups of rules. A new one is added here, so that the comments which mention its rules are found.
pub(crate) const GROUPS: [&str; 11] = [
    "ID", "CK", "RQ", "SG", "ST", "CM", "TM", "SR", "LG", "US", "CS",
];

/// Whether the whole text is an id.
pub(crate) fn is_id(text: &str) -> bool {
    ids_in(text).next() == Some(text)
}

/// The ids that the text mentions: a group, a hyphen and a number.
pub(crate) fn ids_in(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('-').filter_map(|(hyphen, _)| {
        let (before, after) = (&text[..hyphen], &text[hyphen + 1..]);
        let group = GROUPS.iter().find(|group| before.ends_with(**group))?;
        let start = hyphen - group.len();
        let goes_on = |c: char| c.is_alphanumeric() || c == '_';
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let is_id = digits > 0 && !text[..start].ends_with(goes_on);
        is_id.then(|| &text[start..=hyphen + digits])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_a_text() {
        let found = |text| ids_in(text).collect::<Vec<_>>();
        assert_eq!(
            found("/// CK-2, (ID-10) and ST-3's: é-CS-1"),
            ["CK-2", "ID-10", "ST-3", "CS-1"]
        );
        assert_eq!(
            found("UTF-8 SHA-256 XID-1 A_ID-2 CK- CK-x id-1 -1"),
            [""; 0]
        );
    }

    #[test]
    fn an_id_is_nothing_else() {
        assert!(is_id("CK-2") && is_id("ID-123"));
        for text in ["", "CK", "CK-", "CK-2a", " CK-2", "XX-2", "CK-2 CK-3"] {
            assert!(!is_id(text), "{text}");
        }
    }
}
